//! `portcullis audit search`.

use std::io::{self, BufWriter, ErrorKind, StdoutLock};
use std::ops::ControlFlow;
use std::path::Path;

use super::filters::Filters;
use super::shown::{Format, Shown};
use super::{Failure, Source};
use crate::cli::complain;
use crate::trail::entry::Entry;
use crate::trail::files::LogFile;
use crate::trail::filter::Needles;
use crate::trail::scan::{Found, Unread, narrowed, scan};

/// Exit code where nothing was found.
const EXIT_NOTHING: u8 = 1;
/// Exit code where something of the log could not be read.
const EXIT_UNREAD: u8 = 3;
/// Most complaints about what cannot be read that are told one by one.
const COMPLAINTS_MAX: u64 = 20;

/// Find records of the log, in all its files, rotated and compressed ones, too.
///
/// Exits with 0 where something was found, 1 where nothing was, and 3 where something of the log could not be
/// read: lines that are no records and files are named on standard error. It does not verify the log.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis audit search --event auth.failure --from 1d
  portcullis audit search --address 192.0.2.0/24 --outcome failure
  portcullis audit search --user alice --path '/in/**' --from 2026-11-01
  portcullis audit search --record 1840..1850 --format json
  portcullis audit search --event 'file.*' --format csv > files.csv

Exit codes: 0 found, 1 nothing found, 3 not all could be read.")]
pub(super) struct Arguments {
    #[command(flatten)]
    filters: Filters,
    /// Show so many records at most.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// In what form.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    source: Source,
}

/// Shows the records that are asked for.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let filter = arguments.filters.filter(policy)?;
    let files = narrowed(arguments.source.files(policy)?, &filter);
    let format = if arguments.json { Format::Json } else { arguments.format };
    show(&files, &Needles::of(&filter), |entry| filter.admits(entry), shown(format), arguments.limit)
}

/// Standard output, which many lines go to.
pub(super) type Output = BufWriter<StdoutLock<'static>>;

/// Records on standard output, in this form.
pub(super) fn shown(format: Format) -> Shown<Output> {
    Shown::new(BufWriter::with_capacity(1 << 16, io::stdout().lock()), format)
}

/// Shows the records that are meant, and says by the exit code whether there were any.
pub(super) fn show(
    files: &[LogFile],
    needles: &Needles,
    admits: impl Fn(&Entry<'_>) -> bool,
    mut shown: Shown<Output>,
    limit: Option<u64>,
) -> Result<(), Failure> {
    let mut unread = Complaints::default();
    let mut found = 0_u64;
    let each = |record: Found<'_>| {
        if limit == Some(found) {
            return Ok(ControlFlow::Break(()));
        }
        found = found.saturating_add(1);
        shown.record(record.line, &record.entry)?;
        Ok(if limit == Some(found) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    let written = scan(files, needles, admits, |what| unread.tell(what), each).and_then(|()| shown.flush());
    unpiped(written)?;
    unread.end(found > 0)
}

/// Whether something was written; a reader that went away has seen enough.
pub(super) fn unpiped(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::io("standard output", &error)),
        _ => Ok(()),
    }
}

/// What could not be read, as it is told on standard error.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    count: u64,
}

impl Complaints {
    /// Tells it, unless there was much.
    pub(super) fn tell(&mut self, what: Unread<'_>) {
        self.count = self.count.saturating_add(1);
        if self.count > COMPLAINTS_MAX {
            return;
        }
        match what {
            Unread::Line(file, number) => complain(&format_args!("{}:{number}: no record", file.display())),
            Unread::File(file, error) => complain(&format_args!("{}: {error}", file.display())),
        }
    }

    /// The exit code, by whether something was found.
    pub(super) fn end(self, found: bool) -> Result<(), Failure> {
        if self.count > 0 {
            let shown = if self.count > COMPLAINTS_MAX { ", of which the first are above" } else { "" };
            complain(&format_args!(
                "portcullis: lines and files that could not be read: {}{shown}; portcullis audit verify tells more",
                self.count
            ));
            return Err(Failure::Found(EXIT_UNREAD));
        }
        if found { Ok(()) } else { Err(Failure::Found(EXIT_NOTHING)) }
    }
}
