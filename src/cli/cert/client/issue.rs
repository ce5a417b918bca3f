//! `portcullis cert client issue`.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::super::super::{Failure, program, say, today, user};
use super::super::{absolute, make, pasted, refuse_to_overwrite, write_all};
use super::directory;
use super::store::{Store, name_of};
use crate::config::shell::word;
use crate::identity::Username;

/// Days that a client certificate lasts unless said otherwise.
const DAYS: u32 = 365;

/// Issue a certificate for a client, from a local CA.
///
/// Where the directory of the CA has none, one is made (ca.pem, ca.key). Writes NAME.pem and NAME.key
/// (mode 0600), and never overwrites. The list of revoked certificates (crl.pem) is signed anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis cert client issue alice --user alice --out ./alice
  portcullis cert client issue scanner --days 90 --ca ./client-ca")]
pub(in crate::cli::cert) struct Arguments {
    /// For whom it is: the name that it carries.
    #[arg(value_name = "NAME", value_parser = user_name)]
    name: Username,
    /// Write into users.toml that certificates of this name stand for the user.
    #[arg(long, value_name = "USER", value_parser = user_name)]
    user: Option<Username>,
    /// How long it lasts.
    #[arg(long, value_name = "N", default_value_t = DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Where the CA is, or is to be made. Default: where the policy has client-authorities, or else
    /// certs/clients beside the policy.
    #[arg(long, value_name = "DIR")]
    ca: Option<PathBuf>,
    /// Where to write; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

pub(super) fn user_name(text: &str) -> Result<Username, String> {
    Username::parse(text).map_err(|error| error.to_string())
}

/// Writes the files and says what comes next.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let Arguments { name, user, days, ca, out } = arguments;
    let (certificate, key) = (absolute(out, &format!("{name}.pem")), absolute(out, &format!("{name}.key")));
    refuse_to_overwrite(&[certificate.clone(), key.clone()])?;
    if let Some(user) = user
        && !user::exists(policy, user)?
    {
        return Err(Failure::Failed(format!("there is no user {user}; see portcullis user list")));
    }
    let store = Store::lock(&directory(ca.as_ref(), policy)?)?;
    let today = today();
    let (authority, is_new) = store.authority(today)?;
    let last = make::last_day(*days, today);
    if last > authority.end() {
        return Err(Failure::Failed(format!(
            "the CA ends on {}, before the certificate would on {last}: give fewer --days, or make a new CA in another \
             directory with --ca",
            authority.end()
        )));
    }
    store.sign(&authority, &store.list()?, Timestamp::now())?;
    let made = store.issue(&authority, name, *days, today)?;
    write_all(&[(key.clone(), made.key.as_str(), 0o600), (certificate.clone(), made.text.as_str(), 0o644)])?;
    let means = name_of(name);
    let mapped = match user {
        Some(user) => {
            let added = user::add_certificate(policy, user, &means)?;
            let did = if added { "now has" } else { "had" };
            format!("The user {user} {did} certificates = [\"{means}\"] in users.toml.")
        }
        None => format!(
            "For whom it stands is for users.toml to say, in the table of the user:\n\n  certificates = [\"{means}\"]"
        ),
    };
    let of_ca = if is_new {
        format!(
            "a new CA, until {}; whoever has {} can pass for every client: keep it away from the server",
            authority.end(),
            pasted(&store.key())
        )
    } else {
        format!("the CA of {}", pasted(&store.ca()))
    };
    say(format!(
        "Wrote {certificate} and {key}.\n\
         \n\
         name         {means}\n\
         valid until  {last}\n\
         signed by    {of_ca}\n\
         \n\
         {mapped}\n\
         \n\
         The server accepts such certificates with these lines in server.toml:\n\
         \n\
         [tls]\n\
         client-certificates = \"optional\"\n\
         client-authorities = {ca}\n\
         client-revocations = [{list}]\n\
         \n\
         For programs that want both in one file:\n\
         openssl pkcs12 -export -in {certificate} -inkey {key} -out {p12}\n\
         To revoke it: {program} cert client revoke {name} --ca {directory}",
        certificate = pasted(&certificate),
        key = pasted(&key),
        ca = toml_edit::Value::from(store.ca().display().to_string()),
        list = toml_edit::Value::from(store.list_file().display().to_string()),
        p12 = pasted(&absolute(out, &format!("{name}.p12"))),
        program = program(),
        directory = word(&store.directory().display().to_string()),
    ))
}
