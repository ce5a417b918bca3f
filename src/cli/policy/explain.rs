//! `portcullis policy explain`.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use super::super::{Failure, complain, say};
use super::load;
use crate::config::{Override, nearest, read_moment};
use crate::identity::Username;
use crate::policy::Policy;
use crate::policy::account::Account;
use crate::proto::path::VirtualPath;
use crate::review::explanation::{Considered, Part};
use crate::review::login::Verdict;
use crate::review::{Explanation, Question, explain};
use crate::rules::action::{Action, ActionError};

/// Say whether a user may do something, and every check and rule that took part in the decision.
///
/// Exits with 0 where it is allowed, with 1 where it is denied, and with 78 where the policy files
/// cannot be used.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
VERB is a command (RETR, STOR, LIST, CWD, RNFR, SITE CHMOD ...), a permission as
policy files have it (overwrite, set-time ...), or login. RNFR and RNTO take the
old and the new name; for STOU, PATH is a name that the server might choose.

Examples:
  portcullis policy explain acme --from 192.0.2.7 STOR /in/a.csv
  portcullis policy explain acme --at 2026-11-28T22:00 RETR /out/a.csv
  portcullis policy explain acme --from 192.0.2.7 login
  portcullis policy explain acme RNFR /in/a.csv /done/a.csv --json")]
pub(super) struct Arguments {
    /// The user.
    #[arg(value_name = "USER")]
    user: String,

    /// What is done, and on which path.
    #[arg(value_name = "VERB PATH", required = true, num_args = 1..)]
    words: Vec<String>,

    /// The address from which the user comes. Without it, lists of networks are left out, and so
    /// are exceptions that are for some network.
    #[arg(long, value_name = "IP")]
    from: Option<IpAddr>,

    /// The moment, such as 2026-11-23T10:00 (by the clocks of [time]), 2026-11-23T10:00:00Z, or
    /// 2026-11-23 for its noon; now unless said otherwise.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,

    /// Report as one JSON object.
    #[arg(long)]
    json: bool,

    /// Judge the two files by their text alone, without certificates, homes, owners and changed
    /// passwords, as where changes are reviewed.
    #[arg(long)]
    text_only: bool,

    /// Override one key of server.toml, as for serve.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<Override>,
}

/// What keeps a question from being asked.
enum Unasked {
    /// It was put wrongly.
    Usage(String),
    /// The answer is known without asking: nobody may.
    Denied(String),
}

/// Prints the decision.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let config = load(policy, &arguments.overrides, arguments.text_only)?;
    match question(arguments, &config.policy) {
        Ok(question) => {
            let explanation = explain(&config.policy, &question);
            if arguments.json {
                say(json!(explanation))?;
            } else {
                say(text(&explanation))?;
            }
            if explanation.allowed { Ok(()) } else { Err(Failure::Found(1)) }
        }
        Err(Unasked::Usage(message)) => {
            complain(&format!("portcullis: {message}\nFor more information, try '--help'."));
            Err(Failure::Found(2))
        }
        Err(Unasked::Denied(message)) => {
            if arguments.json {
                say(json!({ "allowed": false, "user": arguments.user, "problem": message }))?;
            } else {
                say(format!("DENIED: {message}"))?;
            }
            Err(Failure::Found(1))
        }
    }
}

fn question<'a>(arguments: &Arguments, policy: &'a Policy) -> Result<Question<'a>, Unasked> {
    let account = account(&arguments.user, policy)?;
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    let (verb, paths) = match words.as_slice() {
        [site, command, paths @ ..] if site.eq_ignore_ascii_case("SITE") => (format!("{site} {command}"), paths),
        [verb, paths @ ..] => ((*verb).to_owned(), paths),
        [] => (String::new(), &[][..]),
    };
    let action = Action::parse(&verb).map_err(|error| match error {
        ActionError::NeverServed(..) => Unasked::Denied(error.to_string()),
        ActionError::NoPath(_) => Unasked::Usage(format!("{error} (policy explain {} login)", account.name)),
        ActionError::Unknown => Unasked::Usage(format!("`{}` is no command: {error}", verb.escape_debug())),
    })?;
    let mut paths = paths.iter().map(|path| {
        let whole = VirtualPath::root().join(path.as_bytes());
        whole.map_err(|error| Unasked::Denied(format!("no client can name {}: {error}", path.escape_debug())))
    });
    let (path, renamed_to) = (paths.next().transpose()?, paths.next().transpose()?);
    match (action, &path, &renamed_to, paths.next()) {
        (Action::Login, Some(_), ..) => return Err(Unasked::Usage("a login has no path".to_owned())),
        (Action::Login, ..) => {}
        (_, None, ..) => return Err(Unasked::Usage(format!("{action} needs a path, such as /in/a.csv"))),
        (_, _, Some(_), None) if action.is_rename() => {}
        (_, _, None, None) => {}
        _ => return Err(Unasked::Usage("one path is enough; RNFR and RNTO take two".to_owned())),
    }
    let at = match &arguments.at {
        // A moment of today, to the second.
        None => Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default(),
        Some(text) => read_moment(text, &policy.zone).ok_or_else(|| {
            let forms = "2026-11-23T10:00, 2026-11-23T10:00:00Z or 2026-11-23";
            Unasked::Usage(format!("`{}` is no moment; write it as {forms}", text.escape_debug()))
        })?,
    };
    Ok(Question { account, from: arguments.from, at, action, path, renamed_to })
}

fn account<'a>(user: &str, policy: &'a Policy) -> Result<&'a Account, Unasked> {
    let name = Username::parse(user).map_err(|error| Unasked::Denied(format!("there is no such user: {error}")))?;
    policy.users.get(&name).ok_or_else(|| {
        let near = nearest(user, policy.users.keys().map(Username::as_str));
        let help = near.map_or_else(|| "see portcullis user list".to_owned(), |near| format!("did you mean {near}?"));
        Unasked::Denied(format!("there is no user {name}; {help}"))
    })
}

fn text(explanation: &Explanation) -> String {
    let mut out = String::new();
    let Explanation { user, action, at, .. } = explanation;
    let judgement = if explanation.allowed { "ALLOWED" } else { "DENIED" };
    let paths = [&explanation.path, &explanation.renamed_to].into_iter().flatten();
    let paths: String = paths.fold(String::new(), |all, path| all + " " + path);
    let from = explanation.from.map_or_else(String::new, |from| format!(" from {from}"));
    // Writing into a text cannot fail.
    let _ = writeln!(out, "{judgement}: {user} {action}{paths}{from} at {at}");
    let by = &explanation.decided_by;
    let _ = writeln!(out, "  by {}{}", by.what, place(by.source.as_deref()));
    let _ = writeln!(out, "\nthe login:");
    let mut failed = false;
    for step in &explanation.login {
        let decides = step.verdict == Verdict::Failed && !failed;
        failed |= decides;
        let word = match step.verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "FAILED",
            Verdict::NotJudged => "-",
            Verdict::AskedAtLogin => "asked",
        };
        let (mark, source) = (mark(decides), place(step.source.as_deref()));
        let _ = writeln!(out, "{mark} {word:7} {}: {}{source}", step.name, step.what);
    }
    for part in &explanation.parts {
        out.push('\n');
        out.push_str(&part_text(part));
    }
    if !explanation.limits.is_empty() {
        let _ = writeln!(out, "\nbesides, these hold:");
        for limit in &explanation.limits {
            let _ = writeln!(out, "  {} = {}{}", limit.key, limit.value, place(limit.source.as_deref()));
        }
    }
    if let Some(needed) = &explanation.needed {
        let _ = writeln!(out, "\nit would take: {needed}");
    }
    out.trim_end().to_owned()
}

fn part_text(part: &Part) -> String {
    let what = part.permission.map_or_else(|| part.path.clone(), |permission| format!("{permission} {}", part.path));
    let when = part.when.map(|when| format!(", {when}")).unwrap_or_default();
    let judged = if part.allowed { "allowed" } else { "denied" };
    let stored = part.stored.as_ref().map(|stored| format!(" ({stored})")).unwrap_or_default();
    let mut out = format!("{what}{when}: {judged}{stored}\n");
    for Considered { allows, what, source, decides } in &part.considered {
        let word = if *allows { "allows" } else { "denies" };
        let _ = writeln!(out, "{} {word:7} {what}{}", mark(*decides), place(source.as_deref()));
    }
    out
}

fn mark(decides: bool) -> &'static str {
    if decides { "=>" } else { "  " }
}

fn place(source: Option<&str>) -> String {
    source.map(|source| format!(" ({source})")).unwrap_or_default()
}
