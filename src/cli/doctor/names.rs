//! The addresses of advertised names, looked up as the server does it.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time::timeout;

use crate::net::advertised::choose;
use crate::net::names::Names;
use crate::settings::{Announced, Config};

/// How long one name may take: enough for each of three name servers to be asked once, as the
/// server goes on to the next where one is silent.
const LOOKUP_TIME: Duration = Duration::from_secs(7);

/// What `PASV` announces now: the address itself, or the one that the server chooses of the name's.
///
/// # Errors
/// Why the name has none, in words.
pub(super) fn address(announced: &Announced, config: &Config) -> Result<Ipv4Addr, String> {
    match announced {
        Announced::Address(address) => Ok(*address),
        Announced::Name(name) => look_up(name, &Names::read(&config.passive.resolvers)),
    }
}

fn look_up(name: &str, names: &Names) -> Result<Ipv4Addr, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let found = runtime.block_on(async { timeout(LOOKUP_TIME, names.addresses(name)).await });
    let addresses = found.map_err(|_| "no name server answered in time".to_owned())?;
    let addresses = addresses.map_err(|fault| fault.to_string())?;
    choose(None, &addresses).ok_or_else(|| "none of its addresses is one that a client could connect to".to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::thread;

    use super::*;

    /// A name server that answers one question with this address.
    fn answering(address: [u8; 4]) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = socket.try_clone().unwrap();
        server.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        thread::spawn(move || {
            let mut question = [0; 512];
            let (length, client) = server.recv_from(&mut question).unwrap();
            let mut answer = question[..length].to_vec();
            answer[2..4].copy_from_slice(&[0x81, 0x80]);
            answer[7] = 1;
            answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend_from_slice(&address);
            server.send_to(&answer, client).unwrap();
        });
        socket
    }

    fn found(servers: &[&UdpSocket]) -> Result<Ipv4Addr, String> {
        let servers: Vec<_> = servers.iter().map(|server| server.local_addr().unwrap()).collect();
        look_up("ftp.example.org", &Names::read(&servers))
    }

    #[test]
    fn a_silent_name_server_is_no_fault_where_the_next_one_answers() {
        let (silent, answering) = (UdpSocket::bind("127.0.0.1:0").unwrap(), answering([203, 0, 113, 7]));
        assert_eq!(found(&[&silent, &answering]), Ok(Ipv4Addr::new(203, 0, 113, 7)));
    }

    #[test]
    fn an_address_that_the_server_would_not_announce_is_none() {
        let why = found(&[&answering([0, 0, 0, 0])]).unwrap_err();
        assert!(why.contains("none of its addresses"), "{why}");
    }
}
