//! What is made from the definition of the command line: completions for shells and manual pages. Commands
//! that are not for people do not appear in either.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Cli, Failure, say};

/// Print what a shell needs to complete this program's commands and options.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis completions bash > /etc/bash_completion.d/portcullis
  portcullis completions zsh > /usr/local/share/zsh/site-functions/_portcullis
  portcullis completions fish > ~/.config/fish/completions/portcullis.fish
  portcullis completions powershell >> $PROFILE")]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Write the manual pages, one for each command.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis man --out /usr/local/share/man/man1
  portcullis man --out . && man -l portcullis-audit-search.1")]
pub(super) struct Manual {
    /// The directory that they are written into; it is made where it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Prints the completions of a shell.
pub(super) fn complete(arguments: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut shown(&Cli::command()), "portcullis", &mut script);
    say(String::from_utf8_lossy(&script).trim_end())
}

/// Writes the manual pages.
pub(super) fn write_manual(arguments: &Manual) -> Result<(), Failure> {
    let directory = arguments.out.as_path();
    fs::create_dir_all(directory).map_err(|error| Failure::io(directory.display(), &error))?;
    let mut root = shown(&Cli::command()).disable_help_subcommand(true);
    root.build();
    let pages = write_pages(&root, None, directory)?;
    say(format_args!("{pages} pages are in {}", directory.display()))
}

/// The command and those below it that are for people, with what is said about them.
fn shown(command: &Command) -> Command {
    // clap takes names that live as long as the program, as those of the definition do; these few are kept so.
    let name: &'static str = Box::leak(command.get_name().to_owned().into_boxed_str());
    let mut copy = Command::new(name).version(env!("CARGO_PKG_VERSION")).propagate_version(true);
    copy = copy.args(command.get_arguments().cloned()).groups(command.get_groups().cloned());
    if let Some(about) = command.get_about() {
        copy = copy.about(about.clone());
    }
    if let Some(about) = command.get_long_about() {
        copy = copy.long_about(about.clone());
    }
    if let Some(text) = command.get_after_help() {
        copy = copy.after_help(text.clone());
    }
    let below = command.get_subcommands().filter(|below| !below.is_hide_set()).map(shown);
    copy.subcommand_required(command.is_subcommand_required_set()).subcommands(below)
}

/// Writes the page of a command and of those below it; gives how many there are.
fn write_pages(command: &Command, above: Option<&Command>, directory: &Path) -> Result<usize, Failure> {
    let path = directory.join(format!("{}.1", title(command)));
    let text = page(command, above).and_then(|text| fs::write(&path, text));
    text.map_err(|error| Failure::io(path.display(), &error))?;
    let mut pages: usize = 1;
    for below in command.get_subcommands() {
        pages = pages.saturating_add(write_pages(below, Some(command), directory)?);
    }
    Ok(pages)
}

fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, above: Option<&Command>) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone()).manual("Portcullis").source(concat!("portcullis ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let mut rest = Roff::new();
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (examples, codes) =
        help.rsplit_once("\n\n").filter(|(_, last)| last.starts_with("Exit codes:")).unwrap_or((&help, ""));
    rest.control("SH", ["EXAMPLES"]).control("nf", []);
    rest.text([roman(examples.strip_prefix("Examples:\n").unwrap_or(examples))]).control("fi", []);
    rest.control("SH", ["EXIT STATUS"]);
    let codes = if codes.is_empty() {
        "0 done, 1 failed or denied, 2 wrong usage, 78 the policy files cannot be used."
    } else {
        codes
    };
    rest.text([roman(codes.replace('\n', " "))]);
    rest.control("SH", ["ENVIRONMENT"]);
    for (name, meaning) in [
        ("PORTCULLIS_POLICY", "The directory of server.toml and users.toml, where --policy does not name it."),
        ("NO_COLOR", "Where it is set and not empty, nothing is shown in colours."),
    ] {
        rest.control("TP", []).text([bold(name)]).text([roman(meaning)]);
    }
    let below = command.get_subcommands();
    let mut others: Vec<&str> = above.into_iter().chain(below).map(title).collect();
    let beside = above.into_iter().flat_map(Command::get_subcommands);
    others.extend(beside.map(title).filter(|other| *other != title(command)));
    rest.control("SH", ["SEE ALSO"]);
    rest.text([roman(others.iter().map(|other| format!("{other}(1)")).collect::<Vec<_>>().join(", "))]);
    rest.to_writer(&mut text)?;
    text.flush()?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(command: &Command) -> Vec<String> {
        let below = command.get_subcommands().flat_map(names);
        std::iter::once(command.get_name().to_owned()).chain(below).collect()
    }

    #[test]
    fn hidden_commands_are_left_out_and_all_others_are_there() {
        let inner =
            Command::new("inner").subcommand(Command::new("secret").hide(true)).subcommand(Command::new("open"));
        let command = Command::new("outer").subcommand(inner).subcommand(Command::new("buried").hide(true));
        assert_eq!(names(&shown(&command)), ["outer", "inner", "open"]);
        let names = names(&shown(&Cli::command()));
        for name in ["audit", "search", "who", "completions", "man"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
    }
}
