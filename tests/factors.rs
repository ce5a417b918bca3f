//! Password, code and certificate in every combination: who gets in, what is recorded, what it costs.

use std::collections::BTreeSet;

use jiff::Timestamp;
use portcullis::auth::totp::{code_of, step_at};
use portcullis::identity::TotpSecret;

use crate::client_certificates::Site;
use crate::support::server::Builder;
use crate::support::{Dial, PASSWORD, Server, Wire};

const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const WRONG: &str = "Orange-Bicycle-Kettle-17-moor";
const FACTORS: [&str; 4] = ["none", "any", "totp", "certificate"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Certificate {
    Others,
    None,
    Own,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Absent,
    Wrong,
    Right,
    Replayed,
}

/// What the policy says of a user.
#[derive(Clone, Copy, Debug)]
struct Terms {
    factor: &'static str,
    alone: bool,
}

impl Terms {
    fn user(self) -> String {
        format!("{}-{}", self.factor, self.alone)
    }

    fn needs_no_password(self, certificate: Certificate) -> bool {
        self.alone && certificate == Certificate::Own && self.factor != "totp"
    }

    /// What a login with a password shows, or else why it fails.
    fn expected(self, right: bool, code: Code, certificate: Certificate) -> Result<String, &'static str> {
        let (own, coded) = (certificate == Certificate::Own, matches!(code, Code::Right | Code::Replayed));
        let met = match self.factor {
            "any" => own || coded,
            "totp" => coded,
            "certificate" => own,
            _ => true,
        };
        match () {
            () if certificate == Certificate::Others => Err("certificate_of_another_user"),
            () if !right => Err("bad_password"),
            () if code == Code::Wrong => Err("bad_code"),
            () if !met => Err("second_factor_missing"),
            () if code == Code::Replayed => Err("code_replayed"),
            () => Ok(["password", if coded { "+code" } else { "" }, if own { "+certificate" } else { "" }].concat()),
        }
    }
}

fn secret() -> TotpSecret {
    TotpSecret::from_base32(SECRET).unwrap()
}

fn code_at(step: u64) -> String {
    code_of(&secret(), step).as_str().to_owned()
}

/// Six digits that are no code around now.
fn no_code() -> String {
    let now = step_at(Timestamp::now());
    let near: Vec<String> = (0..9).map(|ahead| code_at(now + ahead - 2)).collect();
    (0..100).map(|number| format!("{number:06}")).find(|digits| !near.contains(digits)).unwrap()
}

fn last(server: &Server, code: &str) -> crate::support::Record {
    server.records_of(code).pop().unwrap()
}

fn lenient() -> Builder {
    Server::builder()
        .set("login.failures-per-address", "1000")
        .set("login.failures-per-minute", "10000")
        .set("login.attempts-per-session", "100")
        .set("login.delay-first-ms", "0")
}

#[test]
fn of_password_code_and_certificate_each_combination_does_what_the_policy_says_and_sounds_the_same() {
    let all: Vec<Terms> =
        FACTORS.into_iter().flat_map(|factor| [false, true].map(|alone| Terms { factor, alone })).collect();
    let builder = lenient().set("login.failures-per-user-network", "1000");
    let builder = all.iter().fold(builder, |builder, terms| builder.user(&terms.user(), &[]));
    let site = Site::new("optional", builder);
    for terms in &all {
        let user = terms.user();
        site.issue(&user, Some(&user), &[]);
        site.server.change_user(&format!("user.{user}.second-factor"), &format!("\"{}\"", terms.factor));
        site.server.change_user(&format!("user.{user}.certificate-alone"), &terms.alone.to_string());
        site.server.change_user(&format!("user.{user}.totp-secret"), &format!("\"{SECRET}\""));
    }
    let site = site.start();
    let mut words = BTreeSet::new();
    let dial = |user: &str, certificate| match certificate {
        Certificate::Others => site.dial("bob"),
        Certificate::None => Dial::to(&site.server),
        Certificate::Own => site.dial(user),
    };
    for terms in &all {
        let user = terms.user();
        let mut step = step_at(Timestamp::now());
        for certificate in [Certificate::Others, Certificate::None, Certificate::Own] {
            if terms.needs_no_password(certificate) {
                dial(&user, certificate).secure().ask(&format!("USER {user}"), 232);
                assert_eq!(last(&site.server, "auth.success").text("/unmapped/factors"), Some("certificate"));
                continue;
            }
            // One behind the other: a right one is not used up by what comes before it.
            let mut wire = dial(&user, certificate).secure();
            let cases = [
                (false, Code::Wrong),
                (false, Code::Right),
                (false, Code::Absent),
                (true, Code::Wrong),
                (true, Code::Absent),
                (true, Code::Right),
                (true, Code::Replayed),
                (false, Code::Replayed),
            ];
            for (right, code) in cases {
                let digits = match code {
                    Code::Absent => String::new(),
                    Code::Wrong => no_code(),
                    Code::Right | Code::Replayed => code_at(step),
                };
                let sent = format!("{}{digits}", if right { PASSWORD } else { WRONG });
                let case = format!("{user} {certificate:?} {right} {code:?}");
                match terms.expected(right, code, certificate) {
                    Ok(factors) => {
                        wire.ask(&format!("USER {user}"), 331);
                        wire.ask(&format!("PASS {sent}"), 230);
                        let record = last(&site.server, "auth.success");
                        assert_eq!(record.text("/unmapped/factors"), Some(factors.as_str()), "{case}");
                        wire = dial(&user, certificate).secure();
                    }
                    Err(reason) => {
                        words.insert(wire.refused(&user, &sent).lines);
                        assert_eq!(last(&site.server, "auth.failure").detail(), reason, "{case}");
                    }
                }
            }
            step += u64::from(terms.expected(true, Code::Right, certificate).is_ok());
        }
    }
    assert_eq!(words.len(), 1, "{words:?}");
}

/// Fails in each of these ways from a user's own certificate, and says why the next right one is refused.
fn spent(site: &Site, failures: &[(String, &str)]) -> String {
    let refused = |wire: &mut Wire, sent: &str, code: &str| {
        wire.refused("alice", sent);
        last(&site.server, code).detail().to_owned()
    };
    for (sent, reason) in failures {
        assert_eq!(refused(&mut site.dial("alice").secure(), sent, "auth.failure"), *reason);
    }
    let right = format!("{PASSWORD}{}", code_at(step_at(Timestamp::now()) + 1));
    refused(&mut site.dial("alice").secure(), &right, "auth.throttled")
}

#[test]
fn each_wrong_login_counts_once_and_a_certificate_that_does_not_suffice_forgives_none() {
    let site = Site::new("optional", lenient().set("login.failures-per-user-network", "5"));
    site.server.change_user("user.alice.second-factor", "\"totp\"");
    site.server.change_user("user.alice.certificate-alone", "true");
    site.server.change_user("user.alice.totp-secret", &format!("\"{SECRET}\""));
    let site = site.start();
    let right = code_at(step_at(Timestamp::now()));
    let failures = [
        (WRONG.to_owned(), "bad_password"),
        (format!("{WRONG}{right}"), "bad_password"),
        (format!("{WRONG}{}", no_code()), "bad_password"),
        (format!("{PASSWORD}{}", no_code()), "bad_code"),
        (PASSWORD.to_owned(), "second_factor_missing"),
    ];
    assert_eq!(spent(&site, &failures), "user_limit");
}

#[test]
fn a_right_password_of_whom_the_policy_keeps_out_forgives_nothing() {
    let site = Site::new("optional", lenient().set("login.failures-per-user-network", "5"));
    site.server.change_user("user.alice.enabled", "false");
    let site = site.start();
    let wrong = || (WRONG.to_owned(), "bad_password");
    let failures = [wrong(), wrong(), (PASSWORD.to_owned(), "disabled"), wrong(), wrong()];
    assert_eq!(spent(&site, &failures), "user_limit");
}
