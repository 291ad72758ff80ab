//! A cluster of processes, as `deploy/local/up` starts one: store members, front-ends, a balancer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::signal;
use crate::{paths, ports, script, wait};

/// A running cluster; `down` when dropped.
pub struct Cluster {
    dir: TempDir,
    /// Store members.
    pub stores: usize,
    /// Front-ends.
    pub apiservers: usize,
    base: u16,
    flags: Vec<String>,
}

impl Cluster {
    /// Starts one and waits until every front-end is ready.
    pub fn start(stores: usize, apiservers: usize) -> Result<Self> {
        Self::start_with(stores, apiservers, &[])
    }

    /// As [`Cluster::start`], with these flags for every front-end.
    pub fn start_with(stores: usize, apiservers: usize, flags: &[String]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("kuorum-cluster-").tempdir()?;
        let cluster = Self { dir, stores, apiservers, base: ports::cluster_base(), flags: flags.to_vec() };
        cluster.up()?;
        Ok(cluster)
    }

    fn up(&self) -> Result<()> {
        let mut up = Command::new(paths::repository().join("deploy/local/up"));
        up.env("KUORUM_BIN", paths::kuorum());
        up.arg("--dir").arg(self.dir.path());
        up.args(["--base-port", &self.base.to_string()]);
        up.args(["--stores", &self.stores.to_string(), "--apiservers", &self.apiservers.to_string()]);
        up.arg("--").args(&self.flags);
        script::run("deploy/local/up", &mut up).map(drop)
    }

    fn down(&self) -> Result<()> {
        let mut down = Command::new(paths::repository().join("deploy/local/down"));
        script::run("deploy/local/down", down.arg("--dir").arg(self.dir.path())).map(drop)
    }

    /// Stops everything as an operator would and starts it again on the same data.
    pub fn restart(&self) -> Result<()> {
        self.down()?;
        self.up()
    }

    /// Where pid files, logs and data are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Through the balancer.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }

    /// Past the balancer, to front-end 1, 2….
    pub fn kubeconfig_of(&self, apiserver: usize) -> PathBuf {
        self.dir.path().join(format!("kubeconfig-{apiserver}"))
    }

    /// `kuorum ctl` with the operator's certificate, asking every member; `-w json` output.
    pub fn ctl(&self, arguments: &[&str]) -> Result<Value> {
        let store = self.dir.path().join("pki/store");
        let mut ctl = Command::new(paths::kuorum());
        ctl.arg("ctl").arg("--cacert").arg(store.join("ca.crt"));
        ctl.arg("--cert").arg(store.join("operator.crt")).arg("--key").arg(store.join("operator.key"));
        ctl.args(["--endpoints", &self.endpoints().join(","), "--write-out", "json"]).args(arguments);
        let output = ctl.stdin(Stdio::null()).output().context("start kuorum ctl")?;
        // Members that are down make it fail, and those that are up have answered all the same.
        let said = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&said).with_context(|| {
            format!("kuorum ctl {}: {said}{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr))
        })
    }

    /// Client URLs of the members.
    pub fn endpoints(&self) -> Vec<String> {
        (1..=self.stores).map(|i| format!("https://127.0.0.1:{}", usize::from(self.base) + 100 + i)).collect()
    }

    /// The leader's name (`storage-2`), once the members that answer agree on one that is among them.
    pub fn leader(&self) -> Result<String> {
        wait::until("a leader", || {
            let status = self.ctl(&["status"]).unwrap_or_default();
            let members: Vec<&Value> = status.as_array().into_iter().flatten().map(|entry| &entry["Status"]).collect();
            let Some(leader) = members.first().map(|member| &member["leader"]) else { return Ok(None) };
            if leader == 0 || members.iter().any(|member| &member["leader"] != leader) {
                return Ok(None);
            }
            let found = members.iter().find(|member| &member["member"]["ID"] == leader);
            Ok(found.and_then(|member| member["member"]["name"].as_str()).map(str::to_owned))
        })
    }

    /// `storage-1`, `storage-2`….
    pub fn store_names(&self) -> Vec<String> {
        (1..=self.stores).map(|i| format!("storage-{i}")).collect()
    }

    /// Kills one process (`storage-1`, `apiserver-2`) with SIGKILL, and returns how to start it again.
    pub fn crash(&self, name: &str) -> Result<Crashed> {
        let pid_file = self.dir.path().join(format!("{name}.pid"));
        let id: u32 = fs::read_to_string(&pid_file)?.trim().parse()?;
        let command_line = fs::read(format!("/proc/{id}/cmdline")).with_context(|| format!("{name} is not running"))?;
        let arguments: Vec<String> = command_line
            .split(|byte| *byte == 0)
            .filter(|argument| !argument.is_empty())
            .map(|argument| String::from_utf8_lossy(argument).into_owned())
            .collect();
        ensure!(arguments.iter().any(|argument| argument.contains("kuorum")), "{name}: pid {id} is another's");
        signal(id, Signal::SIGKILL)?;
        wait::until(format!("the end of {name}"), || Ok((!holds_files(id)).then_some(())))?;
        Ok(Crashed { name: name.to_owned(), arguments, pid_file, log: self.dir.path().join(format!("{name}.log")) })
    }

    /// The process id of a member or front-end.
    pub fn id(&self, name: &str) -> Result<u32> {
        Ok(fs::read_to_string(self.dir.path().join(format!("{name}.pid")))?.trim().parse()?)
    }

    /// Fails when a log says that a process panicked or found damaged data.
    pub fn check_logs(&self) -> Result<()> {
        for entry in fs::read_dir(self.dir.path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let text = fs::read_to_string(&path)?;
                if let Some(line) = text.lines().find(|line| line.contains("panicked at")) {
                    bail!("{}: {line}", path.display());
                }
            }
        }
        Ok(())
    }
}

/// Whether a killed process still has its ports and locks. It may be a zombie, whose parent has not looked yet; but as
/// long as any of its other threads is about, so are its files.
fn holds_files(id: u32) -> bool {
    let Ok(state) = fs::read_to_string(format!("/proc/{id}/stat")) else { return false };
    let threads = fs::read_dir(format!("/proc/{id}/task")).map_or(0, Iterator::count);
    !state.contains(") Z ") || threads > 1
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("KUORUM_KEEP").is_some() {
            let front_ends = (1..=self.apiservers).map(|i| format!("apiserver-{i}"));
            for name in self.store_names().into_iter().chain(front_ends) {
                let log = fs::read_to_string(self.dir.path().join(format!("{name}.log"))).unwrap_or_default();
                let from = log.len().saturating_sub(1500);
                println!("--- end of {name}.log ---\n{}", log.get(from..).unwrap_or(&log));
            }
        }
        if let Err(error) = self.down() {
            println!("{error:#}");
        }
    }
}

/// A process that was killed.
pub struct Crashed {
    name: String,
    arguments: Vec<String>,
    pid_file: PathBuf,
    log: PathBuf,
}

impl Crashed {
    /// Starts it again with the same command line; `down` will find it.
    pub fn start(&self) -> Result<()> {
        let log = fs::OpenOptions::new().append(true).create(true).open(&self.log)?;
        let (program, arguments) = self.arguments.split_first().context("an empty command line")?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {} again", self.name))?;
        fs::write(&self.pid_file, child.id().to_string())?;
        // Reaped by this thread when it ends, so that it does not stay a zombie which looks alive to `down`.
        std::thread::spawn(move || {
            let mut child = child;
            let _ = child.wait();
        });
        Ok(())
    }
}
