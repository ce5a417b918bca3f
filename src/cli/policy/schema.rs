//! `portcullis policy schema`.

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::super::{Failure, say};
use crate::config::schema;

/// Write the JSON Schema of a policy file, by which editors complete keys and point out mistakes.
///
/// docs/policy.md says how an editor is told of it. What a schema cannot say, such as which networks
/// are named or whether two lines contradict each other, `policy check` says.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis policy schema users > users.schema.json
  portcullis policy schema server > server.schema.json")]
pub(super) struct Arguments {
    /// The file, without its .toml.
    #[arg(default_value = "users", value_parser = PossibleValuesParser::new(schema::names()))]
    file: String,
}

/// Writes a schema to standard output.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    schema::of(&arguments.file).map_or(Ok(()), |schema| say(format!("{schema:#}")))
}
