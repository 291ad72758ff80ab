//! A load generator for any Kubernetes API server, given a kubeconfig. The parts, in the order a run meets them:
//! arguments, the target, a client over HTTP/2, a scenario driven by a pace, what the servers used, the report.

pub mod args;
pub mod client;
pub mod fairness;
pub mod fanout;
pub mod kubeconfig;
pub mod meter;
pub mod objects;
pub mod pace;
pub mod plot;
pub mod report;
pub mod scenario;
pub mod usage;
