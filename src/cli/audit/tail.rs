//! `portcullis audit tail`.

use std::collections::VecDeque;
use std::fs::File;
use std::future::pending;
use std::io::{self, ErrorKind, StdoutLock};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::inotify;
use tokio::io::Interest;
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use super::filters::Filters;
use super::search::unpiped;
use super::shown::{Format, Shown};
use super::{Failure, Source};
use crate::audit::rotation::Kind;
use crate::trail::entry::Entry;
use crate::trail::files::LogFile;
use crate::trail::filter::Filter;
use crate::trail::follow::Follower;
use crate::trail::latest::latest;

/// How often the log is looked at where nothing tells that it changed: on network file systems, nothing does.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Show the last records of the log, and with --follow those to come.
///
/// It goes on over every change of the file, without leaving a record out or showing one twice, until it is
/// interrupted or nobody reads what it shows.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis audit tail
  portcullis audit tail -n 50 --event 'auth.*'
  portcullis audit tail --follow --severity medium
  portcullis audit tail --follow --json | jq .file.path")]
pub(super) struct Arguments {
    /// How many records there are to begin with.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=100_000))]
    lines: u32,
    /// Go on with those that are written from now on.
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    filters: Filters,
    /// Report the records themselves, one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

/// Shows the last records, and goes on where it is told to.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let filter = arguments.filters.filter(policy)?;
    let files = arguments.source.files(policy)?;
    let format = if arguments.json { Format::Json } else { Format::Table };
    let mut shown = Shown::new(io::stdout().lock(), format).headless();
    let most = usize::try_from(arguments.lines).unwrap_or(usize::MAX);
    if !arguments.follow {
        let last = last(&files, most, |entry| filter.admits(entry))?;
        return unpiped(show(&mut shown, &last));
    }
    let growing = files.iter().find(|file| file.kind == Kind::Open).ok_or_else(|| {
        Failure::Failed("nothing is added to a file of the log that is closed: --follow needs its directory".to_owned())
    })?;
    let path = growing.path.as_path();
    let failed = |error: io::Error| Failure::io(path.display(), &error);
    // In this order nothing falls between what was written before and what is written from now on.
    let mut follower = Follower::open(path).map_err(failed)?;
    // The file that was open at the first look may be closed since.
    let files = arguments.source.files(policy)?;
    let newest = last(&files, 1, |_| true)?.iter().find_map(|line| Some(Entry::parse(line).ok()?.seq)).unwrap_or(0);
    follower.go_on_behind(newest);
    let last = last(&files, most, |entry| entry.seq <= newest && filter.admits(entry))?;
    let watch = watch(path.parent().unwrap_or(Path::new(".")));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let shown = async {
        // Before something is shown: who sees it may interrupt.
        let stop = Stop::new()?;
        show(&mut shown, &last)?;
        follow(&mut follower, watch.ok(), &filter, &mut shown, stop).await
    };
    match runtime.block_on(shown) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(failed(error)),
        _ => Ok(()),
    }
}

fn last(files: &[LogFile], most: usize, admits: impl FnMut(&Entry<'_>) -> bool) -> Result<VecDeque<Vec<u8>>, Failure> {
    latest(files, most, admits).map_err(|(file, error)| {
        let path = files.get(file).map(|file| file.path.display().to_string()).unwrap_or_default();
        Failure::io(path, &error)
    })
}

fn show(shown: &mut Shown<StdoutLock<'_>>, lines: &VecDeque<Vec<u8>>) -> io::Result<()> {
    for line in lines {
        if let Ok(entry) = Entry::parse(line) {
            shown.record(line, &entry)?;
        }
    }
    shown.flush()
}

/// Tells when something in a directory changes, as long as this process runs.
fn watch(directory: &Path) -> io::Result<Arc<Notify>> {
    use inotify::{CreateFlags, WatchFlags};

    let watch = inotify::init(CreateFlags::CLOEXEC)?;
    let changes = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
    inotify::add_watch(&watch, directory, changes)?;
    let notify = Arc::new(Notify::new());
    let tell = Arc::clone(&notify);
    std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&watch, &mut buffer);
        while events.next().is_ok() {
            tell.notify_one();
        }
    })?;
    Ok(notify)
}

/// Shows what is written from now on, until somebody interrupts or no longer reads it.
async fn follow(
    follower: &mut Follower,
    watch: Option<Arc<Notify>>,
    filter: &Filter,
    shown: &mut Shown<StdoutLock<'_>>,
    mut stop: Stop,
) -> io::Result<()> {
    loop {
        follower.read(&mut |line, entry| if filter.admits(entry) { shown.record(line, entry) } else { Ok(()) })?;
        shown.flush()?;
        tokio::select! {
            () = changed(watch.as_deref()) => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.asked() => return Ok(()),
        }
    }
}

async fn changed(watch: Option<&Notify>) {
    match watch {
        Some(watch) => watch.notified().await,
        None => pending().await,
    }
}

/// What ends the following: signals, and that nobody reads any more.
struct Stop {
    interrupted: Signal,
    terminated: Signal,
    reader: Option<pipe::Sender>,
}

impl Stop {
    fn new() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let is_pipe = file.metadata()?.file_type().is_fifo();
        Ok(Self {
            interrupted: signal(SignalKind::interrupt())?,
            terminated: signal(SignalKind::terminate())?,
            // It tells when nobody reads it. It stays as it is, since others may write to it: nothing is written here.
            reader: is_pipe.then(|| pipe::Sender::from_file_unchecked(file)).transpose()?,
        })
    }

    async fn asked(&mut self) {
        let gone = async {
            match &self.reader {
                Some(reader) if reader.ready(Interest::ERROR).await.is_ok() => {}
                _ => pending().await,
            }
        };
        tokio::select! {
            () = gone => {}
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
        }
    }
}
