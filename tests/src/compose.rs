//! The cluster of `deploy/compose.yaml` on this machine's Docker engine, under a project name of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{paths, ports, script, wait};

/// A running compose project; removed with its volumes when dropped.
pub struct Compose {
    project: String,
    port: u16,
    out: TempDir,
    program: Vec<String>,
}

/// Why there is no Docker engine to test with; `None` when there is one.
pub fn unavailable() -> Option<String> {
    match Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output() {
        Err(error) => Some(format!("no docker command ({error})")),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            Some(format!("no Docker engine answers ({})", said.lines().next().unwrap_or_default()))
        }
        Ok(_) if program().is_none() => Some("neither `docker compose` nor docker-compose is installed".to_owned()),
        Ok(_) => None,
    }
}

fn program() -> Option<Vec<String>> {
    for words in [vec!["docker", "compose"], vec!["docker-compose"]] {
        let version = Command::new(words[0]).args(&words[1..]).arg("version").output();
        if version.is_ok_and(|output| output.status.success()) {
            return Some(words.into_iter().map(str::to_owned).collect());
        }
    }
    None
}

impl Compose {
    /// Makes the images and starts the cluster; returns when the balancer leads to a ready front-end.
    pub fn up() -> Result<Self> {
        let deploy = paths::repository().join("deploy");
        // Images that can be pulled are; where nothing can be, they are made here, under the same names.
        if !["debian:bookworm-slim", "haproxy:2.6"].iter().all(|image| present(image)) {
            script::run("make-base-images", &mut Command::new(deploy.join("docker/make-base-images")))?;
        }
        let mut build = Command::new(deploy.join("docker/build"));
        script::run("deploy/docker/build", build.env("KUORUM_BIN", paths::kuorum()))?;

        let out = tempfile::Builder::new().prefix("kuorum-compose-").tempdir()?;
        let project = format!("kuorumtest{}", std::process::id());
        let compose = Self { project, port: ports::cluster_base(), out, program: program().context("docker compose")? };
        compose.run(&["up", "-d"])?;
        let url = format!("https://127.0.0.1:{}/readyz", compose.port);
        wait::until("a ready front-end behind the balancer", || {
            let answer = Command::new("curl").args(["-sfk", "-m", "2", &url]).output()?;
            Ok(answer.status.success().then_some(()))
        })?;
        Ok(compose)
    }

    /// Runs `docker compose` on this project.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        script::run(&format!("compose {}", arguments.join(" ")), self.command().args(arguments))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program[0]);
        command
            .args(&self.program[1..])
            .args(["-p", &self.project, "-f"])
            .arg(paths::repository().join("deploy/compose.yaml"))
            .env("KUORUM_PORT", self.port.to_string())
            .env("KUORUM_OUT", self.out.path());
        command
    }

    /// Through the balancer.
    pub fn kubeconfig(&self) -> PathBuf {
        self.out.path().join("kubeconfig")
    }

    /// Certificates for `kuorum ctl`.
    pub fn operator(&self) -> &Path {
        self.out.path()
    }

    /// The id of a service's container.
    pub fn container(&self, service: &str) -> Result<String> {
        let output = self.command().args(["ps", "-q", service]).output()?;
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        ensure!(!id.is_empty(), "{service} has no container: {}", String::from_utf8_lossy(&output.stderr));
        Ok(id)
    }

    /// The network that all containers share.
    pub fn network(&self) -> String {
        format!("{}_default", self.project)
    }

    /// `kuorum ctl` in a container of the cluster's network, with the operator's certificate; `-w json` output.
    pub fn ctl(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let operator = format!("{}:/operator:ro", self.out.path().join("operator").display());
        let image = std::env::var("KUORUM_IMAGE").unwrap_or_else(|_| "kuorum:latest".to_owned());
        let mut docker = Command::new("docker");
        docker.args(["run", "--rm", "--user", "0", "--network", &self.network(), "-v", &operator, &image, "ctl"]);
        docker.args(["--cacert=/operator/ca.crt", "--cert=/operator/operator.crt", "--key=/operator/operator.key"]);
        docker.arg("--endpoints=https://store-1:2379,https://store-2:2379,https://store-3:2379");
        let output = docker.args(["--write-out", "json"]).args(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&said).with_context(|| {
            format!("kuorum ctl {}: {said}{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr))
        })
    }

    /// The leader's service name.
    pub fn leader(&self) -> Result<String> {
        wait::until("a leader", || {
            let status = self.ctl(&["status"]).unwrap_or_default();
            let members = status.as_array().into_iter().flatten().map(|entry| &entry["Status"]);
            let leader = members.clone().map(|member| member["leader"].as_u64().unwrap_or(0)).max().unwrap_or(0);
            let mut leading = members.filter(|member| leader != 0 && member["member"]["ID"] == leader);
            Ok(leading.next().and_then(|member| member["member"]["name"].as_str()).map(str::to_owned))
        })
    }
}

fn present(image: &str) -> bool {
    let found = Command::new("docker").args(["image", "inspect", image]).output();
    found.is_ok_and(|output| output.status.success())
        || Command::new("docker").args(["pull", "-q", image]).output().is_ok_and(|output| output.status.success())
}

impl Drop for Compose {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("KUORUM_KEEP").is_some() {
            let _ = self.run(&["ps", "-a"]);
            let _ = self.run(&["logs", "--no-color", "--tail", "15"]);
        }
        if let Err(error) = self.run(&["down", "-v", "--timeout", "5"]) {
            println!("{error:#}");
        }
    }
}
