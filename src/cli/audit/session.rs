//! `portcullis audit session`.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;

use jiff::Timestamp;
use ulid::Ulid;

use super::filters::session_id;
use super::search::{Complaints, unpiped};
use super::words::{harmless, seconds, told};
use super::{Failure, Source, shown};
use crate::audit::event::Event;
use crate::cli::terminal::{Screen, Tone, padded};
use crate::trail::entry::Entry;
use crate::trail::files::LogFile;
use crate::trail::filter::{Filter, Needles, TimeSpan};
use crate::trail::scan::{Found, narrowed, scan};

/// Most sessions that are named where the beginning of an id stands for several.
const NAMED_MAX: usize = 10;
/// Characters of a ULID.
const ID_LENGTH: usize = 26;

/// Tell the story of one session, from the first contact to its end.
///
/// Exits with 0, with 1 where no session or more than one has this id, and with 3 where something of the log could not
/// be read.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis audit session 01M825SED72M06C6JNSX8THYE4
  portcullis audit session 01M825SED
  portcullis audit session 01M825SED --json

Exit codes: 0 found, 1 none or several found, 3 not all could be read.")]
pub(super) struct Arguments {
    /// The id of the session, or as much of its beginning as no other session has.
    #[arg(value_name = "ID", value_parser = session_id)]
    id: String,
    /// Report the records themselves, one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

/// Tells the story.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let filter = Filter {
        sessions: vec![arguments.id.clone()],
        span: TimeSpan { from: begun(&arguments.id), to: None },
        ..Filter::default()
    };
    let files = narrowed(arguments.source.files(policy)?, &Filter { span: filter.span, ..Filter::default() });
    // Files are left out by the time that the id tells; records are taken as they are.
    let mut filter = Filter { span: TimeSpan::default(), ..filter };
    if arguments.id.len() < ID_LENGTH {
        filter.sessions = vec![only(&files, &filter, &arguments.id)?];
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let mut unread = Complaints::default();
    let mut story = Story { screen: Screen::of_output(), steps: 0, begun: None, user: None };
    let each = |found: Found<'_>| {
        if arguments.json {
            shown::json(&mut out, found.line)?;
        } else {
            story.tell(&mut out, &found.entry)?;
        }
        story.steps = story.steps.saturating_add(1);
        let over = found.entry.event() == Event::SessionClosed.description().code;
        Ok(if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    let needles = Needles::of(&filter);
    let written = scan(&files, &needles, |entry| filter.admits(entry), |what| unread.tell(what), each);
    unpiped(written.and_then(|()| out.flush()))?;
    if story.steps == 0 {
        crate::cli::complain(&format_args!("portcullis: no session with the id {} is in the log", arguments.id));
    }
    unread.end(story.steps > 0)
}

/// When a session can have begun at the earliest, by the beginning of its id.
fn begun(start: &str) -> Option<Timestamp> {
    let id = Ulid::from_string(&format!("{start:0<ID_LENGTH$}")).ok()?;
    Timestamp::from_millisecond(i64::try_from(id.timestamp_ms()).ok()?).ok()
}

/// The one session whose id begins so.
fn only(files: &[LogFile], filter: &Filter, start: &str) -> Result<String, Failure> {
    let mut ids = BTreeSet::new();
    let each = |found: Found<'_>| {
        ids.extend(found.entry.session().map(harmless));
        Ok::<_, Failure>(if ids.len() > NAMED_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    scan(files, &Needles::of(filter), |entry| filter.admits(entry), |_| (), each)?;
    match (ids.pop_first(), ids.is_empty()) {
        (Some(id), true) => Ok(id),
        (None, _) => Ok(start.to_owned()),
        (Some(first), false) => {
            let others = ids.into_iter().take(NAMED_MAX.saturating_sub(1)).map(|id| format!("\n  {id}"));
            let listed: String = std::iter::once(format!("\n  {first}")).chain(others).collect();
            Err(Failure::Failed(format!("several sessions have an id that begins with {start}:{listed}")))
        }
    }
}

/// A session as it is told.
#[derive(Debug)]
struct Story {
    screen: Screen,
    steps: u64,
    begun: Option<i64>,
    /// The user that was named last.
    user: Option<String>,
}

impl Story {
    fn tell(&mut self, out: &mut impl Write, entry: &Entry<'_>) -> io::Result<()> {
        if self.begun.is_none() {
            let id = entry.session().map(harmless).unwrap_or_default();
            let heading = format!("Session {id}, {} UTC", shown::time(entry));
            writeln!(out, "{}", self.screen.line(&[(Tone::Strong, heading)]))?;
        }
        let begun = *self.begun.get_or_insert(entry.time);
        let since = u64::try_from(entry.time.saturating_sub(begun)).unwrap_or(0);
        let mut text = told(entry);
        let user = entry.user().map(str::to_owned);
        // Who it is goes without saying until it changes; failed logins and the login itself name it.
        if user.is_some() && user != self.user && !entry.event().starts_with("auth.") {
            text = format!("{text} (as {})", harmless(user.as_deref().unwrap_or_default()));
        }
        if entry.event() == Event::LoginSuccess.description().code || !entry.event().starts_with("auth.") {
            self.user = user.or(self.user.take());
        }
        let after = format!("{:>12}", format!("+{}", seconds(since)));
        let record = padded(&format!("#{}", entry.seq), 8);
        let parts = [(Tone::Faint, format!("{after}  {record}")), (shown::tone(entry), text)];
        writeln!(out, "{}", self.screen.line(&parts))
    }
}
