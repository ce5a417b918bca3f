//! The server-PI (RFC 959 §2.3) as a state machine without sockets, files, clock or randomness:
//! an [`Input`] in, a [`Step`] out. The driver performs the step's effects in order and answers its
//! question with the next input.
//!
//! Each stage is a type of its own, so what it holds cannot exist earlier: there is no user before
//! the login, and nothing that was said in clear crosses into the TLS session.

mod attributes;
mod change;
mod cleartext;
mod data;
pub mod effect;
mod files;
mod hashing;
mod hello;
mod inspect;
mod kicked;
pub mod letters;
mod login;
mod navigate;
mod parameters;
mod password;
mod refusal;
mod running;
mod site;
mod space;
mod standing;
mod transfer;

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::audit::event::Event;
use crate::audit::record::{Detail, Record, SessionFacts, TlsFacts, Traffic};
use crate::policy::Policy;
use crate::proto::hash::Offered;
use crate::proto::host::ServerName;
use crate::proto::line::{Line, LineError};
use crate::proto::path::VirtualPath;
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::{self, Verb};
use crate::rules::{self, Rule, Service, Stage};
use effect::{Effect, Input, Question, Step, TlsFailure};
use files::Files;
use hello::Introduced;
use login::Login;

/// Commands that a session may send before somebody has logged in.
const COMMANDS_BEFORE_LOGIN_MAX: u32 = 50;
/// Unknown commands before the login after which it is no FTP client that speaks (ALPACA).
const UNKNOWN_BEFORE_LOGIN_MAX: u32 = 3;
/// Lines that wait for the end of a transfer or a hash at most; until then, only `ABOR` is taken.
const HELD_LINES_MAX: usize = 16;
/// First words of other protocols, whose bytes a browser may be tricked into sending here.
const FOREIGN: [&[u8]; 9] = [b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"EHLO", b"HELO", b"PROXY"];

/// What a session is given once and keeps.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether TLS comes before the greeting.
    pub implicit: bool,
    /// Whether `PORT` and `EPRT` work.
    pub active: bool,
    /// Every name of the server.
    pub names: Arc<[ServerName]>,
    /// Refused or unknown commands in a row after which the session ends.
    pub failed_commands_max: u32,
    /// Failed logins after which the session ends.
    pub attempts_max: u32,
    /// The hash functions that clients may ask for.
    pub hashes: Offered,
}

/// What a session looks at anew with each input.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The policy in force.
    pub policy: &'a Arc<Policy>,
    /// The time of day.
    pub now: Timestamp,
}

impl World<'_> {
    /// Today's date, UTC: account and password dates are judged by it.
    pub fn today(&self) -> Date {
        jiff::tz::Offset::UTC.to_datetime(self.now).date()
    }
}

/// One control connection's state.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    facts: Arc<SessionFacts>,
    tls: Option<Arc<TlsFacts>>,
    introduced: Introduced,
    state: State,
    /// Lines that wait until the running transfer or hash has ended.
    held: VecDeque<Result<Line, LineError>>,
    failed_commands: u32,
    unknown_before_login: u32,
    commands_before_login: u32,
    totals: Traffic,
    transfers: u64,
}

/// The stages; [`Stage`] is the name of each without what it holds.
#[derive(Debug)]
enum State {
    Cleartext { refused_logins: u32 },
    Login(Login),
    Files(Box<Files>),
    Closed,
}

/// How a session ends behind its running transfer.
#[derive(Clone, Copy, Debug)]
struct Ending {
    reason: &'static str,
    /// What the client hears; nothing where it has gone.
    farewell: Option<&'static str>,
}

/// The words of a session that ends for what the client did.
const CLOSING: &str = "Closing the connection.";

/// A command line taken apart and admitted.
struct Command<'a> {
    rule: &'static Rule,
    argument: &'a [u8],
}

impl Session {
    /// A session that begins.
    pub fn new(settings: Settings, facts: Arc<SessionFacts>) -> Self {
        let state = State::Cleartext { refused_logins: 0 };
        Self {
            settings,
            facts,
            tls: None,
            introduced: Introduced::default(),
            state,
            held: VecDeque::new(),
            failed_commands: 0,
            unknown_before_login: 0,
            commands_before_login: 0,
            totals: Traffic::default(),
            transfers: 0,
        }
    }

    /// How far it has come; none once it is closed.
    pub fn stage(&self) -> Option<Stage> {
        match self.state {
            State::Cleartext { .. } => Some(Stage::Cleartext),
            State::Login(_) => Some(Stage::Login),
            State::Files(ref files) if files.must_change.is_some() => Some(Stage::Change),
            State::Files(_) => Some(Stage::Files),
            State::Closed => None,
        }
    }

    /// Whether somebody has logged in.
    pub fn is_logged_in(&self) -> bool {
        matches!(self.state, State::Files(_))
    }

    /// Whether a line may be handed in now.
    pub fn wants_line(&self) -> bool {
        self.held.len() < HELD_LINES_MAX && !matches!(self.state, State::Closed) && !self.is_ending()
    }

    /// Whether a transfer or a hash is under way, from its command to its final reply.
    pub fn is_transferring(&self) -> bool {
        matches!(&self.state, State::Files(files) if files.is_transferring())
    }

    /// The command and the path of the transfer or hash under way.
    pub fn transfer(&self) -> Option<(Verb, &VirtualPath)> {
        match &self.state {
            State::Files(files) => files.transferring(),
            _ => None,
        }
    }

    /// What stays the same for all of the session's records.
    pub fn facts(&self) -> &Arc<SessionFacts> {
        &self.facts
    }

    /// Has records carry the fingerprint of the policy that decides what comes next.
    pub fn decided_by(&mut self, policy: &Arc<str>) {
        if self.facts.policy != *policy {
            self.facts = Arc::new(SessionFacts { policy: Arc::clone(policy), ..SessionFacts::clone(&self.facts) });
        }
    }

    /// Whether the session ends once its running transfer or hash has.
    fn is_ending(&self) -> bool {
        matches!(&self.state, State::Files(files) if files.is_ending())
    }

    /// Takes one input and says what to do.
    pub fn handle(&mut self, input: Input, world: World<'_>) -> Step {
        let mut step = Step::default();
        match input {
            Input::Connected => self.connected(&mut step),
            Input::Line(line, moved_bytes) => self.line(line, moved_bytes, world, &mut step),
            Input::TlsInClear => self.violation("tls_on_plain_port", CLOSING, &mut step),
            Input::PlaintextInjection => {
                step.audit(self.record(Event::TlsPlaintextInjection).failed("plaintext_behind_auth"));
                step.reply(Reply::new(Code::Unavailable, "Bytes in clear behind AUTH TLS; closing."));
                self.close(&mut step);
            }
            Input::PeerGone => self.gone(&mut step),
            Input::TimedOut => {
                let text = match self.stage() {
                    Some(stage) if stage.is_logged_in() => "Idle for too long; closing.",
                    _ => "The login took too long; closing.",
                };
                step.reply(Reply::new(Code::Unavailable, text));
                self.close_for("timeout", &mut step);
            }
            Input::Drain => {
                step.reply(Reply::new(Code::Unavailable, "The server is being stopped; closing."));
                self.close_for("server_stopping", &mut step);
            }
            Input::Kicked(kick) => self.kicked(&kick, &mut step),
            Input::Tls(result) => self.tls_done(result, &mut step),
            Input::Penalty(_) if self.is_logged_in() => self.files_answer(input, world, &mut step),
            Input::PolicyChanged => {
                if self.may_go_on(world, &mut step) {
                    self.stop_what_is_frozen(world, &mut step);
                }
            }
            Input::Password(_) | Input::Penalty(_) | Input::Home(_) | Input::Place(_) => {
                self.login_answer(input, world, &mut step);
            }
            Input::Passive(_)
            | Input::Stored(_)
            | Input::OwnSessions(_)
            | Input::Prepared(_)
            | Input::Moved(_)
            | Input::Hashed(_)
            | Input::PasswordChanged(_) => {
                self.files_answer(input, world, &mut step);
            }
        }
        step
    }

    fn connected(&mut self, step: &mut Step) {
        let mut record = self.record(Event::ConnectionAccepted);
        if let Some(proxy) = self.facts.proxy {
            record = record.with("proxy", Detail::Text(proxy.to_string()));
        }
        step.audit(record);
        if self.settings.implicit {
            step.ask(Question::StartTls);
        } else {
            step.reply(Reply::new(Code::Ready, "Ready; TLS is required."));
        }
    }

    /// The handshake of the control connection is over. Everything said in clear is forgotten
    /// here: the state behind it is built from nothing (RFC 4217 §4).
    fn tls_done(&mut self, result: Result<TlsFacts, TlsFailure>, step: &mut Step) {
        match result {
            Ok(facts) => {
                self.tls = Some(Arc::new(facts));
                self.state = State::Login(Login::new(self.settings.implicit));
                self.failed_commands = 0;
                self.introduced = Introduced::default();
                step.audit(self.record(Event::TlsEstablished));
                if self.settings.implicit {
                    step.reply(Reply::new(Code::Ready, "Ready."));
                }
            }
            Err(TlsFailure { reason, unknown_name }) => {
                let mut record = self.record(Event::TlsFailed).failed(reason);
                record.details.extend(unknown_name.map(|name| ("host", Detail::Text(name))));
                step.audit(record);
                self.close_for("tls_failed", step);
            }
        }
    }

    fn line(&mut self, line: Result<Line, LineError>, moved_bytes: u64, world: World<'_>, step: &mut Step) {
        if line == Err(LineError::TooLong) {
            if !self.is_transferring() {
                step.reply(Reply::new(Code::UnknownCommand, "The line is too long."));
            }
            return self.violation("line_too_long", CLOSING, step);
        }
        if self.is_transferring() && !self.may_interrupt(&line) {
            self.held.push_back(line);
            return;
        }
        self.whole_line(line, moved_bytes, world, step);
    }

    fn whole_line(&mut self, line: Result<Line, LineError>, moved_bytes: u64, world: World<'_>, step: &mut Step) {
        if let Ok(line) = line {
            self.command(&line, moved_bytes, world, step);
        } else {
            step.reply(Reply::new(Code::BadArgument, "NUL and stray CR are not permitted in a command."));
            self.count_failed(step);
        }
    }

    fn command(&mut self, line: &[u8], moved_bytes: u64, world: World<'_>, step: &mut Step) {
        let (spoken, argument) = verb::split(line);
        let parsed = Verb::parse(spoken);
        let Some(stage) = self.stage() else { return };
        if parsed != Some(Verb::Quit) && !self.may_go_on(world, step) {
            return;
        }
        if !stage.is_logged_in() {
            self.commands_before_login = self.commands_before_login.saturating_add(1);
            if self.commands_before_login > COMMANDS_BEFORE_LOGIN_MAX {
                return self.violation("too_many_commands_before_login", CLOSING, step);
            }
        }
        if let State::Files(files) = &mut self.state
            && parsed != Some(Verb::Rnto)
        {
            // RFC 959 §4.1.3: RNTO comes directly behind RNFR.
            files.rename_from = None;
        }
        let Some(verb) = parsed else {
            return self.unknown(spoken, stage, step);
        };
        match rules::admit(verb, !argument.is_empty(), stage) {
            Err(refusal) => {
                if matches!((stage, verb), (Stage::Cleartext, Verb::User | Verb::Pass)) {
                    return self.login_in_clear(verb, refusal, step);
                }
                let by_design = matches!(rules::rule(verb).service, Service::Refused(..));
                if stage == Stage::Cleartext || by_design {
                    let reason = if stage == Stage::Cleartext { "tls_required" } else { "never_offered" };
                    step.audit(self.refused_record(verb, refusal.code, reason));
                }
                step.reply(Reply::new(refusal.code, refusal.text));
                self.count_failed(step);
            }
            Ok(rule) => {
                let command = Command { rule, argument };
                let before = step.effects.len();
                self.dispatch(&command, moved_bytes, world, step);
                self.record_weakening(verb, before, step);
                self.settle(before, step);
            }
        }
    }

    fn dispatch(&mut self, command: &Command<'_>, moved_bytes: u64, world: World<'_>, step: &mut Step) {
        if self.answer_anywhere(command, step) {
            return;
        }
        match self.state {
            State::Cleartext { .. } => Self::cleartext_command(command, step),
            State::Login(_) => self.login_command(command, world, step),
            State::Files(_) => self.files_command(command, moved_bytes, world, step),
            State::Closed => {}
        }
    }

    /// A command that was served ends a row of refused ones; one that was not lengthens it. What
    /// files are there or not is no fault of the client's.
    fn settle(&mut self, before: usize, step: &mut Step) {
        let mut codes = step.effects.iter().skip(before).filter_map(|effect| match effect {
            Effect::Reply(reply) => Some(reply.code()),
            _ => None,
        });
        let last = codes.next_back();
        if last.is_some_and(Code::is_syntax_error) {
            self.count_failed(step);
        } else if last.is_none_or(Code::is_positive) && self.is_logged_in() {
            self.failed_commands = 0;
        }
    }

    fn unknown(&mut self, spoken: &[u8], stage: Stage, step: &mut Step) {
        let foreign = FOREIGN.iter().any(|known| known.eq_ignore_ascii_case(spoken)) || spoken.starts_with(b"SSH-");
        if foreign && !stage.is_logged_in() {
            return self.violation("foreign_protocol", CLOSING, step);
        }
        // The word is not sent back: an answer that reflects its question can be made to serve others.
        step.reply(Reply::new(Code::UnknownCommand, "No such command; HELP lists them."));
        self.count_failed(step);
        if !stage.is_logged_in() {
            self.unknown_before_login = self.unknown_before_login.saturating_add(1);
            if self.unknown_before_login >= UNKNOWN_BEFORE_LOGIN_MAX && self.stage().is_some() {
                self.violation("unknown_commands", CLOSING, step);
            }
        }
    }

    fn count_failed(&mut self, step: &mut Step) {
        self.failed_commands = self.failed_commands.saturating_add(1);
        if self.failed_commands >= self.settings.failed_commands_max && self.stage().is_some() {
            self.violation("too_many_failed_commands", CLOSING, step);
        }
    }

    /// Ends the session for what the client did. A running transfer is stopped and ends first, so
    /// that it has its record.
    fn violation(&mut self, reason: &'static str, farewell: &'static str, step: &mut Step) {
        step.audit(self.record(Event::ProtocolViolation).failed(reason));
        if self.end_transfer_first(Ending { reason, farewell: Some(farewell) }) {
            step.effects.push(Effect::Abort);
        } else {
            step.reply(Reply::new(Code::Unavailable, farewell));
            self.close_for(reason, step);
        }
    }

    /// The client has gone. Where it said `QUIT` before it went, its transfer may still finish; a
    /// hash is for nobody any more.
    fn gone(&mut self, step: &mut Step) {
        let next = self.held.front().and_then(|line| line.as_ref().ok());
        let quits = next.is_some_and(|line| Verb::parse(verb::split(line).0) == Some(Verb::Quit));
        let reason = if quits { "quit" } else { "peer_gone" };
        if !self.end_transfer_first(Ending { reason, farewell: None }) {
            self.close_for(reason, step);
        } else if !quits || matches!(&self.state, State::Files(files) if files.is_hashing()) {
            step.effects.push(Effect::Abort);
        }
    }

    /// Where a transfer or a hash runs, the session ends behind it.
    fn end_transfer_first(&mut self, ending: Ending) -> bool {
        match &mut self.state {
            State::Files(files) => files.end_after_transfer(ending),
            _ => false,
        }
    }

    /// A record of a command that was refused, since it would have weakened the protection.
    fn refused_record(&self, verb: Verb, code: Code, reason: &'static str) -> Record {
        let mut record = self.record(Event::CommandRefused).failed(reason);
        record.command = Some(verb.name());
        record.codes = vec![code.number()];
        record
    }

    /// Puts a record before a reply that refuses an unprotected data connection.
    fn record_weakening(&self, verb: Verb, before: usize, step: &mut Step) {
        let refused = step.effects.iter().enumerate().skip(before).find_map(|(at, effect)| match effect {
            Effect::Reply(reply) => Some((at, reply.code())),
            _ => None,
        });
        if let Some((at, code @ (Code::RefusedByPolicy | Code::NoSuchProtection | Code::ProtectionNeeded))) = refused {
            let record = self.refused_record(verb, code, "protection_required");
            step.effects.insert(at, Effect::Audit(Box::new(record)));
        }
    }

    fn close(&mut self, step: &mut Step) {
        self.close_for("closed", step);
    }

    /// Ends the session: its totals are recorded, then the connection closes.
    fn close_for(&mut self, reason: &'static str, step: &mut Step) {
        if matches!(self.state, State::Closed) {
            return;
        }
        let mut record = self.record(Event::SessionClosed).with("end", Detail::Text(reason.to_owned()));
        record = record.with("transfers", Detail::Number(self.transfers));
        record.traffic = Some(self.totals);
        // The totals come before the farewell, as every record comes before its reply.
        let farewell = step.effects.iter().rposition(|effect| !matches!(effect, Effect::Reply(_)));
        step.effects.insert(farewell.map_or(0, |at| at.saturating_add(1)), Effect::Audit(Box::new(record)));
        step.effects.push(Effect::Close);
        step.question = None;
        self.held.clear();
        self.state = State::Closed;
    }

    /// A record with everything about the session that is known by now.
    fn record(&self, event: Event) -> Record {
        let mut record = Record::new(event);
        record.session = Some(Arc::clone(&self.facts));
        record.tls.clone_from(&self.tls);
        record.user = match &self.state {
            State::Files(files) => Some(files.user()),
            State::Login(login) => login.claimed(),
            State::Cleartext { .. } | State::Closed => None,
        };
        self.introduce(&mut record);
        record
    }
}

#[cfg(test)]
mod tests;
