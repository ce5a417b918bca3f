//! `portcullis audit report`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

use super::{Failure, Source};
use crate::cli::complain;
use crate::config::running;
use crate::report::series::Calendar;
use crate::report::{Report, Summary, csv, html, json, markdown};
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
  portcullis audit report --from 7d --format csv --out - | sort

A moment is a date (the whole day counts), a date and time, RFC 3339, or how
long ago it was (24h, 7d). Days and hours are those of [time] zone in
server.toml.")]
pub(super) struct Arguments {
    /// Where the report begins, instead of with the log.
    #[arg(long, value_name = "MOMENT")]
    from: Option<Moment>,
    /// Where it ends, instead of with the log; a date is part of it.
    #[arg(long, value_name = "MOMENT")]
    to: Option<Moment>,
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

/// A moment, as it was given.
#[derive(Clone, Debug)]
enum Moment {
    Date(Date),
    Clock(DateTime),
    Exact(Timestamp),
    Ago(Span),
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(exact) = text.parse() {
            return Ok(Self::Exact(exact));
        }
        if !text.contains([':', 'T', 't', ' '])
            && let Ok(date) = text.parse()
        {
            return Ok(Self::Date(date));
        }
        if let Ok(clock) = text.parse() {
            return Ok(Self::Clock(clock));
        }
        let ago = text.parse::<Span>().map(Span::abs).map(Self::Ago);
        ago.map_err(|_| {
            "write 2026-11-22, 2026-11-22T06:00, 2026-11-22T06:00:00Z, or 24h or 7d for so long ago".to_owned()
        })
    }
}

impl Moment {
    /// When it is, in milliseconds since 1970; of a day its beginning, or its end where it is the last.
    fn milliseconds(&self, zone: &TimeZone, is_end: bool) -> Option<i64> {
        let clock = match self {
            Self::Exact(exact) => return Some(exact.as_millisecond()),
            Self::Ago(span) => {
                let now = Timestamp::now().to_zoned(zone.clone());
                return Some(now.checked_sub(*span).ok()?.timestamp().as_millisecond());
            }
            Self::Clock(clock) => *clock,
            Self::Date(date) if is_end => date.checked_add(1.day()).ok()?.at(0, 0, 0, 0),
            Self::Date(date) => date.at(0, 0, 0, 0),
        };
        Some(zone.to_ambiguous_timestamp(clock).compatible().ok()?.as_millisecond())
    }
}

/// Reads the log and writes the report.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let zone = zone(arguments, policy)?;
    let out_of_range = || Failure::Failed("--from and --to are to lie between the years 1970 and 9999".to_owned());
    let moment = |moment: &Option<Moment>, is_end| {
        let moment = moment.as_ref().map(|moment| moment.milliseconds(&zone, is_end).ok_or_else(out_of_range));
        moment.transpose()
    };
    let (from, until) = (moment(&arguments.from, false)?, moment(&arguments.to, true)?);
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        return Err(Failure::Failed("--to lies before --from: the report would be empty".to_owned()));
    }
    let target = Target::of(&arguments.out)?;
    let files = arguments.source.files(policy)?;
    let mut summary = Summary::new(Calendar::of(zone), from, until);
    let unread = read(&files, &mut summary);
    let report = Report {
        title: arguments.title.clone().unwrap_or_else(|| "Audit report".to_owned()),
        made_at: Timestamp::now(),
        log: arguments.source.place(policy)?.display().to_string(),
        summary: &summary,
        verdict: None,
        findings: None,
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
fn read(files: &[LogFile], summary: &mut Summary) -> Vec<String> {
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
            Ok(Some(line)) => summary.take(line.bytes),
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

/// Where the report goes.
enum Target {
    Output,
    File { path: PathBuf, beside: Beside, file: File },
}

/// A file that is removed unless it was renamed.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Target {
    /// Opened before the log is read, so that a long reading is not in vain.
    fn of(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::Output);
        }
        if path.symlink_metadata().is_ok_and(|metadata| !metadata.is_file()) {
            let message =
                format!("{} is no file that could be replaced; --out - writes to standard output", path.display());
            return Err(Failure::Failed(message));
        }
        let Some(name) = path.file_name() else {
            return Err(Failure::Failed(format!("{} names no file", path.display())));
        };
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{:016x}", rand::random::<u64>()));
        let beside = path.with_file_name(hidden);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
        let file = file.map_err(|error| Failure::io(path.display(), &error))?;
        Ok(Self::File { path: path.to_owned(), beside: Beside(beside), file })
    }

    /// Writes all of it, or leaves what was there before.
    fn fill(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        match self {
            Self::Output => {
                let mut out = BufWriter::new(io::stdout().lock());
                match write(&mut out).and_then(|()| out.flush()) {
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                        Err(Failure::io("standard output", &error))
                    }
                    _ => Ok(()),
                }
            }
            Self::File { path, beside, file } => {
                let mut out = BufWriter::new(file);
                let written = write(&mut out).and_then(|()| out.flush()).and_then(|()| out.get_ref().sync_all());
                let renamed = written.and_then(|()| std::fs::rename(&beside.0, &path));
                renamed.map_err(|error| Failure::io(path.display(), &error))
            }
        }
    }
}
