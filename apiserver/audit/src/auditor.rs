//! The policy and the backends of a front-end.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::backend::{Outcome, Sink};
use crate::event::Event;
use crate::policy::{Attributes, Level, Policy};
use crate::record::{Facts, Record};

/// Decides what is recorded, and records it.
pub struct Auditor {
    policy: Policy,
    sinks: Vec<Sink>,
}

impl Auditor {
    pub fn new(policy: Policy, sinks: Vec<Sink>) -> Arc<Self> {
        Arc::new(Auditor { policy, sinks })
    }

    /// Opens the record of a request; `None`: nothing is recorded of it. `facts` is asked only where something is.
    pub fn begin(self: &Arc<Self>, request: &Attributes<'_>, facts: impl FnOnce() -> Facts) -> Option<Record> {
        let decision = self.policy.decide(request);
        metrics::counter!("apiserver_audit_level_total", "level" => decision.level.as_str()).increment(1);
        (decision.level > Level::None).then(|| Record::new(self.clone(), decision, request, facts()))
    }

    /// Hands an event to every backend. What is to be waited for is returned.
    pub(crate) fn submit(&self, event: &Event) -> Outcome {
        metrics::counter!("apiserver_audit_event_total").increment(1);
        let mut waits = Vec::new();
        let mut refused = false;
        for sink in &self.sinks {
            match sink.submit(event) {
                Outcome::Done => {}
                Outcome::Refused => refused = true,
                Outcome::Wait(wait) => waits.push(wait),
            }
        }
        match (refused, waits.is_empty()) {
            (true, true) => Outcome::Refused,
            (false, true) => Outcome::Done,
            (refused, false) => {
                Outcome::Wait(Box::pin(async move { join_all(waits).await.into_iter().all(|taken| taken) && !refused }))
            }
        }
    }

    /// Writes what waits. Call it when the last request has been answered.
    pub async fn close(&self) {
        join_all(self.sinks.iter().map(Sink::close)).await;
    }
}
