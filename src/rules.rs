//! The table of verbs: what each needs before it runs, and why some never do.
//!
//! [`admit`] is the only code that decides from it. `FEAT`, `HELP`, the documentation's table and
//! the tests are derived from it, so none of them can disagree.

pub mod action;

use crate::policy::permission::{Permission, PermissionSet};
use crate::proto::reply::Code;
use crate::proto::verb::Verb;

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Connected, in clear.
    Cleartext = 1,
    /// TLS is up; nobody has logged in.
    Login = 2,
    /// Somebody has logged in whose password has to be changed before anything else.
    Change = 8,
    /// Somebody has logged in.
    Files = 4,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 4] = [Self::Cleartext, Self::Login, Self::Change, Self::Files];

    /// Whether somebody has logged in.
    pub const fn is_logged_in(self) -> bool {
        matches!(self, Self::Change | Self::Files)
    }
}

/// The stages in which a verb is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stages(u8);

impl Stages {
    const CLEARTEXT: Self = Self(Stage::Cleartext as u8);
    const LOGIN: Self = Self(Stage::Login as u8);
    const FILES: Self = Self(Stage::Files as u8);
    const SIGNED: Self = Self(Stage::Change as u8 | Stage::Files as u8);
    const TLS: Self = Self(Stage::Login as u8 | Self::SIGNED.0);
    const ALL: Self = Self(Stage::Cleartext as u8 | Self::TLS.0);

    /// Whether the verb is served in this stage.
    pub const fn contain(self, stage: Stage) -> bool {
        self.0 & stage as u8 != 0
    }
}

/// Whether a verb takes an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// None; one that comes is refused.
    Nothing,
    /// One, or none.
    Maybe,
    /// One.
    One,
}

/// Whether a verb moves data over a data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// It does not.
    None,
    /// It does, so `PROT P` and a data connection are needed.
    Needed,
}

/// The permission a verb needs on the path it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// It touches no path.
    Nothing,
    /// Any one of these; which of them are there decides further in the store.
    AnyOf(PermissionSet),
}

/// What happens to a verb that comes while a transfer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum During {
    /// It waits until the transfer has ended.
    Wait,
    /// It is answered at once.
    Answer,
}

/// Whether a verb is served at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// It is; the text is for `HELP` and the documentation.
    Served(&'static str),
    /// It never is, with this reply and for this reason.
    Refused(Code, &'static str),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The verb.
    pub verb: Verb,
    /// Where it is served.
    pub stages: Stages,
    /// Its argument.
    pub takes: Takes,
    /// Its data connection.
    pub data: Data,
    /// Its permission.
    pub needs: Needs,
    /// Its fate while a transfer runs.
    pub during: During,
    /// Whether and why it is served.
    pub service: Service,
}

const fn row(
    verb: Verb,
    stages: Stages,
    takes: Takes,
    data: Data,
    needs: Needs,
    during: During,
    meaning: &'static str,
) -> Rule {
    Rule { verb, stages, takes, data, needs, during, service: Service::Served(meaning) }
}

/// A row for a verb that is never served; before TLS even the reason waits.
const fn never(verb: Verb, code: Code, reason: &'static str) -> Rule {
    Rule {
        verb,
        stages: Stages::TLS,
        takes: Takes::Maybe,
        data: Data::None,
        needs: Needs::Nothing,
        during: During::Wait,
        service: Service::Refused(code, reason),
    }
}

const fn any(permissions: &[Permission]) -> Needs {
    Needs::AnyOf(PermissionSet::of(permissions))
}

const ANYTHING: Needs = Needs::AnyOf(PermissionSet::ALL);
const SEE: Needs = any(&[Permission::List, Permission::Read]);
const HASH: Needs = any(&[Permission::Hash, Permission::Read]);
const LIST: Needs = any(&[Permission::List]);
const STORE: Needs = any(&[Permission::Create, Permission::Overwrite, Permission::Append]);
const RENAME: Needs = any(&[Permission::Rename]);
const RENAME_TO: Needs = any(&[Permission::Rename, Permission::Overwrite]);

use During::{Answer, Wait};
use Needs::Nothing as NoPath;
use Takes::{Maybe, Nothing, One};

/// Every verb this server knows and everything that must hold before it runs.
#[rustfmt::skip]
pub const RULES: [Rule; Verb::ALL.len()] = [
    //  verb         stages             argument data          permission                          in transfer  meaning
    row(Verb::Abor, Stages::FILES,     Nothing, Data::None,   NoPath,                             Answer, "stop the transfer"),
    never(Verb::Acct, Code::NotImplemented, "accounts have no subdivisions here"),
    never(Verb::Adat, Code::BadSequence, "AUTH TLS exchanges no further security data"),
    row(Verb::Allo, Stages::FILES,     One,     Data::None,   NoPath,                             Wait,   "announce the size of the next upload"),
    row(Verb::Appe, Stages::FILES,     One,     Data::Needed, STORE,                              Wait,   "add to a file"),
    row(Verb::Auth, Stages::CLEARTEXT, One,     Data::None,   NoPath,                             Wait,   "start TLS"),
    row(Verb::Avbl, Stages::FILES,     Maybe,   Data::None,   ANYTHING,                           Wait,   "tell how much may still be stored"),
    never(Verb::Ccc, Code::RefusedByPolicy, "the control connection stays protected"),
    row(Verb::Cdup, Stages::FILES,     Nothing, Data::None,   ANYTHING,                           Wait,   "go to the directory above"),
    row(Verb::Clnt, Stages::ALL,       One,     Data::None,   NoPath,                             Wait,   "name the client program"),
    never(Verb::Conf, Code::NotImplemented, "TLS protects the whole connection"),
    never(Verb::Cpsv, Code::NotImplemented, "transfers between two servers are not offered"),
    row(Verb::Csid, Stages::TLS,       One,     Data::None,   NoPath,                             Wait,   "name the client program, and hear the server's name"),
    row(Verb::Cwd,  Stages::FILES,     One,     Data::None,   ANYTHING,                           Wait,   "go to a directory"),
    row(Verb::Dele, Stages::FILES,     One,     Data::None,   any(&[Permission::Delete]),         Wait,   "remove a file"),
    never(Verb::Enc, Code::NotImplemented, "TLS protects the whole connection"),
    row(Verb::Eprt, Stages::FILES,     One,     Data::None,   NoPath,                             Wait,   "let the server connect for data, either family"),
    row(Verb::Epsv, Stages::FILES,     Maybe,   Data::None,   NoPath,                             Wait,   "open a port for data, either family"),
    never(Verb::Esta, Code::NotImplemented, "data connections go to the address of your control connection only"),
    never(Verb::Estp, Code::NotImplemented, "data connections come to the address of your control connection only"),
    row(Verb::Feat, Stages::ALL,       Nothing, Data::None,   NoPath,                             Wait,   "list the features"),
    row(Verb::Hash, Stages::FILES,     One,     Data::None,   HASH,                               Wait,   "tell a file's hash"),
    row(Verb::Help, Stages::ALL,       Maybe,   Data::None,   NoPath,                             Wait,   "list the commands"),
    row(Verb::Host, Stages(Stage::Cleartext as u8 | Stage::Login as u8),
                                       One,     Data::None,   NoPath,                             Wait,   "name the server meant"),
    row(Verb::Lang, Stages::TLS,       Maybe,   Data::None,   NoPath,                             Wait,   "set the language of replies: EN"),
    row(Verb::List, Stages::FILES,     Maybe,   Data::Needed, LIST,                               Wait,   "list a directory for people"),
    row(Verb::Mdtm, Stages::FILES,     One,     Data::None,   SEE,                                Wait,   "tell a file's time"),
    never(Verb::Mfct, Code::NotThisArgument, "the file system keeps the time of creation itself; MFMT sets the time of the last change"),
    row(Verb::Mff,  Stages::FILES,     One,     Data::None,   any(&[Permission::SetTime, Permission::SetMode]), Wait, "set a file's facts"),
    row(Verb::Mfmt, Stages::FILES,     One,     Data::None,   any(&[Permission::SetTime]),        Wait,   "set a file's time"),
    never(Verb::Mic, Code::NotImplemented, "TLS protects the whole connection"),
    row(Verb::Mkd,  Stages::FILES,     One,     Data::None,   any(&[Permission::MakeDirectory]),  Wait,   "make a directory"),
    row(Verb::Mlsd, Stages::FILES,     Maybe,   Data::Needed, LIST,                               Wait,   "list a directory for programs"),
    row(Verb::Mlst, Stages::FILES,     Maybe,   Data::None,   LIST,                               Wait,   "tell the facts of one path"),
    row(Verb::Mode, Stages::TLS,       One,     Data::None,   NoPath,                             Wait,   "set the transfer mode: S"),
    row(Verb::Nlst, Stages::FILES,     Maybe,   Data::Needed, LIST,                               Wait,   "list names"),
    row(Verb::Noop, Stages::ALL,       Maybe,   Data::None,   NoPath,                             Answer, "do nothing"),
    row(Verb::Opts, Stages::ALL,       One,     Data::None,   NoPath,                             Wait,   "set options: UTF8, MLST, HASH"),
    row(Verb::Pass, Stages::LOGIN,     Maybe,   Data::None,   NoPath,                             Wait,   "log in, the password"),
    row(Verb::Pasv, Stages::FILES,     Nothing, Data::None,   NoPath,                             Wait,   "open a port for data, IPv4"),
    row(Verb::Pbsz, Stages::TLS,       One,     Data::None,   NoPath,                             Wait,   "set the protection buffer size: 0"),
    row(Verb::Port, Stages::FILES,     One,     Data::None,   NoPath,                             Wait,   "let the server connect for data, IPv4"),
    never(Verb::Pret, Code::NotImplemented, "one server does it all; send PASV or EPSV and then the transfer"),
    row(Verb::Prot, Stages::TLS,       One,     Data::None,   NoPath,                             Wait,   "set the protection level: P"),
    row(Verb::Pwd,  Stages::SIGNED,    Nothing, Data::None,   NoPath,                             Wait,   "tell the current directory"),
    row(Verb::Quit, Stages::ALL,       Nothing, Data::None,   NoPath,                             Wait,   "end the session"),
    row(Verb::Rang, Stages::FILES,     One,     Data::None,   NoPath,                             Wait,   "hash a part of the file only"),
    never(Verb::Rein, Code::NotImplemented, "going back to clear text is not offered; connect anew"),
    row(Verb::Rest, Stages::FILES,     One,     Data::None,   NoPath,                             Wait,   "start the next transfer at an offset"),
    row(Verb::Retr, Stages::FILES,     One,     Data::Needed, any(&[Permission::Read]),           Wait,   "fetch a file"),
    row(Verb::Rmd,  Stages::FILES,     One,     Data::None,   any(&[Permission::RemoveDirectory]),Wait,   "remove an empty directory"),
    row(Verb::Rnfr, Stages::FILES,     One,     Data::None,   RENAME,                             Wait,   "rename: the old name"),
    row(Verb::Rnto, Stages::FILES,     One,     Data::None,   RENAME_TO,                          Wait,   "rename: the new name"),
    row(Verb::Site, Stages::SIGNED,    One,     Data::None,   NoPath,                             Wait,   "commands of this server: SITE HELP lists them"),
    row(Verb::Size, Stages::FILES,     One,     Data::None,   SEE,                                Wait,   "tell a file's size"),
    never(Verb::Smnt, Code::NotImplemented, "there is one tree"),
    never(Verb::Sscn, Code::NotImplemented, "transfers between two servers are not offered; the client is the TLS client"),
    row(Verb::Stat, Stages::FILES,     Maybe,   Data::None,   LIST,                               Answer, "tell the session's state, or list over the control connection"),
    row(Verb::Stor, Stages::FILES,     One,     Data::Needed, STORE,                              Wait,   "send a file"),
    row(Verb::Stou, Stages::FILES,     Maybe,   Data::Needed, any(&[Permission::Create]),         Wait,   "send a file under a name of the server's choice"),
    row(Verb::Stru, Stages::TLS,       One,     Data::None,   NoPath,                             Wait,   "set the file structure: F"),
    row(Verb::Syst, Stages::ALL,       Nothing, Data::None,   NoPath,                             Wait,   "tell the system's type"),
    row(Verb::Type, Stages::TLS,       One,     Data::None,   NoPath,                             Wait,   "set the representation type: A or I"),
    row(Verb::User, Stages::LOGIN,     One,     Data::None,   NoPath,                             Wait,   "log in, the name"),
    row(Verb::Xcrc, Stages::FILES,     One,     Data::None,   HASH,                               Wait,   "tell a file's CRC-32"),
    row(Verb::Xmd5, Stages::FILES,     One,     Data::None,   HASH,                               Wait,   "tell a file's MD5, where the policy offers it"),
    row(Verb::Xsha1, Stages::FILES,    One,     Data::None,   HASH,                               Wait,   "tell a file's SHA-1, where the policy offers it"),
    row(Verb::Xsha256, Stages::FILES,  One,     Data::None,   HASH,                               Wait,   "tell a file's SHA-256"),
    row(Verb::Xsha512, Stages::FILES,  One,     Data::None,   HASH,                               Wait,   "tell a file's SHA-512"),
];

const _: () = assert!(in_verb_order(&RULES), "one row for each verb, in the order of the verbs");

const fn in_verb_order(rules: &[Rule]) -> bool {
    let (mut rules, mut verbs) = (rules, Verb::ALL);
    while let ([rule, more_rules @ ..], [verb, more_verbs @ ..]) = (rules, verbs) {
        if rule.verb as usize != *verb as usize {
            return false;
        }
        (rules, verbs) = (more_rules, more_verbs);
    }
    rules.is_empty() && verbs.is_empty()
}

/// The row of a verb.
pub fn rule(verb: Verb) -> &'static Rule {
    #[expect(clippy::indexing_slicing, reason = "one row for each verb: asserted when compiled")]
    &RULES[verb as usize]
}

/// Why a verb is not run: the reply's code and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reply code.
    pub code: Code,
    /// What the client reads.
    pub text: &'static str,
}

const fn refusal(code: Code, text: &'static str) -> Refusal {
    Refusal { code, text }
}

/// Admits a verb in a stage, or says why not. Whether its argument is right, its path permitted
/// and its data connection there is decided behind it.
///
/// # Errors
/// The refusal to send.
pub fn admit(verb: Verb, has_argument: bool, stage: Stage) -> Result<&'static Rule, Refusal> {
    let rule = rule(verb);
    if !rule.stages.contain(stage) {
        return Err(match (stage, verb) {
            (Stage::Cleartext, Verb::Pbsz | Verb::Prot) => {
                refusal(Code::BadSequence, "Protection comes after TLS; send AUTH TLS first.")
            }
            (Stage::Cleartext, _) => refusal(Code::NotLoggedIn, "TLS is required; send AUTH TLS first."),
            (_, Verb::Auth) => refusal(Code::BadSequence, "TLS is in force already."),
            (Stage::Login, _) => refusal(Code::NotLoggedIn, "Log in with USER and PASS first."),
            (Stage::Change, _) if rule.stages.contain(Stage::Files) => {
                refusal(Code::NotLoggedIn, "Change your password first: SITE PSWD old new.")
            }
            (_, Verb::Host) => refusal(Code::BadSequence, "HOST comes before the login."),
            (Stage::Change | Stage::Files, _) => {
                refusal(Code::BadSequence, "Logged in already; end the session to change the user.")
            }
        });
    }
    if let Service::Refused(code, reason) = rule.service {
        return Err(refusal(code, reason));
    }
    match (rule.takes, has_argument) {
        (Takes::Nothing, true) => Err(refusal(Code::BadArgument, "This command takes no argument.")),
        (Takes::One, false) => Err(refusal(Code::BadArgument, "This command needs an argument.")),
        _ => Ok(rule),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_tls_only_what_does_no_harm_is_served() {
        let served: Vec<&str> = RULES
            .iter()
            .filter(|rule| admit(rule.verb, rule.takes != Takes::Nothing, Stage::Cleartext).is_ok())
            .map(|rule| rule.verb.name())
            .collect();
        assert_eq!(served, ["AUTH", "CLNT", "FEAT", "HELP", "HOST", "NOOP", "OPTS", "QUIT", "SYST"]);
    }

    #[test]
    fn whatever_touches_a_path_or_moves_data_needs_a_login() {
        for rule in &RULES {
            if rule.needs != Needs::Nothing || rule.data == Data::Needed {
                assert!(!rule.stages.contain(Stage::Cleartext) && !rule.stages.contain(Stage::Login), "{}", rule.verb);
            }
        }
    }

    #[test]
    fn before_a_password_is_changed_nothing_reaches_a_file() {
        for rule in &RULES {
            if rule.stages.contain(Stage::Change) && matches!(rule.service, Service::Served(_)) {
                assert_eq!((rule.needs, rule.data), (Needs::Nothing, Data::None), "{}", rule.verb);
                assert!(rule.stages.contain(Stage::Files), "{}", rule.verb);
            }
        }
    }

    #[test]
    fn refused_verbs_are_refused_in_every_stage_with_their_code() {
        for rule in &RULES {
            let Service::Refused(code, reason) = rule.service else { continue };
            assert!(!reason.is_empty());
            for stage in Stage::ALL {
                let refused = admit(rule.verb, true, stage).unwrap_err();
                assert_eq!(refused.code, if stage == Stage::Cleartext { Code::NotLoggedIn } else { code });
            }
        }
    }

    #[test]
    fn arguments_are_asked_for_where_they_are_needed() {
        assert_eq!(admit(Verb::Retr, false, Stage::Files).unwrap_err().code, Code::BadArgument);
        assert_eq!(admit(Verb::Pwd, true, Stage::Files).unwrap_err().code, Code::BadArgument);
        assert!(admit(Verb::List, false, Stage::Files).is_ok() && admit(Verb::List, true, Stage::Files).is_ok());
    }
}
