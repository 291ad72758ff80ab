//! What keeps the server from taking on more than it can do: priority and fairness, or, where that is off, two plain
//! limits.

use std::fmt::Write;
use std::sync::Arc;

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use tokio::time::Instant;

use super::fairness::{self, Classified, Fairness};
use super::in_flight::{self, InFlight};
use super::respond;
use crate::app::App;
use crate::auth::User;
use crate::body::Body;
use crate::config::Config;
use crate::request::info::RequestInfo;
use crate::request::query::Query;
use crate::verbs::Response;

/// One of the two.
pub enum Overload {
    InFlight(InFlight),
    Fairness(Fairness),
}

/// A request that asks to be served.
#[derive(Clone, Copy)]
pub struct Entering<'a> {
    pub app: &'a App,
    pub parts: &'a http::request::Parts,
    pub query: &'a Query<'a>,
    pub info: &'a RequestInfo<'a>,
    pub user: &'a Arc<User>,
    pub deadline: Instant,
}

/// What became of it.
pub struct Entered<'a> {
    /// How it was classified, for the headers of its answer.
    pub classified: Option<Classified>,
    /// The right to be served, given back when it is dropped; or the refusal.
    pub outcome: Result<Permit<'a>, Response>,
}

pub enum Permit<'a> {
    /// Nothing is limited.
    Free,
    InFlight(in_flight::Permit<'a>),
    Fairness(fairness::Permit),
}

impl Overload {
    pub fn from_config(config: &Config) -> Self {
        let (reading, writing) = (config.max_requests_inflight, config.max_mutating_requests_inflight);
        if config.enable_priority_and_fairness {
            Overload::Fairness(Fairness::new(reading.saturating_add(writing)))
        } else {
            Overload::InFlight(InFlight::new(reading, writing))
        }
    }

    pub async fn enter(&self, entering: &Entering<'_>) -> Entered<'_> {
        match self {
            Overload::InFlight(limits) => {
                let entered = limits.enter(entering.user, entering.info);
                let outcome = entered.map(Permit::InFlight).ok_or_else(|| too_many_requests(1));
                Entered { classified: None, outcome }
            }
            Overload::Fairness(fairness) => fairness.enter(entering).await,
        }
    }

    pub fn fairness(&self) -> Option<&Fairness> {
        match self {
            Overload::Fairness(fairness) => Some(fairness),
            Overload::InFlight(_) => None,
        }
    }

    /// Appends metrics in the Prometheus text format.
    pub fn write_metrics(&self, out: &mut String) {
        let (reading, writing) = match self {
            Overload::InFlight(limits) => limits.counts(),
            Overload::Fairness(fairness) => {
                fairness.write_metrics(out);
                fairness.executing.counts()
            }
        };
        write_kinds(out, "apiserver_current_inflight_requests", "Requests that are being served", reading, writing);
    }
}

/// A gauge by kind of request.
pub(super) fn write_kinds(out: &mut String, name: &str, help: &str, reading: usize, writing: usize) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    let _ = writeln!(out, "{name}{{request_kind=\"mutating\"}} {writing}");
    let _ = writeln!(out, "{name}{{request_kind=\"readOnly\"}} {reading}");
}

impl Permit<'_> {
    /// The answer is ready. What is still to be made of its body while it is sent counts as well; a watch has begun,
    /// and only its beginning counts.
    pub fn answered(self, body: &mut Body, deadline: Instant) {
        if let Permit::Fairness(permit) = self
            && body.is_made_while_sent()
        {
            body.hold(permit.until(deadline));
        }
    }
}

/// 429, in plain text as kube-apiserver's.
pub fn too_many_requests(retry_after_seconds: u32) -> Response {
    let text = "Too many requests, please try again later.\n";
    let mut response = respond::text(StatusCode::TOO_MANY_REQUESTS, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_seconds));
    response
}
