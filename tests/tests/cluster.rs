//! Three store members and two front-ends as processes: crashes under load, operations through a balancer.
//!
//! `KUORUM_SOAK_SECONDS` makes the crash loop longer than the about two minutes of continuous integration.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kuorum_tests::cluster::Cluster;
use kuorum_tests::kubectl::Kubectl;
use kuorum_tests::load::{self, Load};
use kuorum_tests::{machine, paths, wait};
use rand::RngExt;

const CRASH_SECONDS: u64 = 90;
const WRITERS: usize = 8;
/// Between two crashes at least this many writes are acknowledged: the cluster has recovered, and has done work.
const WRITES_BETWEEN: u64 = 100;

#[derive(Clone, Copy, Debug)]
enum Victim {
    Leader,
    Follower,
    AllMembers,
    FrontEnd,
}

const VICTIMS: [Victim; 4] = [Victim::Leader, Victim::Follower, Victim::AllMembers, Victim::FrontEnd];

/// Crashes under write load lose nothing that was acknowledged, and no watcher misses or repeats an event.
#[test]
fn crash_loop() -> Result<()> {
    let _machine = machine();
    let seconds = match std::env::var("KUORUM_SOAK_SECONDS") {
        Ok(seconds) => seconds.parse().context("KUORUM_SOAK_SECONDS")?,
        Err(_) => CRASH_SECONDS,
    };
    let cluster = Cluster::start(3, 2)?;
    let front_ends = [cluster.kubeconfig_of(1), cluster.kubeconfig_of(2)];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let load = runtime.block_on(Load::start(&front_ends, WRITERS))?;

    let end = Instant::now() + Duration::from_secs(seconds);
    let mut kills = [0_u32; VICTIMS.len()];
    let mut longest = Duration::ZERO;
    for round in 0.. {
        longest = longest.max(progress(&load, WRITES_BETWEEN)?);
        if Instant::now() >= end {
            break;
        }
        // Every kind of crash comes in the first rounds, whatever chance says.
        let choice = if round < VICTIMS.len() { round } else { rand::rng().random_range(0..VICTIMS.len()) };
        crash(&cluster, VICTIMS[choice])?;
        kills[choice] += 1;
        let ledger = load.ledger();
        println!(
            "{:?} killed, at {} acknowledged, {} unknown",
            VICTIMS[choice],
            ledger.acknowledged(),
            ledger.unknown()
        );
    }
    let ledger = runtime.block_on(load.finish())?;
    println!(
        "kills: {} leader, {} follower, {} all members, {} front-end; writes: {} acknowledged, {} unknown, {} refused; \
         lost: 0; longest pause: {} ms",
        kills[0],
        kills[1],
        kills[2],
        kills[3],
        ledger.acknowledged(),
        ledger.unknown(),
        ledger.refused(),
        longest.as_millis()
    );

    // The members agree, and all of it survives an ordinary stop and start.
    same_hashes(&cluster)?;
    cluster.restart()?;
    for front_end in &front_ends {
        runtime.block_on(load::check(front_end, &ledger))?;
    }
    same_hashes(&cluster)?;
    cluster.check_logs()
}

fn crash(cluster: &Cluster, victim: Victim) -> Result<()> {
    let names = match victim {
        Victim::Leader => vec![cluster.leader()?],
        Victim::Follower => {
            let leader = cluster.leader()?;
            cluster.store_names().into_iter().filter(|name| *name != leader).take(1).collect()
        }
        Victim::AllMembers => cluster.store_names(),
        Victim::FrontEnd => vec!["apiserver-1".to_owned()],
    };
    let crashed = names.iter().map(|name| cluster.crash(name)).collect::<Result<Vec<_>>>()?;
    crashed.iter().try_for_each(|process| process.start())
}

/// Waits until `count` more writes are acknowledged; how long that took.
fn progress(load: &Load, count: u64) -> Result<Duration> {
    let (start, before) = (Instant::now(), load.ledger().acknowledged());
    wait::until(format!("{count} more acknowledged writes"), || {
        if let Some(broken) = load.ledger().broken() {
            bail!("{broken}");
        }
        Ok((load.ledger().acknowledged() >= before + count).then_some(()))
    })?;
    Ok(start.elapsed())
}

/// Every member has the same contents at one revision.
fn same_hashes(cluster: &Cluster) -> Result<()> {
    wait::until("equal hashes on all members", || {
        // A member that lags or compacts has no hash of that revision for a moment.
        let Ok(answers) = cluster.ctl(&["hashkv"]) else { return Ok(None) };
        let hash = |entry: &serde_json::Value| {
            (entry["HashKV"]["hash"].as_u64(), entry["HashKV"]["compact_revision"].as_u64())
        };
        let hashes: Vec<_> = answers.as_array().into_iter().flatten().map(hash).collect();
        let equal = hashes.len() == cluster.stores && hashes.windows(2).all(|pair| pair[0] == pair[1]);
        Ok(equal.then_some(()))
    })
}

/// The member that is left alone: it answers reads and refuses writes in different ways.
#[derive(Clone, Copy, Debug)]
enum Left {
    Leader,
    Follower,
}

/// With two of three members gone a front-end says so at once, in words that clients understand, and never says that
/// nothing was written about something that was.
#[test]
fn without_a_quorum_refusals_are_prompt_and_true() -> Result<()> {
    let _machine = machine();
    let cluster = Cluster::start(3, 1)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let http = runtime.block_on(load::client(&cluster.kubeconfig_of(1)))?;
    let send = |method: &str, path: &str, name: &str| runtime.block_on(raw(&http, method, path, name));
    const MAPS: &str = "/api/v1/namespaces/default/configmaps";
    for left in [Left::Leader, Left::Follower] {
        let kept = format!("kept-{left:?}").to_lowercase();
        ensure!(send("POST", MAPS, &kept)?.code == 201);
        let leader = cluster.leader()?;
        let mut lost: Vec<String> = cluster.store_names().into_iter().filter(|name| *name != leader).collect();
        if matches!(left, Left::Follower) {
            lost[0] = leader;
        }
        let crashed = lost.iter().map(|name| cluster.crash(name)).collect::<Result<Vec<_>>>()?;

        // On its way when the quorum went: refused, or not known.
        let first = send("POST", MAPS, &format!("{kept}-first"))?;
        println!("{left:?} left, the first write: {} {}", first.code, first.body["message"]);
        ensure!(matches!(first.code, 503 | 504) && first.body["kind"] == "Status", "{first:?}");
        wait::until("a front-end that is not ready", || Ok((send("GET", "/readyz", "")?.code == 500).then_some(())))?;
        ensure!(send("GET", "/livez", "")?.code == 200, "it lives all the same");

        // From now on nothing is sent, so everything is known not to be written.
        let one = format!("{MAPS}/{kept}");
        let refused = format!("{kept}-refused");
        for (method, path) in [("POST", MAPS), ("DELETE", &one), ("GET", &one), ("GET", MAPS)] {
            let answer = send(method, path, &refused)?;
            println!("{left:?} left, {method}: {} {}", answer.code, answer.body["message"]);
            ensure!(answer.code == 503 && answer.retry_after.is_some(), "{method} {path}: {answer:?}");
            ensure!(answer.body["kind"] == "Status" && answer.body["reason"] == "ServiceUnavailable", "{answer:?}");
        }
        // What may be old is served from memory.
        let cached = send("GET", &format!("{one}?resourceVersion=0"), "")?;
        ensure!(cached.code == 200 && cached.body["metadata"]["name"] == kept.as_str(), "{cached:?}");
        let cached = send("GET", &format!("{MAPS}?resourceVersion=0"), "")?;
        ensure!(cached.code == 200 && cached.body["items"].is_array(), "{cached:?}");

        crashed.iter().try_for_each(|process| process.start())?;
        wait::until("a front-end that is ready", || Ok((send("GET", "/readyz", "")?.code == 200).then_some(())))?;
        ensure!(send("GET", &one, "")?.code == 200, "what was acknowledged is there");
        ensure!(send("GET", &format!("{MAPS}/{refused}"), "")?.code == 404, "what was refused is not there");
    }
    same_hashes(&cluster)?;
    cluster.check_logs()
}

/// An answer as it came over the wire.
#[derive(Debug)]
struct Answer {
    code: u16,
    retry_after: Option<String>,
    body: serde_json::Value,
}

/// Longer than any refusal takes, shorter than a request's own deadline on the server (60 s): an answer that comes
/// behind it was not a refusal but the end of patience.
const PROMPT: Duration = Duration::from_secs(20);

/// One request, a ConfigMap of that name as its body where it has one.
async fn raw(client: &kube::Client, method: &str, path: &str, name: &str) -> Result<Answer> {
    let body = match method {
        "POST" => serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).to_string(),
        _ => String::new(),
    };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("Content-Type", "application/json")
        .body(kube::client::Body::from(body.into_bytes()))?;
    let response = tokio::time::timeout(PROMPT, client.send(request)).await;
    let response = response.with_context(|| format!("{method} {path} was not answered in {PROMPT:?}"))??;
    let code = response.status().as_u16();
    let header = response.headers().get("Retry-After").and_then(|value| value.to_str().ok());
    let retry_after = header.map(str::to_owned);
    let bytes = response.into_body().collect_bytes().await?;
    Ok(Answer { code, retry_after, body: serde_json::from_slice(&bytes).unwrap_or_default() })
}

/// What an operator does with kubectl and `kuorum ctl` while members come and go.
#[test]
fn operations() -> Result<()> {
    let _machine = machine();
    let cluster = Cluster::start(3, 2)?;
    let k = Kubectl::newest(&cluster.kubeconfig())?;
    for name in ["platform.yaml", "web-app.yaml", "data.yaml"] {
        k.run(&["apply", "-f", &paths::repository().join("tests/manifests").join(name).display().to_string()])?;
    }
    // Both front-ends answer alike, and read what was written through the other.
    let (one, two) = (k.with_kubeconfig(&cluster.kubeconfig_of(1)), k.with_kubeconfig(&cluster.kubeconfig_of(2)));
    for i in 0..10 {
        one.run(&["create", "cm", &format!("seen-{i}")])?;
        two.run(&["get", "cm", &format!("seen-{i}")])?;
        two.run(&["delete", "cm", &format!("seen-{i}")])?;
        ensure!(one.fails(&["get", "cm", &format!("seen-{i}")])?.contains("NotFound"));
    }

    let members = cluster.ctl(&["member", "list"])?;
    ensure!(members["members"].as_array().map(Vec::len) == Some(3), "{members}");
    same_hashes(&cluster)?;

    // Leadership moves, and back.
    let leader = cluster.leader()?;
    let other = cluster.store_names().into_iter().find(|name| *name != leader).context("another member")?;
    cluster.ctl(&["move-leader", &other])?;
    wait::until(format!("the leadership of {other}"), || Ok((cluster.leader()? == other).then_some(())))?;
    k.run(&["create", "cm", "after-the-move"])?;

    // Without a quorum nothing is acknowledged, and the refusal is prompt and clear.
    let followers: Vec<_> = cluster.store_names().into_iter().filter(|name| *name != other).collect();
    let crashed = followers.iter().map(|name| cluster.crash(name)).collect::<Result<Vec<_>>>()?;
    let refused = k.fails(&["create", "cm", "without-a-quorum", "--request-timeout=20s"])?;
    println!("without a quorum: {refused}");
    for process in &crashed {
        process.start()?;
    }
    wait::until("writes after the quorum is back", || {
        Ok((k.try_run(&["create", "cm", "with-a-quorum"])?.0 == 0).then_some(()))
    })?;

    // Compaction: a watch from before it is told so, by a front-end that has no memory of its own of that time.
    let revision = cluster.ctl(&["status"])?[0]["Status"]["revision"].as_u64().context("revision")?;
    cluster.ctl(&["compact", &revision.to_string()])?;
    cluster.crash("apiserver-1")?.start()?;
    wait::until("the new front-end", || Ok((one.try_run(&["get", "--raw", "/readyz"])?.0 == 0).then_some(())))?;
    let (_, out, said) =
        one.try_run(&["get", "--raw", "/api/v1/configmaps?watch=true&resourceVersion=1&timeoutSeconds=1"])?;
    ensure!(format!("{out}{said}").contains("too old resource version"), "{out}{said}");
    same_hashes(&cluster)?;

    // A snapshot can be saved and described.
    let file = cluster.dir().join("snapshot.db").display().to_string();
    cluster.ctl(&["snapshot", "save", &file])?;
    let status = cluster.ctl(&["snapshot", "status", &file])?;
    println!("snapshot: {status}");
    ensure!(status["revision"].as_u64() >= Some(revision), "{status}");
    cluster.check_logs()
}
