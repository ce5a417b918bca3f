//! The client matrix: every client does the same ten things to a server of its own, under TLS 1.3
//! and 1.2, and what each can do and needs for it is what [`table`] says. [`document`] keeps
//! docs/clients.md in step, so that the document says what the tests found.
//!
//! `tests/run` installs the clients. A client whose finding changes fails its test, for better or
//! worse: change its row, and write the document again with `PORTCULLIS_WRITE_DOCS=1`.

mod action;
mod document;
mod handshake;
mod place;
mod programs;
mod quirks;
mod scripts;
mod suppaftp;
mod table;

use action::Client;
use place::Place;

/// Goes every way of a client, each on a server of its own, and compares what was found.
fn shows(client: &Client) {
    for way in client.ways {
        let place = Place::new(way);
        let reports = (client.drive)(&place);
        place.compare(client, &reports);
    }
}

/// A test for each client, and the list of them all in the order of the document.
macro_rules! clients {
    ($($test:ident: $client:ident,)*) => {
        const ALL: &[&Client] = &[$(&table::$client),*];
        $(
            #[test]
            fn $test() {
                shows(&table::$client);
            }
        )*
    };
}

clients! {
    curl_with_openssl: CURL,
    libcurl_with_gnutls: PYCURL,
    lftp: LFTP,
    python_ftplib: FTPLIB,
    python_ftplib_that_resumes: FTPLIB_RESUMING,
    python_aioftp: AIOFTP,
    python_fsspec: FSSPEC,
    rclone: RCLONE,
    rclone_in_parallel: RCLONE_PARALLEL,
    perl_net_ftp: PERL,
    perl_net_ftp_that_resumes: PERL_RESUMING,
    java_commons_net: COMMONS_NET,
    java_commons_net_that_resumes: COMMONS_NET_RESUMING,
    node_basic_ftp: BASIC_FTP,
    php: PHP,
    ruby_net_ftp: RUBY,
    rust_suppaftp: SUPPAFTP,
    wget: WGET,
}
