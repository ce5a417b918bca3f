//! `portcullis cert import`.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::super::doctor::certificates::{self, Days, Measure};
use super::super::doctor::report::{Report, Severity, harmless};
use super::super::{Failure, complain, say};
use super::install::{self, Content, going_back};
use super::{chosen, config, converting, harmless_lines, names_of, pasted, read};
use crate::settings::{Config, Identity};
use crate::tls::chain::{Unarranged, arranged};
use crate::tls::{facts, pem};

const KEY_MODE: u32 = 0o600;
/// Of a key that root keeps for the group of the server's account.
const KEY_MODE_FOR_GROUP: u32 = 0o640;
const GROUP_READ: u32 = 0o040;
const CERTIFICATE_MODE: u32 = 0o644;
/// Most certificates that are given, whatever becomes of them.
const CERTIFICATES_MAX: usize = 64;
/// Anybody but the owner.
const OTHERS: u32 = 0o077;

/// Install a certificate, and its key, where the policy has those of an identity.
///
/// Checks the chain and puts it in order, and checks key, names, dates and strength, before anything
/// changes. What was installed before is kept beside, under a dated name. A running server shows the
/// new certificate within seconds.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis cert import --certificate fullchain.pem --key privkey.pem
  portcullis cert import --certificate signed.pem --chain authority.pem \\
      --key ./request/server.key --identity files.example.org --dry-run")]
pub(super) struct Arguments {
    /// PEM file with the certificate; those that vouch for it may be in it, too.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// PEM file with its private key. Default: the key that is installed, which stays.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// PEM file with certificates that vouch for it.
    #[arg(long, value_name = "FILE")]
    chain: Vec<PathBuf>,
    /// A name of the identity, or its number in [tls] identities from 1. Default: the only one.
    #[arg(long, value_name = "NAME|N")]
    identity: Option<String>,
    /// Check everything and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What is to be installed.
struct New {
    /// The chain in order, as PEM.
    certificate: String,
    /// The key, which may be the one that is installed.
    key: Zeroizing<Vec<u8>>,
    certificates: usize,
    moved: bool,
    expires: Timestamp,
}

/// Checks, installs, and says how to go back.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    // Others who change certificates or policy files at the same time wait.
    let unopened = |error| config(policy).err().unwrap_or_else(|| Failure::io(policy.display(), &error));
    let directory = File::open(policy).map_err(unopened)?;
    directory.lock().map_err(|error| Failure::io(policy.display(), &error))?;
    let config = config(policy)?;
    let identity = chosen(&config, arguments.identity.as_deref())?;
    replaceable(identity)?;
    let new = gather(arguments, identity)?;
    judge(arguments, &new, identity, &config)?;

    let is_now = |path: &Path, bytes: &[u8]| read(path).is_ok_and(|content| *content.bytes == *bytes);
    let key_changes = arguments.key.is_some() && !is_now(&identity.key, &new.key);
    let (for_whom, order) = (names_of(identity), if new.moved { ", put in order" } else { "" });
    if !key_changes && is_now(&identity.certificate, new.certificate.as_bytes()) {
        return say(format!("This certificate is installed for {for_whom} already; nothing was changed."));
    }
    let mut what = format!(
        "  certificate  {} ({} certificate(s){order}, until {})",
        pasted(&identity.certificate),
        new.certificates,
        facts::day(new.expires)
    );
    let key = if key_changes { pasted(&identity.key) } else { format!("{}, which stays", pasted(&identity.key)) };
    let _ = write!(what, "\n  key          {key}");
    if arguments.dry_run {
        return say(format!("Everything is fine. Without --dry-run this would be installed for {for_whom}:\n{what}"));
    }
    let mut files =
        vec![Content { path: &identity.certificate, bytes: new.certificate.as_bytes(), mode: CERTIFICATE_MODE }];
    if key_changes {
        files.insert(0, Content { path: &identity.key, bytes: &new.key, mode: key_mode(&identity.key) });
    }
    let cut_short = install::cut_short(&identity.certificate, &identity.key).is_some();
    let done = install::install(&files, Timestamp::now())
        .map_err(|failed| Failure::Failed(format!("{}: {}; {}", failed.what, failed.error, failed.now)))?;
    install::clear(&identity.certificate, &identity.key);
    let kept = if done.kept.is_empty() {
        String::new()
    } else {
        let names: Vec<String> = done.kept.iter().map(|(name, _)| format!("  {}", pasted(name))).collect();
        let back = if cut_short {
            "An import before this one was cut short: the pair to go back to has an earlier date.".to_owned()
        } else {
            format!("To go back:\n  {}", going_back(&done.kept))
        };
        format!("\n\nWhat was there is kept:\n{}\n{back}", names.join("\n"))
    };
    let copy = match arguments.key.as_ref().filter(|_| key_changes) {
        Some(given) => format!("\n{} has the key, too: remove it once clients connect.", pasted(given)),
        None => String::new(),
    };
    say(format!(
        "Installed for {for_whom}:\n{what}{kept}\n\nA running server shows it within seconds, to whom connects from then \
         on.{copy}"
    ))
}

/// The mode of the new key: a server that root does not start reads the old one by its group, and
/// would not start any more without.
fn key_mode(installed: &Path) -> u32 {
    let by_group = |old: std::fs::Metadata| old.uid() == 0 && old.mode() & OTHERS == GROUP_READ;
    if installed.symlink_metadata().is_ok_and(by_group) { KEY_MODE_FOR_GROUP } else { KEY_MODE }
}

/// Whether a path of the policy leads to the file that is to be replaced, perhaps through a link.
fn is_file(path: &Path, replaced: &Path) -> bool {
    path == replaced || path.canonicalize().is_ok_and(|path| path == replaced)
}

/// Both files must be the server's own: a link is kept by the program that made it.
fn replaceable(identity: &Identity) -> Result<(), Failure> {
    if identity.certificate == identity.key {
        return Err(Failure::Failed(format!(
            "the policy names {} as certificate and as key: name two files in [tls] identities",
            identity.key.display()
        )));
    }
    for path in [&identity.certificate, &identity.key] {
        if let Ok(target) = std::fs::read_link(path) {
            return Err(Failure::Failed(format!(
                "{} is a link to {}, kept by the program that made it: renew the certificate with that, or name another \
                 file in [tls] identities",
                path.display(),
                harmless(&target.display().to_string())
            )));
        }
        if path.symlink_metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(Failure::Failed(format!("{} is no regular file: remove it", path.display())));
        }
    }
    Ok(())
}

/// Reads everything that was given, and makes a chain for the key of it.
fn gather(arguments: &Arguments, identity: &Identity) -> Result<New, Failure> {
    let mut certificates: Vec<CertificateDer<'static>> = Vec::new();
    for path in std::iter::once(&arguments.certificate).chain(&arguments.chain) {
        let content = read(path)?;
        let found = pem::certificates(&content.bytes).map_err(|error| {
            let help = converting(path, &content.bytes).map_or_else(String::new, |help| format!(": {help}"));
            Failure::Failed(format!("{}: {error}{help}", path.display()))
        })?;
        certificates.extend(found);
    }
    if certificates.len() > CERTIFICATES_MAX {
        return Err(Failure::Failed(format!("more than {CERTIFICATES_MAX} certificates: give those of one chain")));
    }
    let key_file = arguments.key.as_ref().unwrap_or(&identity.key);
    let content = read(key_file)?;
    if arguments.key.is_some() && content.metadata.mode() & OTHERS != 0 {
        complain(&format!(
            "portcullis: warning: {} can be read by others than its owner: whoever read it has the key",
            key_file.display()
        ));
    }
    let public = facts::public_key_in(&content.bytes)
        .map_err(|problem| Failure::Failed(format!("{}: {problem}", key_file.display())))?;
    let (chain, moved) = arranged(&certificates, &public).map_err(|why| {
        Failure::Failed(harmless_lines(&unarranged(&why, &certificates, &public, arguments, key_file)))
    })?;
    let key = pem::key_text(&content.bytes)
        .ok_or_else(|| Failure::Failed(format!("{}: no private key in it", key_file.display())))?;
    let expires = chain.iter().filter_map(|der| Some(facts::validity(&X509Certificate::from_der(der).ok()?.1).1)).min();
    Ok(New {
        certificate: pem::text_of(&chain),
        key,
        certificates: chain.len(),
        moved,
        expires: expires.unwrap_or(Timestamp::MAX),
    })
}

/// Why there is no chain, with what helps to find out whose key it is.
fn unarranged(
    why: &Unarranged,
    certificates: &[CertificateDer<'static>],
    public: &[u8],
    arguments: &Arguments,
    key_file: &Path,
) -> String {
    let files: Vec<String> = std::iter::once(&arguments.certificate)
        .chain(&arguments.chain)
        .map(|path| path.display().to_string())
        .collect();
    if *why != Unarranged::NoneForKey {
        let counted = if files.len() > 1 { " (counted through all files, in their order)" } else { "" };
        return harmless(&format!("{}: {why}{counted}", files.join(", ")));
    }
    let whose =
        if arguments.key.is_some() { "" } else { ", which is installed; a certificate of another key needs --key" };
    let mut text = format!("{}: no certificate in it is for the key {}{whose}", files.join(", "), key_file.display());
    let _ = write!(text, "\n  the key's      {}", facts::fingerprint(public));
    for (place, der) in (1_usize..).zip(certificates) {
        if let Ok((_, parsed)) = X509Certificate::from_der(der) {
            let fingerprint = facts::fingerprint(parsed.public_key().raw);
            let _ =
                write!(text, "\n  certificate {place}  {fingerprint} ({})", harmless(&parsed.subject().to_string()));
        }
    }
    text.push_str("\n  (SHA-256 of the public keys)");
    text
}

/// Judges the new files as the doctor does, for every identity that has one of the two.
fn judge(arguments: &Arguments, new: &New, identity: &Identity, config: &Config) -> Result<(), Failure> {
    let days = Days { error: 0, ..Days::USUAL };
    for other in &config.tls.identities {
        let shares_certificate = is_file(&other.certificate, &identity.certificate);
        let shares_key = is_file(&other.key, &identity.key);
        let changes = shares_certificate || (shares_key && arguments.key.is_some());
        if !changes {
            continue;
        }
        let measure =
            Measure { config, now: Timestamp::now(), names: &[], days, authority: other.certificate.parent() };
        let mut report = Report::default();
        // The messages name the files that the administrator gave, where those are meant.
        let certificate = if shares_certificate { &arguments.certificate } else { &other.certificate };
        let key = if shares_key { arguments.key.as_ref().unwrap_or(&other.key) } else { &other.key };
        let meant =
            Identity { names: other.names.clone(), certificate: certificate.clone(), key: key.clone(), ocsp: None };
        let text = if shares_certificate {
            Zeroizing::new(new.certificate.clone().into_bytes())
        } else {
            read(certificate)?.bytes
        };
        let bytes = if shares_key { new.key.clone() } else { read(key)?.bytes };
        certificates::judge(&meant, &text, Ok(bytes), &measure, &mut report);
        let lines = |severity: Severity| {
            let found = report.findings().iter().filter(|finding| finding.severity == severity);
            let line = |finding: &super::super::doctor::report::Finding| {
                let help = finding.help.as_ref().map_or_else(String::new, |help| format!("\n  → {help}"));
                format!("{}: {}{help}", severity.word(), harmless(&finding.found))
            };
            found.map(line).collect::<Vec<_>>().join("\n")
        };
        let (errors, warnings) = (lines(Severity::Error), lines(Severity::Warning));
        if !errors.is_empty() {
            let text = format!("nothing was installed for {}\n{errors}", names_of(other));
            return Err(Failure::Failed(harmless_lines(&text)));
        }
        if !warnings.is_empty() {
            complain(&harmless_lines(&warnings));
        }
    }
    Ok(())
}
