//! The commands behind `SITE`: a table of their own, from which `SITE HELP` is derived, and `WHO`.

use jiff::Timestamp;

use super::effect::{LiveSession, OwnSessions, Question, Step};
use super::files::Waiting;
use super::{Command, Session, State, World};
use crate::policy::permission::Permission;
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::split;
use crate::rules::{Stage, Takes};

/// Most sessions that `SITE WHO` tells.
const WHO_LINES_MAX: usize = 100;

/// One command behind `SITE`.
#[derive(Clone, Copy)]
struct SiteRule {
    name: &'static str,
    /// Its argument, as `SITE HELP` shows it.
    argument: &'static str,
    takes: Takes,
    /// The permission it needs on the path it names; asked for where it is served.
    needs: Option<Permission>,
    /// Whether it is served also before a password is changed that has to be.
    before_change: bool,
    meaning: &'static str,
    serve: Serve,
}

/// Who serves a command, given its argument.
type Serve = fn(&mut Session, &[u8], World<'_>, &mut Step);

const fn row(
    name: &'static str,
    argument: &'static str,
    takes: Takes,
    needs: Option<Permission>,
    meaning: &'static str,
    serve: Serve,
) -> SiteRule {
    SiteRule { name, argument, takes, needs, before_change: false, meaning, serve }
}

/// A row that is served also before a password is changed that has to be.
const fn always(rule: SiteRule) -> SiteRule {
    SiteRule { before_change: true, ..rule }
}

/// Every command behind `SITE`.
#[rustfmt::skip]
const SITE: &[SiteRule] = &[
    //  name     argument         takes           permission                  meaning and who serves it
    row("CHMOD", "MODE PATH",     Takes::One,     Some(Permission::SetMode),  "set the permission bits of a file or directory", Session::site_chmod),
    always(row("HELP", "[COMMAND]", Takes::Maybe, None,                  "list these commands, or explain one", |_, argument, _, step| step.reply(help(argument)))),
    always(row("PSWD", "OLD NEW", Takes::One, None,                      "change your password; put one with spaces in double quotes", Session::change_password)),
    row("QUOTA", "",              Takes::Nothing, None,                       "tell what your home holds and may hold, or the folder you are in", Session::site_quota),
    row("UTIME", "TIME PATH",     Takes::One,     Some(Permission::SetTime),  "set the time of a file or directory", Session::site_utime),
    row("WHO",   "",              Takes::Nothing, None,                       "list your own sessions", Session::site_who),
];

fn find(name: &[u8]) -> Option<&'static SiteRule> {
    SITE.iter().find(|rule| rule.name.as_bytes().eq_ignore_ascii_case(name))
}

fn unknown() -> Reply {
    Reply::new(Code::NotThisArgument, "No such SITE command; SITE HELP lists what there is.")
}

impl SiteRule {
    /// Its name and its argument.
    fn form(&self) -> String {
        format!("{} {}", self.name, self.argument).trim_end().to_owned()
    }

    fn explained(&self) -> String {
        let needs = self.needs.map_or(String::new(), |permission| format!(" (needs {permission})"));
        format!("{}: {}{needs}", self.form(), self.meaning)
    }
}

impl Session {
    pub(super) fn site(&mut self, command: &Command<'_>, world: World<'_>, step: &mut Step) {
        let (name, argument) = split(command.argument);
        let Some(rule) = find(name) else { return step.reply(unknown()) };
        if self.stage() == Some(Stage::Change) && !rule.before_change {
            return step.reply(Reply::new(Code::NotLoggedIn, "Change your password first: SITE PSWD old new."));
        }
        let refused = match (rule.takes, argument.is_empty()) {
            (Takes::Nothing, false) => Some("takes no argument"),
            (Takes::One, true) => Some("needs an argument"),
            _ => None,
        };
        match refused {
            Some(why) => step.reply(Reply::new(Code::BadArgument, format!("SITE {} {why}.", rule.name))),
            None => (rule.serve)(self, argument, world, step),
        }
    }

    fn site_who(&mut self, _argument: &[u8], _world: World<'_>, step: &mut Step) {
        let State::Files(files) = &mut self.state else { return };
        step.ask_store(files, Waiting::OwnSessions, Question::OwnSessions(WHO_LINES_MAX));
    }

    pub(super) fn own_sessions(own: &OwnSessions, step: &mut Step) {
        let lines = own.sessions.iter().map(describe).collect();
        let last = match own.more {
            0 => "End".to_owned(),
            more => format!("End; {more} more are not shown."),
        };
        step.reply(Reply::lines(Code::SystemStatus, "Your sessions:", lines, last));
    }
}

/// One line of `SITE WHO`.
fn describe(session: &LiveSession) -> String {
    let since = Timestamp::from_second(session.since_seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let doing = match &session.transfer {
        Some(transfer) => format!("{} {}, {} bytes so far", transfer.verb, transfer.path, transfer.bytes),
        None if session.asks => "this one".to_owned(),
        None => "idle".to_owned(),
    };
    format!("since {since} from {}: {doing}", session.client)
}

/// The reply to `SITE HELP`: the table, or one row of it.
pub(super) fn help(argument: &[u8]) -> Reply {
    if argument.is_empty() {
        let lines = SITE.iter().map(SiteRule::explained).collect();
        return Reply::lines(Code::HelpText, "SITE commands:", lines, "End");
    }
    match find(argument) {
        Some(rule) => Reply::new(Code::HelpText, format!("SITE {}.", rule.explained())),
        None => unknown(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_stand_in_order_and_each_is_found_in_any_case() {
        assert!(SITE.is_sorted_by_key(|rule| rule.name));
        for rule in SITE {
            assert_eq!(find(rule.name.to_ascii_lowercase().as_bytes()).unwrap().name, rule.name);
            assert_eq!(rule.argument.is_empty(), rule.takes == Takes::Nothing, "{}", rule.name);
        }
        assert!(find(b"EXEC").is_none() && find(b"").is_none());
    }
}
