//! The commands people type: one file per command, each of which says how it is used.
//!
//! `deployment` writes what `init` and `quickstart` leave behind; `control` asks the running server; `password` asks for, reads or makes
//! passwords; `terminal` knows colours and widths. Exit codes: 0 done, 1 failed or denied, 2 usage, 78 bad configuration (`EX_CONFIG` of
//! sysexits(3)); `doctor`, `cert check`, `user audit` and `audit verify` have 3 for warnings, and `audit verify` more.
//! passwords; `metrics` writes what Prometheus reads. Exit codes: 0 done, 1 failed or denied, 2 usage, 78 bad configuration (`EX_CONFIG` of
//! sysexits(3)); `doctor`, `cert check` and `user audit` have 3 for warnings, `audit findings` for findings.

mod audit;
mod ban;
mod cert;
mod control;
mod definition;
mod deployment;
mod doctor;
mod drain;
mod firewall;
mod freeze;
mod init;
mod kick;
mod password;
mod policy;
mod quickstart;
mod reload;
mod serve;
mod sessions;
mod status;
mod table;
mod terminal;
mod top;
mod until;
mod user;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::shell::word;
use crate::config::{Problem, Problems};

/// Where the policy is looked for unless the operator says otherwise.
const POLICY_DIRECTORY: &str = "/etc/portcullis/policy";

/// An FTPS-first hardened file server.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    /// The directory of server.toml and users.toml.
    #[arg(long, global = true, value_name = "DIR", env = "PORTCULLIS_POLICY", default_value = POLICY_DIRECTORY)]
    policy: PathBuf,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  portcullis quickstart
  portcullis init /etc/portcullis --hostname files.example.org \\
      --allow-from 192.0.2.0/24
  portcullis user add alice --home /srv/files/alice
  portcullis policy check
  portcullis cert check
  portcullis doctor
  portcullis serve
  portcullis reload
  portcullis status
  portcullis sessions
  portcullis firewall nftables
  portcullis audit search --event auth.failure --from 1d
  portcullis audit tail --follow
  portcullis audit files
  portcullis audit findings
  portcullis audit report --from 24h --out report.html

Exit codes: 0 done, 1 failed or denied, 2 wrong usage, 78 the policy files
cannot be used; for doctor, cert check and user audit 1 errors, 3 warnings;
for audit findings 3 findings.";

// A word here would take the place of the longer ones at the arguments of each.
#[derive(Debug, Subcommand)]
enum Command {
    Quickstart(quickstart::Arguments),
    Init(init::Arguments),
    Serve(serve::Arguments),
    Reload(reload::Arguments),
    Status(status::Arguments),
    Sessions(sessions::Arguments),
    Top(top::Arguments),
    Kick(kick::Arguments),
    Ban(ban::Ban),
    Unban(ban::Unban),
    Bans(ban::Bans),
    Freeze(freeze::Freeze),
    Thaw(freeze::Thaw),
    Drain(drain::Arguments),
    User(user::Arguments),
    Policy(policy::Arguments),
    Cert(cert::Arguments),
    Doctor(doctor::Arguments),
    Firewall(firewall::Arguments),
    Audit(audit::Arguments),
    Completions(definition::Completions),
    Man(definition::Manual),
}

/// Why a command ends without success.
#[derive(Debug)]
enum Failure {
    /// It could not be done, or is not permitted: exit code 1.
    Failed(String),
    /// The policy files have errors: exit code 78.
    Policy(Problems),
    /// The same, and they were reported on standard output.
    Reported,
    /// What was found is on standard output; the exit code says how bad it is.
    Found(u8),
}

impl Failure {
    /// A failure to do something with a file.
    fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        Self::Failed(format!("{what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(message) => write!(f, "portcullis: {message}"),
            Self::Policy(problems) => problems.fmt(f),
            Self::Reported | Self::Found(_) => Ok(()),
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Policy(problems)
    }
}

/// Exit code for policy files that cannot be used.
const EXIT_POLICY: u8 = 78;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let Cli { policy, command } = Cli::parse();
    let result = match command {
        Command::Quickstart(arguments) => quickstart::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments, &policy),
        Command::Reload(arguments) => reload::run(&arguments, &policy),
        Command::Status(arguments) => status::run(&arguments, &policy),
        Command::Sessions(arguments) => sessions::run(&arguments, &policy),
        Command::Top(arguments) => top::run(&arguments, &policy),
        Command::Kick(arguments) => kick::run(arguments, &policy),
        Command::Ban(arguments) => ban::ban(arguments, &policy),
        Command::Unban(arguments) => ban::unban(arguments, &policy),
        Command::Bans(arguments) => ban::bans(&arguments, &policy),
        Command::Freeze(arguments) => freeze::freeze(arguments, &policy),
        Command::Thaw(arguments) => freeze::thaw(&arguments, &policy),
        Command::Drain(arguments) => drain::run(&arguments, &policy),
        Command::User(arguments) => user::run(arguments, &policy),
        Command::Policy(arguments) => policy::run(&arguments, &policy),
        Command::Cert(arguments) => cert::run(arguments, &policy),
        Command::Doctor(arguments) => doctor::run(&arguments, &policy),
        Command::Firewall(arguments) => firewall::run(&arguments, &policy),
        Command::Audit(arguments) => audit::run(&arguments, &policy),
        Command::Completions(arguments) => definition::complete(&arguments),
        Command::Man(arguments) => definition::write_manual(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Reported | Failure::Found(_)) {
                complain(&failure);
            }
            match failure {
                Failure::Failed(_) => ExitCode::FAILURE,
                Failure::Policy(_) | Failure::Reported => ExitCode::from(EXIT_POLICY),
                Failure::Found(code) => ExitCode::from(code),
            }
        }
    }
}

/// Writes to standard output; a reader that went away is no reason to panic.
fn say(text: impl fmt::Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::io("standard output", &error)),
        _ => Ok(()),
    }
}

/// Writes to standard error, where nothing can be done if that fails.
fn complain(text: &impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Shows the warnings of a policy that is used all the same.
fn warn(warnings: &[Problem]) {
    for warning in warnings {
        complain(warning);
    }
}

/// This program as a word of the shell, for lines that are printed to be pasted: it need not be
/// on the PATH.
fn program() -> String {
    let path = std::env::current_exe().ok().and_then(|path| path.to_str().map(word));
    path.unwrap_or_else(|| "portcullis".to_owned())
}

/// The current day, UTC: dates in policy files mean that.
fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_has_examples() {
        fn check(command: &clap::Command) {
            let help = command.clone().render_help().to_string();
            assert!(help.contains("Example"), "{} --help has no examples", command.get_name());
            let examples = command.get_after_help().unwrap().to_string();
            let too_wide = examples.lines().find(|line| line.chars().count() > 80);
            assert_eq!(too_wide, None, "a terminal would break this line of {} --help", command.get_name());
            command.get_subcommands().filter(|sub| sub.get_name() != "help").for_each(check);
        }
        Cli::command().debug_assert();
        check(&Cli::command());
    }

    #[test]
    fn the_long_help_says_what_the_commands_themselves_say() {
        let mut cli = Cli::command();
        for (name, words) in [
            ("doctor", "Exits with 0"),
            ("firewall", "Exits with 0"),
            ("init", "never overwrites"),
            ("reload", "nothing changes"),
        ] {
            let help = cli.find_subcommand_mut(name).unwrap().render_long_help().to_string();
            assert!(help.contains(words), "{help}");
        }
    }

    #[test]
    fn the_policy_directory_is_taken_before_and_behind_the_command() {
        for line in [["portcullis", "--policy", "D", "serve"], ["portcullis", "serve", "--policy", "D"]] {
            assert_eq!(Cli::try_parse_from(line).unwrap().policy, PathBuf::from("D"));
        }
    }

    #[test]
    fn the_forms_of_the_contract_are_accepted() {
        for line in [
            "quickstart --dir D --listen 127.0.0.1:2122",
            "init D --listen 127.0.0.1:21 --listen [::1]:21 --implicit 0.0.0.0:990 --passive-ports 50000-50009 --hostname a.b \
             --advertise 10.0.0.0/8=10.0.0.5 --advertise 203.0.113.7 --allow-from 10.0.0.0/8 --allow-from 192.0.2.7 --user daemon",
            "serve --set limits.idle-seconds=60 --set listen.explicit=[]",
            "user add alice --home /h --password-stdin --allow-from 10.0.0.0/8 --group g --read-only --quota-bytes 1_000 \
             --quota-files 5 --expires 2027-06-30",
            "user add alice --home /h --generate --permissions list,read",
            "user passwd alice --generate --temporary",
            "user totp enable alice --no-confirm --issuer files.example.org --replace",
            "user totp enable alice --yes",
            "user totp disable alice",
            "user totp verify alice",
            "user audit --json --days 30 --seconds 0",
            "user import --format passwd F --home-base D --dry-run --group g --group h --permissions list,read",
            "user import --format pure-ftpd - --skip-refused --temporary",
            "user import --format proftpd F --read-only",
            "user list --json",
            "user show alice --json",
            "user enable alice",
            "user disable alice",
            "user remove alice",
            "policy check --json --set limits.sessions=5",
            "policy explain alice --from 192.0.2.7 --at 2026-11-23T10:00 STOR /in/a.csv --json --text-only",
            "policy explain alice SITE CHMOD /a --set limits.sessions=5",
            "policy explain alice RNFR /a /b",
            "policy test --json --text-only --set limits.sessions=5",
            "policy diff OLD NEW --json --from 192.0.2.7 --from 2001:db8::7",
            "doctor --json --hostname files.example.org --set limits.sessions=5",
            "cert new --name files.example.org --name *.example.org --name 192.0.2.1 --out D --days 90 --ca CA",
            "cert csr --name files.example.org --out D",
            "cert import --certificate F --key K --chain C --chain D --identity files.example.org --dry-run",
            "cert inspect F --json",
            "cert inspect --identity 1",
            "cert check --days-warning 20 --days-error 3 --json",
            "firewall nftables --table filter --json",
            "firewall iptables --set passive.ports=50000",
            "audit files --json",
            "audit files --log /backup/audit",
            "audit head --json --public-key audit.pub --log /backup/audit",
            "audit key new --key audit.key",
            "audit key show --json",
            "audit key show --pem",
            "audit key rotate --key audit.key --log /backup/audit",
            "audit verify --log D --public-key K --public-key L --witness W --unsigned-seconds 60 --json",
            "audit verify --quiet",
            "audit search --user alice --user bob --address 192.0.2.0/24 --path /in/** --event auth.* --outcome failure \
             --reason bad_password --session 01M825 --command stor --severity medium --record 5..9 --from 2h --limit 5",
            "audit search --from 2026-11-01 --to 2026-11-22T06:00 --format csv",
            "audit search --json",
            "audit tail -n 5 -f --event auth.* --json",
            "audit session 01M825SED72M06C6JNSX8THYE4 --json",
            "audit who /in/a.csv --user alice --csv",
            "audit who /in/** --from 2026-11-01 --json",
            "completions bash",
            "completions powershell",
            "man --out D",
            "audit findings --json",
            "audit findings --from 24h --severity high",
            "audit findings --kind guess-success --kind mass-change --log /backup/audit --to 2026-11-30",
            "audit report --from 2026-11-01 --to 2026-11-30 --out report.html --title November --log D",
            "audit report --from 24h --out - --format csv --zone Europe/Berlin",
            "audit report --from 2026-11-22T06:00 --to 2026-11-22T06:00:00Z --out F --format md",
            "reload --json",
            "reload --socket /run/portcullis/control.sock",
            "status --json",
            "sessions --user alice --address 192.0.2.0/24 --limit 50 --json",
            "top --interval 5 --user alice",
            "top --once --width 100",
            "kick 01JD --reason why",
            "kick --user alice --json",
            "kick --address 192.0.2.0/24",
            "ban 192.0.2.7 --for 2h --reason why --keep-sessions",
            "ban 2001:db8::/64 --until 2026-12-24T18:00 --yes",
            "ban 192.0.2.7 --forever --json",
            "unban 192.0.2.7",
            "bans --json",
            "freeze",
            "freeze --user alice --path /in --for 90m --reason why",
            "freeze --folder projects --until 2026-12-24",
            "freeze --list --json",
            "thaw 3",
            "thaw --all --json",
            "drain --within 600",
            "drain --cancel",
            "firewall ufw",
            "firewall firewalld",
        ] {
            let words = ["portcullis"].into_iter().chain(line.split_whitespace());
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
        for line in [
            "kick",
            "kick 01JD --user alice",
            "ban 192.0.2.7 --for 2h --forever",
            "ban office",
            "ban 192.0.2.7 --for -2h",
            "ban 192.0.2.7 --for 0s",
            "freeze --path /in --folder projects",
            "freeze --list --user alice",
            "freeze --path in",
            "thaw",
            "thaw 3 --all",
            "drain --within 600 --cancel",
            "top --interval 0",
            "audit report",
            "audit report --out F --from yesterday",
            "audit report --out F --format pdf",
            "policy explain alice",
            "policy explain alice --from office LIST /",
            "policy diff OLD",
            "user add ../x --home /h",
            "user add ftp --home /h",
            "user add a --home /h --generate --password-stdin",
            "user add a --home /h --read-only --permissions full",
            "user add a --home /h --expires tomorrow",
            "user add a --home /h --allow-from 10.0.0.1/8",
            "user totp enable",
            "user audit --days 0",
            "user import F",
            "user import --format shadow F",
            "init D --passive-ports 20-30",
            "init D --hostname -x",
            "serve --set x",
            "cert new --out D",
            "cert new --name -x --out D",
            "cert new --name a.b --out D --days 0",
            "cert csr --name a.b",
            "cert import --key K",
            "cert inspect",
            "cert inspect F --identity 1",
            "cert check --days-warning -1",
            "audit search --event file.uplod",
            "audit search --path in",
            "audit search --from tomorrow",
            "audit search --record 9..5",
            "audit search --address office",
            "audit search --json --format csv",
            "audit session x.y",
            "audit who",
            "completions",
            "man",
            "firewall",
            "firewall nftables --table portcullis",
            "firewall nftables --table 0x",
            "firewall nftables --table a;b",
        ] {
            let words = ["portcullis"].into_iter().chain(line.split_whitespace());
            assert_eq!(Cli::try_parse_from(words).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
