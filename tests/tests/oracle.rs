//! The answers of a real kube-apiserver 1.36.2, replayed; see `tests/oracle/README.md` and `check.py` there.
//!
//! `KUORUM_ORACLE` is `check` (the default), `update` or `propose`; `KUORUM_ORACLE_ONLY` names scenarios by their
//! first letters; `KUORUM_ORACLE_VERBOSE` prints what differs.

use std::process::Command;

use anyhow::Result;
use kuorum_tests::dev::Dev;
use kuorum_tests::{machine, paths, script};

/// The recording server's shape; README.md has the list.
const FLAGS: [&str; 8] = [
    "--authorization-mode=Node,RBAC",
    "--disable-admission-plugins=ServiceAccount",
    "--service-cluster-ip-range=10.0.0.0/16",
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    "--allow-privileged",
    "--controllers=-*",
    "--max-requests-inflight=0",
    "--log-level=warn",
];

/// Servers that share the scenarios: these can run in any order, but some lists reach across namespaces, so no two run
/// on one server at a time. Most of the time goes into watches that wait for their end, so more servers than cores help.
const SERVERS: usize = 4;

const TOKENS: &str = "admin-token,admin,admin,\"system:masters\"\n\
                      alice-token,alice,alice-uid,\"dev\"\n\
                      nobody-token,nobody,nobody-uid\n";

/// How many scenarios may be replayed again: more than these is no accident.
const AGAIN_MAX: usize = 40;

#[test]
fn recorded_answers() -> Result<()> {
    let _machine = machine();
    let mode = std::env::var("KUORUM_ORACLE").unwrap_or_else(|_| "check".to_owned());
    let only = std::env::var("KUORUM_ORACLE_ONLY").unwrap_or_default();
    let Err(error) = replay(&mode, &only) else { return Ok(()) };
    // Some steps wait for what happens in the background. On a machine that is busy it may come late, so scenarios
    // that differ are replayed once more, on servers with empty stores; a difference that stays is one.
    let said = error.to_string();
    let again = said.lines().find_map(|line| line.strip_prefix("scenarios: ")).unwrap_or_default();
    if again.is_empty() || again.split(',').count() > AGAIN_MAX {
        return Err(error);
    }
    println!("replaying again: {again}");
    replay(&mode, again)
}

/// Replays the scenarios whose names begin with `only` on fresh servers.
fn replay(mode: &str, only: &str) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tokens = dir.path().join("tokens.csv");
    std::fs::write(&tokens, TOKENS)?;
    let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    flags.push(format!("--token-auth-file={}", tokens.display()));
    let mut servers = (0..SERVERS).map(|_| Dev::start(&flags)).collect::<Result<Vec<_>>>()?;

    let mut check = Command::new(paths::python());
    check.arg(paths::repository().join("tests/oracle/check.py")).arg(mode);
    check.args(["--token", "admin-token", "--only", only]);
    for server in &servers {
        check.args(["--server", server.endpoint()]);
    }
    if std::env::var_os("KUORUM_ORACLE_VERBOSE").is_some() {
        check.arg("-v");
    }
    let result = script::run("recorded answers", &mut check);
    servers.iter_mut().try_for_each(Dev::check_alive)?;
    result.map(drop)
}
