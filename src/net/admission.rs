//! How many sessions and TLS handshakes may be under way, overall and by source.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::policy::network::source_network;
use crate::settings::Limits;

/// The bounds on sessions and handshakes, and what is in use of them.
#[derive(Debug)]
pub struct Admission {
    sessions_max: usize,
    sessions_per_address_max: usize,
    sessions: Mutex<Sessions>,
    handshakes: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Sessions {
    total: usize,
    by_source: HashMap<IpNet, usize>,
}

/// Why a connection gets no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The server has as many sessions as it may (`limits.sessions`).
    Total,
    /// The address (IPv6: its /64) has as many as it may (`limits.sessions-per-address`).
    PerAddress,
}

impl Refused {
    /// The word for the audit log.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Total => "sessions_total",
            Self::PerAddress => "sessions_per_address",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Total => "Too many connections to this server, try again later",
            Self::PerAddress => "Too many connections from your address",
        })
    }
}

/// The right to one session; dropping it gives the place back.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    admission: Arc<Admission>,
    source: IpNet,
}

impl Admission {
    /// Takes the bounds from the settings.
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            sessions_max: limits.sessions,
            sessions_per_address_max: limits.sessions_per_address,
            sessions: Mutex::default(),
            handshakes: Arc::new(Semaphore::new(limits.handshakes.clamp(1, Semaphore::MAX_PERMITS))),
        })
    }

    /// Takes a place for a session from the address.
    ///
    /// # Errors
    /// [`Refused`] where the server or the address has no place left.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Refused> {
        let source = source_network(address);
        let mut sessions = self.lock();
        if sessions.total >= self.sessions_max {
            return Err(Refused::Total);
        }
        let of_source = sessions.by_source.get(&source).copied().unwrap_or(0);
        if of_source >= self.sessions_per_address_max {
            return Err(Refused::PerAddress);
        }
        sessions.by_source.insert(source, of_source.saturating_add(1));
        sessions.total = sessions.total.saturating_add(1);
        Ok(Permit { admission: Arc::clone(self), source })
    }

    /// Waits for the right to do one TLS handshake of a control connection. The caller bounds the
    /// wait; none comes only while the server ends.
    pub async fn handshake(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.handshakes).acquire_owned().await.ok()
    }

    /// Sessions at this moment.
    pub fn sessions(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut sessions = self.admission.lock();
        sessions.total = sessions.total.saturating_sub(1);
        let left = sessions.by_source.get(&self.source).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            sessions.by_source.remove(&self.source);
        } else {
            sessions.by_source.insert(self.source, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    fn admission(sessions: usize, sessions_per_address: usize) -> Arc<Admission> {
        let time = Duration::from_secs(1);
        Admission::new(&Limits {
            sessions,
            sessions_per_address,
            handshakes: 1,
            line_bytes: 4096,
            commands_per_second: NonZeroU32::MIN,
            failed_commands: 10,
            login_time: time,
            handshake_time: time,
            idle_time: time,
            data_connect_time: time,
            stall_time: time,
            drain_time: time,
        })
    }

    #[test]
    fn places_are_counted_by_source_and_given_back() {
        let admission = admission(4, 2);
        let admit = |address: &str| admission.admit(address.parse().unwrap());
        let one = admit("192.0.2.1").unwrap();
        let two = admit("::ffff:192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").unwrap_err(), Refused::PerAddress);
        let three = admit("2001:db8::1").unwrap();
        let four = admit("2001:db8::ffff:2").unwrap();
        assert_eq!(admit("2001:db8:0:1::1").unwrap_err(), Refused::Total);
        drop(one);
        assert_eq!(admit("2001:db8::3").unwrap_err(), Refused::PerAddress);
        let last = admit("192.0.2.1").unwrap();
        assert_eq!(admission.sessions(), 4);
        drop((last, two, three, four));
        assert_eq!(admission.sessions(), 0);
        assert!(admission.lock().by_source.is_empty());
    }

    #[tokio::test]
    async fn handshakes_wait_for_each_other() {
        let admission = admission(1, 1);
        let first = admission.handshake().await.unwrap();
        let wait = Duration::from_millis(20);
        assert!(tokio::time::timeout(wait, admission.handshake()).await.is_err());
        drop(first);
        assert!(tokio::time::timeout(wait, admission.handshake()).await.unwrap().is_some());
    }
}
