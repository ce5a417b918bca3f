//! `portcullis audit who`.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::filters::SpanArguments;
use super::search::{show, shown};
use super::shown::Format;
use super::{Failure, Source};
use crate::cli::complain;
use crate::policy::path_pattern::PathPattern;
use crate::trail::filter::{Filter, Needles, path_pattern};
use crate::trail::names::Names;
use crate::trail::scan::{narrowed, scan};

/// Tell who touched a file: uploads, downloads, renames, deletions and what was refused.
///
/// Where a rename gave the file its name, or moved a directory that it lies in, what was done under its former
/// names is told, too. A path is as its user sees it: where several users have a file of this name, --user says
/// whose is meant. Exits with 0 where something was found, 1 where nothing was, and 3 where something of the log could
/// not be read.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis audit who /in/report.csv
  portcullis audit who '/in/**' --user alice --from 1w
  portcullis audit who /in/report.csv --csv > report.csv

Exit codes: 0 found, 1 nothing found, 3 not all could be read.")]
pub(super) struct Arguments {
    /// The path, or a pattern with *, ? and ** as in rules.
    #[arg(value_name = "PATH", value_parser = path_pattern)]
    path: PathPattern,
    /// The user whose file it is; may be given several times.
    #[arg(long, value_name = "NAME")]
    user: Vec<String>,
    #[command(flatten)]
    span: SpanArguments,
    /// Report the records themselves, one JSON object a line.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Report as comma-separated values.
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    source: Source,
}

/// Shows every record about the file, under each name that it had.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let files = arguments.source.files(policy)?;
    let mut names = Names::of(vec![arguments.path.clone()]);
    let is_theirs = Filter { users: arguments.user.clone(), ..Filter::default() };
    loop {
        // What cannot be read is told when the records are shown.
        let learned = scan(
            &files,
            &Names::needles(),
            |entry| is_theirs.admits(entry),
            |_| (),
            |found| {
                names.learn(&found.entry);
                Ok::<_, io::Error>(ControlFlow::Continue(()))
            },
        );
        if learned.is_err() || !names.goes_on() {
            break;
        }
    }
    if !names.is_complete() {
        complain(
            &"portcullis: there were so many renames that not all former names are followed; --user or a more exact path narrows them",
        );
    }
    let filter = Filter { span: arguments.span.span(policy)?, ..is_theirs };
    let mut needles = Needles::of(&filter);
    needles.require(std::iter::once("\"path\"".to_owned()));
    let format = match (arguments.json, arguments.csv) {
        (true, _) => Format::Json,
        (false, true) => Format::Csv,
        (false, false) => Format::Table,
    };
    let files = narrowed(files, &filter);
    show(&files, &needles, |entry| filter.admits(entry) && names.mean(entry), shown(format).detailed(true), None)
}
