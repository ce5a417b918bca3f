//! Audit logs that were made up, with known truth: some weeks of the life of a small company, and
//! attacks planted into it. They have the real form of records, chain, checkpoints and files, so that
//! whatever reads a log can read them. The same plan makes the same records.

mod attacks;
mod life;
mod visit;
mod writer;

use std::path::Path;

use jiff::Timestamp;
use rand::SeedableRng;
use rand::rngs::StdRng;

use attacks::Attacks;
pub use attacks::Truth;
use life::Life;
use portcullis::audit::record::Record;
use writer::MadeLog;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// When something happened, in milliseconds since 1970, and its record.
pub type Happened = (i64, Record);

/// What log is made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Other seeds make other days, attacks and attackers.
    pub seed: u64,
    /// How long life goes on: at least so many days, and until there are that many records.
    pub days: u64,
    /// See [`Self::days`].
    pub records_min: u64,
    /// Old files that the backup deletes every night.
    pub backup_deletes: u32,
    /// Whether attacks are planted.
    pub attacks: bool,
    /// Records after which a new file begins.
    pub file_records: u64,
    /// Whether closed files are compressed.
    pub compress: bool,
}

impl Plan {
    /// Eight weeks with attacks in the second half, in files of a moderate size.
    pub fn of(seed: u64) -> Self {
        Self {
            seed,
            days: 56,
            records_min: 0,
            backup_deletes: 300,
            attacks: true,
            file_records: 10_000,
            compress: true,
        }
    }
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// How many records.
    pub records: u64,
    /// What was planted.
    pub truths: Vec<Truth>,
    /// The time of the last record.
    pub end: Timestamp,
}

/// Makes a log in this directory.
pub fn make(directory: &Path, plan: &Plan) -> Made {
    // Life begins on a Monday, a week before the end of a month.
    let begin: Timestamp = "2026-08-24T00:00:00Z".parse().unwrap();
    let begin = begin.as_millisecond();
    let mut random = StdRng::seed_from_u64(plan.seed);
    let mut life = Life::new(plan, &mut random);
    let mut attacks = Attacks::plan(plan, &life, &mut random);
    let mut log = MadeLog::begin(directory, plan, begin);
    let mut day = 0;
    let mut happened: Vec<Happened> = Vec::new();
    while day < i64::try_from(plan.days).unwrap() || log.records() < plan.records_min {
        let midnight = begin + day * DAY_MS;
        life.day(day, midnight, &mut random, &mut happened);
        attacks.day(day, midnight, &life, &mut random, &mut happened);
        happened.sort_by_key(|(time, _)| *time);
        // What lasts beyond midnight is written with the next day.
        let later = happened.split_off(happened.partition_point(|(time, _)| *time < midnight + DAY_MS));
        for (time, record) in happened.drain(..) {
            log.append(time, &record);
        }
        happened = later;
        day += 1;
    }
    for (time, record) in happened {
        log.append(time, &record);
    }
    let (records, end) = log.stop();
    Made { records, truths: attacks.into_truths(), end: Timestamp::from_millisecond(end).unwrap() }
}
