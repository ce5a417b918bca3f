//! `SITE PSWD`: a user changes the own password. What stands behind the verb is never recorded, nor
//! told again.

use std::time::Duration;

use zeroize::Zeroizing;

use super::effect::{Effect, PasswordFault, Penalty, Question, Step};
use super::files::Waiting;
use super::{Session, State, World};
use crate::audit::event::Event;
use crate::audit::record::{Detail, Record};
use crate::identity::Secret;
use crate::policy::account::Account;
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::Verb;

/// The words of every old password that was not accepted, whatever the reason.
const WRONG: &str = "The old password is wrong; nothing was changed.";
/// How the command is written.
const SYNTAX: &str = "SITE PSWD takes the old and the new password, with one space between; one that has a space or \
                      begins with a double quote stands in double quotes, and those in it are doubled.";

/// What the last question of a change was asked for.
#[derive(Debug)]
pub(super) enum Changing {
    /// To change the password.
    Change,
    /// To count a wrong old one, which failed for this reason.
    Penalty(&'static str),
}

impl Session {
    /// Begins a change; `arguments` is what stands behind `SITE PSWD`.
    pub(super) fn change_password(&mut self, arguments: &[u8], world: World<'_>, step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        let account = world.policy.users.get(files.principal.name());
        if !account.is_some_and(Account::may_change_password) {
            let reply = Reply::new(Code::NotPossible, "Your password is changed by the administrator here.");
            return self.password_refused("not_offered", reply, step);
        }
        let Some((old, new)) = passwords(arguments) else {
            return step.reply(Reply::new(Code::BadArgument, SYNTAX));
        };
        files.wait(Waiting::Password(Changing::Change));
        step.ask(Question::ChangePassword { old, new });
    }

    pub(super) fn password_changed(&mut self, changed: Result<(), PasswordFault>, step: &mut Step) {
        let Err(fault) = changed else {
            let State::Files(files) = &mut self.state else { return };
            // From here on it is a session like others.
            let restricted = files.must_change.take();
            let reply = Reply::new(Code::Okay, "Password changed; log in with the new one from now on.");
            let mut record = self.record(Event::PasswordChanged);
            if let Some(why) = restricted {
                record = record
                    .with("restricted", Detail::Flag(true))
                    .with("must_change", Detail::Text(why.word().to_owned()));
            }
            return answer(record, reply, step);
        };
        if let PasswordFault::Wrong(reason) = fault {
            let State::Files(files) = &mut self.state else { return };
            files.wait(Waiting::Password(Changing::Penalty(reason)));
            return step.ask(Question::CountFailure { claimed: files.user() });
        }
        let (reason, reply) = refusal(fault);
        self.password_refused(reason, reply, step);
    }

    /// A wrong old password is a failed login, and costs the same.
    pub(super) fn password_penalised(&mut self, reason: &'static str, penalty: Penalty, step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        files.wrong_passwords = files.wrong_passwords.saturating_add(1);
        let ends = penalty.banned.is_some() || files.wrong_passwords >= self.settings.attempts_max;
        let reply = Reply::new(Code::NotPossible, WRONG);
        let mut record = self.record(Event::PasswordChangeFailed).failed(reason);
        record.command = Some(Verb::Site.name());
        record.codes = vec![reply.code().number()];
        step.audit(record);
        if let Some(ban) = penalty.banned.filter(|_| penalty.newly_banned) {
            let mut record = self.record(Event::LoginBanned).failed("too_many_failures");
            record.command = Some(Verb::Site.name());
            step.audit(record.with("ban_seconds", Detail::Number(ban.as_secs())));
        }
        step.effects.push(Effect::Delay(penalty.delay));
        step.reply(reply);
        if ends {
            step.reply(Reply::new(Code::Unavailable, "Too many wrong passwords; closing."));
            self.close_for("login_failures", step);
        }
    }

    fn password_refused(&self, reason: &'static str, reply: Reply, step: &mut Step) {
        answer(self.record(Event::PasswordChangeFailed).failed(reason), reply, step);
    }
}

/// A record with what the client hears, and then that.
fn answer(mut record: Record, reply: Reply, step: &mut Step) {
    record.command = Some(Verb::Site.name());
    record.codes = vec![reply.code().number()];
    step.audit(record);
    step.reply(reply);
}

/// The reason for the audit log, and what the client hears.
fn refusal(fault: PasswordFault) -> (&'static str, Reply) {
    let reply = |code, text: &'static str| Reply::new(code, text);
    match fault {
        PasswordFault::Weak(reasons) => ("weak", too_weak(reasons)),
        PasswordFault::Used(former) => {
            let last = if former == 1 { "the one before".to_owned() } else { format!("one of the {former} before") };
            let text = format!("The new password is the present one or {last}; choose another.");
            ("used_before", Reply::new(Code::NotPossible, text))
        }
        PasswordFault::Wrong(reason) => (reason, reply(Code::NotPossible, WRONG)),
        PasswordFault::ChangedMeanwhile => (
            "changed_meanwhile",
            reply(
                Code::NotPossible,
                "The password was changed by another session meanwhile; the old one is wrong now.",
            ),
        ),
        PasswordFault::TooOften(wait) => {
            let text =
                format!("Too many attempts to change the password; try again in {} minutes.", minutes_rounded_up(wait));
            ("too_often", Reply::new(Code::LocalError, text))
        }
        PasswordFault::Busy => {
            ("busy", reply(Code::LocalError, "Too many passwords are being checked; nothing was changed, try again."))
        }
        PasswordFault::Stopping => {
            ("stopping", reply(Code::LocalError, "The server is being stopped; nothing was changed."))
        }
        PasswordFault::NoSpace => {
            ("no_space", reply(Code::NoSpace, "Not enough free space on the server; nothing was changed."))
        }
        PasswordFault::NotStored => (
            "local_error",
            reply(
                Code::LocalError,
                "The new password could not be stored, so the old one counts; the operator's log has it.",
            ),
        ),
    }
}

/// Every reason at once: one in the line itself, several in lines of their own.
fn too_weak(mut reasons: Vec<String>) -> Reply {
    const FIRST: &str = "This password will not do:";
    match (reasons.pop(), reasons.is_empty()) {
        (Some(only), true) => Reply::new(Code::NotPossible, format!("{FIRST} {only}.")),
        (last, _) => {
            reasons.extend(last);
            Reply::lines(Code::NotPossible, FIRST, reasons, "Nothing was changed.")
        }
    }
}

fn minutes_rounded_up(wait: Duration) -> u64 {
    wait.as_secs().div_ceil(60).max(1)
}

/// The two passwords of an argument, none where it is not written as [`SYNTAX`] says: what could be
/// read in two ways is not read at all. Serv-U's clients send both as they are, Titan's in quotes.
fn passwords(argument: &[u8]) -> Option<(Secret, Secret)> {
    let (old, rest) = first_word(argument)?;
    let (new, rest) = first_word(rest?)?;
    rest.is_none().then_some((old, new))
}

/// The first word, and what stands behind the space that ends it. Never empty.
fn first_word(text: &[u8]) -> Option<(Secret, Option<&[u8]>)> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let (word, rest) = match text.iter().position(|byte| *byte == b' ') {
            Some(at) => (text.get(..at)?, Some(text.get(at.checked_add(1)?..)?)),
            None => (text, None),
        };
        return (!word.is_empty()).then(|| (Secret::new(word.to_vec()), rest));
    };
    // As large as it can become, so that no copy is left behind where it would have grown.
    let mut word = Zeroizing::new(Vec::with_capacity(quoted.len()));
    let mut left = quoted;
    loop {
        left = match left {
            [b'"', b'"', rest @ ..] => {
                word.push(b'"');
                rest
            }
            [b'"', rest @ ..] => {
                left = rest;
                break;
            }
            [byte, rest @ ..] => {
                word.push(*byte);
                rest
            }
            [] => return None,
        };
    }
    let rest = match left.split_first() {
        None => None,
        Some((b' ', rest)) => Some(rest),
        Some(_) => return None,
    };
    (!word.is_empty()).then(|| (Secret::new(std::mem::take(&mut *word)), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(argument: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        passwords(argument).map(|(old, new)| (old.expose().to_vec(), new.expose().to_vec()))
    }

    fn both(old: &str, new: &str) -> (Vec<u8>, Vec<u8>) {
        (old.into(), new.into())
    }

    #[test]
    fn two_words_are_the_old_and_the_new_password() {
        assert_eq!(read(b"old new"), Some(both("old", "new")));
        assert_eq!(read(b"\"old one\" \"new one\""), Some(both("old one", "new one")));
        assert_eq!(read(b"old \"new one\""), Some(both("old", "new one")));
        assert_eq!(read(b"\"old one\" new"), Some(both("old one", "new")));
    }

    #[test]
    fn quotes_count_only_where_a_password_begins() {
        assert_eq!(read(b"o\"ld ne\"w\""), Some(both("o\"ld", "ne\"w\"")));
        assert_eq!(read(b"\"o\"\"ld\" \"\"\"new\""), Some(both("o\"ld", "\"new")));
        assert_eq!(read(b"o\\\"ld \\new"), Some(both("o\\\"ld", "\\new")));
    }

    #[test]
    fn what_could_mean_two_things_is_not_read() {
        for argument in [
            "",
            "old",
            "old ",
            " old new",
            "old  new",
            "old new ",
            "old new more",
            "\"old new",
            "\"old\"new",
            "\"old\"x new",
            "old \"new",
            "old \"new\" ",
            "\"\" new",
            "old \"\"",
            "\"old\" \"new\"more",
            "\"",
            "\"\"\"",
        ] {
            assert_eq!(read(argument.as_bytes()), None, "{argument:?}");
        }
    }

    fn quoted(password: &[u8]) -> Vec<u8> {
        let doubled = password.iter().flat_map(|byte| if *byte == b'"' { vec![b'"', b'"'] } else { vec![*byte] });
        std::iter::once(b'"').chain(doubled).chain([b'"']).collect()
    }

    proptest! {
        #[test]
        fn in_quotes_every_password_arrives_as_it_is(
            old in prop::collection::vec(any::<u8>(), 1..40),
            new in prop::collection::vec(prop_oneof![Just(b'"'), Just(b' '), any::<u8>()], 1..40),
        ) {
            let argument = [quoted(&old), quoted(&new)].join(&b' ');
            prop_assert_eq!(read(&argument), Some((old, new)));
        }

        #[test]
        fn without_quotes_every_password_without_a_space_arrives_as_it_is(
            old in "[^ \"][^ ]{0,20}", new in "[^ \"][^ ]{0,20}",
        ) {
            prop_assert_eq!(read(format!("{old} {new}").as_bytes()), Some(both(&old, &new)));
        }

        #[test]
        fn no_argument_is_read_in_a_way_that_writes_another(argument in prop::collection::vec(
            prop_oneof![Just(b'"'), Just(b' '), Just(b'a')], 0..12,
        )) {
            if let Some((old, new)) = read(&argument) {
                prop_assert_eq!(read(&[quoted(&old), quoted(&new)].join(&b' ')), Some((old, new)));
            }
        }
    }
}
