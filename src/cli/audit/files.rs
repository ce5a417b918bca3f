//! `portcullis audit files`.

use std::path::Path;

use serde::Serialize;

use super::{Failure, Source};
use crate::cli::say;
use crate::trail::entry::Entry;
use crate::trail::files::LogFile;
use crate::trail::lines::Lines;

/// List the files of the log.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis audit files
  portcullis audit files --json
  portcullis audit files --log /backup/audit")]
pub(super) struct Arguments {
    /// Report as one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

/// One file, as it is shown.
#[derive(Serialize)]
struct Shown {
    file: String,
    bytes: u64,
    first_seq: Option<u64>,
    first_time: Option<String>,
}

/// Lists them in the order of their records.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    for file in arguments.source.files(policy)? {
        let shown = look(&file)?;
        if arguments.json {
            say(serde_json::to_string(&shown).map_err(|error| Failure::Failed(error.to_string()))?)?;
        } else {
            let first = shown.first_seq.map_or_else(|| "no record".to_owned(), |seq| format!("from record {seq}"));
            let time = shown.first_time.unwrap_or_default();
            say(format!("{}  {first}  {time}  {} bytes", shown.file, shown.bytes))?;
        }
    }
    Ok(())
}

fn look(file: &LogFile) -> Result<Shown, Failure> {
    let failed = |error: std::io::Error| Failure::io(file.path.display(), &error);
    let bytes = file.path.metadata().map_err(failed)?.len();
    let files = [file.clone()];
    let mut lines = Lines::of(&files);
    let first = lines.read_next().map_err(|(_, error)| failed(error))?;
    let first =
        first.and_then(|line| Entry::parse(line.bytes).ok().map(|entry| (entry.seq, entry.time_dt.to_string())));
    let (first_seq, first_time) = first.unzip();
    Ok(Shown { file: file.path.display().to_string(), bytes, first_seq, first_time })
}
