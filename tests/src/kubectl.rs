//! kubectl, in the versions that the machine has.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::paths;

/// One kubectl with one kubeconfig.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    /// Major and minor version.
    pub version: (u32, u32),
    cache: PathBuf,
}

impl Kubectl {
    /// The newest that is on PATH or beside Google's dispatcher.
    pub fn newest(kubeconfig: &Path) -> Result<Self> {
        let found = all().into_iter().max_by_key(|(_, version)| *version);
        let (program, version) = found.context("no kubectl on PATH: deploy/scripts/setup test")?;
        Ok(Self::with(program, version, kubeconfig))
    }

    /// Debian's, which is years older than the server: what people have on their machines.
    pub fn oldest(kubeconfig: &Path) -> Option<Self> {
        let program = paths::tools().join("debian-kubectl/usr/bin/kubectl");
        let version = version(&program)?;
        Some(Self::with(program, version, kubeconfig))
    }

    fn with(program: PathBuf, version: (u32, u32), kubeconfig: &Path) -> Self {
        println!("kubectl {}.{}: {}", version.0, version.1, program.display());
        // Discovery is cached by host and port, and ports come back: every test has its own cache.
        let cache = kubeconfig.with_extension(format!("cache-{}-{}", version.0, version.1));
        Self { program, kubeconfig: kubeconfig.to_path_buf(), version, cache }
    }

    /// The same kubectl with another kubeconfig.
    pub fn with_kubeconfig(&self, kubeconfig: &Path) -> Self {
        Self { kubeconfig: kubeconfig.to_path_buf(), ..self.clone() }
    }

    /// A command with the kubeconfig set.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(&self.cache)
            .args(arguments)
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null());
        command
    }

    /// Runs to success and returns standard output.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let (code, out, err) = self.try_run(arguments)?;
        if code != 0 {
            bail!("kubectl {} ended with {code}: {}{}", arguments.join(" "), err, out);
        }
        Ok(out)
    }

    /// Runs to failure and returns standard error.
    pub fn fails(&self, arguments: &[&str]) -> Result<String> {
        let (code, out, err) = self.try_run(arguments)?;
        if code == 0 {
            bail!("kubectl {} should have failed, and said: {out}", arguments.join(" "));
        }
        Ok(err)
    }

    /// Runs to whatever end: code, standard output, standard error.
    pub fn try_run(&self, arguments: &[&str]) -> Result<(i32, String, String)> {
        let output = self.command(arguments).output().context("start kubectl")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr)))
    }

    /// Runs with `-o json` and parses what comes.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let mut all = arguments.to_vec();
        all.extend(["-o", "json"]);
        let out = self.run(&all)?;
        serde_json::from_str(&out).with_context(|| format!("kubectl {}: {out}", all.join(" ")))
    }

    /// Starts one that runs until it is stopped, its output in `log`.
    pub fn spawn(&self, arguments: &[&str], log: &Path) -> Result<Running> {
        let out = std::fs::File::create(log)?;
        let child = self.command(arguments).stdout(out.try_clone()?).stderr(out).spawn().context("start kubectl")?;
        Ok(Running { child, log: log.to_path_buf() })
    }
}

/// A kubectl in the background; killed when dropped.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// All it has said.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Something when it has ended by itself.
    pub fn is_over(&mut self) -> Result<Option<()>> {
        Ok(self.child.try_wait()?.map(drop))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn all() -> Vec<(PathBuf, (u32, u32))> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // Google's package has one kubectl for each of several versions behind a dispatcher.
    directories.push("/usr/lib/google-cloud-sdk/bin".into());
    directories.push(paths::tools().join("debian-kubectl/usr/bin"));
    let mut found = Vec::new();
    for directory in directories {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let is_kubectl = name == "kubectl" || name.to_str().is_some_and(|name| name.starts_with("kubectl.1."));
            if is_kubectl {
                found.extend(version(&entry.path()).map(|version| (entry.path(), version)));
            }
        }
    }
    found
}

fn version(program: &Path) -> Option<(u32, u32)> {
    let output = Command::new(program).args(["version", "--client", "-o", "json"]).output().ok()?;
    let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
    let number = |key: &str| {
        let text = answer["clientVersion"][key].as_str()?;
        text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()
    };
    // A dispatcher hands over to another version, depending on the server: take the real ones.
    let dispatcher = answer["clientVersion"]["gitVersion"].as_str().is_some_and(|text| text.contains("dispatcher"));
    (!dispatcher).then_some(())?;
    Some((number("major")?, number("minor")?))
}
