//! A server's process: started with its output in a file, told to stop or killed by its id, never left behind.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait;

/// A running server.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; both its streams are appended to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(log).context("open the log")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_path_buf() })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All it has said.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Fails with what it said last when it has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let output = self.output();
            let from = output.len().saturating_sub(2000);
            let tail = output.get(from..).unwrap_or(&output);
            bail!("{} has ended ({status}): {tail}", self.name);
        }
        Ok(())
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        signal(self.child.id(), Signal::SIGTERM)?;
        let name = self.name.clone();
        wait::until(format!("the end of {name}"), || Ok(self.child.try_wait()?))
    }

    /// Waits for an end that nobody asked for.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let name = self.name.clone();
        wait::until(format!("the end of {name}"), || Ok(self.child.try_wait()?))
    }

    /// Sends SIGKILL: a crash, as far as the server is concerned.
    pub fn crash(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to one process.
pub fn signal(id: u32, signal: Signal) -> Result<()> {
    let id = i32::try_from(id).context("process id")?;
    kill(Pid::from_raw(id), signal).with_context(|| format!("{signal} to {id}"))
}

/// A log file of its own in `dir`.
pub fn log_in(dir: &Path, name: &str) -> Result<PathBuf> {
    let path = dir.join(format!("{name}.log"));
    File::options().create(true).append(true).open(&path)?;
    Ok(path)
}
