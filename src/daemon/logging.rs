//! The operational log: what the server says about itself, to standard error and to a file a day.
//! It is no audit trail, but it is lossless all the same: who logs waits rather than drop a line.
//!
//! A line is one event and cannot be forged: `tracing-subscriber` escapes some control characters
//! of fields, yet neither line ends nor bidirectional marks, so `OneLine` escapes what is left.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::{error, fmt};

use tracing::{Level, Subscriber};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Registry, reload};

use crate::audit::text;
use crate::config::directory;
use crate::settings::{Log, RunAs};

/// Lines that wait for the file at most. At the end of the server, the appender has a second to
/// write them, so there are no more than any disk manages.
const QUEUE_LINES_MAX: usize = 4096;
/// What the files' names begin and end with; the day stands between.
const NAME: (&str, &str) = ("portcullis", "log");

/// Why there is no operational log.
#[derive(Debug)]
pub enum LogError {
    /// Another part of the process has set up logging.
    Installed(TryInitError),
    /// The directory cannot be made or given to the server's account.
    Directory(PathBuf, io::Error),
    /// Today's file cannot be opened.
    File(PathBuf, InitError),
}

/// The log as set up: to standard error at once, to a file when told to.
#[derive(Debug)]
pub struct Logging {
    settings: Log,
    file: FileSlot,
    severity: Severity,
}

/// The least severity that is written, to be changed while the server runs.
#[derive(Clone, Debug)]
pub struct Severity(reload::Handle<LevelFilter, Registry>);

impl Severity {
    /// Writes what is at least this severe from here on.
    pub fn set(&self, level: Level) {
        // An error means that nothing is logged any more: the process ends.
        let _ = self.0.reload(LevelFilter::from_level(level));
    }
}

/// Keeps the file's thread; dropped at the very end, it writes what is still queued.
#[derive(Debug)]
#[must_use = "dropping it ends the log file"]
pub struct LogGuard {
    _thread: Option<WorkerGuard>,
}

impl Logging {
    /// Logs to standard error from here on, and makes the directory of the files, if one is
    /// configured, for the account that the server will run as. Starts no thread, so this comes
    /// before the sandbox.
    ///
    /// # Errors
    /// [`LogError`] where the directory cannot be made, or the process logs already.
    pub fn install(settings: &Log, run_as: Option<&RunAs>) -> Result<Self, LogError> {
        if let Some(directory) = &settings.directory {
            prepare(directory, run_as).map_err(|error| LogError::Directory(directory.clone(), error))?;
        }
        let file = FileSlot::default();
        let (subscriber, severity) = subscriber(settings.level, io::stderr, file.clone());
        subscriber.try_init().map_err(LogError::Installed)?;
        Ok(Self { settings: settings.clone(), file, severity })
    }

    /// What changes the least severity that is written.
    pub fn severity(&self) -> Severity {
        self.severity.clone()
    }

    /// Logs to the day's file too, through a thread of its own: call it in the sandbox.
    ///
    /// # Errors
    /// [`LogError::File`] where the file cannot be opened.
    pub fn start_file(&self) -> Result<LogGuard, LogError> {
        let Some(directory) = &self.settings.directory else { return Ok(LogGuard { _thread: None }) };
        self.file.start(directory).map_err(|error| LogError::File(directory.clone(), error))
    }
}

fn prepare(directory: &Path, run_as: Option<&RunAs>) -> io::Result<()> {
    if directory.try_exists()? {
        return Ok(());
    }
    directory::make(directory, run_as)
}

/// Both outputs, for events of at least the level's severity.
fn subscriber<W>(level: Level, console: W, file: FileSlot) -> (impl Subscriber + Send + Sync, Severity)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (severity, handle) = reload::Layer::new(LevelFilter::from_level(level));
    let subscriber = tracing_subscriber::registry()
        .with(severity)
        .with(lines().with_writer(Sanitized(console)))
        .with(lines().with_writer(Sanitized(file)));
    (subscriber, Severity(handle))
}

/// One line an event: time in UTC, severity, where from, message, fields. A failing output is
/// nothing to report on that output, least of all by a panic.
fn lines<S>() -> tracing_subscriber::fmt::Layer<S> {
    tracing_subscriber::fmt::layer().with_ansi(false).log_internal_errors(false)
}

/// Where the file's queue is put once there is one.
#[derive(Clone, Debug, Default)]
struct FileSlot(Arc<OnceLock<NonBlocking>>);

impl FileSlot {
    fn start(&self, directory: &Path) -> Result<LogGuard, InitError> {
        let file = RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix(NAME.0)
            .filename_suffix(NAME.1)
            .build(directory)?;
        Ok(self.start_with(file))
    }

    fn start_with(&self, file: impl Write + Send + 'static) -> LogGuard {
        let (queue, guard) = NonBlockingBuilder::default()
            .lossy(false)
            .buffered_lines_limit(QUEUE_LINES_MAX)
            .thread_name("log")
            .finish(file);
        // A second start changes nothing: its thread ends with the queue that nobody has.
        let _ = self.0.set(queue);
        LogGuard { _thread: Some(guard) }
    }
}

impl<'a> MakeWriter<'a> for FileSlot {
    type Writer = QueueOrNothing;

    fn make_writer(&'a self) -> Self::Writer {
        QueueOrNothing(self.0.get().cloned())
    }
}

/// The file's queue; before there is one, lines go to standard error alone.
struct QueueOrNothing(Option<NonBlocking>);

impl Write for QueueOrNothing {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Some(queue) => queue.write(line),
            None => Ok(line.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes writers that keep each event on one line.
struct Sanitized<M>(M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Sanitized<M> {
    type Writer = OneLine<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLine(self.0.make_writer())
    }
}

/// Escapes what could end a line or drive a terminal. It is given one whole event at a time.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let content = event.strip_suffix(b"\n").unwrap_or(event);
        if content.iter().all(|byte| matches!(byte, 0x20..=0x7e)) {
            self.0.write_all(event)?;
        } else {
            let mut line = String::with_capacity(event.len().saturating_add(64));
            text::push_escaped(&mut line, &String::from_utf8_lossy(content));
            line.push('\n');
            self.0.write_all(line.as_bytes())?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installed(error) => write!(f, "cannot set up logging: {error}"),
            Self::Directory(path, error) => write!(
                f,
                "cannot make the log directory {}: {error}; make it, or name another one in [log] directory",
                path.display()
            ),
            Self::File(path, error) => write!(
                f,
                "cannot write a log file in {}: {error}; the server's account must be able to write there",
                path.display()
            ),
        }
    }
}

impl error::Error for LogError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Installed(error) => Some(error),
            Self::Directory(_, error) => Some(error),
            Self::File(_, error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    /// Everything that the files of a directory hold.
    fn logged(directory: &Path) -> String {
        let files = fs::read_dir(directory).unwrap();
        files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn a_flood_of_lines_loses_none() {
        let directory = tempfile::tempdir().unwrap();
        let slot = FileSlot::default();
        let dispatch = tracing::Dispatch::new(subscriber(Level::INFO, io::sink, slot.clone()).0);
        let guard = slot.start(directory.path()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let dispatch = &dispatch;
                scope.spawn(move || {
                    tracing::dispatcher::with_default(dispatch, || {
                        (0..5_000).for_each(|n| tracing::info!(thread, n, "flood"));
                    });
                });
            }
        });
        drop(guard);
        let logged = logged(directory.path());
        assert_eq!(logged.lines().filter(|line| line.contains("flood")).count(), 20_000);
        for thread in 0..4 {
            let of_thread = logged.lines().filter(|line| line.contains(&format!("thread={thread} ")));
            let numbers: Vec<u32> = of_thread.map(|line| line.rsplit_once("n=").unwrap().1.parse().unwrap()).collect();
            assert_eq!(numbers, (0..5_000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_slow_file_makes_the_log_wait_instead_of_dropping() {
        #[derive(Clone, Default)]
        struct Slow(Arc<Mutex<usize>>);
        impl Write for Slow {
            fn write(&mut self, line: &[u8]) -> io::Result<usize> {
                let mut lines = self.0.lock().unwrap();
                *lines = lines.wrapping_add(1);
                if lines.is_multiple_of(500) {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Ok(line.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (disk, slot) = (Slow::default(), FileSlot::default());
        let guard = slot.start_with(disk.clone());
        tracing::subscriber::with_default(subscriber(Level::INFO, io::sink, slot.clone()).0, || {
            (0..QUEUE_LINES_MAX * 3).for_each(|n| tracing::info!(n, "line"));
        });
        drop(guard);
        assert_eq!(*disk.0.lock().unwrap(), QUEUE_LINES_MAX * 3);
    }

    #[test]
    fn a_hostile_text_cannot_forge_a_line_or_drive_a_terminal() {
        let directory = tempfile::tempdir().unwrap();
        let slot = FileSlot::default();
        let guard = slot.start(directory.path()).unwrap();
        let hostile = "x\r\n2026-01-01T00:00:00Z  INFO forged\u{2028}\u{1b}[2J\u{9b}1m\u{202e}\u{7}";
        tracing::subscriber::with_default(subscriber(Level::INFO, io::sink, slot.clone()).0, || {
            tracing::info!(displayed = %hostile, debugged = ?hostile, plain = hostile, "first {hostile}");
            tracing::debug!("below the level");
            tracing::warn!("second, with ä");
        });
        drop(guard);
        let logged = logged(directory.path());
        assert_eq!(logged.lines().count(), 2, "{logged}");
        assert!(logged.contains("second, with ä"));
        assert!(!logged.chars().any(|c| c != '\n' && text::is_harmful(c)), "{logged:?}");
    }

    #[test]
    fn the_severity_can_be_changed_at_any_time() {
        let directory = tempfile::tempdir().unwrap();
        let slot = FileSlot::default();
        let guard = slot.start(directory.path()).unwrap();
        let (subscriber, severity) = subscriber(Level::WARN, io::sink, slot.clone());
        tracing::subscriber::with_default(subscriber, || {
            for level in [Level::DEBUG, Level::ERROR] {
                tracing::info!("told before");
                severity.set(level);
                tracing::debug!("told under {level}");
            }
        });
        drop(guard);
        let logged = logged(directory.path());
        assert!(logged.contains("told under DEBUG") && !logged.contains("told under ERROR"), "{logged}");
        assert_eq!(logged.matches("told before").count(), 1, "{logged}");
    }

    #[test]
    fn before_the_file_is_started_only_the_console_hears() {
        let directory = tempfile::tempdir().unwrap();
        let console = Arc::new(fs::File::create(directory.path().join("console")).unwrap());
        tracing::subscriber::with_default(subscriber(Level::INFO, console, FileSlot::default()).0, || {
            tracing::error!("early");
        });
        assert!(logged(directory.path()).contains("ERROR"));
    }

    #[test]
    fn the_directory_is_made_for_the_account_and_its_parents_are_passable() {
        use std::os::unix::fs::MetadataExt;
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("deep/log");
        let account = RunAs { name: "daemon".into(), uid: 4711, gid: 4712 };
        prepare(&directory, Some(&account)).unwrap();
        prepare(&directory, None).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o7777, 0o750);
        assert_eq!(fs::metadata(base.path().join("deep")).unwrap().mode() & 0o7777, 0o755);
        let given = fs::metadata(&directory).unwrap().uid() == 4711;
        assert_eq!(given, rustix::process::geteuid().is_root());
    }
}
