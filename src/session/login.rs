//! Behind TLS and before the login: `USER`, `PASS`, and what may be set ahead of them.

use std::sync::Arc;

use super::effect::{Effect, Input, PasswordCheck, Penalty, Question, SessionsFull, Step};
use super::files::Files;
use super::parameters::Parameters;
use super::{Command, Session, State, World};
use crate::audit::event::Event;
use crate::audit::record::{Detail, Record};
use crate::identity::{Secret, Shown, Username, is_anonymous};
use crate::policy::account::Account;
use crate::policy::certificate::{ClientCertificate, Standing};
use crate::policy::grant::RuleSource;
use crate::policy::{Entered, LoginDenial, MustChange};
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::Verb;

/// Longest part of a claimed user name that is kept, in characters.
const CLAIMED_CHARACTERS_MAX: usize = 64;
/// The words of every failed login, whatever its reason.
const INCORRECT: &str = "Login incorrect.";

/// The stage between TLS and the login.
#[derive(Debug)]
pub(super) struct Login {
    parameters: Parameters,
    user: Option<Arc<str>>,
    failures: u32,
    waiting: Option<Waiting>,
}

/// What the last question was asked for.
#[derive(Debug)]
enum Waiting {
    Password,
    Certificate,
    Penalty(Failure),
    Home(Entered, Shown),
    Place(Entered, Shown),
}

/// A login that failed: why, and by which rule.
#[derive(Debug)]
struct Failure {
    reason: &'static str,
    rule: Option<String>,
    event: Event,
}

impl Failure {
    fn new(reason: &'static str) -> Self {
        Self { reason, rule: None, event: Event::LoginFailure }
    }
}

impl From<LoginDenial> for Failure {
    fn from(denial: LoginDenial) -> Self {
        let (reason, rule) = told(denial);
        Self { rule: rule.map(|rule| rule.to_string()), ..Self::new(reason) }
    }
}

/// A denial for the audit log: the reason in one word, and the rule.
pub(super) fn told(denial: LoginDenial) -> (&'static str, Option<RuleSource>) {
    match denial {
        LoginDenial::Unknown => ("unknown_user", None),
        LoginDenial::Disabled(rule) => ("disabled", Some(rule)),
        LoginDenial::AccountExpired(rule) => ("expired", Some(rule)),
        LoginDenial::PasswordExpired(rule) => ("password_expired", Some(rule)),
        LoginDenial::PasswordTemporary(rule) => ("password_temporary", Some(rule)),
        LoginDenial::Hours(rule) => ("outside_hours", Some(rule)),
        LoginDenial::NoPassword(rule) => ("no_password", Some(rule)),
        LoginDenial::SecondFactor(rule) => ("second_factor_missing", Some(rule)),
        LoginDenial::Moved(rule) => ("home_changed", Some(rule)),
        LoginDenial::Address(rule) => ("ip_not_allowed", rule),
    }
}

impl Login {
    pub(super) fn new(implicit: bool) -> Self {
        Self { parameters: Parameters::new(implicit), user: None, failures: 0, waiting: None }
    }

    /// Whether `USER` has come, so that a login is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.user.is_some()
    }

    pub(super) fn claimed(&self) -> Option<Arc<str>> {
        self.user.clone()
    }
}

impl Session {
    pub(super) fn login_command(&mut self, command: &Command<'_>, world: World<'_>, step: &mut Step) {
        let State::Login(login) = &mut self.state else { return };
        match command.rule.verb {
            Verb::User => {
                let text = String::from_utf8_lossy(command.argument);
                let claimed: Arc<str> = text.chars().take(CLAIMED_CHARACTERS_MAX).collect::<String>().into();
                login.user = Some(Arc::clone(&claimed));
                let certificate = self.tls.as_ref().and_then(|tls| tls.client.as_deref());
                if certificate.is_some_and(|certificate| suffices(certificate, &claimed, world)) {
                    login.waiting = Some(Waiting::Certificate);
                    return step.ask(Question::CheckCertificate { claimed });
                }
                step.reply(Reply::new(Code::PasswordNeeded, "Password required."));
            }
            Verb::Pass => {
                let Some(claimed) = login.user.clone() else {
                    return step.reply(Reply::new(Code::BadSequence, "USER comes first."));
                };
                login.waiting = Some(Waiting::Password);
                step.ask(Question::CheckPassword { claimed, secret: Secret::new(command.argument.to_vec()) });
            }
            _ => login.parameters.command(command, step),
        }
    }

    pub(super) fn login_answer(&mut self, answer: Input, world: World<'_>, step: &mut Step) {
        let State::Login(login) = &mut self.state else { return };
        match (login.waiting.take(), answer) {
            (Some(Waiting::Password), Input::Password(check)) => self.password_checked(check, world, step),
            (Some(Waiting::Certificate), Input::Password(check)) => self.certificate_checked(check, world, step),
            (Some(Waiting::Penalty(failure)), Input::Penalty(penalty)) => self.penalised(failure, penalty, step),
            (Some(Waiting::Home(entered, shown)), Input::Home(opened)) => {
                self.home_opened(entered, shown, opened, world, step);
            }
            (Some(Waiting::Place(entered, shown)), Input::Place(taken)) => {
                self.place_taken(entered, shown, taken, world, step);
            }
            _ => {}
        }
    }

    fn password_checked(&mut self, check: PasswordCheck, world: World<'_>, step: &mut Step) {
        let State::Login(login) = &mut self.state else { return };
        let claimed = login.user.clone().unwrap_or_default();
        let anonymous = is_anonymous(&claimed);
        let failure = match check {
            PasswordCheck::Busy => {
                // Nothing was checked, so nothing counts against anybody.
                step.reply(Reply::new(Code::Unavailable, "Too many logins at once; try again later."));
                return self.close_for("too_many_logins", step);
            }
            PasswordCheck::Limited { scope } => {
                let reason = if scope == "address" { "address_limit" } else { "user_limit" };
                Failure { event: Event::LoginLimited, ..Failure::new(reason) }
            }
            _ if anonymous => Failure::new("anonymous"),
            PasswordCheck::Wrong { known: true } => Failure::new("bad_password"),
            PasswordCheck::Wrong { known: false } => Failure::new("unknown_user"),
            PasswordCheck::OtherCertificate => Failure::new("certificate_of_another_user"),
            PasswordCheck::WrongCode { replayed: true } => Failure::new("code_replayed"),
            PasswordCheck::WrongCode { replayed: false } => Failure::new("bad_code"),
            PasswordCheck::Refused(denial) => denial.into(),
            PasswordCheck::Right(verified) => match world.policy.enter(&verified, self.facts.client.ip(), world.now) {
                Ok(entered) => return self.open_home(entered, verified.shown(), world, step),
                Err(denial) => denial.into(),
            },
        };
        self.fail(failure, step);
    }

    /// Whoever is not let in by the certificate alone is asked for the password, like everybody, and
    /// hears then what speaks against the login.
    fn certificate_checked(&mut self, check: PasswordCheck, world: World<'_>, step: &mut Step) {
        if let PasswordCheck::Right(verified) = check
            && let Ok(entered) = world.policy.enter(&verified, self.facts.client.ip(), world.now)
        {
            return self.open_home(entered, verified.shown(), world, step);
        }
        step.reply(Reply::new(Code::PasswordNeeded, "Password required."));
    }

    fn fail(&mut self, failure: Failure, step: &mut Step) {
        let State::Login(login) = &mut self.state else { return };
        let claimed = login.user.clone().unwrap_or_default();
        login.failures = login.failures.saturating_add(1);
        login.waiting = Some(Waiting::Penalty(failure));
        step.ask(Question::CountFailure { claimed });
    }

    fn open_home(&mut self, entered: Entered, shown: Shown, world: World<'_>, step: &mut Step) {
        let home = world.policy.users.get(entered.principal.name()).map(|account| account.home.clone());
        let State::Login(login) = &mut self.state else { return };
        if let Some(home) = home {
            login.waiting = Some(Waiting::Home(entered, shown));
            step.ask(Question::OpenHome(home));
        } else {
            self.fail(Failure::new("unknown_user"), step);
        }
    }

    /// The failure was counted before the client hears of it, so leaving early gains nothing.
    fn penalised(&mut self, failure: Failure, penalty: Penalty, step: &mut Step) {
        let mut record = self.login_record(failure.event).failed(failure.reason);
        record.codes = vec![Code::NotLoggedIn.number()];
        if let Some(rule) = failure.rule {
            record = record.with("rule", Detail::Text(rule));
        }
        step.audit(record);
        if let Some(ban) = penalty.banned.filter(|_| penalty.newly_banned) {
            let seconds = Detail::Number(ban.as_secs());
            step.audit(self.login_record(Event::LoginBanned).failed("too_many_failures").with("ban_seconds", seconds));
        }
        step.effects.push(Effect::Delay(penalty.delay));
        step.reply(Reply::new(Code::NotLoggedIn, INCORRECT));
        let State::Login(login) = &mut self.state else { return };
        login.user = None;
        if penalty.banned.is_some() || login.failures >= self.settings.attempts_max {
            step.reply(Reply::new(Code::Unavailable, "Too many failed logins; closing."));
            self.close_for("login_failures", step);
        }
    }

    fn home_opened(&mut self, entered: Entered, shown: Shown, opened: bool, world: World<'_>, step: &mut Step) {
        if !opened {
            // The password was right: this is the server's fault and no guess.
            let mut record = self.login_record(Event::LoginFailure).failed("home_unavailable");
            record.codes = vec![Code::Unavailable.number()];
            step.audit(record);
            step.reply(Reply::new(Code::Unavailable, "Your files are not available now; try again later."));
            return self.close_for("home_unavailable", step);
        }
        let limits =
            world.policy.users.get(entered.principal.name()).map(|account| account.terms.limits).unwrap_or_default();
        let State::Login(login) = &mut self.state else { return };
        step.ask(Question::TakePlace { user: entered.principal.name().clone(), limits });
        login.waiting = Some(Waiting::Place(entered, shown));
    }

    fn place_taken(
        &mut self,
        entered: Entered,
        shown: Shown,
        taken: Result<(), SessionsFull>,
        world: World<'_>,
        step: &mut Step,
    ) {
        if let Err(full) = taken {
            return self.one_session_too_many(full, step);
        }
        let Entered { principal, must_change } = entered;
        // RFC 4217 §14 has a reply of its own for who needs no password.
        let (verb, code) =
            if shown.password { (Verb::Pass, Code::LoggedIn) } else { (Verb::User, Code::LoggedInSecurely) };
        let mut record = self.login_record(Event::LoginSuccess).with("factors", Detail::Text(shown.words()));
        record.command = Some(verb.name());
        record.codes = vec![code.number()];
        if let Some(why) = must_change {
            record =
                record.with("restricted", Detail::Flag(true)).with("must_change", Detail::Text(why.word().to_owned()));
        }
        step.audit(record);
        step.effects.push(Effect::LoggedIn(principal.clone()));
        let words = match must_change {
            Some(why) => ask_for_change(why).to_owned(),
            None if shown.password => welcome(principal.name(), world),
            None => "Logged in by certificate.".to_owned(),
        };
        step.reply(Reply::new(code, words));
        let State::Login(login) = &mut self.state else { return };
        let parameters = std::mem::take(&mut login.parameters);
        self.state = State::Files(Box::new(Files::new(principal, must_change, parameters)));
        self.failed_commands = 0;
    }

    pub(super) fn login_record(&self, event: Event) -> Record {
        let mut record = self.record(event);
        record.command = Some(Verb::Pass.name());
        record
    }
}

/// Whether a certificate may let somebody in who claims a name, without a password.
fn suffices(certificate: &ClientCertificate, claimed: &str, world: World<'_>) -> bool {
    match world.policy.standing(certificate) {
        Standing::User(user) if user.as_str() == claimed => {
            world.policy.users.get(user).is_some_and(|account| account.certificate_alone)
        }
        _ => false,
    }
}

/// The words of a login that is for changing the password alone.
fn ask_for_change(why: MustChange) -> &'static str {
    match why {
        MustChange::Expired => "Logged in, but the password has ended. Change it first: SITE PSWD old new.",
        MustChange::Temporary => "Logged in, but the password is for once only. Change it first: SITE PSWD old new.",
    }
}

/// The words of a login, with a warning where the password is about to end.
fn welcome(user: &Username, world: World<'_>) -> String {
    let account = world.policy.users.get(user);
    let end = account.and_then(|account| world.policy.password_expiry(account));
    let days = end.and_then(|end| world.today().until(end).ok()).map(|span| span.get_days());
    match days.filter(|days| *days <= i32::from(world.policy.password_warning_days)) {
        Some(days) => {
            let may_change = account.is_some_and(Account::may_change_password);
            let how = if may_change { "change it with SITE PSWD" } else { "have it changed" };
            format!("Logged in. The password ends in {days} days; {how}.")
        }
        None => "Logged in.".to_owned(),
    }
}
