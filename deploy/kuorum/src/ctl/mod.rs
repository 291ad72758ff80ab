//! `kuorum ctl`: the operator's tool, with etcdctl's verbs and columns, over the store's `Cluster` service.

mod client;
mod cluster;
mod snapshot;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};

/// Arguments of `kuorum ctl`.
#[derive(Debug, Args)]
pub struct CtlArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Form of the output
    #[arg(short = 'w', long, value_enum, default_value_t = Output::Table, global = true)]
    write_out: Output,
    #[command(subcommand)]
    command: CtlCommand,
}

/// Which members to ask, and who asks.
#[derive(Clone, Debug, Args)]
pub struct ConnectionArgs {
    /// Client URLs of store members, separated by commas
    #[arg(long, value_name = "URL", value_delimiter = ',', default_value = "https://127.0.0.1:2379", global = true)]
    endpoints: Vec<String>,
    /// Authority of the members' certificates
    #[arg(long, value_name = "FILE", default_value = "pki/store/ca.crt", global = true)]
    cacert: PathBuf,
    /// The operator's certificate
    #[arg(long, value_name = "FILE", default_value = "pki/store/operator.crt", global = true)]
    cert: PathBuf,
    /// The operator's key
    #[arg(long, value_name = "FILE", default_value = "pki/store/operator.key", global = true)]
    key: PathBuf,
    /// How long a request may take (`500ms`, `5s`, `2m`); snapshots are not limited
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration, global = true)]
    command_timeout: Duration,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum CtlCommand {
    /// Show each member's version, size, role and progress
    Status(AllMembers),
    /// Check that each member answers and knows a leader
    Health(AllMembers),
    /// Show a hash of all keys and versions at a revision; equal members show equal hashes
    Hashkv {
        #[command(flatten)]
        members: AllMembers,
        /// Revision to hash at; the lowest revision that all have, when it is 0
        #[arg(long, default_value_t = 0)]
        rev: u64,
    },
    /// List, add, remove or promote members
    #[command(subcommand)]
    Member(MemberCommand),
    /// Hand leadership to another member
    MoveLeader {
        /// Id (hexadecimal) or name
        member: String,
    },
    /// Forget the versions of keys before a revision
    Compact {
        /// The first revision that stays readable
        revision: u64,
    },
    /// List or clear alarms
    #[command(subcommand)]
    Alarm(AlarmCommand),
    /// Save, restore or describe snapshots
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
}

#[derive(Clone, Copy, Debug, Args)]
struct AllMembers {
    /// Ask every member of the cluster, not only those of --endpoints
    #[arg(long)]
    cluster: bool,
}

#[derive(Debug, Subcommand)]
enum MemberCommand {
    /// List the members
    List,
    /// Add a member, which is then to be started with --initial-cluster-state=existing
    Add {
        /// The new member's name
        name: String,
        /// URLs that its peers reach it under
        #[arg(long, value_name = "URL", value_delimiter = ',', required = true)]
        peer_urls: Vec<String>,
        /// URLs that front-ends reach it under
        #[arg(long, value_name = "URL", value_delimiter = ',')]
        client_urls: Vec<String>,
        /// Let it follow without a vote until it is promoted
        #[arg(long)]
        learner: bool,
    },
    /// Remove a member for good: its id is never used again
    Remove {
        /// Id (hexadecimal) or name
        member: String,
    },
    /// Give a learner a vote
    Promote {
        /// Id (hexadecimal) or name
        member: String,
    },
}

#[derive(Debug, Subcommand)]
enum AlarmCommand {
    /// List the alarms
    List,
    /// Clear all alarms
    Disarm,
}

/// Runs `kuorum ctl`.
pub async fn run(args: CtlArgs) -> Result<()> {
    let out = args.write_out;
    let command = match args.command {
        // Works on files, not on members.
        CtlCommand::Snapshot(command) => return snapshot::run(command, &args.connection, out).await,
        command => command,
    };
    let client = client::Client::new(&args.connection)?;
    match command {
        CtlCommand::Status(members) => cluster::status(&client, members.cluster, out).await,
        CtlCommand::Health(members) => cluster::health(&client, members.cluster, out).await,
        CtlCommand::Hashkv { members, rev } => cluster::hashkv(&client, members.cluster, rev, out).await,
        CtlCommand::Member(MemberCommand::List) => cluster::member_list(&client, out).await,
        CtlCommand::Member(MemberCommand::Add { name, peer_urls, client_urls, learner }) => {
            cluster::member_add(&client, name, peer_urls, client_urls, learner, out).await
        }
        CtlCommand::Member(MemberCommand::Remove { member }) => cluster::member_remove(&client, &member, out).await,
        CtlCommand::Member(MemberCommand::Promote { member }) => cluster::member_promote(&client, &member, out).await,
        CtlCommand::MoveLeader { member } => cluster::move_leader(&client, &member, out).await,
        CtlCommand::Compact { revision } => cluster::compact(&client, revision, out).await,
        CtlCommand::Alarm(AlarmCommand::List) => cluster::alarms(&client, false, out).await,
        CtlCommand::Alarm(AlarmCommand::Disarm) => cluster::alarms(&client, true, out).await,
        CtlCommand::Snapshot(_) => Ok(()),
    }
}

/// `500ms`, `5s`, `2m`, `1h`; a bare number is seconds.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is not a duration"))?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" | "" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(format!("{text:?}: the unit is ms, s, m or h")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("{text:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [("500ms", 500), ("5s", 5000), ("2m", 120_000), ("1.5s", 1500), ("3", 3000)] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(ms), "{text}");
        }
        for bad in ["", "s", "5x", "-1s", "1e999s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
