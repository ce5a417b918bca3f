//! `portcullis firewall`: what a packet filter in front of the server has to let in, computed from
//! the policy, in the language of four of them. `rules` says what; one file per language says how.

mod firewalld;
mod iptables;
mod nftables;
mod rules;
mod ufw;

use std::path::Path;

use clap::{Args, Subcommand};

use self::nftables::Table;
use self::rules::Rules;
use super::{Failure, complain, say, warn};
use crate::config::{Config, Override};

/// Print packet filter rules that let in exactly what the policy does.
///
/// The rules are about the ports of the policy alone: [listen] and the passive ports stand open to
/// the networks of [networks] and the proxies of [listen], and to nobody else. Nothing is changed;
/// the first lines of what is printed say how to check and apply it. Print the rules anew when these
/// sections change.
///
/// Exits with 0 where the rules are printed, and with 78, and prints none, where the server would not
/// start.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis firewall nftables | nft -f -
  portcullis firewall ufw --set passive.ports=50000-50009")]
pub(super) struct Arguments {
    #[command(subcommand)]
    form: Form,
}

#[derive(Debug, Subcommand)]
enum Form {
    /// For `nft -f`: a table of its own, or chains in a table of yours.
    #[command(after_help = "\
Examples:
  portcullis firewall nftables | nft -c -f -
  portcullis firewall nftables | nft -f -
  portcullis firewall nftables --table filter > portcullis.nft")]
    Nftables {
        /// Write chains into this table of the family inet, for its input chain to jump to. For
        /// tables that drop by default: what a table of its own accepts is dropped there all the same.
        #[arg(long, value_name = "NAME")]
        table: Option<Table>,
        #[command(flatten)]
        options: Options,
    },
    /// For iptables-restore and ip6tables-restore: two chains, for INPUT to jump to.
    #[command(after_help = "\
Examples:
  portcullis firewall iptables > portcullis.rules
  iptables-restore --noflush portcullis.rules
  ip6tables-restore --noflush portcullis.rules")]
    Iptables(Options),
    /// For the shell: ufw commands, each with the comment portcullis.
    #[command(after_help = "\
Example:
  portcullis firewall ufw > portcullis-ufw.sh && sh portcullis-ufw.sh")]
    Ufw(Options),
    /// For /etc/firewalld/policies/portcullis.xml: a policy that comes before every zone.
    #[command(after_help = "\
Example:
  portcullis firewall firewalld > /etc/firewalld/policies/portcullis.xml")]
    Firewalld(Options),
}

#[derive(Debug, Args)]
struct Options {
    /// Print one JSON object: what the rules are computed from, and the rules as a text.
    #[arg(long)]
    json: bool,

    /// Override one key of server.toml, as for serve.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<Override>,
}

/// Prints the rules.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let (Form::Nftables { options, .. } | Form::Iptables(options) | Form::Ufw(options) | Form::Firewalld(options)) =
        &arguments.form;
    let loaded = Config::load(policy, &options.overrides)?;
    warn(&loaded.warnings);
    let rules = Rules::of(&loaded.config);
    for note in rules.notes() {
        complain(&note);
    }
    let (form, text) = match &arguments.form {
        Form::Nftables { table, .. } => ("nftables", nftables::write(&rules, table.as_ref())),
        Form::Iptables(_) => ("iptables", iptables::write(&rules)),
        Form::Ufw(_) => ("ufw", ufw::write(&rules)),
        Form::Firewalld(_) => ("firewalld", firewalld::write(&rules)),
    };
    if options.json {
        return say(rules.report(form, &text));
    }
    say(text.trim_end())
}
