//! `portcullis cert csr`.

use std::path::PathBuf;

use super::super::{Failure, program, say};
use super::{KEY_FILE, absolute, distinct, make, pasted, refuse_to_overwrite, write_all};

const REQUEST_FILE: &str = "server.csr";

/// Make a private key, and a request to an authority for a certificate of it.
///
/// Writes server.key (ECDSA P-256, mode 0600) and server.csr (PEM), and never overwrites. The key
/// stays here; only the request goes to the authority.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis cert csr --name files.example.org --out ./request
  portcullis cert csr --name files.example.org --name 192.0.2.1 --out ./r")]
pub(super) struct Arguments {
    /// A name or address by which clients know the server; the first becomes the common name, too.
    #[arg(long = "name", value_name = "NAME", value_parser = super::server_name, required = true)]
    names: Vec<String>,
    /// Where to write; made if it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes both files and says what comes next.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (request, key) = (absolute(&arguments.out, REQUEST_FILE), absolute(&arguments.out, KEY_FILE));
    refuse_to_overwrite(&[request.clone(), key.clone()])?;
    let names = distinct(&arguments.names);
    let made = make::request(&names)?;
    write_all(&[(key.clone(), made.key.as_str(), 0o600), (request.clone(), made.text.as_str(), 0o644)])?;
    let (request, key) = (pasted(&request), pasted(&key));
    say(format!(
        "Wrote {key} and {request}.\n\
         \n\
         names  {}\n\
         \n\
         Next, send {request} to the authority; the key stays here. When the certificate is there, install it with \
         those that vouch for it:\n  \
         {} cert import --certificate CERTIFICATE --chain CHAIN --key {key}",
        names.join(", "),
        program(),
    ))
}
