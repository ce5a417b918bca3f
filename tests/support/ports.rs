//! Ports for servers that run at the same time, in this process and in others.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which the kernel takes ports for outgoing connections (32768 on).
const FIRST: u16 = 10_240;
const BLOCKS: u16 = 600;
/// Two listeners and twenty passive ports, and some room.
const BLOCK: u16 = 32;

/// A block of ports that nobody else uses while this lives: whoever wants the same block fails to
/// bind the same UDP port.
#[derive(Debug)]
pub struct PortBlock {
    first: u16,
    _claim: UdpSocket,
}

impl PortBlock {
    /// Claims a block in which every TCP port can be bound.
    pub fn claim() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let offset = u16::try_from(std::process::id() % u32::from(BLOCKS)).unwrap();
        for _ in 0..BLOCKS {
            let block = (NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(offset)) % BLOCKS;
            let first = FIRST + block * BLOCK;
            let Ok(claim) = UdpSocket::bind((Ipv4Addr::LOCALHOST, first)) else { continue };
            if (first..first + BLOCK).all(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()) {
                return Self { first, _claim: claim };
            }
        }
        panic!("no free ports");
    }

    /// For explicit TLS.
    pub fn explicit(&self) -> u16 {
        self.first
    }

    /// For implicit TLS.
    pub fn implicit(&self) -> u16 {
        self.first + 1
    }

    /// For metrics.
    pub fn metrics(&self) -> u16 {
        self.first + 2
    }

    /// The first and the last passive port: twenty of them.
    pub fn passive(&self) -> (u16, u16) {
        (self.first + 4, self.first + 23)
    }

    /// A port on which a client may listen.
    pub fn client(&self) -> u16 {
        self.first + 28
    }
}
