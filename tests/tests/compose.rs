//! The compose cluster: real manifests through the balancer, then a leader, a front-end and a network are lost.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use kuorum_tests::compose::{self, Compose};
use kuorum_tests::kubectl::Kubectl;
use kuorum_tests::{machine, paths, script, wait};

/// Writes between two blows.
const WRITES: usize = 20;

fn docker(arguments: &[&str]) -> Result<String> {
    script::run(&format!("docker {}", arguments.join(" ")), Command::new("docker").args(arguments))
}

#[test]
fn compose_cluster() -> Result<()> {
    if let Some(reason) = compose::unavailable() {
        println!("SKIPPED: {reason}");
        eprintln!("compose_cluster SKIPPED: {reason}");
        return Ok(());
    }
    let _machine = machine();
    let cluster = Compose::up()?;
    let result = losses(&cluster);
    if result.is_err() {
        let _ = cluster.run(&["ps"]);
        let _ = cluster.run(&["logs", "--no-color", "--tail", "20"]);
    }
    result
}

fn losses(cluster: &Compose) -> Result<()> {
    let k = Kubectl::newest(&cluster.kubeconfig())?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(cluster.kubeconfig())?.permissions());
    ensure!(mode & 0o777 == 0o600, "the kubeconfig is readable by others: {mode:o}");

    let mut acknowledged: Vec<String> = Vec::new();
    for name in ["platform.yaml", "web-app.yaml", "data.yaml"] {
        let file: PathBuf = paths::repository().join("tests/manifests").join(name);
        k.run(&["apply", "-f", &file.display().to_string()])?;
    }
    write(&k, "start", &mut acknowledged)?;

    // The leader's container.
    let leader = cluster.leader()?;
    docker(&["kill", &cluster.container(&leader)?])?;
    write(&k, "no-leader", &mut acknowledged)?;
    all_there(&k, &acknowledged)?;
    cluster.run(&["start", &leader])?;

    // One front-end: the balancer finds out, and new connections go to the other.
    docker(&["kill", &cluster.container("apiserver-1")?])?;
    write(&k, "no-front-end", &mut acknowledged)?;
    all_there(&k, &acknowledged)?;
    cluster.run(&["start", "apiserver-1"])?;

    // A store member off the network: the leader, which must notice that it leads nobody any more.
    let leader = cluster.leader()?;
    let container = cluster.container(&leader)?;
    docker(&["network", "disconnect", &cluster.network(), &container])?;
    write(&k, "cut-off", &mut acknowledged)?;
    all_there(&k, &acknowledged)?;
    docker(&["network", "connect", "--alias", &leader, &cluster.network(), &container])?;

    // It catches up, and all three agree.
    wait::until("equal hashes on all members", || {
        let Ok(answers) = cluster.ctl(&["hashkv"]) else { return Ok(None) };
        let hashes: Vec<_> = answers.as_array().into_iter().flatten().map(|entry| &entry["HashKV"]["hash"]).collect();
        Ok((hashes.len() == 3 && hashes.windows(2).all(|pair| pair[0] == pair[1])).then_some(()))
    })?;
    write(&k, "healed", &mut acknowledged)?;
    all_there(&k, &acknowledged)?;
    ensure!(k.run(&["get", "deploy", "web", "-n", "shop", "-o", "name"])?.contains("web"), "the manifests are there");
    println!("acknowledged writes: {}, lost: 0", acknowledged.len());
    Ok(())
}

/// Writes until [`WRITES`] are acknowledged; those that are refused meanwhile are tried again under another name.
fn write(k: &Kubectl, prefix: &str, acknowledged: &mut Vec<String>) -> Result<()> {
    let mut number = 0;
    let mut done = 0;
    wait::until(format!("{WRITES} writes ({prefix})"), || {
        number += 1;
        let name = format!("{prefix}-{number}");
        let (code, _, said) = k.try_run(&["create", "cm", &name, "--request-timeout=10s"])?;
        if code == 0 {
            acknowledged.push(name);
            done += 1;
        } else {
            println!("{name}: {}", said.trim());
        }
        Ok((done == WRITES).then_some(()))
    })
}

fn all_there(k: &Kubectl, acknowledged: &[String]) -> Result<()> {
    let listed = wait::until("a list", || {
        let (code, listed, _) = k.try_run(&["get", "cm", "-o", "name", "--request-timeout=10s"])?;
        Ok((code == 0).then_some(listed))
    })?;
    for name in acknowledged {
        let line = format!("configmap/{name}");
        listed
            .lines()
            .find(|listed| *listed == line)
            .with_context(|| format!("{name} was acknowledged, and is lost"))?;
    }
    Ok(())
}
