//! A client's side of a session, and a world around it that says yes.

use std::collections::BTreeMap;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::audit::record::Digest;
use crate::identity::{Shown, Username, Verified};
use crate::policy::account::{Account, Permissions, Terms};
use crate::policy::grant::RuleSource;
use crate::policy::network::{AddressRules, NetworkRule};
use crate::policy::permission::{Permission, PermissionSet};
use crate::proto::host::ServerName;
use crate::proto::path::VirtualPath;
use crate::session::effect::{
    HashOrder, Hashed, HashedPart, MoveFault, Moved, OwnSessions, PassivePort, PasswordCheck, PasswordFault, PathFacts,
    Payload, Penalty, Prepared, SessionsFull, StoreAnswer, StoreFault, StoreRequest,
};
use crate::session::*;

/// A session with a world around it that says yes.
pub(super) struct Dialogue {
    pub(super) session: Session,
    pub(super) policy: Arc<Policy>,
    /// The question that was left open.
    pub(super) open: Option<Question>,
    /// Everything that was recorded.
    pub(super) records: Vec<Record>,
    pub(super) aborted: bool,
    /// Every reply.
    pub(super) heard: Vec<Reply>,
    /// The server name in the client's handshake.
    pub(super) server_name: Option<&'static str>,
}

fn policy(set: PermissionSet) -> Policy {
    let source = RuleSource { file: "users.toml".into(), line: 1 };
    let name = Username::parse("alice").unwrap();
    let permissions = Some(Permissions { set, source: source.clone() });
    let account = Account {
        name: name.clone(),
        home: "/srv/alice".into(),
        password: String::new(),
        password_set: "2026-11-01".parse().unwrap(),
        password_by_user: false,
        password_temporary: false,
        password_history: vec![],
        expires: None,
        enabled: true,
        certificates: vec![],
        certificate_alone: false,
        totp_secret: None,
        groups: vec![],
        terms: Terms { permissions, ..Terms::default() },
        source: source.clone(),
    };
    let everywhere = |network: &str| NetworkRule { network: network.parse().unwrap(), source: source.clone() };
    Policy {
        networks: AddressRules { allow: vec![everywhere("0.0.0.0/0"), everywhere("::/0")], deny: vec![] },
        users: BTreeMap::from([(name, account)]),
        folders: BTreeMap::new(),
        groups: BTreeMap::new(),
        exceptions: vec![],
        tls_exceptions: vec![],
        password_days_max: None,
        password_warning_days: 14,
        zone: jiff::tz::TimeZone::UTC,
        freezes: Arc::default(),
    }
}

/// The names of the identity that the world shows, and one more that it has.
fn names() -> Arc<[ServerName]> {
    ["files.example.org", "*.example.net", "other.example.org"].map(|name| ServerName::parse(name).unwrap()).into()
}

fn tls_facts(server_name: Option<&str>) -> TlsFacts {
    TlsFacts {
        version: "1.3",
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        group: None,
        server_name: server_name.map(str::to_owned),
        identity: names()[..2].into(),
        alpn: None,
        resumed: false,
        exception: None,
        client: None,
    }
}

/// What a file of five bytes is told to be.
fn hashed(order: &HashOrder) -> Hashed {
    let candidate = order.candidates.last().unwrap();
    let path = candidate.grant.path().clone();
    let octets = candidate.octets.of(5).ok_or(MoveFault::Store(StoreFault::OffsetBeyondEnd));
    let digest = Digest { algorithm: "sha256", hex: "ab".repeat(32) };
    let end = if path.as_str() == "/missing" { Err(MoveFault::Store(StoreFault::NotFound)) } else { octets };
    Hashed { end: end.map(|octets| HashedPart { digest, octets, size: 5 }), path, duration: Duration::ZERO }
}

impl Dialogue {
    pub(super) fn new() -> Self {
        Self::with(PermissionSet::ALL, true)
    }

    pub(super) fn with(permissions: PermissionSet, active: bool) -> Self {
        let settings = Settings {
            implicit: false,
            active,
            names: names(),
            failed_commands_max: 10,
            attempts_max: 3,
            hashes: Offered::default(),
        };
        let facts = SessionFacts {
            id: "01".into(),
            created_micros: 0,
            client: "192.0.2.7:4000".parse().unwrap(),
            server: "192.0.2.1:21".parse().unwrap(),
            proxy: None,
            policy: "0".into(),
        };
        let session = Session::new(settings, Arc::new(facts));
        let policy = Arc::new(policy(permissions));
        let mut dialogue =
            Self { session, policy, open: None, records: vec![], heard: Vec::new(), aborted: false, server_name: None };
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
                Effect::Reply(reply) => {
                    codes.push(reply.code().number());
                    self.heard.push(reply);
                }
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
            Question::StartTls => Input::Tls(Ok(tls_facts(self.server_name))),
            Question::CheckPassword { claimed, secret } => Input::Password(match secret.expose() {
                b"right" => {
                    PasswordCheck::Right(Verified::assertion(Username::parse(&claimed).unwrap(), Shown::PASSWORD))
                }
                b"limited" => PasswordCheck::Limited { scope: "address" },
                _ => PasswordCheck::Wrong { known: true },
            }),
            Question::CheckCertificate { claimed } => Input::Password(PasswordCheck::Right(Verified::assertion(
                Username::parse(&claimed).unwrap(),
                Shown { certificate: true, ..Shown::default() },
            ))),
            Question::ChangePassword { old, new } => Input::PasswordChanged(match (old.expose(), new.expose()) {
                (b"right", b"weak") => Err(PasswordFault::Weak(vec!["it is short".into()])),
                (b"right", _) => Ok(()),
                _ => Err(PasswordFault::Wrong("bad_password")),
            }),
            Question::CountFailure { .. } => {
                Input::Penalty(Penalty { delay: Duration::ZERO, banned: None, newly_banned: false })
            }
            Question::OpenHome(_) => Input::Home(true),
            Question::TakePlace { limits, .. } => Input::Place(match limits.sessions {
                Some(0) => Err(SessionsFull::OfUser),
                _ => Ok(()),
            }),
            Question::OpenPassive => {
                Input::Passive(Ok(PassivePort { port: 50_000, address: Some(std::net::Ipv4Addr::LOCALHOST) }))
            }
            Question::Store(StoreRequest::Facts(grant) | StoreRequest::SetAttributes(grant, _)) => {
                Input::Stored(match grant.path().as_str() {
                    "/missing" => Err(StoreFault::NotFound),
                    path => Ok(StoreAnswer::Facts(PathFacts {
                        directory: path == "/" || path == "/dir",
                        size: 5,
                        modified_seconds: 0,
                        mode: 0o640,
                        unique: (1, 2),
                        created_seconds: None,
                        owner: (0, 0),
                    })),
                })
            }
            Question::Store(StoreRequest::Lines { .. }) => {
                Input::Stored(Ok(StoreAnswer::Lines { lines: vec!["a".into()], cut: false }))
            }
            Question::Store(StoreRequest::Room(grant)) => Input::Stored(match grant.path().as_str() {
                "/missing" => Err(StoreFault::NotFound),
                path => Ok(StoreAnswer::Room { bytes: 7, directory: path != "/file" }),
            }),
            Question::OwnSessions(_) => Input::OwnSessions(OwnSessions::default()),
            Question::Store(StoreRequest::Rename(_, to)) if !to.allows(Permission::Rename) => {
                Input::Stored(Err(StoreFault::Denied))
            }
            Question::Store(_) => Input::Stored(Ok(StoreAnswer::Done)),
            Question::Prepare(order) => {
                let path = match &order.what {
                    Payload::Retrieve { grant, .. } | Payload::Store { grant, .. } => grant.path().to_string(),
                    Payload::List { grant, matching, .. } => {
                        let grant = grant.as_ref().or(matching.as_ref().map(|(grant, _)| grant));
                        grant.unwrap().path().to_string()
                    }
                };
                Input::Prepared(if path == "/missing" {
                    Err(MoveFault::Store(StoreFault::NotFound))
                } else {
                    Ok(Prepared { path, size: None })
                })
            }
            Question::Hash(order) if order.candidates[0].grant.path().as_str() != "/long" => {
                Input::Hashed(Box::new(hashed(&order)))
            }
            question @ (Question::Move | Question::Hash(_)) => {
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

    /// Ends the hash of `/long`, which runs until then.
    pub(super) fn end_hash(&mut self, fault: MoveFault) -> Vec<u16> {
        let path = VirtualPath::root().join(b"long").unwrap();
        let hashed = Hashed { end: Err(fault), path, duration: Duration::ZERO };
        let mut codes = self.input(Input::Hashed(Box::new(hashed)));
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
        if stage == Stage::Change {
            let alice = Username::parse("alice").unwrap();
            Arc::make_mut(&mut self.policy).users.get_mut(&alice).unwrap().password_temporary = true;
        }
        if stage.is_logged_in() {
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
