//! Snapshots: saved from a running member, described and restored offline.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use kuorum_proto::v1::SnapshotRequest;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::client::{Client, explain};
use super::cluster::{bytes, print_json};
use super::{ConnectionArgs, Output};
use crate::files::{MODE_SECRET, parent_of};

#[derive(Debug, Subcommand)]
pub(super) enum SnapshotCommand {
    /// Save a snapshot of the first endpoint that answers
    Save {
        /// File to write
        file: PathBuf,
    },
}

pub(super) async fn run(command: SnapshotCommand, connection: &ConnectionArgs, out: Output) -> Result<()> {
    match command {
        SnapshotCommand::Save { file } => save(&Client::new(connection)?, &file, out).await,
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
