//! `kuorum dev` on a port and in a directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::{Process, log_in};
use crate::{paths, wait};

/// A running `kuorum dev`.
pub struct Dev {
    process: Process,
    dir: TempDir,
    flags: Vec<String>,
    endpoint: String,
    /// From the start of the process to readiness.
    pub started_in: Duration,
}

impl Dev {
    /// Starts one in a new directory and waits until it is ready.
    pub fn start<S: AsRef<str>>(flags: &[S]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("kuorum-dev-").tempdir()?;
        let flags: Vec<String> = flags.iter().map(|flag| flag.as_ref().to_owned()).collect();
        Self::launch(dir, flags)
    }

    /// Stops it with SIGTERM and starts it again on the same data.
    pub fn restart(mut self) -> Result<Self> {
        self.process.terminate()?;
        Self::launch(self.dir, self.flags)
    }

    /// Kills it and starts it again on the same data.
    pub fn crash_and_restart(mut self) -> Result<Self> {
        self.process.crash()?;
        Self::launch(self.dir, self.flags)
    }

    fn launch(dir: TempDir, flags: Vec<String>) -> Result<Self> {
        let log = log_in(dir.path(), "dev")?;
        let said_before = std::fs::read_to_string(&log)?.len();
        let start = Instant::now();
        let mut process = Process::start("kuorum dev", command(&dir.path().join("data"), &flags), &log)?;
        let endpoint = wait::until("the endpoint of kuorum dev", || {
            process.check_alive()?;
            let output = process.output();
            let line = output[said_before..].lines().find_map(|line| line.trim().strip_prefix("endpoint:"));
            Ok(line.map(|endpoint| endpoint.trim().to_owned()))
        })?;
        let started_in = start.elapsed();
        Ok(Self { process, dir, flags, endpoint, started_in })
    }

    /// `https://127.0.0.1:<port>`
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir().join("kubeconfig")
    }

    /// Fails with its last words when it has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        self.process.check_alive()
    }

    /// All it has said.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Stops it with SIGTERM.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.process.terminate()
    }
}

/// The command line, on a port that the system chooses unless `flags` say which.
pub fn command(data_dir: &Path, flags: &[String]) -> Command {
    let mut command = Command::new(paths::kuorum());
    command.arg("dev").arg("--data-dir").arg(data_dir);
    if !flags.iter().any(|flag| flag.starts_with("--secure-port")) {
        command.arg("--secure-port=0");
    }
    command.args(flags);
    command
}

/// A client with the administrator's kubeconfig at `path`.
pub async fn client(path: &Path) -> Result<kube::Client> {
    let kubeconfig = kube::config::Kubeconfig::read_from(path).context("kubeconfig")?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await?;
    Ok(kube::Client::try_from(config)?)
}
