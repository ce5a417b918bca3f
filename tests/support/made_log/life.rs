//! The ordinary life of a small company, with much in it that looks like an attack and is none.

use std::net::IpAddr;

use portcullis::audit::event::Event;
use portcullis::audit::record::{Detail, Record};
use rand::RngExt;
use rand::rngs::StdRng;

use super::visit::{Visit, flood, turned_away};
use super::{DAY_MS, Happened, Plan};

const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;

/// All users of the office sit behind this address.
pub(super) const OFFICE: [u8; 4] = [198, 51, 100, 10];

/// Somebody who works in the office.
pub(super) struct Person {
    pub(super) name: String,
    /// The hour at which the day begins.
    begins: i64,
    /// Bytes of an ordinary file.
    file_bytes: u64,
}

/// Everybody, and what goes on.
pub(super) struct Life {
    pub(super) office: Vec<Person>,
    pub(super) home: Vec<Person>,
    travelling: Vec<Person>,
    backup_deletes: u32,
    /// The second and third part of the provider's addresses at home, for each of those users.
    home_address: Vec<(u8, u8)>,
    travel_network: Vec<(u8, u8)>,
}

impl Life {
    pub(super) fn new(plan: &Plan, random: &mut StdRng) -> Self {
        let mut people = |names: &[&str]| -> Vec<Person> {
            names
                .iter()
                .map(|name| Person {
                    name: (*name).to_owned(),
                    begins: random.random_range(7..10),
                    file_bytes: random.random_range(100_000..1_500_000),
                })
                .collect()
        };
        let office = people(&[
            "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj",
        ]);
        let (home, travelling) = (people(&["olivia", "peggy", "rupert"]), people(&["sybil", "trent"]));
        let home_address = home.iter().map(|_| (random.random(), random.random())).collect();
        let travel_network = travelling.iter().map(|_| (31, 7)).collect();
        Self { office, home, travelling, backup_deletes: plan.backup_deletes, home_address, travel_network }
    }

    /// What happens on a day; `day` counts from a Monday.
    pub(super) fn day(&mut self, day: i64, midnight: i64, random: &mut StdRng, happened: &mut Vec<Happened>) {
        let workday = day.rem_euclid(7) < 5;
        if day == 0 {
            happened.push((midnight, Record::new(Event::ServiceStart)));
            happened.push((midnight, Record::new(Event::PolicyLoaded)));
        }
        if workday {
            for person in &self.office {
                work(person, OFFICE.into(), midnight, random, happened);
            }
            self.work_elsewhere(midnight, random, happened);
            // Now and then the administrator changes the policy.
            if random.random_bool(0.5) {
                let changed = Record::new(Event::PolicyLoaded).with("changed", Detail::Flag(true));
                happened.push((midnight + random.random_range(9..17) * HOUR_MS, changed));
            }
        }
        accounts(midnight, random, happened);
        partners(midnight, random, happened);
        self.backup(midnight, random, happened);
        scanners(midnight, random, happened);
    }

    /// People at home, whose provider gives them another address now and then, and people on the road.
    fn work_elsewhere(&mut self, midnight: i64, random: &mut StdRng, happened: &mut Vec<Happened>) {
        for (person, address) in self.home.iter().zip(&mut self.home_address) {
            if random.random_bool(0.25) {
                *address = (random.random(), random.random());
            }
            work(person, [84, 133, address.0, address.1].into(), midnight, random, happened);
        }
        for (person, network) in self.travelling.iter().zip(&mut self.travel_network) {
            if random.random_bool(0.6) {
                *network = (random.random_range(60..180), random.random());
            }
            let address = [network.0, network.1, random.random(), random.random()];
            work(person, address.into(), midnight, random, happened);
        }
    }

    /// Every night at the same hour the backup brings what is new and deletes what is old.
    fn backup(&self, midnight: i64, random: &mut StdRng, happened: &mut Vec<Happened>) {
        let at = midnight + 2 * HOUR_MS + random.random_range(0..20) * MINUTE_MS;
        let mut visit = Visit::begin(at, [198, 51, 100, 40].into(), "lftp/4.9.2", random, happened);
        visit.log_in("backup");
        for file in 0..30 {
            visit.upload(&format!("/nightly/{at}-{file}.tar"), 20_000_000, false);
        }
        for file in 0..self.backup_deletes {
            visit.delete(&format!("/nightly/{}-{file}.tar", at - 30 * DAY_MS));
        }
        visit.end();
    }
}

/// A day's work: some sessions in the hours of work, each with some files.
fn work(person: &Person, address: IpAddr, midnight: i64, random: &mut StdRng, happened: &mut Vec<Happened>) {
    if random.random_bool(0.06) {
        return; // A day off.
    }
    // Some days there is more to fetch than on others.
    let busy = if random.random_bool(0.03) { 3 } else { 1 };
    for _ in 0..random.random_range(1..5) {
        // Now and then somebody stays longer.
        let late = if random.random_bool(0.03) { 2 * HOUR_MS } else { 0 };
        let at = midnight + person.begins * HOUR_MS + late + random.random_range(0..9 * HOUR_MS);
        let downloads = random.random_range(0..8) * busy;
        let uploads = random.random_range(0..4);
        let (slips, forgot) = (random.random_bool(0.06), random.random_bool(0.004));
        let tidies = if random.random_bool(0.01) { random.random_range(20..150) } else { 0 };
        let parallel = if random.random_bool(0.02) { 3 } else { 0 };
        let sizes: Vec<u64> =
            (0..downloads + uploads).map(|_| person.file_bytes * random.random_range(20..400) / 100).collect();
        let mut visit = Visit::begin(at, address, "FileZilla 3.67", random, happened);
        if slips || forgot {
            for _ in 0..if forgot { 5 } else { 1 } {
                visit.fail(&person.name, "bad_password");
            }
        }
        visit.log_in(&person.name);
        for (number, size) in sizes.into_iter().enumerate() {
            if number < downloads {
                visit.download(&format!("/projects/p{number}/plan-{number}.pdf"), size);
            } else {
                visit.upload(&format!("/projects/p{number}/draft.odt"), size, number % 2 == 0);
            }
        }
        // An old folder of pictures goes.
        for number in 0..tidies {
            visit.delete(&format!("/projects/old/picture-{number}.jpg"));
        }
        // A program that opens several connections mixes up their sessions.
        for _ in 0..parallel {
            visit.refused_data("foreign_session");
        }
        if downloads == 7 {
            visit.refused_data("not_resumed");
        }
        visit.end();
    }
}

/// Who closes the books takes away much at the end of each month.
fn accounts(midnight: i64, random: &mut StdRng, happened: &mut Vec<Happened>) {
    let date = |at: i64| jiff::Timestamp::from_millisecond(at).unwrap().to_zoned(jiff::tz::TimeZone::UTC).date();
    let ends = date(midnight).month() != date(midnight + DAY_MS).month();
    let at = midnight + 10 * HOUR_MS + random.random_range(0..4) * HOUR_MS;
    let files = if ends { 60 } else { random.random_range(3..8) };
    let mut visit = Visit::begin(at, OFFICE.into(), "WinSCP 6.3", random, happened);
    visit.log_in("accounts");
    for number in 0..files {
        visit.download(&format!("/books/sheet-{number}.xlsx"), 9_000_000);
    }
    visit.end();
}

/// Three programs of other companies, each at its time of the day.
fn partners(midnight: i64, random: &mut StdRng, happened: &mut Vec<Happened>) {
    for (name, address, hour) in
        [("acme-edi", [192, 0, 2, 20], 1), ("globex", [192, 0, 2, 130], 4), ("initech", [203, 0, 113, 77], 13)]
    {
        let at = midnight + hour * HOUR_MS + random.random_range(0..15) * MINUTE_MS;
        // Now and then the network is down, and the program comes again.
        if random.random_bool(0.03) {
            let mut visit = Visit::begin(at, address.into(), "curl/8.5.0", random, happened);
            visit.log_in(name);
            visit.record(Event::FileUploadIncomplete, Some("connection_lost"));
            visit.end();
        }
        let mut visit = Visit::begin(at + 5 * MINUTE_MS, address.into(), "curl/8.5.0", random, happened);
        visit.log_in(name);
        for number in 0..12 {
            visit.upload(&format!("/in/order-{number}.part"), 40_000, false);
            visit.rename(&format!("/in/order-{number}.part"), &format!("/in/order-{number}.xml"));
        }
        for number in 0..if name == "globex" { 80 } else { 5 } {
            visit.download(&format!("/out/invoice-{number}.xml"), 30_000);
            visit.rename(&format!("/out/invoice-{number}.xml"), &format!("/out/invoice-{number}.xml.done"));
        }
        visit.end();
    }
}

/// What comes from the internet every day.
fn scanners(midnight: i64, random: &mut StdRng, happened: &mut Vec<Happened>) {
    for _ in 0..random.random_range(10..25) {
        let address: IpAddr = [random.random_range(100..190), random.random(), random.random(), random.random()].into();
        let at = midnight + random.random_range(0..DAY_MS);
        match random.random_range(0..6) {
            0 | 1 => happened.push((at, turned_away(address, "ip_not_allowed"))),
            2 => happened.push((at, flood(&format!("{address}/32"), "connection_rate", random.random_range(5..500)))),
            3 => {
                let mut visit = Visit::in_clear(at, address, "", random, happened);
                visit.record(Event::LoginInClear, Some("tls_required"));
                visit.end();
            }
            4 => {
                let mut visit = Visit::in_clear(at, address, "", random, happened);
                visit.record(Event::TlsFailed, Some("not_tls"));
                visit.end();
            }
            _ => {
                let tries = random.random_range(1..4);
                let mut visit = Visit::begin(at, address, "", random, happened);
                for name in ["admin", "anonymous", "ftp"].into_iter().take(tries) {
                    visit.fail(name, "unknown_user");
                }
                visit.end();
            }
        }
    }
}
