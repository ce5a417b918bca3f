//! The addresses of advertised names, looked up as the server does it.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time::timeout;

use crate::net::names::Names;
use crate::settings::{Announced, Config};

/// How long one name may take.
const LOOKUP_TIME: Duration = Duration::from_secs(2);

/// What `PASV` announces now: the address itself, or the lowest that the name has.
///
/// # Errors
/// Why the name has none, in words.
pub(super) fn address(announced: &Announced, config: &Config) -> Result<Ipv4Addr, String> {
    let name = match announced {
        Announced::Address(address) => return Ok(*address),
        Announced::Name(name) => name,
    };
    let names = Names::read(&config.passive.resolvers);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let found = runtime.block_on(async { timeout(LOOKUP_TIME, names.addresses(name)).await });
    let addresses = found.map_err(|_| "no name server answered in time".to_owned())?;
    let mut addresses = addresses.map_err(|fault| fault.to_string())?;
    addresses.sort_unstable();
    addresses.first().copied().ok_or_else(|| "the name has no IPv4 address".to_owned())
}
