//! The running server.

use std::fmt;

use crate::config::Config;

/// What the operator is told while the server starts.
#[derive(Clone, Debug, Default)]
pub struct Notice {
    /// Text for standard output once the server accepts connections.
    pub ready_text: Option<String>,
}

/// Why the server did not start.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Serves until told to stop.
pub fn run(_config: Config, _notice: Notice) -> Result<(), StartError> {
    Err(StartError("not built in".to_owned()))
}
