//! `/metrics` and `/health` as plain HTTP on loopback.

use std::sync::Arc;
use std::sync::OnceLock;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use kuorum_raft::Node;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::machine::{Machine, Store};

/// Seconds, from a fast SSD's fsync to a disk in trouble.
const FSYNC_BUCKETS: &[f64] =
    &[0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0];
/// Counts of transactions or entries.
const COUNT_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The process's recorder. Installed once; where something else installed one already, `/metrics` is empty.
fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        let builder = builder.set_buckets_for_metric(Matcher::Suffix("_seconds".into()), FSYNC_BUCKETS);
        let builder = builder.and_then(|b| b.set_buckets(COUNT_BUCKETS));
        let recorder = match builder {
            Ok(builder) => builder.build_recorder(),
            Err(_) => PrometheusBuilder::new().build_recorder(),
        };
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::debug!("a metrics recorder is installed already");
        }
        handle
    })
}

/// Makes the recorder exist before the first metric is recorded.
pub fn install() {
    recorder();
}

#[derive(Clone)]
struct Shared {
    node: Arc<Node<Machine>>,
    store: Arc<Store>,
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, node: Arc<Node<Machine>>, store: Arc<Store>, stop: CancellationToken) {
    let router = axum::Router::new()
        .route("/metrics", get(render))
        .route("/health", get(health))
        .with_state(Shared { node, store });
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the metrics listener failed");
    }
}

async fn render(State(shared): State<Shared>) -> String {
    let progress = shared.store.hub().now();
    let counters = shared.store.counters();
    let status = shared.node.status().borrow().clone();
    let store = shared.store.clone();
    let size = tokio::task::spawn_blocking(move || store.size_bytes()).await.unwrap_or_default();
    let gauges: [(&'static str, u64); 8] = [
        ("kuorum_applied_index", progress.applied_index),
        ("kuorum_revision", progress.revision),
        ("kuorum_compact_revision", progress.compact_revision),
        ("kuorum_keys", counters.live_keys),
        ("kuorum_used_bytes", counters.used_bytes),
        ("kuorum_db_size_bytes", size),
        ("kuorum_term", status.term),
        ("kuorum_is_leader", u64::from(status.leader == Some(status.id))),
    ];
    for (name, value) in gauges {
        metrics::gauge!(name).set(value as f64);
    }
    recorder().run_upkeep();
    recorder().render()
}

/// As etcd's: healthy while there is a leader and no alarm is raised.
async fn health(State(shared): State<Shared>) -> impl IntoResponse {
    let reason = if let Some(fatal) = shared.node.fatal().borrow().clone() {
        fatal
    } else if shared.node.leader().is_none() {
        "no leader".to_string()
    } else if let Some(alarm) = shared.store.counters().alarms.first() {
        format!("alarm {}", alarm.kind)
    } else {
        return (StatusCode::OK, serde_json::json!({"health": "true", "reason": ""}).to_string());
    };
    (StatusCode::SERVICE_UNAVAILABLE, serde_json::json!({"health": "false", "reason": reason}).to_string())
}
