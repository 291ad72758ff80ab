//! Where log lines go and in which form: standard error, as text for people or JSON for collectors.

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// What is logged, and how.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// Least severe level that is logged, or directives such as `info,kuorum_raft=debug`
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    pub log_level: String,
    /// Form of log lines
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub log_format: Format,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line for people.
    Text,
    /// An object a line.
    Json,
}

/// Starts logging; called once.
///
/// # Errors
/// When the level is none.
pub fn init(level: &str, format: Format) -> Result<()> {
    // A bare level is about kuorum; the consensus library tells its every step at `info`, warns of what is normal (a
    // first start has no vote, an election no leader), and is asked for by name.
    let directives = match level {
        "info" => "info,openraft=error",
        "warn" => "warn,openraft=error",
        other => other,
    };
    let filter = EnvFilter::try_new(directives).with_context(|| format!("--log-level {level:?}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        Format::Text => builder.init(),
        Format::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
