//! Health: `/healthz`, `/livez`, `/readyz` with their checks, and `/metrics`.

use std::fmt::Write;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::app::App;
use crate::layers::respond;
use crate::request::query::Query;
use crate::routes;
use crate::verbs::Response;

/// One check: its name, on which endpoints it counts, and whether it holds.
struct Check {
    name: &'static str,
    on: &'static [&'static str],
    holds: fn(&App) -> bool,
}

const EVERYWHERE: &[&str] = &["healthz", "livez", "readyz"];
/// There only where keys are, or may come to be, in a KMS.
const KMS_PROVIDERS: &str = "kms-providers";

impl Check {
    fn exists(&self, app: &App) -> bool {
        self.name != KMS_PROVIDERS || app.encryption.get().is_some_and(|e| e.health().is_some())
    }
}

/// In the order in which `?verbose` lists them.
const CHECKS: &[Check] = &[
    Check { name: "ping", on: EVERYWHERE, holds: |_| true },
    Check { name: "log", on: EVERYWHERE, holds: |_| true },
    Check { name: "storage", on: &["healthz", "readyz"], holds: |app| app.store.ready() && app.store.available() },
    Check {
        name: KMS_PROVIDERS,
        on: EVERYWHERE,
        holds: |app| app.encryption.get().and_then(|e| e.health()).is_none_or(|health| health.is_ok()),
    },
    Check { name: "informer-sync", on: &["readyz"], holds: |app| app.store.ready() },
    Check {
        name: "poststarthook/rbac/bootstrap-roles",
        on: EVERYWHERE,
        holds: |app| app.bootstrapped.load(Ordering::Acquire),
    },
    Check {
        name: "poststarthook/bootstrap-controller",
        on: EVERYWHERE,
        holds: |app| app.bootstrapped.load(Ordering::Acquire),
    },
    Check { name: "shutdown", on: &["readyz"], holds: |app| !app.stopping.load(Ordering::Acquire) },
];

/// Answers a health path; `None` for other paths.
pub fn respond(app: &App, path: &str, query: &Query<'_>) -> Option<Response> {
    let (endpoint, name) = match path[1.min(path.len())..].split_once('/') {
        Some((endpoint, name)) => (endpoint, Some(name)),
        None => (&path[1.min(path.len())..], None),
    };
    if !EVERYWHERE.contains(&endpoint) {
        return None;
    }
    let mut checks = CHECKS.iter().filter(|c| c.on.contains(&endpoint) && c.exists(app));
    let Some(name) = name else { return Some(all(app, endpoint, checks.collect(), query)) };
    Some(match checks.find(|c| c.name == name) {
        None => respond::page_not_found(),
        Some(check) if (check.holds)(app) => text(StatusCode::OK, "ok".to_owned()),
        Some(check) => {
            text(StatusCode::INTERNAL_SERVER_ERROR, format!("internal server error: {} is not ready\n", check.name))
        }
    })
}

fn all(app: &App, endpoint: &str, checks: Vec<&Check>, query: &Query<'_>) -> Response {
    let excluded: Vec<&str> = query.all("exclude").collect();
    let mut lines = String::new();
    let mut failed = Vec::new();
    for check in &checks {
        if excluded.contains(&check.name) {
            let _ = writeln!(lines, "[+]{} excluded: ok", check.name);
        } else if (check.holds)(app) {
            let _ = writeln!(lines, "[+]{} ok", check.name);
        } else {
            let _ = writeln!(lines, "[-]{} failed: reason withheld", check.name);
            failed.push(check.name);
        }
    }
    let unknown: Vec<String> =
        excluded.iter().filter(|e| !checks.iter().any(|c| c.name == **e)).map(|e| format!("{e:?}")).collect();
    if !unknown.is_empty() {
        let _ = writeln!(lines, "warn: some health checks cannot be excluded: no matches for {}", unknown.join(","));
    }
    if !failed.is_empty() {
        tracing::debug!(endpoint, ?failed, "health check failed");
        let _ = writeln!(lines, "{endpoint} check failed");
        return text(StatusCode::INTERNAL_SERVER_ERROR, lines);
    }
    if query.get("verbose").is_none() {
        return text(StatusCode::OK, "ok".to_owned());
    }
    let _ = writeln!(lines, "{endpoint} check passed");
    text(StatusCode::OK, lines)
}

fn text(code: StatusCode, body: String) -> Response {
    respond::text(code, body)
}

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// How often observations are folded into their histograms.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Begins to collect metrics. The first call in a process counts. Call it in a runtime.
pub fn collect_metrics() {
    if METRICS.get().is_some() {
        return;
    }
    match PrometheusBuilder::new().install_recorder() {
        Ok(handle) => {
            drop(METRICS.set(handle.clone()));
            // Histograms keep every observation until it is folded in, and perhaps nobody scrapes.
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(UPKEEP_INTERVAL).await;
                    handle.run_upkeep();
                }
            });
        }
        Err(error) => tracing::warn!(%error, "metrics are collected elsewhere in this process"),
    }
}

/// `/metrics` in the Prometheus text format.
pub fn metrics(app: &App) -> Response {
    let mut text = METRICS.get().map(PrometheusHandle::render).unwrap_or_default();
    app.overload.write_metrics(&mut text);
    routes::ok(text, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores")
}
