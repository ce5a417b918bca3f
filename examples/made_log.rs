//! Makes an audit log of many records, to measure what reads it:
//!
//!     cargo run --release --example made_log -- DIRECTORY [RECORDS [SEED]]
//!
//! The log has the real form: chained records, signed checkpoints (`signing.pub` checks them),
//! compressed files of 100,000 records. Attacks are planted in it, which are printed.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "made for tests")]
#![allow(unreachable_pub, reason = "the tests use the module too")]

#[path = "../tests/support/made_log/mod.rs"]
mod made_log;

use made_log::{Made, Plan, Truth, make};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(directory) = arguments.next() else {
        eprintln!("made_log DIRECTORY [RECORDS [SEED]]");
        std::process::exit(2);
    };
    let mut number = |otherwise| arguments.next().map_or(otherwise, |text| text.parse().unwrap());
    let (records_min, seed) = (number(1_000_000), number(1));
    let plan = Plan { records_min, backup_deletes: 5_000, file_records: 100_000, ..Plan::of(seed) };
    let Made { records, truths, end } = make(directory.as_ref(), &plan);
    println!("{records} records until {end}");
    for Truth { kind, user, address, span, also } in truths {
        let time = jiff::Timestamp::from_millisecond(span.0).unwrap();
        println!("{kind}\t{time}\t{user:?}\t{address:?}\t{} s\t{also:?}", (span.1 - span.0) / 1000);
    }
}
