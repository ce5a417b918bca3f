//! `portcullis audit report`.

mod checks;
mod target;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::checks::Checks;
use self::target::Target;
use super::filters::SpanArguments;
use super::findings::name_log;
use super::knowledge;
use super::verify::Trusted;
use super::{Failure, Source};
use crate::cli::complain;
use crate::config::running;
use crate::findings::Finder;
use crate::findings::context::Context;
use crate::report::series::Calendar;
use crate::report::{Report, Summary, csv, html, json, markdown};
use crate::trail::entry::Entry;
use crate::trail::files::LogFile;
use crate::trail::lines::{End, Lines};

/// How many lines are read before the progress is shown again.
const LINES_BETWEEN: u32 = 4096;

/// Write a report for people: one page that needs nothing else, or data.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis audit report --from 2026-11-01 --to 2026-11-30 --out november.html
  portcullis audit report --from 24h --out report.html
  portcullis audit report --log /backup/audit --zone Asia/Tokyo --out all.html
  portcullis audit report --public-key audit.pub --witness heads --out a.html
  portcullis audit report --from 7d --format csv --out - | sort

A moment is a date (the whole day counts), a date and time, RFC 3339, or how
long ago it was (24h, 7d). Days and hours are those of [time] zone in
server.toml. The chain is verified over the whole log, whatever the span.")]
pub(super) struct Arguments {
    #[command(flatten)]
    span: SpanArguments,
    /// Where it is written, - for standard output. Only you can read the file, as it names people.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What is written.
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// What the report is called.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// The time zone of days and hours, such as Europe/Berlin, instead of that of server.toml.
    #[arg(long, value_name = "NAME")]
    zone: Option<String>,
    #[command(flatten)]
    trusted: Trusted,
    #[command(flatten)]
    source: Source,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A page to look at, that needs nothing else.
    Html,
    /// Every table, as one JSON object.
    Json,
    /// Every table, a line for each figure.
    Csv,
    /// Text for a ticket or a mail.
    Md,
}

/// Reads the log and writes the report.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let now = Timestamp::now();
    let zone = zone(arguments, policy)?;
    let span = arguments.span.span_at(&now.to_zoned(zone.clone()))?;
    let target = Target::of(&arguments.out)?;
    let source = &arguments.source;
    let files = source.files(policy)?;
    let (thresholds, context, note) = knowledge::of_policy(policy, now);
    if let Some(note) = note {
        complain(&format!("note: {note}"));
    }
    let context = Context { zone: zone.clone(), ..context };
    let milliseconds = |moment: Option<Timestamp>| moment.map(Timestamp::as_millisecond);
    let mut summary = Summary::new(Calendar::of(zone), milliseconds(span.from), milliseconds(span.to));
    let mut finder = Finder::new(&thresholds, context, span);
    let checks = Checks::of(&arguments.trusted, source, policy)?;
    // The whole log is verified, and beside the reading, as neither waits for the disk.
    let (unread, verdict) = std::thread::scope(|scope| {
        let verdict = scope.spawn(|| checks.verdict());
        let unread = read(&files, &mut summary, &mut finder);
        (unread, wait_for(verdict))
    });
    let mut found = finder.finish();
    name_log(&mut found.findings, source, policy);
    let report = Report {
        title: arguments.title.clone().unwrap_or_else(|| "Audit report".to_owned()),
        made_at: now,
        log: source.place(policy)?.display().to_string(),
        summary: &summary,
        verdict: Some(verdict?),
        findings: Some(found.findings),
        findings_left_out: found.left_out,
        unread,
    };
    target.fill(|out| match arguments.format {
        Format::Html => html::write(&report, out),
        Format::Json => json::write(&report, out),
        Format::Csv => csv::write(&report, out),
        Format::Md => markdown::write(&report, out),
    })
}

/// The time zone of the report. A log that is looked at elsewhere has no policy beside it, and UTC then.
fn zone(arguments: &Arguments, policy: &Path) -> Result<TimeZone, Failure> {
    if let Some(name) = &arguments.zone {
        let unknown = |_| Failure::Failed(format!("no time zone is named {name:?}; for example: --zone Europe/Berlin"));
        return TimeZone::get(name).map_err(unknown);
    }
    match running::time_zone(policy) {
        Ok(zone) => Ok(zone),
        Err(_) if arguments.source.log.is_some() => {
            let message = "portcullis: times are UTC, as no policy could be read; --zone names another time zone";
            complain(&message);
            Ok(TimeZone::UTC)
        }
        Err(problems) => Err(problems.into()),
    }
}

/// Reads every line, and says which files could not be read.
fn read(files: &[LogFile], summary: &mut Summary, finder: &mut Finder) -> Vec<String> {
    let mut unread = Vec::new();
    let mut lines = Lines::of(files);
    let bytes_read = lines.bytes_read();
    let sizes = files.iter().filter_map(|file| file.path.metadata().ok()).map(|metadata| metadata.len());
    let progress = progress(sizes.fold(0, u64::saturating_add));
    let mut count: u32 = 0;
    loop {
        match lines.read_next() {
            Ok(None) => break,
            // What is being written at this moment will be a record.
            Ok(Some(line)) if line.end == End::OfFile && line.bytes.last() != Some(&b'}') => {}
            Ok(Some(line)) => {
                if let Ok(entry) = Entry::parse(line.bytes) {
                    summary.observe(&entry);
                    finder.observe(&entry);
                } else {
                    summary.note_unreadable();
                    finder.note_unreadable();
                }
            }
            Err((file, error)) => {
                let path = files.get(file).map(|file| file.path.display().to_string()).unwrap_or_default();
                let problem = format!("{path}: {error}");
                complain(&format_args!("portcullis: {}", crate::report::harmless(&problem)));
                unread.push(problem);
            }
        }
        count = count.wrapping_add(1);
        if count.is_multiple_of(LINES_BETWEEN) {
            progress.set_position(bytes_read.load(Ordering::Relaxed));
        }
    }
    progress.finish_and_clear();
    unread
}

/// What the other thread comes to; says so where it is not there yet.
fn wait_for<T>(other: ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    let bar = if other.is_finished() || !io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        ProgressBar::new_spinner().with_message("verifying the chain of the records")
    };
    bar.enable_steady_tick(Duration::from_millis(100));
    let result = other.join();
    bar.finish_and_clear();
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A bar on a terminal, nothing elsewhere.
fn progress(bytes: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    if let Ok(style) = ProgressStyle::with_template("reading {bar:30} {bytes} of {total_bytes}, {eta} left") {
        bar.set_style(style);
    }
    bar
}
