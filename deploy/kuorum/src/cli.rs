//! The command line: the list of subcommands, how each is parsed, and which runtime it needs.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{completion, ctl, kubeconfig, pki, settings};

/// A Kubernetes API server cluster: stateless front-ends and a Raft store in one program
///
/// Every flag can also be given as an environment variable (KUORUM_SECURE_PORT for --secure-port) and in the YAML file
/// that --config names; a flag wins over the environment, and the environment over the file.
#[derive(Debug, Parser)]
#[command(name = "kuorum", version, propagate_version = false, max_term_width = 110)]
struct Cli {
    /// YAML file with flag names as keys
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// A subcommand with its settings.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Inspect and repair a store: members, leadership, snapshots
    Ctl(ctl::CtlArgs),
    /// Make, list and rotate certificates
    Pki(pki::PkiArgs),
    /// Write a kubeconfig, or merge one into yours
    Kubeconfig(kubeconfig::KubeconfigArgs),
    /// Print the version
    Version(VersionArgs),
    /// Print a shell's completion script
    Completion(completion::CompletionArgs),
}

/// Arguments of `kuorum version`.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// As a JSON object
    #[arg(long)]
    json: bool,
}

/// Why a command line was not understood.
pub enum ParseError {
    /// The flags are wrong, or help was asked for: clap prints it.
    Usage(clap::Error),
    /// The environment or the settings file is wrong.
    Settings(anyhow::Error),
}

/// Parses the command line, completed from the environment and the settings file.
pub fn parse(arguments: Vec<OsString>) -> Result<Command, ParseError> {
    let arguments =
        settings::complete(command(), arguments, |name| std::env::var_os(name)).map_err(ParseError::Settings)?;
    let matches = command().try_get_matches_from(arguments).map_err(ParseError::Usage)?;
    Ok(Cli::from_arg_matches(&matches).map_err(ParseError::Usage)?.command)
}

/// Runs a subcommand to its end.
pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Ctl(args) => {
            install_crypto();
            // One request at a time: threads would cost more than they bring.
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("start the runtime")?
                .block_on(ctl::run(args))
        }
        Command::Pki(args) => pki::run(args),
        Command::Kubeconfig(args) => kubeconfig::run(args),
        Command::Version(args) => {
            version(&args);
            Ok(())
        }
        Command::Completion(args) => {
            completion::run(&args, self::command());
            Ok(())
        }
    }
}

fn command() -> clap::Command {
    Cli::command()
}

/// rustls takes its primitives from one provider for the whole process; ring is the only one that is compiled in.
fn install_crypto() {
    // An error means that it was installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn version(args: &VersionArgs) {
    if args.json {
        println!("{}", serde_json::json!({"version": env!("CARGO_PKG_VERSION"), "kubernetes": KUBERNETES}));
    } else {
        println!("kuorum {} (Kubernetes {KUBERNETES})", env!("CARGO_PKG_VERSION"));
    }
}

/// The Kubernetes version whose API is served.
const KUBERNETES: &str = "1.36";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_is_explained() {
        fn walk(command: &clap::Command) {
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                assert!(arg.get_help().is_some(), "{} {} has no help", command.get_name(), arg.get_id());
            }
            command.get_subcommands().for_each(walk);
        }
        walk(&command());
    }
}
