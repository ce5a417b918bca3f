//! What is planted, and the truth about it.

use std::net::{IpAddr, Ipv6Addr};

use portcullis::audit::event::Event;
use portcullis::audit::record::{Detail, Record};
use portcullis::findings::finding::Kind;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::life::{Life, OFFICE};
use super::visit::{Visit, turned_away};
use super::{Happened, Plan};

const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;
/// Days of life before the first attack.
const QUIET_DAYS: i64 = 28;

/// Something that was planted.
#[derive(Clone, Debug)]
pub struct Truth {
    /// What ought to be found.
    pub kind: Kind,
    /// The user concerned.
    pub user: Option<String>,
    /// The address concerned.
    pub address: Option<IpAddr>,
    /// When it began and ended, in milliseconds.
    pub span: (i64, i64),
    /// What else is true of it, and may be found.
    pub also: Vec<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attack {
    Guesses,
    SlowGuesses,
    GuessesOfOneNetwork,
    GuessesFromEverywhere,
    Spray,
    SprayFromEverywhere,
    GuessedRight,
    SprayedRight,
    FromAbroad,
    AtNight,
    TakesAll,
    DeletesAll,
    RenamesAll,
    OverwritesAll,
    ReplacesAll,
    StealsData,
    Strangers,
    UserInClear,
    Injection,
    ClearFlood,
    CannotResume,
    PolicyAtNight,
    LogCut,
}

const ATTACKS: [Attack; 23] = [
    Attack::Guesses,
    Attack::SlowGuesses,
    Attack::GuessesOfOneNetwork,
    Attack::GuessesFromEverywhere,
    Attack::Spray,
    Attack::SprayFromEverywhere,
    Attack::GuessedRight,
    Attack::SprayedRight,
    Attack::FromAbroad,
    Attack::AtNight,
    Attack::TakesAll,
    Attack::DeletesAll,
    Attack::RenamesAll,
    Attack::OverwritesAll,
    Attack::ReplacesAll,
    Attack::StealsData,
    Attack::Strangers,
    Attack::UserInClear,
    Attack::Injection,
    Attack::ClearFlood,
    Attack::CannotResume,
    Attack::PolicyAtNight,
    Attack::LogCut,
];

/// What is planted when.
pub(super) struct Attacks {
    planned: Vec<(i64, Attack, usize)>,
    truths: Vec<Truth>,
}

impl Attacks {
    /// Each attack once, on days of the second half; those that are told by what a user did before
    /// have a victim each.
    pub(super) fn plan(plan: &Plan, life: &Life, random: &mut StdRng) -> Self {
        let mut attacks = if plan.attacks { ATTACKS.to_vec() } else { Vec::new() };
        attacks.shuffle(random);
        let mut victims: Vec<usize> = (0..life.office.len()).collect();
        victims.shuffle(random);
        let planned = attacks
            .into_iter()
            .enumerate()
            .map(|(index, attack)| (QUIET_DAYS + i64::try_from(index).unwrap(), attack, victims[index % victims.len()]))
            .collect();
        Self { planned, truths: Vec::new() }
    }

    pub(super) fn into_truths(self) -> Vec<Truth> {
        self.truths
    }

    pub(super) fn day(
        &mut self,
        day: i64,
        midnight: i64,
        life: &Life,
        random: &mut StdRng,
        happened: &mut Vec<Happened>,
    ) {
        for (_, attack, victim) in self.planned.clone().into_iter().filter(|(planned, ..)| *planned == day) {
            let mut scene = Scene {
                start: midnight + 12 * HOUR_MS + random.random_range(0..4 * HOUR_MS),
                midnight,
                attacker: stranger(random),
                victim: &life.office[victim].name,
                names: life.office.iter().chain(&life.home).map(|person| person.name.clone()).collect(),
                random,
                happened,
            };
            self.truths.extend(scene.play(attack));
        }
    }
}

/// An address from which nobody of the company ever comes.
fn stranger(random: &mut StdRng) -> IpAddr {
    [random.random_range(190..220), random.random(), random.random(), random.random()].into()
}

struct Scene<'a> {
    start: i64,
    midnight: i64,
    attacker: IpAddr,
    victim: &'a str,
    names: Vec<String>,
    random: &'a mut StdRng,
    happened: &'a mut Vec<Happened>,
}

impl Scene<'_> {
    fn visit(&mut self, at: i64, address: IpAddr, program: &'static str) -> Visit<'_> {
        Visit::begin(at, address, program, self.random, self.happened)
    }

    fn play(&mut self, attack: Attack) -> Vec<Truth> {
        use Attack as A;
        match attack {
            A::Guesses | A::SlowGuesses | A::GuessesOfOneNetwork | A::GuessesFromEverywhere => self.guess(attack),
            A::Spray | A::SprayFromEverywhere => self.spray(attack),
            A::GuessedRight | A::SprayedRight => self.break_in(attack),
            A::FromAbroad | A::AtNight | A::TakesAll => self.misuse(attack),
            A::DeletesAll | A::RenamesAll | A::OverwritesAll | A::ReplacesAll => self.destroy(attack),
            A::StealsData | A::Strangers | A::CannotResume => self.connect_data(attack),
            A::UserInClear | A::Injection | A::ClearFlood => self.speak_in_clear(attack),
            A::PolicyAtNight => {
                let at = self.midnight + 3 * HOUR_MS;
                let record = Record::new(Event::PolicyLoaded).with("changed", Detail::Flag(true));
                self.happened.push((at, record));
                vec![truth(Kind::Policy, None, None, (at, at))]
            }
            A::LogCut => {
                self.happened.push((self.start, Record::new(Event::AuditGap).failed("log_truncated")));
                vec![truth(Kind::Log, None, None, (self.start, self.start))]
            }
        }
    }

    fn guess(&mut self, attack: Attack) -> Vec<Truth> {
        let tries = self.random.random_range(25..120);
        let mut at = self.start;
        let mut banned = false;
        for number in 0..tries {
            let address = match attack {
                Attack::GuessesOfOneNetwork => Ipv6Addr::new(0x2001, 0xdb8, 7, 9, 0, 0, 0, self.random.random()).into(),
                Attack::GuessesFromEverywhere => stranger(self.random),
                _ => self.attacker,
            };
            let victim = self.victim.to_owned();
            let mut visit = self.visit(at, address, "");
            if attack == Attack::Guesses && number > 12 {
                visit.throttled(&victim);
            } else {
                visit.fail(&victim, "bad_password");
            }
            at = visit.now;
            if attack == Attack::Guesses && number == 10 {
                visit.record(Event::LoginBanned, Some("too_many_failures"));
                banned = true;
            }
            visit.end();
            at += if attack == Attack::SlowGuesses { 15 * MINUTE_MS } else { 3_000 };
        }
        if banned {
            self.happened.push((at, turned_away(self.attacker, "banned")));
        }
        let address = match attack {
            Attack::GuessesOfOneNetwork => Some("2001:db8:7:9::".parse().unwrap()),
            Attack::GuessesFromEverywhere => None,
            _ => Some(self.attacker),
        };
        let user = (attack == Attack::GuessesFromEverywhere).then(|| self.victim.to_owned());
        let span = (self.start, at);
        let mut truths = vec![truth(Kind::Guessing, user, address, span)];
        if banned {
            truths.push(truth(Kind::Banned, None, address, span));
        }
        truths
    }

    fn spray(&mut self, attack: Attack) -> Vec<Truth> {
        let mut at = self.start;
        let everywhere = attack == Attack::SprayFromEverywhere;
        for name in self.names.clone() {
            let address = if everywhere { stranger(self.random) } else { self.attacker };
            let mut visit = self.visit(at, address, "");
            visit.fail(&name, "bad_password");
            at = visit.now + 90_000;
            visit.end();
        }
        let address = (!everywhere).then_some(self.attacker);
        vec![Truth { also: vec![Kind::Guessing], ..truth(Kind::Spraying, None, address, (self.start, at)) }]
    }

    fn break_in(&mut self, attack: Attack) -> Vec<Truth> {
        let mut at = self.start;
        let victim = self.victim.to_owned();
        let names = self.names.clone();
        let tries = self.random.random_range(14..40);
        for number in 0..tries {
            let name = if attack == Attack::SprayedRight { &names[number % names.len()] } else { &victim };
            let attacker = self.attacker;
            let mut visit = self.visit(at, attacker, "");
            visit.fail(name, "bad_password");
            at = visit.now + 8_000;
            visit.end();
        }
        let attacker = self.attacker;
        let mut visit = self.visit(at, attacker, "curl/8.5.0");
        visit.log_in(&victim);
        visit.download("/projects/p0/plan-0.pdf", 900_000);
        visit.end();
        let span = (self.start, at);
        let also = vec![Kind::Guessing, Kind::Spraying];
        vec![
            Truth { also, ..truth(Kind::GuessSuccess, Some(victim.clone()), Some(attacker), span) },
            truth(Kind::NewNetwork, Some(victim), Some(attacker), span),
        ]
    }

    fn misuse(&mut self, attack: Attack) -> Vec<Truth> {
        let victim = self.victim.to_owned();
        let (address, at) = match attack {
            Attack::FromAbroad => (self.attacker, self.start),
            Attack::AtNight => (OFFICE.into(), self.midnight + 2 * HOUR_MS),
            _ => (OFFICE.into(), self.start),
        };
        let files = if attack == Attack::TakesAll { self.random.random_range(30..90) } else { 2 };
        let mut visit = self.visit(at, address, "FileZilla 3.67");
        visit.log_in(&victim);
        for number in 0..files {
            visit.download(&format!("/projects/all/{number}.zip"), if files > 2 { 40_000_000 } else { 300_000 });
        }
        let end = visit.now;
        visit.end();
        let kind = match attack {
            Attack::FromAbroad => Kind::NewNetwork,
            Attack::AtNight => Kind::UnusualHour,
            _ => Kind::Volume,
        };
        let address = (kind == Kind::NewNetwork).then_some(address);
        vec![truth(kind, Some(victim), address, (at, end))]
    }

    fn destroy(&mut self, attack: Attack) -> Vec<Truth> {
        let victim = self.victim.to_owned();
        let start = self.start;
        let files = self.random.random_range(250..600);
        let mut visit = self.visit(start, OFFICE.into(), "FileZilla 3.67");
        visit.log_in(&victim);
        for number in 0..files {
            let path = format!("/projects/p{number}/plan.odt");
            match attack {
                Attack::DeletesAll => visit.delete(&path),
                Attack::RenamesAll => visit.rename(&path, &format!("{path}.locked")),
                Attack::OverwritesAll => visit.upload(&path, 50_000, true),
                _ => {
                    visit.upload(&format!("{path}.crypt"), 50_000, false);
                    visit.delete(&path);
                }
            }
        }
        let end = visit.now;
        visit.end();
        vec![truth(Kind::MassChange, Some(victim), None, (start, end))]
    }

    fn connect_data(&mut self, attack: Attack) -> Vec<Truth> {
        let victim = self.victim.to_owned();
        let start = self.start;
        if attack == Attack::Strangers {
            for number in 0..30 {
                let record = Record::new(Event::DataPeerMismatch).failed("foreign_address");
                let record = record.with("source_ip", Detail::Text(self.attacker.to_string()));
                let record = record.with("passive_port", Detail::Number(50_000)).with("unreported", Detail::Number(0));
                self.happened.push((start + number * 2_000, record));
            }
            return vec![truth(Kind::DataRefused, None, Some(self.attacker), (start, start + 60_000))];
        }
        let resumes = attack == Attack::StealsData;
        let mut visit = self.visit(start, OFFICE.into(), if resumes { "" } else { "OldJavaFTP 1.0" });
        visit.log_in(&victim);
        for _ in 0..20 {
            visit.refused_data(if resumes { "foreign_session" } else { "not_resumed" });
            visit.pause(1_000);
        }
        let end = visit.now;
        visit.end();
        if resumes {
            vec![truth(Kind::DataRefused, None, Some(OFFICE.into()), (start, end))]
        } else {
            vec![truth(Kind::CannotResume, Some(victim), None, (start, end))]
        }
    }

    fn speak_in_clear(&mut self, attack: Attack) -> Vec<Truth> {
        let start = self.start;
        let address = if attack == Attack::UserInClear { OFFICE.into() } else { self.attacker };
        let mut at = start;
        for _ in 0..if attack == Attack::ClearFlood { 15 } else { 1 } {
            let mut visit = Visit::in_clear(at, address, "", self.random, self.happened);
            match attack {
                Attack::UserInClear => {
                    visit.record(Event::LoginInClear, Some("tls_required"));
                    visit.record(Event::LoginInClear, Some("tls_required"));
                }
                Attack::Injection => visit.record(Event::TlsPlaintextInjection, Some("plaintext_behind_auth")),
                _ => visit.record(Event::CommandRefused, Some("tls_required")),
            }
            at = visit.now + 10_000;
            visit.end();
        }
        vec![truth(Kind::ClearText, None, Some(address), (start, at))]
    }
}

fn truth(kind: Kind, user: Option<String>, address: Option<IpAddr>, span: (i64, i64)) -> Truth {
    Truth { kind, user, address, span, also: Vec::new() }
}
