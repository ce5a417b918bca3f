//! Before TLS, and the few commands that mean the same in every stage.

use super::{Command, Session, State};
use crate::audit::event::Event;
use crate::proto::facts::FactSet;
use crate::proto::hash::{Algorithm, Offered};
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::{self, Verb};
use crate::rules::{RULES, Refusal, Service};
use crate::session::effect::{Question, Step};

/// Logins in clear after which the session ends.
const LOGINS_IN_CLEAR_MAX: u32 = 3;

impl Session {
    pub(super) fn cleartext_command(command: &Command<'_>, step: &mut Step) {
        if command.rule.verb != Verb::Auth {
            return;
        }
        let mechanism = command.argument;
        // `SSL` is an old name of the same (RFC 4217 §17 has `TLS` and `TLS-C`); it does not imply `PROT P` here.
        if [&b"TLS"[..], b"TLS-C", b"SSL"].iter().any(|known| known.eq_ignore_ascii_case(mechanism)) {
            step.reply(Reply::new(Code::SecurityAccepted, "Start TLS."));
            step.ask(Question::StartTls);
        } else {
            step.reply(Reply::new(Code::NotThisArgument, "Only AUTH TLS is offered."));
        }
    }

    /// `USER` or `PASS` came before TLS. It is refused unread; nothing of it is kept.
    pub(super) fn login_in_clear(&mut self, verb: Verb, refusal: Refusal, step: &mut Step) {
        let mut record = self.record(Event::LoginInClear).failed("tls_required");
        record.command = Some(verb.name());
        record.codes = vec![refusal.code.number()];
        step.audit(record);
        step.reply(Reply::new(refusal.code, refusal.text));
        let State::Cleartext { refused_logins } = &mut self.state else { return };
        *refused_logins = refused_logins.saturating_add(1);
        if *refused_logins >= LOGINS_IN_CLEAR_MAX {
            step.reply(Reply::new(Code::Unavailable, "TLS is required; closing."));
            self.close_for("logins_in_clear", step);
        }
    }

    /// Serves what does not depend on the stage; false where it does.
    pub(super) fn answer_anywhere(&mut self, command: &Command<'_>, step: &mut Step) -> bool {
        match command.rule.verb {
            Verb::Noop => step.reply(Reply::new(Code::Okay, "Done.")),
            Verb::Syst => step.reply(Reply::new(Code::SystemType, "UNIX Type: L8")),
            Verb::Feat => step.reply(match &self.state {
                State::Files(files) => features(files.facts_wanted(), files.hashes.algorithm, self.settings.hashes),
                _ => features(FactSet::default(), Algorithm::Sha256, self.settings.hashes),
            }),
            Verb::Clnt | Verb::Csid | Verb::Host | Verb::Lang => self.hello(command, step),
            Verb::Help => step.reply(help(command.argument)),
            Verb::Opts => return self.common_options(command.argument, step),
            Verb::Quit => {
                step.reply(Reply::new(Code::Closing, "Goodbye."));
                self.close_for("quit", step);
            }
            _ => return false,
        }
        true
    }

    /// `OPTS UTF8`, which many clients send before they log in; false for other options.
    fn common_options(&self, argument: &[u8], step: &mut Step) -> bool {
        let text = String::from_utf8_lossy(argument).to_ascii_uppercase();
        let mut words = text.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("UTF8" | "UTF-8"), None | Some("ON")) => {
                step.reply(Reply::new(Code::Okay, "Names are UTF-8."));
                true
            }
            (Some("UTF8" | "UTF-8"), _) => {
                step.reply(Reply::new(Code::NotThisArgument, "Names are always UTF-8 here."));
                true
            }
            _ if matches!(self.state, State::Files(_)) => false,
            _ => {
                step.reply(Reply::new(Code::BadArgument, "No such option; UTF8 is known here."));
                true
            }
        }
    }
}

/// The reply to `FEAT` (RFC 2389 §3).
fn features(wanted: FactSet, hash: Algorithm, hashes: Offered) -> Reply {
    let served = |verb: Verb| matches!(crate::rules::rule(verb).service, Service::Served(_));
    let mut features = Vec::new();
    for (verb, text) in [
        (Verb::Auth, "AUTH TLS".to_owned()),
        (Verb::Avbl, "AVBL".to_owned()),
        (Verb::Clnt, "CLNT".to_owned()),
        (Verb::Csid, "CSID".to_owned()),
        (Verb::Eprt, "EPRT".to_owned()),
        (Verb::Epsv, "EPSV".to_owned()),
        (Verb::Hash, format!("HASH {}", hashes.feature(hash))),
        (Verb::Host, "HOST".to_owned()),
        (Verb::Lang, "LANG EN*".to_owned()),
        (Verb::Mdtm, "MDTM".to_owned()),
        (Verb::Mff, format!("MFF {}", super::attributes::SETTABLE)),
        (Verb::Mfmt, "MFMT".to_owned()),
        (Verb::Mlst, format!("MLST {}", wanted.feature())),
        (Verb::Pasv, "PASV".to_owned()),
        (Verb::Pbsz, "PBSZ".to_owned()),
        (Verb::Prot, "PROT".to_owned()),
        (Verb::Rest, "REST STREAM".to_owned()),
        (Verb::Size, "SIZE".to_owned()),
    ] {
        if served(verb) {
            features.push(text);
        }
    }
    // `RANG STREAM` would promise that transfers heed it, too (draft-bryan-ftp-range §3.1).
    let x_forms = [Verb::Xcrc, Verb::Xmd5, Verb::Xsha1, Verb::Xsha256, Verb::Xsha512];
    let offered = |verb: &Verb| Algorithm::of_verb(*verb).is_some_and(|algorithm| hashes.contains(algorithm));
    features.extend(x_forms.iter().filter(|verb| offered(verb)).map(|verb| verb.name().to_owned()));
    features.push("TVFS".to_owned());
    features.push("UTF8".to_owned());
    Reply::lines(Code::SystemStatus, "Features:", features, "End")
}

/// The reply to `HELP`: the table of verbs, or one row of it.
fn help(argument: &[u8]) -> Reply {
    if argument.is_empty() {
        let served: Vec<&str> = RULES
            .iter()
            .filter(|rule| matches!(rule.service, Service::Served(_)))
            .map(|rule| rule.verb.name())
            .collect();
        let lines = served.chunks(10).map(|row| row.join(" ")).collect();
        return Reply::lines(Code::HelpText, "Commands:", lines, "HELP and a command tells what it is for.");
    }
    let (word, rest) = verb::split(argument);
    if Verb::parse(word) == Some(Verb::Site) {
        return super::site::help(rest);
    }
    match Verb::parse(argument).map(|verb| (verb, crate::rules::rule(verb).service)) {
        Some((verb, Service::Served(meaning))) => Reply::new(Code::HelpText, format!("{verb}: {meaning}.")),
        Some((verb, Service::Refused(_, reason))) => {
            Reply::new(Code::HelpText, format!("{verb} is not offered: {reason}."))
        }
        None => Reply::new(Code::NotImplemented, "No such command."),
    }
}
