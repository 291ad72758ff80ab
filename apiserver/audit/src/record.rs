//! The record of one request, from its reception to the end of its answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::auditor::Auditor;
use crate::backend::Outcome;
use crate::event::{AuthenticationMetadata, Event, ObjectReference, ResponseStatus, UserInfo};
use crate::json;
use crate::policy::{Attributes, Decision, Level, Stage};

/// A longer user agent is cut.
const USER_AGENT_LEN_MAX: usize = 1024;
const USER_AGENT_CUT: &str = "...TRUNCATED";

/// What a request says of itself, beyond what the policy looks at.
pub struct Facts {
    pub audit_id: String,
    pub request_uri: String,
    pub user: UserInfo,
    pub source_ips: Vec<String>,
    pub user_agent: String,
    pub api_version: String,
    pub received: SystemTime,
}

/// An open record. Dropped before [`Record::complete`], it says that the client has gone.
pub struct Record {
    auditor: Arc<Auditor>,
    decision: Decision,
    event: Mutex<Event>,
    complete: AtomicBool,
}

impl Record {
    pub(crate) fn new(auditor: Arc<Auditor>, decision: Decision, request: &Attributes<'_>, facts: Facts) -> Self {
        let object_ref = request.is_resource.then(|| ObjectReference {
            resource: request.resource.to_owned(),
            namespace: request.namespace.to_owned(),
            name: request.name.to_owned(),
            api_group: request.group.to_owned(),
            api_version: facts.api_version,
            subresource: request.subresource.to_owned(),
            ..ObjectReference::default()
        });
        let event = Event {
            level: decision.level,
            audit_id: facts.audit_id,
            stage: Stage::RequestReceived,
            request_uri: facts.request_uri,
            verb: request.verb.to_owned(),
            user: facts.user,
            impersonated_user: None,
            authentication_metadata: None,
            source_ips: facts.source_ips,
            user_agent: cut(facts.user_agent),
            object_ref,
            response_status: None,
            request_object: None,
            response_object: None,
            request_received_timestamp: facts.received,
            stage_timestamp: facts.received,
            annotations: BTreeMap::new(),
        };
        Record { auditor, decision, event: Mutex::new(event), complete: AtomicBool::new(false) }
    }

    pub fn level(&self) -> Level {
        self.decision.level
    }

    /// Records that the request has arrived. False: it could not be recorded, and must be refused.
    pub async fn received(&self) -> bool {
        match self.emit(Stage::RequestReceived) {
            Outcome::Done => true,
            Outcome::Refused => false,
            Outcome::Wait(wait) => wait.await,
        }
    }

    /// Records that the answer of a request that lasts has begun.
    pub async fn response_started(&self, code: u16) {
        self.event.lock().response_status = Some(ResponseStatus::of_answer(code, None));
        self.finish(Stage::ResponseStarted).await;
    }

    /// Records a request that was turned away before its record was opened in the ordinary way: one event, as of an
    /// answer that began.
    pub async fn turned_away(&self, status: ResponseStatus) {
        self.complete.store(true, Ordering::SeqCst);
        self.event.lock().response_status = Some(status);
        self.finish(Stage::ResponseStarted).await;
    }

    /// Records the answer.
    pub async fn completed(&self, status: ResponseStatus) {
        self.complete.store(true, Ordering::SeqCst);
        self.event.lock().response_status = Some(status);
        self.finish(Stage::ResponseComplete).await;
    }

    /// Records the end of an answer that lasted. The status is that of its beginning.
    pub fn ended(&self) {
        self.complete.store(true, Ordering::SeqCst);
        self.finish_later(Stage::ResponseComplete);
    }

    /// Records that the request failed in a way that nobody foresaw.
    pub async fn panicked(&self, why: &str) {
        self.complete.store(true, Ordering::SeqCst);
        let status = ResponseStatus::of("Failure", "InternalError", format!("APIServer panic'd: {why}"), 500);
        self.event.lock().response_status = Some(status);
        self.finish(Stage::Panic).await;
    }

    /// Adds an annotation. The first value of a key stays.
    pub fn annotate(&self, key: &str, value: &str) {
        let mut event = self.event.lock();
        match event.annotations.get(key) {
            None => drop(event.annotations.insert(key.to_owned(), value.to_owned())),
            Some(old) if old == value => {}
            Some(_) => tracing::warn!(key, "an audit annotation is there already"),
        }
    }

    /// Notes the user that the request is made as. `constraint`: what allowed it, where the rule has a name.
    pub fn impersonated(&self, user: UserInfo, constraint: &str) {
        let mut event = self.event.lock();
        event.impersonated_user = Some(user);
        if !constraint.is_empty() {
            event.authentication_metadata =
                Some(AuthenticationMetadata { impersonation_constraint: constraint.to_owned() });
        }
    }

    /// Whether [`Record::request_object`] keeps the object.
    pub fn wants_request_object(&self) -> bool {
        self.decision.level >= Level::Request
    }

    /// Whether [`Record::response_object`] keeps the object.
    pub fn wants_response_object(&self) -> bool {
        self.decision.level >= Level::RequestResponse
    }

    /// Completes what the request is about from the metadata of its body.
    pub fn refer(&self, metadata: &serde_json::Value) {
        let mut event = self.event.lock();
        let Some(object) = &mut event.object_ref else { return };
        let fill = |field: &mut String, name: &str| {
            if field.is_empty() {
                *field = metadata[name].as_str().unwrap_or_default().to_owned();
            }
        };
        fill(&mut object.namespace, "namespace");
        fill(&mut object.name, "name");
        fill(&mut object.uid, "uid");
        fill(&mut object.resource_version, "resourceVersion");
    }

    /// Keeps what was asked for, as JSON, where the level wants it.
    pub fn request_object(&self, json: &[u8]) {
        if self.wants_request_object() {
            self.event.lock().request_object = json::document(json, self.decision.omit_managed_fields);
        }
    }

    /// Keeps what was answered, as JSON, where the level wants it.
    pub fn response_object(&self, json: &[u8]) {
        if self.wants_response_object() {
            self.event.lock().response_object = json::document(json, self.decision.omit_managed_fields);
        }
    }

    fn emit(&self, stage: Stage) -> Outcome {
        if self.decision.omit_stages.contains(stage) {
            return Outcome::Done;
        }
        let mut event = self.event.lock();
        event.stage = stage;
        event.stage_timestamp = match stage {
            Stage::RequestReceived => event.request_received_timestamp,
            _ => SystemTime::now(),
        };
        self.auditor.submit(&event)
    }

    async fn finish(&self, stage: Stage) {
        if let Outcome::Wait(wait) = self.emit(stage) {
            wait.await;
        }
    }

    /// Where nothing can wait: a task does.
    fn finish_later(&self, stage: Stage) {
        if let Outcome::Wait(wait) = self.emit(stage)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(wait);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.complete.load(Ordering::SeqCst) {
            return;
        }
        let early = || ResponseStatus::of("Success", "", "Connection closed early", 200);
        self.event.lock().response_status.get_or_insert_with(early);
        self.finish_later(Stage::ResponseComplete);
    }
}

fn cut(mut agent: String) -> String {
    if agent.len() > USER_AGENT_LEN_MAX {
        let end = (0..=USER_AGENT_LEN_MAX).rev().find(|end| agent.is_char_boundary(*end)).unwrap_or(0);
        agent.truncate(end);
        agent.push_str(USER_AGENT_CUT);
    }
    agent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_user_agents_are_cut() {
        assert_eq!(cut("short".to_owned()), "short");
        assert_eq!(cut("é".repeat(1000)).len(), 1024 + USER_AGENT_CUT.len());
    }
}
