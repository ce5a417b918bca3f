//! A client's side of a session, and a world around it that says yes.

use std::collections::BTreeMap;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::identity::{Username, Verified};
use crate::policy::account::{Account, Permissions};
use crate::policy::grant::RuleSource;
use crate::policy::network::AddressRules;
use crate::policy::permission::PermissionSet;
use crate::session::effect::{
    MoveFault, Moved, PassivePort, PasswordCheck, PathFacts, Payload, Penalty, Prepared, StoreAnswer, StoreFault,
    StoreRequest,
};
use crate::session::*;

/// A session with a world around it that says yes.
pub(super) struct Dialogue {
    pub(super) session: Session,
    pub(super) policy: Policy,
    /// The question that was left open.
    pub(super) open: Option<Question>,
    /// Everything that was recorded.
    pub(super) records: Vec<Record>,
    pub(super) aborted: bool,
}

fn policy(set: PermissionSet) -> Policy {
    let source = RuleSource { file: "users.toml".into(), line: 1 };
    let name = Username::parse("alice").unwrap();
    let account = Account {
        name: name.clone(),
        home: "/srv/alice".into(),
        password: String::new(),
        password_set: "2026-11-01".parse().unwrap(),
        expires: None,
        enabled: true,
        permissions: Permissions { set, source: source.clone() },
        addresses: AddressRules::default(),
        groups: vec![],
        quota_bytes: None,
        quota_files: None,
        exceptions: vec![],
        source,
    };
    Policy {
        networks: AddressRules::default(),
        users: BTreeMap::from([(name, account)]),
        groups: BTreeMap::new(),
        exceptions: vec![],
        password_days_max: None,
    }
}

fn tls_facts() -> TlsFacts {
    TlsFacts {
        version: "1.3",
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        group: None,
        server_name: None,
        alpn: None,
        resumed: false,
    }
}

impl Dialogue {
    pub(super) fn new() -> Self {
        Self::with(PermissionSet::ALL, true)
    }

    pub(super) fn with(permissions: PermissionSet, active: bool) -> Self {
        let settings = Settings { implicit: false, active, failed_commands_max: 10, attempts_max: 3 };
        let facts = SessionFacts {
            id: "01".into(),
            created_micros: 0,
            client: "192.0.2.7:4000".parse().unwrap(),
            server: "192.0.2.1:21".parse().unwrap(),
            proxy: None,
            policy: "0".into(),
        };
        let session = Session::new(settings, Arc::new(facts));
        let policy = policy(permissions);
        let mut dialogue = Self { session, policy, open: None, records: vec![], aborted: false };
        assert_eq!(dialogue.input(Input::Connected), [220]);
        dialogue
    }

    /// Gives one input and returns the codes that the client hears.
    pub(super) fn input(&mut self, input: Input) -> Vec<u16> {
        let world = World { policy: &self.policy, now: Timestamp::from_second(1_795_328_102).unwrap() };
        let step = self.session.handle(input, world);
        let mut codes = Vec::new();
        for effect in step.effects {
            match effect {
                Effect::Reply(reply) => codes.push(reply.code().number()),
                Effect::Audit(record) => self.records.push(*record),
                Effect::Abort => self.aborted = true,
                _ => {}
            }
        }
        self.open = step.question;
        codes
    }

    /// Sends a line and answers every question but that of a transfer's end.
    pub(super) fn say(&mut self, line: &str) -> Vec<u16> {
        self.say_bytes(line.as_bytes())
    }

    pub(super) fn say_bytes(&mut self, line: &[u8]) -> Vec<u16> {
        let mut codes = self.input(Input::Line(Ok(Zeroizing::new(line.to_vec())), 7));
        while let Some(answer) = self.answer() {
            codes.extend(self.input(answer));
        }
        codes
    }

    pub(super) fn answer(&mut self) -> Option<Input> {
        Some(match self.open.take()? {
            Question::StartTls => Input::Tls(Ok(tls_facts())),
            Question::CheckPassword { claimed, secret } => Input::Password(match secret.expose() {
                b"right" => PasswordCheck::Right(Verified::assertion(Username::parse(&claimed).unwrap())),
                b"limited" => PasswordCheck::Limited { scope: "address" },
                _ => PasswordCheck::Wrong { known: true },
            }),
            Question::CountFailure { .. } => {
                Input::Penalty(Penalty { delay: Duration::ZERO, banned: None, newly_banned: false })
            }
            Question::OpenHome(_) => Input::Home(true),
            Question::OpenPassive => {
                Input::Passive(Ok(PassivePort { port: 50_000, address: Some(std::net::Ipv4Addr::LOCALHOST) }))
            }
            Question::Store(StoreRequest::Facts(grant)) => Input::Stored(match grant.path().as_str() {
                "/missing" => Err(StoreFault::NotFound),
                path => Ok(StoreAnswer::Facts(PathFacts {
                    directory: path == "/" || path == "/dir",
                    size: 5,
                    modified_seconds: 0,
                    mode: 0o640,
                    unique: (1, 2),
                })),
            }),
            Question::Store(StoreRequest::Lines { .. }) => {
                Input::Stored(Ok(StoreAnswer::Lines { lines: vec!["a".into()], cut: false }))
            }
            Question::Store(_) => Input::Stored(Ok(StoreAnswer::Done)),
            Question::Prepare(order) => {
                let path = match &order.what {
                    Payload::Retrieve { grant, .. } | Payload::Store { grant, .. } | Payload::List { grant, .. } => {
                        grant.path().to_string()
                    }
                };
                Input::Prepared(if path == "/missing" {
                    Err(MoveFault::Store(StoreFault::NotFound))
                } else {
                    Ok(Prepared { path, size: None })
                })
            }
            question @ Question::Move => {
                self.open = Some(question);
                return None;
            }
        })
    }

    /// Ends the running transfer.
    pub(super) fn end(&mut self, end: Result<(), MoveFault>) -> Vec<u16> {
        let moved = Moved {
            end,
            bytes: 5,
            size: Some(5),
            digest: None,
            replaced: false,
            kept_bytes: None,
            data: None,
            refused: vec!["not_resumed"],
            duration: Duration::ZERO,
        };
        let mut codes = self.input(Input::Moved(Box::new(moved)));
        while let Some(answer) = self.answer() {
            codes.extend(self.input(answer));
        }
        codes
    }

    /// Goes as far as a stage.
    pub(super) fn at(mut self, stage: Stage) -> Self {
        if stage != Stage::Cleartext {
            assert_eq!(self.say("AUTH TLS"), [234]);
        }
        if stage == Stage::Files {
            assert_eq!(self.say("USER alice"), [331]);
            assert_eq!(self.say("PASS right"), [230]);
        }
        self
    }

    /// Logged in, protected, and in the middle of a download.
    pub(super) fn moving(self) -> Self {
        let mut dialogue = self.at(Stage::Files);
        for (line, code) in [("PBSZ 0", 200), ("PROT P", 200), ("TYPE I", 200), ("EPSV", 229), ("RETR a", 150)] {
            assert_eq!(dialogue.say(line), [code], "{line}");
        }
        dialogue
    }

    pub(super) fn recorded(&self, event: Event) -> usize {
        self.records.iter().filter(|record| record.event == event).count()
    }
}
