//! Snapshots: saved from a running member, described and restored offline.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use kuorum_proto::v1::SnapshotRequest;
use kuorum_storage::snapshot;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::client::{Client, explain};
use super::cluster::{bytes, print_json};
use super::{ConnectionArgs, Output};
use crate::files::{MODE_SECRET, parent_of};
use crate::table::Table;

/// Where a member listens to its peers unless it is told otherwise.
const DEFAULT_PEER_URL: &str = "http://127.0.0.1:2380";

#[derive(Debug, Subcommand)]
pub(super) enum SnapshotCommand {
    /// Save a snapshot of the first endpoint that answers
    Save {
        /// File to write
        file: PathBuf,
    },
    /// Check a snapshot file and describe it
    Status {
        /// File that `snapshot save` has written
        file: PathBuf,
    },
    /// Make the data directory of a new cluster's member from a snapshot
    ///
    /// Run it once for each member, with the same file, --initial-cluster and token. The revision is raised, so that
    /// no client can go on watching a past that was rewritten.
    Restore(RestoreArgs),
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// File that `snapshot save` has written
    file: PathBuf,
    /// Directory to make; it must not hold data
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// This member's name
    #[arg(long, default_value = "default")]
    name: String,
    /// All members of the new cluster; only this one when not given
    #[arg(long, value_name = "NAME=PEER-URL", value_delimiter = ',')]
    initial_cluster: Vec<String>,
    /// Tells the new cluster from the old one, whose members might still be about
    #[arg(long, default_value = "kuorum-cluster")]
    initial_cluster_token: String,
}

pub(super) async fn run(command: SnapshotCommand, connection: &ConnectionArgs, out: Output) -> Result<()> {
    match command {
        SnapshotCommand::Save { file } => save(&Client::new(connection)?, &file, out).await,
        SnapshotCommand::Status { file } => {
            print_info(&snapshot::status(&file).with_context(|| file.display().to_string())?, out);
            Ok(())
        }
        SnapshotCommand::Restore(args) => restore(args, out),
    }
}

fn restore(args: RestoreArgs, out: Output) -> Result<()> {
    let mut initial_cluster: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for member in &args.initial_cluster {
        let (name, url) = member.split_once('=').with_context(|| format!("{member:?} is not NAME=PEER-URL"))?;
        initial_cluster.entry(name.to_owned()).or_default().push(url.to_owned());
    }
    if initial_cluster.is_empty() {
        initial_cluster.insert(args.name.clone(), vec![DEFAULT_PEER_URL.to_owned()]);
    }
    let options = snapshot::Restore {
        data_dir: args.data_dir,
        name: args.name,
        initial_cluster,
        initial_cluster_token: args.initial_cluster_token,
    };
    let info = snapshot::restore(&args.file, &options).with_context(|| args.file.display().to_string())?;
    if out == Output::Table {
        println!("Restored member {} into {}", options.name, options.data_dir.display());
    }
    print_info(&info, out);
    Ok(())
}

/// etcdctl's columns, and the revisions.
fn print_info(info: &snapshot::Info, out: Output) {
    match out {
        Output::Table => {
            let header = ["HASH", "REVISION", "COMPACT REVISION", "TOTAL KEYS", "TOTAL SIZE", "VERSION"];
            let mut table = Table::new(header);
            table.row([
                format!("{:016x}", info.hash),
                info.revision.to_string(),
                info.compact_revision.to_string(),
                info.keys.to_string(),
                bytes(info.size_bytes),
                info.version.clone(),
            ]);
            print!("{table}");
        }
        Output::Json => print_json(&json!(info)),
    }
}

/// The file appears under its name only when it is whole and its digest was checked.
async fn save(client: &Client, file: &Path, out: Output) -> Result<()> {
    let (endpoint, _) = client.any().await?;
    let mut connection = client.connect_for_stream(&endpoint).await?;
    let part = file.with_extension("part");
    let result = async {
        let mut target = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            // A snapshot holds the cluster's Secrets.
            .mode(MODE_SECRET)
            .open(&part)
            .with_context(|| format!("write {}", part.display()))?;
        let mut stream =
            connection.snapshot(SnapshotRequest {}).await.map_err(|status| explain(&endpoint, status))?.into_inner();
        let (mut digest, mut size, mut expected) = (Sha256::new(), 0_u64, Vec::new());
        while let Some(chunk) = stream.message().await.map_err(|status| explain(&endpoint, status))? {
            ensure!(chunk.offset == size, "{endpoint}: a piece of the snapshot is missing at byte {size}");
            ensure!(crc32fast::hash(&chunk.data) == chunk.crc32, "{endpoint}: damaged on the way at byte {size}");
            digest.update(&chunk.data);
            size += chunk.data.len() as u64;
            target.write_all(&chunk.data).with_context(|| format!("write {}", part.display()))?;
            if !chunk.sha256.is_empty() {
                expected = chunk.sha256.to_vec();
            }
        }
        if expected.is_empty() {
            bail!("{endpoint}: the snapshot ended early, after {size} bytes");
        }
        ensure!(digest.finalize().as_slice() == expected, "{endpoint}: the snapshot's digest is wrong");
        target.sync_all().with_context(|| format!("write {}", part.display()))?;
        std::fs::rename(&part, file).with_context(|| format!("write {}", file.display()))?;
        File::open(parent_of(file))?.sync_all()?;
        Ok(size)
    }
    .await;
    if result.is_err() {
        // Half a snapshot is of no use; the error that is returned says why.
        let _ = std::fs::remove_file(&part);
    }
    let size = result?;
    match out {
        Output::Table => println!("Snapshot saved at {} ({}, from {endpoint})", file.display(), bytes(size)),
        Output::Json => print_json(&json!({"file": file, "size": size, "endpoint": endpoint})),
    }
    Ok(())
}
