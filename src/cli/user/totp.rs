//! `portcullis user totp`: codes of the moment, made by an app on the user's telephone.

use std::io::{BufRead, Read};
use std::path::Path;

use data_encoding::BASE32_NOPAD;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use toml_edit::Table;
use zeroize::Zeroizing;

use super::super::{Failure, say};
use super::{TAKES_EFFECT, edit, username};
use crate::auth::totp::{CODE_DIGITS, Code, STEP_SECONDS, step_of};
use crate::config::Config;
use crate::identity::{TotpSecret, Username};
use crate::policy::factor::SecondFactor;

/// Bytes of a secret: as long as what the hash makes (RFC 4226 §4, R6).
const SECRET_BYTES: usize = 20;
/// Tries to type a code that confirms.
const TRIES_MAX: u32 = 3;

/// Enrol users for codes of the moment (TOTP).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis user totp enable alice
  portcullis user totp verify alice
  portcullis user totp disable alice")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Enable(Enable),
    Disable(Disable),
    Verify(Verify),
}

/// Make a secret for a user, show it as a QR code, and ask for a code of it.
///
/// From then on the user types the six digits right behind the password.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis user totp enable alice
  portcullis user totp enable alice --no-confirm --issuer files.example.org")]
struct Enable {
    /// The user.
    #[arg(value_name = "NAME", value_parser = username)]
    name: Username,
    /// What the app calls this server; its first name unless stated.
    #[arg(long, value_name = "TEXT")]
    issuer: Option<String>,
    /// Write the secret without asking for a code.
    #[arg(long, visible_alias = "yes")]
    no_confirm: bool,
    /// Make another secret for a user who has one, whose app then shows wrong codes.
    #[arg(long)]
    replace: bool,
}

/// Take a user's secret away; the password alone logs in again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  portcullis user totp disable alice")]
struct Disable {
    /// The user.
    #[arg(value_name = "NAME", value_parser = username)]
    name: Username,
}

/// Tell whether a code on standard input is the user's one of this moment.
///
/// It is not used up by this. Exits with 1 where it is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  echo 123456 | portcullis user totp verify alice")]
struct Verify {
    /// The user.
    #[arg(value_name = "NAME", value_parser = username)]
    name: Username,
}

/// Runs a command about codes.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    match &arguments.command {
        Command::Enable(arguments) => enable(arguments, policy),
        Command::Disable(arguments) => disable(&arguments.name, policy),
        Command::Verify(arguments) => verify(&arguments.name, policy),
    }
}

fn enable(arguments: &Enable, policy: &Path) -> Result<(), Failure> {
    let name = &arguments.name;
    let (judged, mut document) = edit::look(policy)?;
    let user = edit::user(&mut document, name)?;
    not_enrolled(user, arguments)?;
    let config = judged.config.as_ref();
    let account = config.and_then(|config| config.policy.users.get(name));
    let stated = match account {
        Some(account) => account.terms.second_factor,
        None => user.contains_key("second-factor").then_some(SecondFactor::Totp),
    };
    let server = config.and_then(|config| config.tls.identities.first()?.names.first()).map(ToString::to_string);
    let issuer = arguments.issuer.clone().or(server).unwrap_or_else(|| "Portcullis".to_owned());
    let text = Zeroizing::new(BASE32_NOPAD.encode(&*Zeroizing::new(rand::random::<[u8; SECRET_BYTES]>())));
    let secret = TotpSecret::from_base32(&text).ok_or_else(|| Failure::Failed("no secret was made".to_owned()))?;
    let uri = uri(&issuer, name, &text);
    say(&*qr(&uri)?)?;
    say(&*uri)?;
    if !arguments.no_confirm {
        confirm(name, &secret)?;
    }
    edit::edit(policy, |document| {
        let user = edit::user(document, name)?;
        // Somebody else may have enrolled the user while the code was asked for.
        not_enrolled(user, arguments)?;
        edit::set(user, "totp-secret", text.as_str().into());
        if stated.is_none() {
            edit::set(user, "second-factor", SecondFactor::Totp.word().into());
        }
        Ok(())
    })?;
    let factor = stated.unwrap_or(SecondFactor::Totp);
    say(format!("{name} is enrolled: the six digits are typed right behind the password. {TAKES_EFFECT}"))?;
    match factor {
        SecondFactor::None | SecondFactor::Certificate => say(format!(
            "The policy asks {name} for second-factor = \"{factor}\", so the password without a code still logs in."
        )),
        SecondFactor::Any | SecondFactor::Totp => Ok(()),
    }
}

/// Refuses to take a secret away that somebody's app has, unless that is asked for.
fn not_enrolled(user: &Table, arguments: &Enable) -> Result<(), Failure> {
    if !user.contains_key("totp-secret") || arguments.replace {
        return Ok(());
    }
    let name = &arguments.name;
    let message = format!("{name} is enrolled already; --replace makes another secret, and the old one counts no more");
    Err(Failure::Failed(message))
}

/// Asks for a code, so that nobody is kept out by a secret that never reached the telephone.
fn confirm(name: &Username, secret: &TotpSecret) -> Result<(), Failure> {
    let mut lines = std::io::stdin().lock();
    for _ in 0..TRIES_MAX {
        say(format!("Scan it, then type the code that the app shows for {name}:"))?;
        let Some(code) = read_code(&mut lines)? else { break };
        if is_of_now(secret, &code) {
            return Ok(());
        }
        say("This is not the code of this moment; look at the clocks of both machines, and try again.")?;
    }
    let message = "no right code came, so nothing was changed; --no-confirm does without".to_owned();
    Err(Failure::Failed(message))
}

fn disable(name: &Username, policy: &Path) -> Result<(), Failure> {
    edit::edit(policy, |document| {
        let user = edit::user(document, name)?;
        if !user.contains_key("totp-secret") {
            return Err(Failure::Failed(format!("{name} is not enrolled")));
        }
        edit::unset(user, "totp-secret");
        if user.get("second-factor").and_then(|factor| factor.as_str()) == Some(SecondFactor::Totp.word()) {
            edit::unset(user, "second-factor");
        }
        Ok(())
    })?;
    say(format!("{name} is not enrolled any more. {TAKES_EFFECT}"))?;
    let (judged, _) = edit::look(policy)?;
    let account = judged.config.as_ref().and_then(|config| config.policy.users.get(name));
    match account.map(crate::policy::account::Account::second_factor) {
        Some(SecondFactor::Totp) => say(format!(
            "A group of {name} asks for second-factor = \"totp\": {name} cannot log in until enrolled again."
        )),
        _ => Ok(()),
    }
}

fn verify(name: &Username, policy: &Path) -> Result<(), Failure> {
    let config = Config::load(policy, &[])?.config;
    let account = config.policy.users.get(name);
    let account =
        account.ok_or_else(|| Failure::Failed(format!("there is no user {name}; see portcullis user list")))?;
    let Some(secret) = &account.totp_secret else {
        return Err(Failure::Failed(format!("{name} is not enrolled: portcullis user totp enable {name}")));
    };
    match read_code(&mut std::io::stdin().lock())? {
        Some(code) if is_of_now(secret, &code) => say("right"),
        Some(_) => {
            Err(Failure::Failed("wrong: it is not the code of this moment; look at the clocks of both".to_owned()))
        }
        None => Err(Failure::Failed("standard input has no code: write its six digits on the first line".to_owned())),
    }
}

fn is_of_now(secret: &TotpSecret, code: &str) -> bool {
    let code = Code::parse(code.as_bytes());
    code.is_some_and(|code| step_of(secret, code, jiff::Timestamp::now()).is_some())
}

/// The next line, without the spaces that apps show between the digits; none at the end.
fn read_code(lines: &mut impl BufRead) -> Result<Option<String>, Failure> {
    const LINE_BYTES_MAX: u64 = 64;
    let mut line = String::new();
    let read = lines.take(LINE_BYTES_MAX).read_line(&mut line);
    let read = read.map_err(|error| Failure::io("standard input", &error))?;
    line.retain(|c| !c.is_whitespace());
    Ok((read > 0).then_some(line))
}

/// What authenticator apps read from a QR code.
fn uri(issuer: &str, name: &Username, secret: &str) -> Zeroizing<String> {
    let (issuer, name) = (encoded(issuer), encoded(name.as_str()));
    Zeroizing::new(format!(
        "otpauth://totp/{issuer}:{name}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={CODE_DIGITS}&period={STEP_SECONDS}"
    ))
}

/// Percent-encoded (RFC 3986 §2.1).
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// A QR code of half blocks, for a terminal with a dark ground.
fn qr(uri: &str) -> Result<Zeroizing<String>, Failure> {
    let code = QrCode::new(uri.as_bytes());
    let code =
        code.map_err(|_| Failure::Failed("the issuer is too long for a QR code: shorten --issuer".to_owned()))?;
    let drawn = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    Ok(Zeroizing::new(drawn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uri_is_what_apps_read() {
        let name = Username::parse("alice@acme+1").unwrap();
        assert_eq!(
            *uri("Files & more", &name, "GEZDGNBV"),
            "otpauth://totp/Files%20%26%20more:alice%40acme%2B1?secret=GEZDGNBV&issuer=Files%20%26%20more&algorithm=SHA1\
             &digits=6&period=30"
        );
    }

    #[test]
    fn a_code_is_read_as_apps_show_it() {
        let mut lines = "123 456\r\n\n".as_bytes();
        assert_eq!(read_code(&mut lines).unwrap().as_deref(), Some("123456"));
        assert_eq!(read_code(&mut lines).unwrap().as_deref(), Some(""));
        assert_eq!(read_code(&mut lines).unwrap(), None);
    }

    #[test]
    fn the_qr_code_fits_a_terminal() {
        let name = Username::parse("alice").unwrap();
        let drawn = qr(&uri("files.example.org", &name, &"A".repeat(32))).unwrap();
        assert!(drawn.lines().all(|line| line.chars().count() <= 80) && drawn.lines().count() <= 40, "{}", *drawn);
    }
}
