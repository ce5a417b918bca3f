//! `portcullis serve`.

use std::path::Path;

use super::{Failure, warn};
use crate::config::{Config, Override};
use crate::daemon::{self, Notice};

/// Serve, as server.toml and users.toml say.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis serve
  portcullis --policy ./policy serve --set limits.idle-seconds=60
  portcullis serve --set 'listen.explicit=[\"127.0.0.1:2121\"]'

SIGHUP and `portcullis reload` have the policy read again; where something is
wrong with it, nothing changes. SIGTERM finishes running transfers, then stops;
a second one stops at once.")]
pub(super) struct Arguments {
    /// Override one key of server.toml for this run.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<Override>,
}

/// Serves until told to stop.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    serve(policy, &arguments.overrides, Notice { ready_text: None })
}

/// Loads the policy and serves it; `notice` is shown once clients can connect.
pub(super) fn serve(policy: &Path, overrides: &[Override], notice: Notice) -> Result<(), Failure> {
    let loaded = Config::load(policy, overrides)?;
    warn(&loaded.warnings);
    daemon::run(loaded.config, notice).map_err(|error| Failure::Failed(error.to_string()))
}
