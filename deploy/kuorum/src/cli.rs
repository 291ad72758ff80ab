//! The command line: the list of subcommands, how each is parsed, and which runtime it needs.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{completion, ctl, dev, kubeconfig, pki, probe, servers, settings};

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
    /// Run an API server and a one-member store in one process, with certificates of their own
    Dev(Box<dev::DevArgs>),
    /// Run a front-end of a cluster
    Apiserver(Box<servers::ApiserverArgs>),
    /// Run a store member of a cluster
    Storage(Box<servers::StorageArgs>),
    /// Inspect and repair a store: members, leadership, snapshots
    Ctl(ctl::CtlArgs),
    /// Make, list and rotate certificates
    Pki(pki::PkiArgs),
    /// Write a kubeconfig, or merge one into yours
    Kubeconfig(kubeconfig::KubeconfigArgs),
    /// Ask a health endpoint, for containers without curl
    Probe(probe::ProbeArgs),
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

/// How long background work may take to end once a server has stopped.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

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
        Command::Dev(args) => serve(cores(), dev::run(*args)),
        Command::Apiserver(args) => serve(cores(), servers::apiserver(*args)),
        // A member's work is a chain: log, apply, publish. Handing it from core to core costs more than it brings.
        Command::Storage(args) => serve(cores().div_ceil(STORAGE_CORES_PER_WORKER), servers::storage(*args)),
        Command::Ctl(args) => {
            install_crypto();
            // One request at a time: threads would cost more than they bring.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.context("start the runtime")?.block_on(ctl::run(args))
        }
        Command::Pki(args) => pki::run(args),
        Command::Kubeconfig(args) => kubeconfig::run(args),
        Command::Probe(args) => {
            install_crypto();
            probe::run(&args)
        }
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

/// How many cores of the machine a store member takes one worker thread for. RocksDB and the log have their own.
const STORAGE_CORES_PER_WORKER: usize = 4;

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Runs a server on a runtime with `workers` threads.
fn serve(workers: usize, server: impl Future<Output = Result<()>>) -> Result<()> {
    install_crypto();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(workers).enable_all().build().context("start the runtime")?;
    let result = runtime.block_on(server);
    // All that must be finished is; a blocking call that hangs must not keep the process.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    result
}

/// `kuorum dev` takes the flags of `kuorum apiserver`, some with defaults that suit one user on one machine.
fn command() -> clap::Command {
    Cli::command().mut_subcommand("dev", |dev| {
        dev.mut_arg("bind_address", |arg| arg.default_value("127.0.0.1"))
            .mut_arg("controllers", |arg| arg.default_value("*"))
            .mut_arg("leader_elect", |arg| arg.default_value("false"))
            .mut_arg("log_level", |arg| arg.default_value("warn"))
    })
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
