//! The verbs about members: status, health, hashes, membership, leadership, compaction, alarms.

use anyhow::{Result, bail};
use kuorum_proto::v1::{
    AlarmRequest, CompactRequest, HashKvRequest, HashKvResponse, Member, MemberAddRequest, MemberIdRequest,
    StatusRequest, StatusResponse,
};
use serde_json::{Value, json};

use super::Output;
use super::client::{Client, explain};
use crate::table::Table;

/// `ctl status`
pub async fn status(client: &Client, whole_cluster: bool, out: Output) -> Result<()> {
    let (answers, failures) = statuses(client, whole_cluster).await?;
    match out {
        Output::Table if answers.is_empty() => {}
        Output::Table => {
            let mut table = Table::new([
                "ENDPOINT",
                "ID",
                "NAME",
                "VERSION",
                "DB SIZE",
                "IN USE",
                "QUOTA",
                "IS LEADER",
                "IS LEARNER",
                "RAFT TERM",
                "RAFT INDEX",
                "RAFT APPLIED INDEX",
                "REVISION",
                "ERRORS",
            ]);
            for (endpoint, status) in &answers {
                let member = status.member.clone().unwrap_or_default();
                table.row([
                    endpoint.clone(),
                    format!("{:x}", member.id),
                    member.name,
                    status.version.clone(),
                    bytes(status.db_size_bytes),
                    bytes(status.db_in_use_bytes),
                    bytes(status.quota_bytes),
                    (status.leader_id != 0 && status.leader_id == member.id).to_string(),
                    member.learner.to_string(),
                    status.term.to_string(),
                    status.last_log_index.to_string(),
                    status.applied_index.to_string(),
                    status.revision.to_string(),
                    status.alarms.iter().chain(&status.errors).cloned().collect::<Vec<_>>().join(", "),
                ]);
            }
            print!("{table}");
        }
        Output::Json => print_json(&answers.iter().map(|(endpoint, status)| status_json(endpoint, status)).collect()),
    }
    report(failures)
}

/// `ctl health`: fails when a member does not answer or knows no leader.
pub async fn health(client: &Client, whole_cluster: bool, out: Output) -> Result<()> {
    let (answers, mut failures) = statuses(client, whole_cluster).await?;
    let mut rows: Vec<(String, bool, String)> = Vec::new();
    for (endpoint, status) in answers {
        let trouble = if status.leader_id == 0 {
            vec!["no leader".to_owned()]
        } else {
            status.alarms.iter().chain(&status.errors).cloned().collect()
        };
        rows.push((endpoint, trouble.is_empty(), trouble.join(", ")));
    }
    rows.extend(failures.drain(..).map(|(endpoint, error)| (endpoint, false, error)));
    match out {
        Output::Table => {
            let mut table = Table::new(["ENDPOINT", "HEALTH", "ERROR"]);
            for (endpoint, healthy, error) in &rows {
                table.row([endpoint.clone(), healthy.to_string(), error.clone()]);
            }
            print!("{table}");
        }
        Output::Json => print_json(
            &rows
                .iter()
                .map(|(endpoint, healthy, error)| json!({"endpoint": endpoint, "health": healthy, "error": error}))
                .collect(),
        ),
    }
    if rows.iter().any(|(_, healthy, _)| !healthy) {
        bail!("unhealthy");
    }
    Ok(())
}

/// `ctl hashkv`: all members are hashed at the same revision, or their hashes would say nothing.
pub async fn hashkv(client: &Client, whole_cluster: bool, revision: u64, out: Output) -> Result<()> {
    let revision = if revision == 0 {
        let (answers, failures) = statuses(client, whole_cluster).await?;
        report(failures)?;
        answers.iter().map(|(_, status)| status.revision).min().unwrap_or(0)
    } else {
        revision
    };
    let mut answers: Vec<(String, HashKvResponse)> = Vec::new();
    let mut failures = Vec::new();
    for endpoint in client.targets(whole_cluster).await? {
        let answer = async {
            let mut connection = client.connect(&endpoint).await?;
            connection.hash_kv(HashKvRequest { revision }).await.map_err(|status| explain(&endpoint, status))
        };
        match answer.await {
            Ok(answer) => answers.push((endpoint, answer.into_inner())),
            Err(error) => failures.push((endpoint, format!("{error:#}"))),
        }
    }
    match out {
        Output::Table if answers.is_empty() => {}
        Output::Table => {
            let mut table = Table::new(["ENDPOINT", "HASH", "HASH REVISION", "COMPACT REVISION"]);
            for (endpoint, answer) in &answers {
                table.row([
                    endpoint.clone(),
                    format!("{:016x}", answer.hash),
                    answer.revision.to_string(),
                    answer.compact_revision.to_string(),
                ]);
            }
            print!("{table}");
        }
        Output::Json => print_json(
            &answers
                .iter()
                .map(|(endpoint, answer)| {
                    json!({"Endpoint": endpoint, "HashKV": {
                        "member_id": answer.member_id, "hash": answer.hash, "hash_revision": answer.revision,
                        "compact_revision": answer.compact_revision,
                    }})
                })
                .collect(),
        ),
    }
    report(failures)?;
    // Two hashes can be compared when they were taken at one revision above one compaction.
    let differ = answers.windows(2).any(|pair| {
        let (a, b) = (&pair[0].1, &pair[1].1);
        (a.revision, a.compact_revision) == (b.revision, b.compact_revision) && a.hash != b.hash
    });
    if differ {
        bail!("the members' hashes differ: at least one of them has wrong data");
    }
    Ok(())
}

/// `ctl member list`
pub async fn member_list(client: &Client, out: Output) -> Result<()> {
    print_members(&client.members().await?, out);
    Ok(())
}

/// `ctl member add`
pub async fn member_add(
    client: &Client,
    name: String,
    peer_urls: Vec<String>,
    client_urls: Vec<String>,
    learner: bool,
    out: Output,
) -> Result<()> {
    let (endpoint, mut leader) = client.leader().await?;
    let request = MemberAddRequest { name: name.clone(), peer_urls, client_urls, learner };
    let members = leader.member_add(request).await.map_err(|status| explain(&endpoint, status))?.into_inner().members;
    if out == Output::Table {
        let id = members.iter().find(|member| member.name == name).map_or(0, |member| member.id);
        println!("Member {id:16x} added to the cluster. Start it with:\n");
        println!("  --name={name}");
        println!("  --initial-cluster={}", initial_cluster(&members));
        println!("  --initial-cluster-state=existing\n");
    }
    print_members(&members, out);
    Ok(())
}

/// `ctl member remove`
pub async fn member_remove(client: &Client, member: &str, out: Output) -> Result<()> {
    let id = client.find(member).await?.id;
    let (endpoint, mut leader) = client.leader().await?;
    let answer = leader.member_remove(MemberIdRequest { id }).await.map_err(|status| explain(&endpoint, status))?;
    if out == Output::Table {
        println!("Member {id:16x} removed from the cluster");
    }
    print_members(&answer.into_inner().members, out);
    Ok(())
}

/// `ctl member promote`
pub async fn member_promote(client: &Client, member: &str, out: Output) -> Result<()> {
    let id = client.find(member).await?.id;
    let (endpoint, mut leader) = client.leader().await?;
    let answer = leader.member_promote(MemberIdRequest { id }).await.map_err(|status| explain(&endpoint, status))?;
    if out == Output::Table {
        println!("Member {id:16x} promoted");
    }
    print_members(&answer.into_inner().members, out);
    Ok(())
}

/// `ctl move-leader`
pub async fn move_leader(client: &Client, member: &str, out: Output) -> Result<()> {
    let id = client.find(member).await?.id;
    let (endpoint, mut leader) = client.leader().await?;
    let before = leader.status(StatusRequest {}).await.map_err(|status| explain(&endpoint, status))?;
    let before = before.into_inner().leader_id;
    leader.move_leader(MemberIdRequest { id }).await.map_err(|status| explain(&endpoint, status))?;
    match out {
        Output::Table => println!("Leadership transferred from {before:x} to {id:x}"),
        Output::Json => print_json(&json!({"from": before, "to": id})),
    }
    Ok(())
}

/// `ctl compact`
pub async fn compact(client: &Client, revision: u64, out: Output) -> Result<()> {
    let (endpoint, mut leader) = client.leader().await?;
    let answer = leader.compact(CompactRequest { revision }).await.map_err(|status| explain(&endpoint, status))?;
    let compacted = answer.into_inner().compact_revision;
    match out {
        Output::Table => println!("compacted revision {compacted}"),
        Output::Json => print_json(&json!({"compact_revision": compacted})),
    }
    Ok(())
}

/// `ctl alarm list` and `ctl alarm disarm`, which prints what is left.
pub async fn alarms(client: &Client, disarm: bool, out: Output) -> Result<()> {
    let (endpoint, mut leader) = client.leader().await?;
    // No kind and no member: all of them.
    let request = AlarmRequest { disarm, kind: String::new(), member_id: 0 };
    let alarms = leader.alarm(request).await.map_err(|status| explain(&endpoint, status))?.into_inner().alarms;
    match out {
        Output::Table => {
            for alarm in &alarms {
                println!("memberID:{:x} alarm:{}", alarm.member_id, alarm.kind);
            }
        }
        Output::Json => {
            print_json(&alarms.iter().map(|alarm| json!({"member_id": alarm.member_id, "alarm": alarm.kind})).collect())
        }
    }
    Ok(())
}

type Failures = Vec<(String, String)>;

async fn statuses(client: &Client, whole_cluster: bool) -> Result<(Vec<(String, StatusResponse)>, Failures)> {
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    for endpoint in client.targets(whole_cluster).await? {
        let answer = async {
            let mut connection = client.connect(&endpoint).await?;
            connection.status(StatusRequest {}).await.map_err(|status| explain(&endpoint, status))
        };
        match answer.await {
            Ok(answer) => answers.push((endpoint, answer.into_inner())),
            Err(error) => failures.push((endpoint, format!("{error:#}"))),
        }
    }
    Ok((answers, failures))
}

/// Members that did not answer make the command fail, after what the others said was printed.
fn report(failures: Failures) -> Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{}", failures.into_iter().map(|(_, error)| error).collect::<Vec<_>>().join("; "))
}

fn print_members(members: &[Member], out: Output) {
    match out {
        Output::Table => {
            let mut table = Table::new(["ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER"]);
            for member in members {
                table.row([
                    format!("{:x}", member.id),
                    // A member that was added and never started has told nobody where its clients are to go.
                    if member.client_urls.is_empty() { "unstarted" } else { "started" }.to_owned(),
                    member.name.clone(),
                    member.peer_urls.join(","),
                    member.client_urls.join(","),
                    member.learner.to_string(),
                ]);
            }
            print!("{table}");
        }
        Output::Json => print_json(&json!({"members": members.iter().map(member_json).collect::<Vec<_>>()})),
    }
}

fn initial_cluster(members: &[Member]) -> String {
    let urls = |member: &Member| {
        member.peer_urls.iter().map(|url| format!("{}={url}", member.name)).collect::<Vec<_>>().join(",")
    };
    members.iter().map(urls).collect::<Vec<_>>().join(",")
}

fn member_json(member: &Member) -> Value {
    json!({
        "ID": member.id, "name": member.name, "peerURLs": member.peer_urls, "clientURLs": member.client_urls,
        "isLearner": member.learner,
    })
}

fn status_json(endpoint: &str, status: &StatusResponse) -> Value {
    json!({"Endpoint": endpoint, "Status": {
        "member": status.member.as_ref().map(member_json),
        "version": status.version,
        "dbSize": status.db_size_bytes,
        "dbSizeInUse": status.db_in_use_bytes,
        "dbSizeQuota": status.quota_bytes,
        "leader": status.leader_id,
        "raftTerm": status.term,
        "raftIndex": status.last_log_index,
        "raftAppliedIndex": status.applied_index,
        "revision": status.revision,
        "compactRevision": status.compact_revision,
        "alarms": status.alarms,
        "errors": status.errors,
    }})
}

pub(super) fn print_json(value: &Value) {
    println!("{value}");
}

/// A size as etcdctl prints it: decimal units, two significant digits.
pub(super) fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (size as f64, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit > 0 && value < 10.0 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_printed_like_etcdctl_does() {
        for (size, text) in
            [(0, "0 B"), (999, "999 B"), (20_480, "20 kB"), (1_500_000, "1.5 MB"), (2_147_483_648, "2.1 GB")]
        {
            assert_eq!(bytes(size), text);
        }
    }
}
