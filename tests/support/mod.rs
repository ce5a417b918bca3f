//! What the tests are written with: [`server`] starts the real binary in a directory of its own,
//! [`wire`] speaks to it line by line and byte by byte, [`data`] is the other connection of FTP,
//! [`tls`] the client's side of TLS, [`records`] reads the audit log, [`ports`] hands out ports,
//! [`namespaces`] networks of their own; [`haproxy`] stands between client and server, and [`dns`]
//! answers for names; [`made_log`] makes audit logs of which the truth is known; [`keeper`] is the second
//! process of the audit log by itself.

pub mod data;
pub mod dns;
pub mod haproxy;
pub mod keeper;
pub mod made_log;
pub mod namespaces;
pub mod ports;
pub mod records;
pub mod server;
pub mod tls;
pub mod wire;

use std::time::{Duration, Instant};

pub use data::Data;
pub use records::Record;
pub use server::Server;
pub use wire::{Dial, Ending, Wire};

/// How long anything may take that should take a moment.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The password of every user the tests make.
pub const PASSWORD: &str = "Violet-Tractor-Umbrella-93-quay";

/// A day counted from today, as policy files write it.
pub fn day(days_ahead: i64) -> String {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    today.saturating_add(jiff::SignedDuration::from_hours(24 * days_ahead)).to_string()
}

/// Asks again and again until there is an answer; fails after [`PATIENCE`].
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
