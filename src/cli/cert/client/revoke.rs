//! `portcullis cert client revoke`.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::super::super::{Failure, say};
use super::super::pasted;
use super::directory;
use super::store::{Revoked, Store, name_of};
use crate::identity::Username;
use crate::policy::certificate::ClientCertificate;

/// Revoke certificates of a client.
///
/// Adds them to the list of revoked ones (crl.pem) and signs it anew; without an argument, it only does
/// the latter. A server that has the list in
/// `client-revocations` heeds it within seconds, for handshakes from then on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis cert client revoke alice
  portcullis cert client revoke ./alice/alice.pem
  portcullis cert client revoke 5f0c2a9e41d7b3864f1f6a0c9b8d7e65")]
pub(in crate::cli::cert) struct Arguments {
    /// A file with the certificate, its serial number, or the name it was issued for, which means every
    /// one of that name that is in date. Without it, the list is signed anew as it is.
    #[arg(value_name = "FILE|SERIAL|NAME")]
    what: Option<String>,
    /// Where the CA is. Default: where the policy has client-authorities, or else certs/clients beside
    /// the policy.
    #[arg(long, value_name = "DIR")]
    ca: Option<PathBuf>,
}

/// Signs the new list.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let directory = directory(arguments.ca.as_ref(), policy)?;
    if !directory.is_dir() {
        return Err(Failure::Failed(format!("{} is no directory of a CA", directory.display())));
    }
    let store = Store::lock(&directory)?;
    let (authority, now, mut list) = (store.kept_authority()?, Timestamp::now(), store.list()?);
    let found = match &arguments.what {
        Some(what) => meant(what, &store, now)?,
        None => Vec::new(),
    };
    let known = |serial: &str| list.revoked.iter().any(|one| one.serial == serial);
    let new: Vec<ClientCertificate> = found.iter().filter(|one| !known(&one.serial)).cloned().collect();
    if new.is_empty() && !found.is_empty() {
        return say("Revoked already; nothing was changed.");
    }
    list.revoked.extend(new.iter().map(|one| Revoked { serial: one.serial.clone(), at: now }));
    store.sign(&authority, &list, now)?;
    let lines: Vec<String> = new.iter().map(|one| format!("Revoked {} ({}).", one.serial, one.subject)).collect();
    let lines = if lines.is_empty() { "Signed the list anew.".to_owned() } else { lines.join("\n") };
    say(format!(
        "{lines}\n\
         \n\
         {} has {} revoked certificate(s). A server that has it in client-revocations heeds it within seconds, for new \
         connections; sessions that are connected go on.",
        pasted(&store.list_file()),
        list.revoked.len(),
    ))
}

/// The certificates that are meant.
fn meant(what: &str, store: &Store, now: Timestamp) -> Result<Vec<ClientCertificate>, Failure> {
    if Path::new(what).is_file() {
        return store.certificate_in(Path::new(what)).map(|one| vec![one]);
    }
    let digits: String = what.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
    let all = store.all()?;
    if let Some(one) = all.iter().find(|one| one.serial == digits) {
        return Ok(vec![one.clone()]);
    }
    let name = Username::parse(what).ok().map(|name| name_of(&name));
    let of_name = |one: &&ClientCertificate| name.as_ref().is_some_and(|name| one.is(name)) && one.ends > now;
    let found: Vec<ClientCertificate> = all.iter().filter(of_name).cloned().collect();
    if found.is_empty() {
        return Err(Failure::Failed(format!(
            "the CA of {} issued no certificate in date for {}, and none with this serial number; see portcullis cert \
             client list",
            store.ca().display(),
            crate::config::shell::word(what)
        )));
    }
    Ok(found)
}
