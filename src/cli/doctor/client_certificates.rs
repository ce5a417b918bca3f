//! What goes with certificates: the authorities of clients, their lists of revoked certificates,
//! and the OCSP responses for certificates of the server.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::certificates::Days;
use super::checks::Check;
use super::report::{Report, Severity};
use crate::config::files::{self, Links};
use crate::settings::{Config, Identity};
use crate::tls::{clients, facts, pem, staple};

/// A file that was looked at, and when what it holds ends.
pub(in crate::cli) struct Dated {
    /// `client-authorities`, `client-revocations` or `ocsp`.
    pub(in crate::cli) key: &'static str,
    pub(in crate::cli) file: PathBuf,
    pub(in crate::cli) ends: Option<Timestamp>,
}

fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    files::read(path, files::PEM_BYTES_MAX, Links::Follow).map(|content| content.bytes)
}

/// Looks at all of them, and gives those that could be read.
pub(in crate::cli) fn examine(config: &Config, now: Timestamp, days: Days, report: &mut Report) -> Vec<Dated> {
    let mut all = Vec::new();
    if let Some(clients) = &config.tls.clients {
        all.push(authorities(&clients.authorities, now, days, report));
        all.extend(clients.revocations.iter().map(|file| revocations(file, now, report)));
    }
    let staples = config.tls.identities.iter().filter_map(|identity| Some((identity, identity.ocsp.as_deref()?)));
    all.extend(staples.map(|(identity, file)| ocsp(identity, file, now, report)));
    all
}

fn authorities(file: &Path, now: Timestamp, days: Days, report: &mut Report) -> Dated {
    let (check, shown) = (Check::CertificateClients, file.display());
    let found = read(file).map_err(|error| error.to_string());
    let found = found.and_then(|bytes| clients::check_authorities(&bytes, now).map_err(|problem| problem.to_string()));
    let help = "[tls] client-authorities has to name a PEM file with the authorities that issue the certificates of \
                clients, all of them in date: nobody else gets in with one";
    match &found {
        Ok(ends) if facts::days_left(*ends, now) < days.warning => {
            let left = facts::days_left(*ends, now);
            let severity = if left < days.error { Severity::Error } else { Severity::Warning };
            report.add(check, severity, format!("{shown}: an authority in it ends in {left} days"), help);
        }
        Ok(ends) => {
            report.ok(check, format!("{shown}: the authorities of clients are good until {}", facts::day(*ends)));
        }
        Err(why) => report.add(check, Severity::Error, format!("{shown}: {why}"), help),
    }
    Dated { key: "client-authorities", file: file.to_owned(), ends: found.ok() }
}

fn revocations(file: &Path, now: Timestamp, report: &mut Report) -> Dated {
    let (check, shown) = (Check::CertificateClients, file.display());
    let found = read(file).map_err(|error| error.to_string());
    let found = found.and_then(|bytes| clients::next_updates(&bytes).map_err(|problem| problem.to_string()));
    let help =
        "fetch the next list from the authority, or sign the one of a local CA anew: portcullis cert client revoke";
    let ends = match found {
        Ok(all) => {
            let ends = all.into_iter().flatten().min();
            match ends {
                Some(due) if due < now => {
                    let found =
                        format!("{shown}: the next list of revoked certificates was due on {}", facts::day(due));
                    report.add(check, Severity::Warning, found, help);
                }
                Some(due) => report.ok(check, format!("{shown}: the next list is due on {}", facts::day(due))),
                None => report.ok(check, format!("{shown}: no next list is announced")),
            }
            ends
        }
        Err(why) => {
            report.add(check, Severity::Error, format!("{shown}: {why}"), help);
            None
        }
    };
    Dated { key: "client-revocations", file: file.to_owned(), ends }
}

fn ocsp(identity: &Identity, file: &Path, now: Timestamp, report: &mut Report) -> Dated {
    let (check, shown) = (Check::CertificateOcsp, file.display());
    let found = read(file).map_err(|error| error.to_string()).and_then(|bytes| {
        let chain = read(&identity.certificate).map_err(|error| error.to_string())?;
        let chain = pem::certificates(&chain).map_err(|error| error.to_string())?;
        staple::ends(&bytes, &chain, now).map_err(|problem| problem.to_string())
    });
    match &found {
        Ok(ends) => {
            let until = ends.map_or_else(|| "for now".to_owned(), |ends| format!("until {}", facts::day(ends)));
            report.ok(check, format!("{shown}: the OCSP response is good {until}"));
        }
        Err(why) => {
            let help = "the certificate is shown without it; have the program fetch it that does so (openssl ocsp -respout FILE …)";
            report.add(check, Severity::Warning, format!("{shown}: {why}"), help);
        }
    }
    Dated { key: "ocsp", file: file.to_owned(), ends: found.ok().flatten() }
}
