//! `portcullis cert new`.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::super::{Failure, say, today};
use super::make::{self, Authority};
use super::{CERTIFICATE_FILE, KEY_FILE, absolute, identity_line, pasted, read, refuse_to_overwrite, write_all};
use crate::config::files::{self, Kind};

const AUTHORITY_FILE: &str = "ca.pem";
const AUTHORITY_KEY_FILE: &str = "ca.key";
/// Days above which clients of Apple refuse a certificate, with those on which it begins and ends.
const DAYS_OF_APPLE: u32 = 825;

/// Make a server certificate, signed by a local CA.
///
/// For trials and closed networks: clients have to be given ca.pem. Where the directory of the CA has
/// none, one is made. Writes server.pem, server.key (mode 0600) and ca.pem, and never overwrites.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis cert new --name files.example.org --out ./certs
  portcullis cert new --name '*.example.org' --name 192.0.2.1 --days 90 \\
      --ca ~/ca --out ./certs")]
pub(super) struct Arguments {
    /// A name or address by which clients know the server; `*.example.org` stands for every name of
    /// one label in front.
    #[arg(long = "name", value_name = "NAME", value_parser = super::server_name, required = true)]
    names: Vec<String>,
    /// Where to write; made if it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How long the certificate lasts.
    #[arg(long, value_name = "N", default_value_t = make::SERVER_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Where the CA is (ca.pem, ca.key), or is to be made. Default: the directory of --out.
    #[arg(long, value_name = "DIR")]
    ca: Option<PathBuf>,
}

/// Writes the files and says what comes next.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (out, home) = (&arguments.out, arguments.ca.as_ref().unwrap_or(&arguments.out));
    let (certificate, key) = (absolute(out, CERTIFICATE_FILE), absolute(out, KEY_FILE));
    let (ca, ca_key) = (absolute(home, AUTHORITY_FILE), absolute(home, AUTHORITY_KEY_FILE));
    refuse_to_overwrite(&[certificate.clone(), key.clone()])?;
    let there = |path: &Path| path.symlink_metadata().is_ok();
    let today = today();
    let (authority, is_new) = match (there(&ca), there(&ca_key)) {
        (false, false) => (Authority::make(today)?, true),
        (true, true) => (take_up(&ca, &ca_key)?, false),
        (true, false) => {
            return Err(Failure::Failed(format!(
                "{} is there without {AUTHORITY_KEY_FILE}, so it signs nothing more (init throws that key away): name \
                 another directory with --ca",
                ca.display()
            )));
        }
        (false, true) => {
            return Err(Failure::Failed(format!(
                "{} is there without {AUTHORITY_FILE}: bring that back, or name another directory with --ca",
                ca_key.display()
            )));
        }
    };
    let (names, last) = (make::with_loopback(&arguments.names), make::last_day(arguments.days, today));
    if last > authority.end() {
        return Err(Failure::Failed(format!(
            "the CA ends on {}, before the certificate would on {last}: give fewer --days, or make a new CA in another \
             directory with --ca",
            authority.end()
        )));
    }
    let copy = absolute(out, AUTHORITY_FILE);
    let copies = copy != ca && !holds(&copy, &authority)?;
    let made = authority.sign(&names, arguments.days, today)?;
    let authority_key = authority.key();
    let mut files = Vec::new();
    if is_new {
        files.push((ca_key.clone(), authority_key.as_str(), 0o600));
        files.push((ca.clone(), authority.certificate.as_str(), 0o644));
    }
    files.push((key.clone(), made.key.as_str(), 0o600));
    files.push((certificate.clone(), made.text.as_str(), 0o644));
    if copies {
        files.push((copy.clone(), authority.certificate.as_str(), 0o644));
    }
    write_all(&files)?;
    let of_ca = if is_new {
        format!(
            "a new CA, until {}; whoever has {} can pass for your server: keep it elsewhere",
            authority.end(),
            pasted(&ca_key)
        )
    } else {
        format!("the CA of {}", pasted(&ca))
    };
    let long = if arguments.days > make::SERVER_DAYS {
        format!("\nClients of Apple refuse a certificate of more than {DAYS_OF_APPLE} days.")
    } else {
        String::new()
    };
    say(format!(
        "Wrote {certificate} and {key}.\n\
         \n\
         names        {names}\n\
         valid until  {last}\n\
         signed by    {of_ca}\n\
         \n\
         Next, name both in server.toml, and reload or restart the server; later ones in their place count within seconds:\n\
         \n\
         [tls]\n\
         identities = [\n  {line}\n]\n\
         \n\
         Then give {copy} to the clients, which have to trust it: curl --cacert ca.pem …{long}",
        certificate = pasted(&certificate),
        key = pasted(&key),
        names = names.join(", "),
        line = identity_line(&names, &certificate, &key),
        copy = pasted(&copy),
    ))
}

/// The CA that is there already.
pub(super) fn take_up(ca: &Path, ca_key: &Path) -> Result<Authority, Failure> {
    let (certificate, key) = (read(ca)?, read(ca_key)?);
    if let Some(fault) = files::faults(ca_key, &key.metadata, Kind::Key, None).into_iter().next() {
        return Err(Failure::Failed(format!("{}: {}", fault.message, fault.help)));
    }
    Authority::from_pem(&certificate.bytes, &key.bytes, Timestamp::now())
        .map_err(|why| Failure::Failed(format!("the CA of {} cannot sign: {why}", ca.display())))
}

/// Whether a file holds the certificate of the CA; another one must not be there.
fn holds(path: &Path, authority: &Authority) -> Result<bool, Failure> {
    if path.symlink_metadata().is_err() {
        return Ok(false);
    }
    let known = crate::tls::pem::certificates(&read(path)?.bytes).ok();
    if known.is_some() && known == crate::tls::pem::certificates(authority.certificate.as_bytes()).ok() {
        return Ok(true);
    }
    Err(Failure::Failed(format!(
        "{} is there already, of another CA, so nothing was written: choose another directory with --out",
        path.display()
    )))
}
