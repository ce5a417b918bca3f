//! Host names into IPv4 addresses: `/etc/hosts` as it was at the start, then DNS over UDP.
//!
//! Small on purpose. What it needs of the system is read before the sandbox closes, so that no file
//! has to be within reach for it, and it does without TCP: an answer that does not fit into a
//! datagram is refused, since the server's own name has few addresses.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::A;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::settings::RESOLVERS_MAX;

/// The port of name servers (RFC 1035 §4.2).
const PORT: u16 = 53;
/// Where the system lists its name servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where it lists names that need none.
const HOSTS: &str = "/etc/hosts";
/// How often each is asked.
const ROUNDS: usize = 2;
/// How long each may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// Longest answer without extensions (RFC 1035 §4.2.1).
const ANSWER_BYTES_MAX: usize = 512;

/// What is asked for names.
#[derive(Clone, Debug, Default)]
pub struct Names {
    hosts: HashMap<String, Vec<Ipv4Addr>>,
    /// Those of the system.
    usual: Vec<SocketAddr>,
    /// Those that are asked.
    servers: Vec<SocketAddr>,
}

/// Why a name has no address.
#[derive(Debug)]
pub enum LookupFault {
    /// The name cannot be asked for.
    Name,
    /// There is no such name, or it has no IPv4 address.
    Nothing,
    /// No server answered in time.
    Silence,
    /// A server refused, or could not find out (its response code).
    Refused(Rcode),
    /// The answer is longer than a datagram.
    TooLong,
    /// The answer cannot be read.
    Unreadable,
    /// The system could not send or receive.
    Network(io::Error),
}

impl fmt::Display for LookupFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("the name cannot be asked for"),
            Self::Nothing => f.write_str("the name has no IPv4 address"),
            Self::Silence => f.write_str("no name server answered in time"),
            Self::Refused(code) => write!(f, "the name server answered {code}"),
            Self::TooLong => f.write_str("the name has more addresses than fit into one answer"),
            Self::Unreadable => f.write_str("the name server's answer cannot be read"),
            Self::Network(error) => write!(f, "the name server cannot be reached: {error}"),
        }
    }
}

impl Names {
    /// Reads the system's files. Without `servers`, those of `/etc/resolv.conf` are asked. A file that
    /// cannot be read says nothing.
    pub fn read(servers: &[SocketAddr]) -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let known = Self { hosts: hosts(&text(HOSTS)), usual: name_servers(&text(RESOLV_CONF)), servers: Vec::new() };
        known.asking(servers)
    }

    /// The same with other name servers, without the system's files being read again.
    #[must_use]
    pub fn asking(&self, servers: &[SocketAddr]) -> Self {
        let servers = if servers.is_empty() { self.usual.clone() } else { servers.to_vec() };
        Self { servers, ..self.clone() }
    }

    /// The IPv4 addresses of a name, at least one, in no order.
    ///
    /// # Errors
    /// [`LookupFault`], after every server was asked twice where they do not answer.
    pub async fn addresses(&self, name: &str) -> Result<Vec<Ipv4Addr>, LookupFault> {
        if let Some(known) = self.hosts.get(&name.to_ascii_lowercase()) {
            return Ok(known.clone());
        }
        let name: Name<Vec<u8>> = name.parse().map_err(|_| LookupFault::Name)?;
        let mut fault = LookupFault::Silence;
        for server in self.servers.iter().take(RESOLVERS_MAX).cycle().take(self.asked()) {
            match timeout(ANSWER_TIME, ask(*server, &name)).await {
                Ok(Ok(addresses)) => return Ok(addresses),
                Ok(Err(found @ (LookupFault::Nothing | LookupFault::TooLong | LookupFault::Name))) => {
                    return Err(found);
                }
                Ok(Err(other)) => fault = other,
                Err(_) => {}
            }
        }
        Err(fault)
    }

    fn asked(&self) -> usize {
        self.servers.len().min(RESOLVERS_MAX).saturating_mul(ROUNDS)
    }
}

/// Asks one server. The socket hears this server alone, from a port of the kernel's choice.
async fn ask(server: SocketAddr, name: &Name<Vec<u8>>) -> Result<Vec<Ipv4Addr>, LookupFault> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await.map_err(LookupFault::Network)?;
    socket.connect(server).await.map_err(LookupFault::Network)?;
    let question = question(name, rand::random()).ok_or(LookupFault::Name)?;
    socket.send(question.as_slice()).await.map_err(LookupFault::Network)?;
    let mut buffer = [0; ANSWER_BYTES_MAX];
    loop {
        let received = socket.recv(&mut buffer).await.map_err(LookupFault::Network)?;
        let Ok(answer) = Message::from_slice(buffer.get(..received).unwrap_or_default()) else { continue };
        // Whatever is no answer to this question is not listened to, and costs nothing but time.
        if answer.is_answer(&question) {
            return judge(answer);
        }
    }
}

fn question(name: &Name<Vec<u8>>, id: u16) -> Option<Message<Vec<u8>>> {
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(id);
    message.header_mut().set_rd(true);
    let mut questions = message.question();
    questions.push((name, Rtype::A)).ok()?;
    Message::from_octets(questions.finish()).ok()
}

/// The addresses in an answer to whatever question it repeats.
///
/// # Errors
/// [`LookupFault`] where there is none, or it cannot be read.
pub fn addresses_in_answer(answer: &[u8]) -> Result<Vec<Ipv4Addr>, LookupFault> {
    judge(Message::from_slice(answer).map_err(|_| LookupFault::Unreadable)?)
}

/// The addresses in an answer, behind any aliases.
fn judge(answer: &Message<[u8]>) -> Result<Vec<Ipv4Addr>, LookupFault> {
    match answer.header().rcode() {
        Rcode::NOERROR => {}
        Rcode::NXDOMAIN => return Err(LookupFault::Nothing),
        code => return Err(LookupFault::Refused(code)),
    }
    if answer.header().tc() {
        return Err(LookupFault::TooLong);
    }
    let owner = answer.canonical_name().ok_or(LookupFault::Unreadable)?;
    let records = answer.answer().map_err(|_| LookupFault::Unreadable)?.limit_to_in::<A>();
    let records: Result<Vec<_>, _> = records.collect();
    let records = records.map_err(|_| LookupFault::Unreadable)?;
    let addresses: Vec<Ipv4Addr> =
        records.iter().filter(|record| *record.owner() == owner).map(|record| record.data().addr()).collect();
    if addresses.is_empty() { Err(LookupFault::Nothing) } else { Ok(addresses) }
}

/// The name servers of a `resolv.conf`; without any, the one of this machine, as the C library has
/// it.
fn name_servers(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            return None;
        }
        words.next()?.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, PORT))
    };
    let servers: Vec<SocketAddr> = text.lines().filter_map(server).collect();
    if servers.is_empty() { vec![(Ipv4Addr::LOCALHOST, PORT).into()] } else { servers }
}

/// The IPv4 addresses by name of a `hosts` file.
fn hosts(text: &str) -> HashMap<String, Vec<Ipv4Addr>> {
    let mut hosts: HashMap<String, Vec<Ipv4Addr>> = HashMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<Ipv4Addr>) else { continue };
        for name in words {
            hosts.entry(name.trim_end_matches('.').to_ascii_lowercase()).or_default().push(address);
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_systems_files_are_read_as_the_system_reads_them() {
        let conf = "# nameserver 192.0.2.1\nsearch example.org\nnameserver 192.0.2.53\nnameserver\t2001:db8::53 \n\
                    nameserver fe80::1%eth0\noptions edns0\n";
        assert_eq!(name_servers(conf), ["192.0.2.53:53".parse().unwrap(), "[2001:db8::53]:53".parse().unwrap()]);
        assert_eq!(name_servers(""), ["127.0.0.1:53".parse().unwrap()]);
        let hosts =
            hosts("127.0.0.1 localhost # this one\n192.0.2.7\tFTP.example.org ftp\n::1 localhost\n192.0.2.8 ftp\n");
        assert_eq!(hosts["localhost"], [Ipv4Addr::LOCALHOST]);
        assert_eq!(hosts["ftp.example.org"], [Ipv4Addr::new(192, 0, 2, 7)]);
        assert_eq!(hosts["ftp"].len(), 2);
    }

    /// An answer to a question for `name`, with these records in the form of zone files.
    fn answer(name: &str, code: Rcode, records: &[(&str, Answered)]) -> Message<Vec<u8>> {
        let question = question(&name.parse().unwrap(), 7).unwrap();
        let mut answer = MessageBuilder::new_vec().start_answer(&question, code).unwrap();
        for (owner, data) in records {
            let owner: Name<Vec<u8>> = owner.parse().unwrap();
            match data {
                Answered::Address(address) => answer.push((owner, 60, A::new(*address))).unwrap(),
                Answered::Alias(alias) => {
                    let alias: Name<Vec<u8>> = alias.parse().unwrap();
                    answer.push((owner, 60, domain::rdata::Cname::new(alias))).unwrap();
                }
            }
        }
        Message::from_octets(answer.finish()).unwrap()
    }

    enum Answered {
        Address(Ipv4Addr),
        Alias(&'static str),
    }

    fn judged(message: &Message<Vec<u8>>) -> Result<Vec<Ipv4Addr>, LookupFault> {
        addresses_in_answer(message.as_slice())
    }

    #[test]
    fn an_answer_counts_for_the_name_and_its_aliases_alone() {
        use Answered::{Address, Alias};
        let [right, other] = [Ipv4Addr::new(203, 0, 113, 7), Ipv4Addr::new(192, 0, 2, 1)];
        let records = [
            ("ftp.example.org", Alias("lb.example.net")),
            ("evil.example.com", Address(other)),
            ("lb.example.net", Address(right)),
        ];
        assert_eq!(judged(&answer("ftp.example.org", Rcode::NOERROR, &records)).unwrap(), [right]);
        let elsewhere = [("evil.example.com", Address(other))];
        for message in [
            answer("a.b", Rcode::NOERROR, &elsewhere),
            answer("a.b", Rcode::NOERROR, &[]),
            answer("a.b", Rcode::NXDOMAIN, &[]),
        ] {
            assert!(matches!(judged(&message), Err(LookupFault::Nothing)));
        }
        assert!(matches!(judged(&answer("a.b", Rcode::SERVFAIL, &[])), Err(LookupFault::Refused(Rcode::SERVFAIL))));
        let circle = [("a.b", Alias("c.d")), ("c.d", Alias("a.b"))];
        assert!(matches!(judged(&answer("a.b", Rcode::NOERROR, &circle)), Err(LookupFault::Unreadable)));
    }

    #[tokio::test]
    async fn answers_to_other_questions_are_not_listened_to() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let names = Names { servers: vec![server.local_addr().unwrap()], ..Names::default() };
        let serving = tokio::spawn(async move {
            let mut buffer = [0; 512];
            let (received, client) = server.recv_from(&mut buffer).await.unwrap();
            let mut wrong = answer("x.example.org", Rcode::NOERROR, &[]).into_octets();
            let asked = Message::from_slice(&buffer[..received]).unwrap();
            wrong[..2].copy_from_slice(&asked.header().id().to_be_bytes());
            let mut forged = asked.as_slice().to_vec();
            forged[0] ^= 1;
            forged[2] |= 0x80;
            for bad in [&b"x"[..], &wrong, &forged] {
                server.send_to(bad, client).await.unwrap();
            }
            let mut right = MessageBuilder::new_vec().start_answer(asked, Rcode::NOERROR).unwrap();
            let name: Name<Vec<u8>> = "ftp.example.org".parse().unwrap();
            right.push((name, 60, A::new(Ipv4Addr::new(203, 0, 113, 7)))).unwrap();
            server.send_to(&right.finish(), client).await.unwrap();
        });
        assert_eq!(names.addresses("FTP.example.org").await.unwrap(), [Ipv4Addr::new(203, 0, 113, 7)]);
        serving.await.unwrap();
    }

    proptest! {
        #[test]
        fn noise_is_no_answer(noise in prop::collection::vec(any::<u8>(), 12..512)) {
            // The header says: an answer, without fault, to one question with one record.
            let mut noise = noise;
            noise[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            let _ = addresses_in_answer(&noise);
        }
    }
}
