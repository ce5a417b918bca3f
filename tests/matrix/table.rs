//! What was found of each client. A row says in which ways it was tried, and what does not work in
//! each; everything else does.

use super::action::Action::{
    Delete, Download, Download200, List, Names, Rename, ResumeDownload, ResumeUpload, Upload, Upload200, UploadEmpty,
};
use super::action::Binding::{Exception, Session};
use super::action::Finding::{Fails, Lacks};
use super::action::Tls::{ByServer, V12, V13};
use super::action::{Action, Binding, Client, Finding, Tls, Way};
use super::{programs, scripts, suppaftp};

type But = &'static [(Action, Finding)];

const fn way(tls: Tls, binding: Binding, but: But) -> Way {
    Way { tls, binding, but }
}

/// Words of the refusal that a user without an exception hears.
const REFUSED: Finding = Fails("ask the administrator for");

/// Every action that needs a data connection is refused; the session goes on, so the others work.
const ALL_REFUSED: But = &[
    (List, REFUSED),
    (Upload, REFUSED),
    (UploadEmpty, REFUSED),
    (Download, REFUSED),
    (ResumeUpload, REFUSED),
    (ResumeDownload, REFUSED),
    (Names, REFUSED),
    (Upload200, REFUSED),
    (Download200, REFUSED),
];

const AS_IT_IS: &[Way] = &[way(V13, Session, &[]), way(V12, Session, &[])];

/// Of clients that manage TLS 1.2 only: as they are, where the server does not offer them more.
const HELD: Way = way(ByServer, Session, &[]);

/// Of clients that never resume.
const BY_ADDRESS: &[Way] = &[
    way(V13, Session, ALL_REFUSED),
    way(V12, Session, ALL_REFUSED),
    way(V13, Exception("address"), &[]),
    way(V12, Exception("address"), &[]),
];

pub const CURL: Client = Client {
    name: "curl with OpenSSL (Debian 12)",
    setting: "`--ssl-reqd --cacert ca.pem`; for TLS 1.2 `--tls-max 1.2`",
    patient: false,
    drive: programs::curl,
    ways: &[way(V13, Session, &[(Upload200, Fails("522"))]), way(V12, Session, &[]), HELD],
};

/// This one says the code of the refusal, and of a download not even that.
const LIBCURL_REFUSED: But = &[
    (List, Fails("522")),
    (Upload, Fails("522")),
    (UploadEmpty, Fails("522")),
    (Download, Fails("transfer closed")),
    (ResumeUpload, Fails("522")),
    (ResumeDownload, Fails("transfer closed")),
    (Names, Fails("522")),
    (Upload200, Fails("522")),
    (Download200, Fails("transfer closed")),
];

pub const PYCURL: Client = Client {
    name: "libcurl with GnuTLS (pycurl of Debian 12)",
    setting: "`USE_SSL`, `CAINFO`; for TLS 1.2 `SSLVERSION_MAX_TLSv1_2`",
    patient: false,
    drive: scripts::pycurl,
    ways: &[way(V13, Session, LIBCURL_REFUSED), way(V12, Session, &[]), HELD],
};

pub const LFTP: Client = Client {
    name: "lftp (Debian 12)",
    setting: "`set ssl:ca-file ca.pem; set ftp:ssl-force true; set ftp:ssl-protect-data true`",
    patient: false,
    drive: programs::lftp,
    ways: AS_IT_IS,
};

pub const FTPLIB: Client = Client {
    name: "Python `ftplib`",
    setting: "`FTP_TLS`, `prot_p()`; it never resumes",
    patient: false,
    drive: scripts::ftplib,
    ways: BY_ADDRESS,
};

pub const FTPLIB_RESUMING: Client = Client {
    name: "Python `ftplib`, the subclass below",
    setting: "`ResumingFTPS`, `prot_p()`",
    patient: false,
    drive: scripts::ftplib_resuming,
    ways: AS_IT_IS,
};

pub const AIOFTP: Client = Client {
    name: "aioftp 0.28 (PyPI)",
    setting: "`upgrade_to_tls(context)` before `login`",
    patient: false,
    drive: scripts::aioftp,
    ways: AS_IT_IS,
};

/// A listing that is refused is a missing directory to it, and it makes the directories it misses.
const FSSPEC_REFUSED: But = &[
    (List, Fails("/listed")),
    (Upload, REFUSED),
    (UploadEmpty, REFUSED),
    (Download, REFUSED),
    (ResumeUpload, Lacks),
    (ResumeDownload, Fails("/part-down")),
    (Names, Fails("550")),
    (Upload200, Fails("550")),
    (Download200, REFUSED),
];

const FSSPEC_HAS: But = &[(ResumeUpload, Lacks)];

pub const FSSPEC: Client = Client {
    name: "fsspec 2026.9 (PyPI)",
    setting: "`tls=True`; it checks no certificate and never resumes, and calls a refused listing \"file not found\"",
    patient: false,
    drive: scripts::fsspec,
    ways: &[
        way(V13, Session, FSSPEC_REFUSED),
        way(V12, Session, FSSPEC_REFUSED),
        way(V13, Exception("address"), FSSPEC_HAS),
        way(V12, Exception("address"), FSSPEC_HAS),
    ],
};

const RCLONE_HAS: But = &[(ResumeUpload, Lacks), (ResumeDownload, Lacks)];

/// Debian's is built with a Go that has no extended master secret (RFC 7627).
const RCLONE_WITH_TLS12: But = &[
    (List, Fails("handshake failure")),
    (Upload, Fails("handshake failure")),
    (UploadEmpty, Fails("handshake failure")),
    (Download, Fails("handshake failure")),
    (ResumeUpload, Lacks),
    (ResumeDownload, Lacks),
    (Rename, Fails("handshake failure")),
    (Delete, Fails("handshake failure")),
    (Names, Fails("handshake failure")),
    (Upload200, Fails("handshake failure")),
    (Download200, Fails("handshake failure")),
];

pub const RCLONE: Client = Client {
    name: "rclone (Debian 12), one transfer at a time",
    setting: "`--ftp-explicit-tls --transfers 1 --checkers 1`; TLS 1.2 only with \
              `tls.require-extended-master-secret = false`",
    patient: false,
    drive: programs::rclone,
    ways: &[way(V13, Session, RCLONE_HAS), way(V12, Session, RCLONE_WITH_TLS12)],
};

pub const RCLONE_PARALLEL: Client = Client {
    name: "rclone (Debian 12), four transfers at a time",
    setting: "`--ftp-explicit-tls`; each of its connections resumes whichever session is newest",
    patient: true,
    drive: programs::rclone_parallel,
    ways: &[way(V13, Exception("principal"), RCLONE_HAS), way(V12, Exception("principal"), RCLONE_WITH_TLS12)],
};

pub const PERL: Client = Client {
    name: "Perl `Net::FTP`",
    setting: "`starttls`, `prot('P')`; it looks for its session under the wrong port",
    patient: false,
    drive: scripts::perl,
    ways: BY_ADDRESS,
};

/// What there is to upload uses up the tickets of TLS 1.3, which are not read at its end.
const OUT_OF_TICKETS: But = &[(Names, REFUSED), (Upload200, REFUSED), (Download200, REFUSED)];

pub const PERL_RESUMING: Client = Client {
    name: "Perl `Net::FTP`, with the line below",
    setting: "for TLS 1.2 `SSL_version => 'TLSv1_2'`",
    patient: false,
    drive: scripts::perl_resuming,
    ways: &[way(V13, Session, OUT_OF_TICKETS), way(V12, Session, &[]), HELD],
};

pub const COMMONS_NET: Client = Client {
    name: "Java Commons Net",
    setting: "`execPBSZ(0)`, `execPROT(\"P\")`; it never resumes",
    patient: false,
    drive: scripts::commons_net,
    ways: BY_ADDRESS,
};

pub const COMMONS_NET_RESUMING: Client = Client {
    name: "Java Commons Net, the subclass below",
    setting: "the `--add-opens` below; for TLS 1.2 `setEnabledProtocols(\"TLSv1.2\")`",
    patient: false,
    drive: scripts::commons_net_resuming,
    ways: &[way(V13, Session, ALL_REFUSED), way(V12, Session, &[]), HELD],
};

pub const BASIC_FTP: Client = Client {
    name: "Node basic-ftp 6.2 (npm)",
    setting: "`secure: true`; an empty upload sometimes ends before TLS is ready (426 or 522): try it again",
    patient: true,
    drive: scripts::basic_ftp,
    ways: AS_IT_IS,
};

pub const PHP: Client = Client {
    name: "PHP (Debian 12)",
    setting: "`ftp_ssl_connect`, `ftp_pasv($ftp, true)`; it checks no certificate",
    patient: false,
    drive: scripts::php,
    ways: AS_IT_IS,
};

/// It keeps one session, and the first upload uses it up.
const AFTER_ONE_UPLOAD: But = &[
    (UploadEmpty, REFUSED),
    (Download, REFUSED),
    (ResumeUpload, REFUSED),
    (ResumeDownload, REFUSED),
    (Names, REFUSED),
    (Upload200, REFUSED),
    (Download200, REFUSED),
];

pub const RUBY: Client = Client {
    name: "Ruby `Net::FTP` (Debian 12)",
    setting: "for TLS 1.2 `ssl: { max_version: OpenSSL::SSL::TLS1_2_VERSION }`",
    patient: false,
    drive: scripts::ruby,
    ways: &[way(V13, Session, AFTER_ONE_UPLOAD), way(V12, Session, &[]), HELD],
};

pub const SUPPAFTP: Client = Client {
    name: "Rust suppaftp 12 (crates.io), rustls",
    setting: "one `ClientConfig`; for TLS 1.2 `with_protocol_versions(&[&TLS12])`",
    patient: false,
    drive: suppaftp::suppaftp,
    ways: &[way(V13, Session, OUT_OF_TICKETS), way(V12, Session, &[]), HELD],
};

const WGET_HAS: But = &[
    (Upload, Lacks),
    (UploadEmpty, Lacks),
    (ResumeUpload, Lacks),
    (Rename, Lacks),
    (Delete, Lacks),
    (Names, Lacks),
    (Upload200, Lacks),
];

pub const WGET: Client = Client {
    name: "wget (Debian 12)",
    setting: "`ftps://…`, `--ca-certificate=ca.pem`; under TLS 1.3 it misses its own session now and then: try again",
    patient: true,
    drive: programs::wget,
    ways: &[way(V13, Session, WGET_HAS), way(V12, Session, WGET_HAS)],
};
