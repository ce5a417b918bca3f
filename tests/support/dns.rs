//! A name server of a test: it answers every question for an IPv4 address as it was last told.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What it answers.
#[derive(Clone, Debug)]
pub enum Say {
    /// These addresses, in this order.
    Addresses(Vec<Ipv4Addr>),
    /// That it cannot find out.
    Failure,
    /// Nothing.
    Silence,
}

/// A name server that runs until it is dropped.
pub struct NameServer {
    address: SocketAddr,
    say: Arc<Mutex<Say>>,
    asked: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl NameServer {
    /// One on a free port of this machine.
    pub fn start(say: Say) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let server = Self {
            address: socket.local_addr().unwrap(),
            say: Arc::new(Mutex::new(say)),
            asked: Arc::default(),
            over: Arc::default(),
        };
        let (say, asked, over) = (Arc::clone(&server.say), Arc::clone(&server.asked), Arc::clone(&server.over));
        thread::spawn(move || {
            let mut question = [0; 512];
            while !over.load(Ordering::Relaxed) {
                let Ok((length, client)) = socket.recv_from(&mut question) else { continue };
                asked.fetch_add(1, Ordering::Relaxed);
                let say = say.lock().unwrap().clone();
                if let Some(answer) = answer(&question[..length], &say) {
                    let _ = socket.send_to(&answer, client);
                }
            }
        });
        server
    }

    /// What it answers from now on.
    pub fn say(&self, say: Say) {
        *self.say.lock().unwrap() = say;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Its address, as the policy takes it.
    pub fn setting(&self) -> String {
        format!("[\"{}\"]", self.address)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// The answer to one question (RFC 1035 §4.1).
fn answer(question: &[u8], say: &Say) -> Option<Vec<u8>> {
    let (addresses, code) = match say {
        Say::Addresses(addresses) => (addresses.clone(), 0),
        Say::Failure => (vec![], 2),
        Say::Silence => return None,
    };
    let mut answer = question.to_vec();
    answer[2..4].copy_from_slice(&[0x81, 0x80 | code]);
    answer[6..8].copy_from_slice(&u16::try_from(addresses.len()).unwrap().to_be_bytes());
    for address in addresses {
        // The name of the question, class IN, type A, a minute, four bytes.
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend_from_slice(&address.octets());
    }
    Some(answer)
}
