//! A real proxy between a client and the server: `haproxy`, on addresses of its own.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use super::{Server, eventually};

/// Where clients find the proxy.
const FRONT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
/// Where it connects from.
const BACK: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 8);

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct HaProxy {
    child: Child,
    front: SocketAddr,
}

impl HaProxy {
    /// Forwards the server's control port, and its passive ports where `data` says how. Both are
    /// options of its `server` line, such as `send-proxy`.
    pub fn start(server: &Server, control: &str, data: Option<&str>) -> Self {
        let (first, last) = server.ports().passive();
        let (port, to) = (server.port(), server.address());
        let mut config = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             listen control\n bind {FRONT}:{port}\n server ftp {to}:{port} source {BACK} {control}\n"
        );
        if let Some(data) = data {
            // Without a port of its own, each connection goes to the port that it came to.
            write!(config, "listen data\n bind {FRONT}:{first}-{last}\n server ftp {to} source {BACK} {data}\n")
                .unwrap();
        }
        Self::with(server, &config)
    }

    /// As docs/network.md has it, with the addresses and ports of the test.
    pub fn as_documented(server: &Server) -> Self {
        let document = include_str!("../../docs/network.md");
        let from = document.find("    defaults\n").unwrap();
        let lines = document[from..].lines().take_while(|line| line.is_empty() || line.starts_with("    "));
        let (first, last) = server.ports().passive();
        let config = lines.collect::<Vec<_>>().join("\n") + "\n";
        let config =
            config.replace(":21 ", &format!(":{} ", server.port())).replace(":21\n", &format!(":{}\n", server.port()));
        let config = config.replace("50000-50099", &format!("{first}-{last}"));
        let config = config.replace("203.0.113.7", &FRONT.to_string()).replace("10.0.0.5", &BACK.to_string());
        Self::with(server, &config.replace("10.0.0.20", &server.address().to_string()))
    }

    fn with(server: &Server, config: &str) -> Self {
        let path = server.scratch().join("haproxy.cfg");
        fs::write(&path, config).unwrap();
        let mut haproxy = Command::new("/usr/sbin/haproxy");
        haproxy.arg("-db").arg("-f").arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = haproxy.spawn().unwrap_or_else(|error| panic!("{error}: haproxy; tests/run installs it"));
        let mut proxy = Self { child, front: (FRONT, server.port()).into() };
        let front = proxy.front;
        eventually("the proxy starts", || {
            let over = proxy.child.try_wait().unwrap();
            assert!(over.is_none(), "haproxy ended with {over:?}");
            TcpStream::connect(front).ok()
        });
        proxy
    }

    /// Where clients find the server's control port.
    pub fn address(&self) -> SocketAddr {
        self.front
    }

    /// The address that the server sees.
    pub fn source() -> IpAddr {
        BACK.into()
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}
