//! How client and server introduce themselves: `HOST` (RFC 7151), `LANG` (RFC 2640), `CLNT` and
//! `CSID` (draft-peterson-streamlined-ftp-command-extensions).

use super::effect::Step;
use super::{Command, Session, State};
use crate::audit::event::Event;
use crate::audit::record::{Detail, Record};
use crate::proto::host::{self, Host, ServerName};
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::Verb;
use crate::rules::Stage;

/// Longest name of a client program that is kept, in characters.
const CLIENT_CHARACTERS_MAX: usize = 64;
/// What `CSID` tells. There is no version in it: whoever looks for old ones learns nothing.
const SERVER_FACTS: &str = "Name=Portcullis; CaseSensitive=1; DirSep=/;";

/// What the client said behind TLS about itself and whom it wants.
#[derive(Debug, Default)]
pub(super) struct Introduced {
    /// The program, by its own words.
    client: Option<String>,
    /// The host that it named and was granted.
    host: Option<Host>,
}

impl Session {
    pub(super) fn hello(&mut self, command: &Command<'_>, step: &mut Step) {
        let reply = match command.rule.verb {
            Verb::Clnt => {
                self.note_client(&String::from_utf8_lossy(command.argument));
                Reply::new(Code::Okay, "Noted.")
            }
            Verb::Csid => self.identification(command.argument),
            Verb::Lang => language(command.argument),
            Verb::Host => self.host(command.argument, step),
            _ => return,
        };
        step.reply(reply);
    }

    /// What is said in clear may be anybody's, and is not kept.
    fn note_client(&mut self, name: &str) {
        let name: String = name.trim().chars().take(CLIENT_CHARACTERS_MAX).collect();
        if self.stage() != Some(Stage::Cleartext) && !name.is_empty() {
            self.introduced.client = Some(name);
        }
    }

    fn identification(&mut self, argument: &[u8]) -> Reply {
        let text = String::from_utf8_lossy(argument);
        let mut name = None;
        for fact in text.split(';').map(str::trim).filter(|fact| !fact.is_empty()) {
            match fact.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
                Some((key, value)) if key.eq_ignore_ascii_case("Name") && !value.is_empty() => name = Some(value),
                Some((key, _)) if !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric()) => {}
                _ => return Reply::new(Code::BadArgument, "CSID takes facts such as Name=client; Version=1;."),
            }
        }
        let Some(name) = name else { return Reply::new(Code::BadArgument, "CSID takes at least a Name=…; fact.") };
        self.note_client(name);
        Reply::new(Code::Okay, SERVER_FACTS)
    }

    fn host(&mut self, argument: &[u8], step: &mut Step) -> Reply {
        let Ok(host) = host::host(argument) else {
            return Reply::new(Code::BadArgument, "HOST takes a host name or an address, without a port.");
        };
        if matches!(&self.state, State::Login(login) if login.is_under_way()) {
            return Reply::new(Code::BadSequence, "HOST comes before USER.");
        }
        match self.judge_host(&host) {
            Ok(()) => {
                if self.stage() != Some(Stage::Cleartext) {
                    self.introduced.host = Some(host);
                }
                Reply::new(Code::Ready, "Ready.")
            }
            Err(HostFault::Unknown) => Reply::new(Code::NotThisArgument, "This server has no such name."),
            Err(HostFault::Elsewhere(text)) => {
                let record = self.refused_record(Verb::Host, Code::NotThisArgument, "host_mismatch");
                let record = record.with("host", Detail::Text(host.to_string()));
                step.audit(record);
                Reply::new(Code::NotThisArgument, text)
            }
        }
    }

    /// Whether the server is that host to this client. In clear any of its names will do: nothing
    /// follows from it. Behind TLS it must be one that the certificate shown stands for, and the
    /// one that the handshake named, where it named one (RFC 7151 §3.2.2).
    fn judge_host(&self, host: &Host) -> Result<(), HostFault> {
        let here = *host == Host::Address(self.facts.server.ip().to_canonical());
        let one_of = |names: &[ServerName]| names.iter().any(|name| name.covers(host));
        if !here && !one_of(&self.settings.names) {
            return Err(HostFault::Unknown);
        }
        let Some(tls) = &self.tls else { return Ok(()) };
        let named = tls.server_name.as_deref().map(|name| host::host(name.as_bytes()));
        match named {
            Some(Ok(named)) if named == *host => Ok(()),
            Some(_) => Err(HostFault::Elsewhere("The TLS handshake named another host; connect with this name.")),
            None if here || one_of(&tls.identity) => Ok(()),
            None if matches!(host, Host::Address(_)) => Err(HostFault::Elsewhere(
                "Who connects to an address is shown the certificate of another name; connect with a name instead.",
            )),
            None => Err(HostFault::Elsewhere(
                "That name has a certificate of its own; connect with that name in the TLS handshake (SNI).",
            )),
        }
    }

    /// Adds what the client said of itself to the records in which somebody looks for it.
    pub(super) fn introduce(&self, record: &mut Record) {
        let Some(tls) = &self.tls else { return };
        let mut add = |name, text: Option<String>| record.details.extend(text.map(|text| (name, Detail::Text(text))));
        match record.event {
            Event::TlsEstablished => {
                add("identity", tls.identity.first().map(ToString::to_string));
                add("exception", tls.exception.clone());
                add("client_subject", tls.client.as_ref().map(|client| client.subject.clone()));
                add("client_issuer", tls.client.as_ref().map(|client| client.issuer.clone()));
                add("client_serial", tls.client.as_ref().map(|client| client.serial.clone()));
                add("client_sha256", tls.client.as_ref().map(|client| client.fingerprint.clone()));
            }
            Event::LoginSuccess | Event::LoginFailure | Event::SessionClosed => {
                add("host", self.introduced.host.as_ref().map(ToString::to_string));
                add("client", self.introduced.client.clone());
                add("client_sha256", tls.client.as_ref().map(|client| client.fingerprint.clone()));
            }
            Event::DataBindingFailed => add("client", self.introduced.client.clone()),
            _ => {}
        }
    }
}

/// Why the server is not the host that a client named.
enum HostFault {
    /// It has no such name.
    Unknown,
    /// It has, but this is not the connection for it; says why.
    Elsewhere(&'static str),
}

/// The reply to `LANG`: there is one language.
fn language(argument: &[u8]) -> Reply {
    let mut parts = argument.split(|byte| *byte == b'-');
    let tag = |part: &[u8], least: fn(&u8) -> bool| (1..=8).contains(&part.len()) && part.iter().all(least);
    let primary = parts.next().unwrap_or_default();
    if argument.is_empty() {
        return Reply::new(Code::Okay, "Replies are in English.");
    }
    if !tag(primary, u8::is_ascii_alphabetic) || !parts.all(|part| tag(part, u8::is_ascii_alphanumeric)) {
        return Reply::new(Code::BadArgument, "LANG takes a language tag such as EN.");
    }
    if primary.eq_ignore_ascii_case(b"EN") {
        Reply::new(Code::Okay, "Replies are in English.")
    } else {
        Reply::new(Code::NotThisArgument, "Replies are in English only; use LANG EN.")
    }
}
