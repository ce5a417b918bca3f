//! `portcullis audit keep`.

use super::Failure;
use crate::daemon;
use crate::keeper::process;

/// Work on closed files of the log for the server that starts this.
///
/// The server runs it by itself; it is of no use to people.
#[derive(Debug, clap::Args)]
#[command(
    hide = true,
    after_help = "\
Example:
  portcullis serve"
)]
pub(super) struct Arguments {}

/// Works until the server is gone.
pub(super) fn run(_: &Arguments) -> Result<(), Failure> {
    process::run(daemon::confine_keeper).map_err(|error| Failure::io("the keeper", &error))
}
