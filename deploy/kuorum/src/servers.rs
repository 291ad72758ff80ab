//! `kuorum apiserver` and `kuorum storage`: one part of a cluster each, until a signal ends it.

use anyhow::Result;
use clap::Args;
use kuorum_apiserver::config::Config as ApiserverConfig;
use kuorum_storage::config::Config as StorageConfig;

use crate::logging::{self, Format};
use crate::signals;

/// Arguments of `kuorum apiserver`.
#[derive(Debug, Args)]
pub struct ApiserverArgs {
    #[command(flatten)]
    config: ApiserverConfig,
    #[command(flatten)]
    log: logging::LogArgs,
}

/// Arguments of `kuorum storage`.
#[derive(Debug, Args)]
pub struct StorageArgs {
    #[command(flatten)]
    config: StorageConfig,
    /// Form of log lines
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    log_format: Format,
}

/// Runs a front-end.
pub async fn apiserver(args: ApiserverArgs) -> Result<()> {
    logging::init(&args.log.log_level, args.log.log_format)?;
    let shutdown = signals::shutdown()?;
    Ok(kuorum_apiserver::server::run(args.config, shutdown).await?)
}

/// Runs a store member.
pub async fn storage(args: StorageArgs) -> Result<()> {
    logging::init(&args.config.log_level, args.log_format)?;
    let shutdown = signals::shutdown()?;
    Ok(kuorum_storage::run(args.config, shutdown.cancelled_owned()).await?)
}
