//! `kuorum dev` as a user starts and stops it: its files, its second start, its refusals.

#[path = "dev/audit.rs"]
mod audit;
#[path = "dev/encryption.rs"]
mod encryption;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use kuorum_tests::dev::{self, Dev};
use kuorum_tests::kubectl::Kubectl;
use kuorum_tests::machine;
use kuorum_tests::process::{Process, log_in};

/// From exec to the line that says it is ready, on data that is there already. Asserted with room for a busy machine.
const WARM_START_MAX: Duration = Duration::from_secs(5);

#[test]
fn starts_stops_and_finds_its_data() -> Result<()> {
    let _machine = machine();
    let server = Dev::start::<&str>(&[])?;
    println!("first start: {} ms", server.started_in.as_millis());
    let mode = std::fs::metadata(server.kubeconfig())?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "the kubeconfig is readable by others: {mode:o}");
    let output = server.output();
    for line in ["endpoint:", "kubeconfig:", "kubectl --kubeconfig"] {
        ensure!(output.contains(line), "{line} is not in {output}");
    }
    let k = Kubectl::newest(&server.kubeconfig())?;
    k.run(&["create", "cm", "kept", "--from-literal=a=1"])?;
    let uid = k.run(&["get", "cm", "kept", "-o", "jsonpath={.metadata.uid}"])?;

    let server = server.restart()?;
    println!("warm start: {} ms", server.started_in.as_millis());
    ensure!(server.started_in < WARM_START_MAX, "a warm start took {:?}", server.started_in);
    let k = k.with_kubeconfig(&server.kubeconfig());
    ensure!(k.run(&["get", "cm", "kept", "-o", "jsonpath={.metadata.uid}"])? == uid, "found again after SIGTERM");

    let server = server.crash_and_restart()?;
    let k = k.with_kubeconfig(&server.kubeconfig());
    ensure!(k.run(&["get", "cm", "kept", "-o", "jsonpath={.metadata.uid}"])? == uid, "found again after SIGKILL");
    ensure!(server.stop()?.success(), "SIGTERM ends it with 0");
    Ok(())
}

/// Runs a `kuorum dev` that must not start; what it said, and that it said no more than a line.
fn refusal(data_dir: &std::path::Path, flags: &[String]) -> Result<String> {
    let logs = tempfile::tempdir()?;
    let log = log_in(logs.path(), "refused")?;
    let mut process = Process::start("kuorum dev", dev::command(data_dir, flags), &log)?;
    let status = process.wait()?;
    let said = process.output();
    ensure!(!status.success(), "it ended with 0: {said}");
    let lines: Vec<&str> = said.lines().collect();
    ensure!(lines.len() == 1, "more than a line: {said}");
    println!("{}", lines[0]);
    Ok(lines[0].to_owned())
}

#[test]
fn refuses_with_one_line() -> Result<()> {
    let _machine = machine();
    let server = Dev::start::<&str>(&[])?;
    let other = tempfile::tempdir()?;

    let said = refusal(&server.data_dir(), &[])?;
    ensure!(said.contains("in use"), "a directory in use: {said}");

    let port = server.endpoint().rsplit(':').next().unwrap_or_default();
    let said = refusal(&other.path().join("data"), &[format!("--secure-port={port}")])?;
    ensure!(said.contains("in use") && said.contains(port), "a port in use: {said}");

    // A copy to spoil. The server is running, so its databases are no use, but nothing gets as far as these.
    let spoilt = other.path().join("spoilt");
    let copied = Command::new("cp").arg("-a").arg(server.data_dir()).arg(&spoilt).status()?;
    ensure!(copied.success());
    std::fs::write(spoilt.join("store/FORMAT"), "kuorum-storage 99\n")?;
    let said = refusal(&spoilt, &[])?;
    ensure!(said.contains("newer"), "a newer format: {said}");
    std::fs::write(spoilt.join("store/FORMAT"), "garbage")?;
    let said = refusal(&spoilt, &[])?;
    ensure!(said.contains("corrupt"), "a corrupt directory: {said}");
    Ok(())
}
