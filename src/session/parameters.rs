//! Transfer parameters and protection: `TYPE`, `MODE`, `STRU`, `PBSZ`, `PROT` (RFC 959 §5.3.2,
//! RFC 4217 §8). They may be set before the login and are kept over it.

use super::Command;
use super::effect::Step;
use crate::proto::argument::{self, ProtectionLevel, Representation, TypeArgument};
use crate::proto::reply::{Code, Reply};
use crate::proto::verb::Verb;

/// Why there is no `MODE Z` (deflate): compressed sizes have given secrets away before (CRIME).
const NOT_COMPRESSED: &str =
    "MODE Z is not offered: the length of compressed data tells of the content that TLS hides; use MODE S.";

/// Proof that the client asked for protected data connections. There is no such thing as an
/// unprotected one, so its absence means that no data connection is made at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct PrivateData(());

/// What holds for the transfers to come.
#[derive(Debug)]
pub(super) struct Parameters {
    pub(super) representation: Representation,
    pub(super) protection: Option<PrivateData>,
    buffer_size_set: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self::new(false)
    }
}

impl Parameters {
    /// As a session begins: ASCII (RFC 959 §3.1.1), and protected from the start where TLS is
    /// implicit.
    pub(super) fn new(implicit: bool) -> Self {
        Self {
            representation: Representation::Ascii,
            protection: implicit.then_some(PrivateData(())),
            buffer_size_set: implicit,
        }
    }

    pub(super) fn command(&mut self, command: &Command<'_>, step: &mut Step) {
        let argument = command.argument;
        step.reply(match command.rule.verb {
            Verb::Type => self.representation(argument),
            Verb::Mode if matches!(argument, b"Z" | b"z") => Reply::new(Code::NotThisArgument, NOT_COMPRESSED),
            Verb::Mode => one_of(argument, b'S', b"BC", "The mode is stream.", "Only MODE S is offered."),
            Verb::Stru => one_of(argument, b'F', b"RP", "The structure is file.", "Only STRU F is offered."),
            Verb::Pbsz => match argument::number(argument) {
                Ok(_) => {
                    self.buffer_size_set = true;
                    Reply::new(Code::Okay, "PBSZ=0")
                }
                Err(_) => Reply::new(Code::BadArgument, "PBSZ takes a number; with TLS it is 0."),
            },
            Verb::Prot => self.protection(argument),
            _ => return,
        });
    }

    fn representation(&mut self, argument: &[u8]) -> Reply {
        match argument::representation(argument) {
            Ok(TypeArgument::Served(representation)) => {
                self.representation = representation;
                Reply::new(
                    Code::Okay,
                    match representation {
                        Representation::Ascii => "The type is ASCII.",
                        Representation::Image => "The type is image.",
                    },
                )
            }
            Ok(TypeArgument::NotServed) => Reply::new(Code::NotThisArgument, "Only TYPE A and TYPE I are offered."),
            Err(_) => Reply::new(Code::BadArgument, "TYPE takes A or I."),
        }
    }

    fn protection(&mut self, argument: &[u8]) -> Reply {
        if !self.buffer_size_set {
            return Reply::new(Code::BadSequence, "PBSZ 0 comes first.");
        }
        match argument::protection(argument) {
            Ok(ProtectionLevel::Private) => {
                self.protection = Some(PrivateData(()));
                Reply::new(Code::Okay, "Data connections are protected.")
            }
            Ok(ProtectionLevel::Clear) => {
                Reply::new(Code::RefusedByPolicy, "Data connections are never in clear; use PROT P.")
            }
            Ok(ProtectionLevel::Safe | ProtectionLevel::Confidential) => {
                Reply::new(Code::NoSuchProtection, "TLS protects both ways; use PROT P.")
            }
            Err(_) => Reply::new(Code::NotThisArgument, "PROT takes P."),
        }
    }
}

/// A parameter that has one served value and some of RFC 959 that are not.
fn one_of(argument: &[u8], served: u8, known: &[u8], done: &'static str, only: &'static str) -> Reply {
    match argument {
        [letter] if letter.eq_ignore_ascii_case(&served) => Reply::new(Code::Okay, done),
        [letter] if known.contains(&letter.to_ascii_uppercase()) => Reply::new(Code::NotThisArgument, only),
        _ => Reply::new(Code::BadArgument, only),
    }
}
