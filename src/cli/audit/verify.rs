//! `portcullis audit verify`.

pub(super) mod shown;

use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde::Serialize;

use super::{Failure, Source};
use crate::audit::file::FILE_NAME;
use crate::audit::signing::PublicKey;
use crate::cli::say;
use crate::config::running;
use crate::trail::files::LogFile;
use crate::trail::lines::Lines;
use crate::trail::verify::{self, Options, State, Verdict, Witness};

/// The server's own key has its public half here, where server.toml names no key.
const OWN_PUBLIC_NAME: &str = "signing.pub";
/// What a public half has in the place of the key's extension.
const PUBLIC_EXTENSION: &str = "pub";
/// How long a server may need to sign once it is time, in seconds.
const SIGNING_SECONDS_MAX: u64 = 30;
/// Logs below this size are read before anybody could look at a progress bar, in bytes.
const PROGRESS_BYTES_MIN: u64 = 32 << 20;
/// How often a log is looked at anew that a server closes a file of meanwhile.
const LOOKS_MAX: u32 = 3;

/// Verify that the log is as the server wrote it.
///
/// Follows the chain from record to record over all files, and checks the signatures of the checkpoints.
/// Needs no server and no network; it reads, and changes nothing.
///
/// Exits with 0 where all is proven, with 3 where the chain holds and its end proves less than it should
/// (nothing is signed, the newest records have not been for too long, or the server was not stopped in order
/// and is not running), with 4 where records were changed, removed, put in, moved or replaced, with 5 where
/// a signature or a change of keys is wrong, with 6 where records at the end are missing, and with 1 where
/// something could not be read.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis audit verify
  portcullis audit verify --public-key /media/key/audit.pub
  portcullis audit verify --log /backup/audit --public-key audit.pub --json
  portcullis audit verify --public-key audit.pub --witness heads.jsonl --quiet")]
pub(super) struct Arguments {
    #[command(flatten)]
    trusted: Trusted,
    /// How old records without a signature may be while a server writes the log. Without it 300, or
    /// `checkpoint-seconds` of server.toml and half a minute where that is more.
    #[arg(long, value_name = "SECONDS")]
    unsigned_seconds: Option<u64>,
    /// Report as one JSON object.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Say nothing where all is proven, and else only what is found first.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    source: Source,
}

/// What the log is held against.
#[derive(Debug, clap::Args)]
pub(super) struct Trusted {
    /// A public key that is trusted (PEM). Without it, the one beside the key that server.toml names, or
    /// beside the log: whoever can change the log there may be able to change that, too.
    #[arg(long, value_name = "FILE")]
    pub(super) public_key: Vec<PathBuf>,
    /// Heads of the log that were kept elsewhere, as `audit head` prints them, one a line. They show whether
    /// the end is missing.
    #[arg(long, value_name = "FILE")]
    witness: Vec<PathBuf>,
}

/// Where the trusted keys are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeySource {
    /// They were given.
    Given,
    /// The public half lies beside the key that server.toml names.
    Configured,
    /// It lies beside the log.
    BesideLog,
    /// There is none.
    None,
}

/// The report as JSON.
#[derive(Serialize)]
struct Report<'a> {
    /// Changes where a field changes its meaning or goes.
    version: u32,
    key_source: KeySource,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

/// Verifies the log, and says what is proven.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let (keys, key_source) = arguments.trusted.keys(&arguments.source, policy)?;
    let witnesses = arguments.trusted.witnesses()?;
    let unsigned_seconds_max = unsigned_seconds(arguments.unsigned_seconds, &arguments.source, policy);
    let options = Options { witnesses, unsigned_seconds_max, ..Options::at(Timestamp::now()) };
    let verdict = look(&arguments.source, policy, &keys, &options, arguments.quiet)?;
    if arguments.json {
        let report = Report { version: 1, key_source, verdict: &verdict };
        say(serde_json::to_string(&report).map_err(|error| Failure::Failed(error.to_string()))?)?;
    } else if arguments.quiet {
        if let Some(finding) = verdict.first_finding() {
            say(shown::finding(finding))?;
        }
    } else {
        say(shown::verdict(&verdict, key_source).trim_end())?;
    }
    match verdict.state {
        State::Proven => Ok(()),
        state => Err(Failure::Found(state.exit_code())),
    }
}

impl Trusted {
    /// The keys that are trusted, and where they are from.
    pub(super) fn keys(&self, source: &Source, policy: &Path) -> Result<(Vec<PublicKey>, KeySource), Failure> {
        if !self.public_key.is_empty() {
            let keys: Result<Vec<_>, _> = self.public_key.iter().map(|path| key(path)).collect();
            return Ok((keys?, KeySource::Given));
        }
        let place = source.place(policy)?;
        // A log that was named may have nothing to do with this policy, or there may be none here.
        let configured = if source.is_named() { None } else { running::audit_signing_key(policy)? };
        let directory = if place.is_dir() { Some(place.as_path()) } else { place.parent() };
        let candidates = [
            (configured.map(|key| key.with_extension(PUBLIC_EXTENSION)), KeySource::Configured),
            (directory.map(|directory| directory.join(OWN_PUBLIC_NAME)), KeySource::BesideLog),
        ];
        for (path, source) in candidates {
            if let Some(path) = path.filter(|path| path.exists()) {
                return Ok((vec![key(&path)?], source));
            }
        }
        Ok((Vec::new(), KeySource::None))
    }

    /// The heads that were kept elsewhere.
    pub(super) fn witnesses(&self) -> Result<Vec<Witness>, Failure> {
        let mut witnesses = Vec::new();
        for path in &self.witness {
            witnesses.extend(verify::heads(path).map_err(|error| Failure::io(path.display(), &error))?);
        }
        Ok(witnesses)
    }
}

/// How old records without a signature may be. A policy that cannot be read has no say.
pub(super) fn unsigned_seconds(given: Option<u64>, source: &Source, policy: &Path) -> u64 {
    let policy = || running::audit(policy).ok().flatten().map(|audit| audit.checkpoints.time.as_secs());
    given.unwrap_or_else(|| {
        let signs_after = if source.is_named() { None } else { policy() };
        let late = signs_after.map_or(0, |seconds| seconds.saturating_add(SIGNING_SECONDS_MAX));
        late.max(verify::UNSIGNED_SECONDS_MAX)
    })
}

fn key(path: &Path) -> Result<PublicKey, Failure> {
    let text = std::fs::read(path).map_err(|error| Failure::io(path.display(), &error))?;
    PublicKey::from_pem(&text).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}

/// Verifies the log; where a server closed a file of it meanwhile, once more. What can be seen of the log is
/// put into the options.
pub(super) fn look(
    source: &Source,
    policy: &Path,
    keys: &[PublicKey],
    options: &Options,
    quiet: bool,
) -> Result<Verdict, Failure> {
    let place = source.place(policy)?;
    let mut looks = 0_u32;
    loop {
        let whole = place.is_dir();
        let in_use = whole && verify::is_in_use(&place);
        let mut options = Options { in_use, alone: !whole, now: Timestamp::now(), ..options.clone() };
        if whole {
            // Before the log is read: what a head stands for then is in it.
            match verify::head_beside(&place) {
                Ok(head) => options.witnesses.extend(head),
                Err(error) => options.no_head = Some(error.to_string()),
            }
        }
        let files = source.files(policy)?;
        let before = stamp(&place, &files);
        let verdict = read(&files, keys, &options, quiet);
        looks = looks.saturating_add(1);
        let moved = in_use && verdict.state != State::Proven && stamp(&place, &source.files(policy)?) != before;
        if !moved || looks >= LOOKS_MAX {
            return Ok(verdict);
        }
    }
}

/// What changes where a file is closed, compressed or removed.
fn stamp(place: &Path, files: &[LogFile]) -> (Vec<PathBuf>, Option<u64>) {
    let open = place.join(FILE_NAME).metadata().ok().map(|open| open.ino());
    (files.iter().map(|file| file.path.clone()).collect(), open)
}

/// Reads the files, and shows how far it is where somebody would wait.
fn read(files: &[LogFile], keys: &[PublicKey], options: &Options, quiet: bool) -> Verdict {
    let lines = Lines::of(files);
    let bytes: u64 = files.iter().filter_map(|file| file.path.metadata().ok()).map(|file| file.len()).sum();
    if quiet || bytes < PROGRESS_BYTES_MIN || !io::stderr().is_terminal() {
        return verify::verify_lines(files, lines, keys, options);
    }
    let (read, done) = (lines.bytes_read(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let bar = scope.spawn(|| show_progress(bytes, &read, &done));
        let verdict = verify::verify_lines(files, lines, keys, options);
        done.store(true, Ordering::Release);
        bar.thread().unpark();
        verdict
    })
}

fn show_progress(bytes: u64, read: &AtomicU64, done: &AtomicBool) {
    let bar = ProgressBar::new(bytes);
    if let Ok(style) =
        ProgressStyle::with_template("verifying {bar:30} {percent:>3} %  {binary_bytes_per_sec}  {eta} left")
    {
        bar.set_style(style);
    }
    while !done.load(Ordering::Acquire) {
        bar.set_position(read.load(Ordering::Relaxed));
        std::thread::park_timeout(Duration::from_millis(100));
    }
    bar.finish_and_clear();
}
