//! The command line of `kuorum-load`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Drives a Kubernetes API server and reports rates, latency percentiles and what the servers used.
#[derive(Parser, Debug, Clone)]
#[command(name = "kuorum-load", version)]
pub struct Args {
    /// What to do.
    #[arg(value_enum)]
    pub scenario: Scenario,
    /// The server and its credentials; `KUBECONFIG` when absent.
    #[arg(long, env = "KUBECONFIG")]
    pub kubeconfig: PathBuf,
    /// A namespace for the objects of this run. Made when absent, left in place.
    #[arg(long, default_value = "kuorum-load")]
    pub namespace: String,
    /// Requests in flight.
    #[arg(short = 'c', long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: u32,
    /// HTTP/2 connections that the requests in flight share.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub connections: u32,
    /// How many requests to send (0: as many as fit into --seconds).
    #[arg(short = 'n', long, default_value_t = 0)]
    pub requests: u64,
    /// How long to send, in seconds, when --requests is 0.
    #[arg(short = 's', long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Open loop: requests per second, started on schedule whether or not earlier ones were answered; latency is
    /// counted from the scheduled start. 0 is the closed loop: each worker sends when its last answer is in.
    #[arg(long, default_value_t = 0.0)]
    pub rate: f64,
    /// The kind of object that the scenarios create, get and list.
    #[arg(long, value_enum, default_value_t = ObjectKind::Configmap)]
    pub kind: ObjectKind,
    /// Bytes of payload in one ConfigMap.
    #[arg(long, default_value_t = 1024)]
    pub size: usize,
    /// Objects that must exist before `get`, `list`, `list-paged`, `fairness` and `mixed` begin; missing ones are created.
    #[arg(long, default_value_t = 1000)]
    pub objects: u64,
    /// Page size of `list-paged`.
    #[arg(long, default_value_t = 500)]
    pub limit: u64,
    /// Watches of `watch-fan-out`.
    #[arg(long, default_value_t = 100)]
    pub watchers: u32,
    /// Process ids of the servers: their CPU time and peak memory go into the report (Linux, same machine).
    #[arg(long, value_delimiter = ',')]
    pub pids: Vec<u32>,
    /// Writes the result as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Writes the latency distribution as an SVG picture.
    #[arg(long)]
    pub plot: Option<PathBuf>,
    /// No progress bar.
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// POST new objects.
    Create,
    /// POST new objects, one request in flight.
    CreateOneAtATime,
    /// GET single objects, chosen at random.
    Get,
    /// LIST the whole collection, consistent.
    List,
    /// LIST one page, consistent.
    ListPaged,
    /// Watches that all see every object created during the run.
    WatchFanOut,
    /// Writers that read one object and PUT it with its resourceVersion; a conflict is retried.
    UpdateConflict,
    /// One user floods the server with lists in all requests in flight, another one's GETs go on at --rate.
    Fairness,
    /// 70% get, 15% create, 10% patch, 5% list of a page.
    Mixed,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    Configmap,
    Pod,
}
