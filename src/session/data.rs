//! How the next data connection will be made: `EPSV`, `PASV`, `EPRT`, `PORT` (RFC 959 §4.1.2,
//! RFC 2428).

use std::net::{IpAddr, SocketAddr};

use super::effect::{Effect, PassivePort, Question, Step};
use super::files::{DataState, Waiting};
use super::{Command, Session, State};
use crate::audit::event::Event;
use crate::audit::record::Detail;
use crate::proto::argument::{self, EprtArgument, EpsvArgument, Family};
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::Verb;

/// The lowest port that the server connects to for an active data connection: below it, services
/// listen that did not ask for it (RFC 2577 §3).
const ACTIVE_PORT_MIN: u16 = 1024;

impl Session {
    pub(super) fn data_command(&mut self, command: &Command<'_>, step: &mut Step) {
        let client = self.facts.client.ip().to_canonical();
        let State::Files(files) = &mut self.state else { return };
        let verb = command.rule.verb;
        if files.epsv_only && verb != Verb::Epsv {
            return step.reply(Reply::new(Code::BadSequence, "EPSV ALL was sent; only EPSV from here on."));
        }
        match verb {
            Verb::Epsv => match argument::epsv(command.argument) {
                Ok(EpsvArgument::All) => {
                    files.epsv_only = true;
                    return step.reply(Reply::new(Code::Okay, "Only EPSV from here on."));
                }
                Ok(EpsvArgument::Same) => {}
                Ok(EpsvArgument::Protocol(family)) if (family == Family::V4) == client.is_ipv4() => {}
                Ok(EpsvArgument::Protocol(_) | EpsvArgument::Unknown) => return step.reply(other_family(client)),
                Err(_) => return step.reply(Reply::new(Code::BadArgument, "EPSV takes 1, 2, ALL or nothing.")),
            },
            Verb::Pasv => {
                if self.facts.server.ip().to_canonical().is_ipv6() {
                    return step.reply(Reply::new(Code::NoDataConnection, "PASV is for IPv4; use EPSV."));
                }
            }
            _ => return self.active(command, client, step),
        }
        step.effects.push(Effect::CloseData);
        files.data = DataState::None;
        files.wait(Waiting::Passive(verb));
        step.ask(Question::OpenPassive);
    }

    fn active(&mut self, command: &Command<'_>, client: IpAddr, step: &mut Step) {
        if !self.settings.active {
            let text = "Active mode is off here; use EPSV or PASV.";
            return step.reply(Reply::new(Code::NotImplemented, text));
        }
        let State::Files(files) = &mut self.state else { return };
        let address = if command.rule.verb == Verb::Port {
            argument::port(command.argument)
        } else {
            match argument::eprt(command.argument) {
                Ok(EprtArgument::Address(address)) => Ok(address),
                Ok(EprtArgument::UnknownFamily) => return step.reply(other_family(client)),
                Err(unreadable) => Err(unreadable),
            }
        };
        let Ok(address) = address else {
            return step.reply(Reply::new(Code::BadArgument, "The address cannot be read."));
        };
        let own = address.ip().to_canonical() == client;
        if !own || address.port() < ACTIVE_PORT_MIN {
            let reason = if own { "active_port_refused" } else { "active_address_refused" };
            let mut record = self.record(Event::DataPeerMismatch).failed(reason);
            record.command = Some(command.rule.verb.name());
            record.codes = vec![Code::NotThisArgument.number()];
            step.audit(record.with("address", Detail::Text(address.to_string())));
            let text = "Data connections go to your own address and to ports from 1024 only.";
            return step.reply(Reply::new(Code::NotThisArgument, text));
        }
        step.effects.push(Effect::CloseData);
        step.effects.push(Effect::UseActive(SocketAddr::new(client, address.port())));
        files.data = DataState::Active;
        step.reply(Reply::new(Code::Okay, "Noted."));
    }
}

/// The reply that tells a passive port (RFC 959 §5.4, RFC 2428 §3); none where `PASV` has no address
/// to tell.
pub(super) fn passive_reply(verb: Verb, opened: PassivePort) -> Option<Reply> {
    let port = opened.port;
    if verb != Verb::Pasv {
        let text = format!("Entering Extended Passive Mode (|||{port}|)");
        return Some(Reply::new(Code::ExtendedPassiveMode, text));
    }
    let [a, b, c, d] = opened.address?.octets();
    let [high, low] = port.to_be_bytes();
    Some(Reply::new(Code::PassiveMode, format!("Entering Passive Mode ({a},{b},{c},{d},{high},{low}).")))
}

fn other_family(client: IpAddr) -> Reply {
    let family = if client.is_ipv4() { 1 } else { 2 };
    Reply::new(Code::DataRefused, format!("Network protocol not supported here, use ({family})"))
}
