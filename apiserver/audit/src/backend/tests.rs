use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;

use super::*;
use crate::policy::{Attributes, Policy};
use crate::{Auditor, Facts, Record, ResponseStatus, UserInfo};

const BATCH: BatchConfig =
    BatchConfig { buffer_size: 100, max_size: 4, max_wait: Duration::from_millis(20), throttle: None };

/// A server that takes batches, or answers what it is told to.
#[derive(Clone, Default)]
struct Server {
    taken: Arc<Mutex<Vec<Value>>>,
    /// Whether each refusal may heal.
    refusals: Arc<Mutex<VecDeque<bool>>>,
}

impl Server {
    fn sender(&self) -> Sender {
        let server = self.clone();
        Arc::new(move |body: Bytes| {
            let outcome = match server.refusals.lock().pop_front() {
                Some(may_heal) => Err(SendError { why: "refused".to_owned(), may_heal }),
                None => {
                    server.taken.lock().push(serde_json::from_slice(&body).unwrap());
                    Ok(())
                }
            };
            Box::pin(async move { outcome })
        })
    }

    fn webhook(&self, mode: Mode) -> WebhookConfig {
        let initial_backoff = Duration::from_millis(1);
        WebhookConfig { sender: self.sender(), initial_backoff, mode, batch: BATCH, truncate: None }
    }

    fn batches(&self) -> Vec<usize> {
        self.taken.lock().iter().map(|list| list["items"].as_array().unwrap().len()).collect()
    }
}

fn log(path: &std::path::Path, mode: Mode) -> LogConfig {
    LogConfig {
        path: path.to_owned(),
        format: Format::Json,
        max_size: 0,
        max_age: 0,
        max_backups: 0,
        compress: false,
        mode,
        batch: BATCH,
        truncate: None,
    }
}

fn auditor(rules: &str, sinks: Vec<Sink>) -> Arc<Auditor> {
    let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{rules}");
    Auditor::new(Policy::parse(text.as_bytes()).unwrap(), sinks)
}

fn begin(auditor: &Arc<Auditor>, id: &str) -> Record {
    let request = Attributes {
        user: Some("alice"),
        verb: "create",
        is_resource: true,
        namespace: "default",
        resource: "secrets",
        ..Attributes::default()
    };
    let facts = || Facts {
        audit_id: id.to_owned(),
        request_uri: "/api/v1/namespaces/default/secrets".to_owned(),
        user: UserInfo { username: "alice".to_owned(), ..UserInfo::default() },
        source_ips: vec!["127.0.0.1".to_owned()],
        user_agent: "test".to_owned(),
        api_version: "v1".to_owned(),
        received: SystemTime::now(),
    };
    auditor.begin(&request, facts).unwrap()
}

fn code(code: u16) -> ResponseStatus {
    ResponseStatus::of_answer(code, None)
}

fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_log_has_every_stage_and_objects_by_level() {
    let dir = tempfile::tempdir().unwrap();
    for (level, request, response) in
        [("Metadata", false, false), ("Request", true, false), ("RequestResponse", true, true)]
    {
        let path = dir.path().join(level);
        let auditor =
            auditor(&format!("rules: [{{level: {level}}}]"), vec![Sink::log(&log(&path, Mode::Blocking)).unwrap()]);
        let record = begin(&auditor, "one");
        assert!(record.received().await);
        record.refer(&serde_json::json!({"name": "s", "namespace": "other", "uid": "u"}));
        record.request_object(br#"{"data":{"planted":"1"}}"#);
        record.response_object(br#"{"data":{"planted":"2"}}"#);
        record.annotate("authorization.k8s.io/decision", "allow");
        record.annotate("authorization.k8s.io/decision", "forbid");
        record.completed(code(201)).await;
        let lines = lines(&path);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["stage"], "RequestReceived");
        assert_eq!(lines[0]["requestReceivedTimestamp"], lines[0]["stageTimestamp"]);
        let done = &lines[1];
        assert_eq!((&done["stage"], &done["level"]), (&"ResponseComplete".into(), &level.into()));
        assert_eq!(done["responseStatus"]["code"], 201);
        assert_eq!(done["annotations"]["authorization.k8s.io/decision"], "allow");
        assert_eq!(done["objectRef"]["name"], "s");
        assert_eq!(done["objectRef"]["namespace"], "default", "the path's own word stays");
        assert_eq!(done["requestObject"].is_object(), request);
        assert_eq!(done["responseObject"].is_object(), response);
        assert_eq!(done.to_string().contains("planted"), request);
    }
}

#[tokio::test]
async fn what_ends_otherwise_is_recorded_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let sink = Sink::log(&log(&path, Mode::Blocking)).unwrap();
    let auditor = auditor("omitStages: [RequestReceived]\nrules: [{level: Metadata}]", vec![sink]);
    drop(begin(&auditor, "gone"));
    begin(&auditor, "panic").panicked("of this test").await;
    begin(&auditor, "nobody").turned_away(code(401)).await;
    let watch = begin(&auditor, "watch");
    watch.response_started(200).await;
    watch.ended();
    let seen: Vec<_> = lines(&path)
        .iter()
        .map(|e| {
            format!(
                "{} {} {}",
                e["auditID"].as_str().unwrap(),
                e["stage"].as_str().unwrap(),
                e["responseStatus"]["code"]
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            "gone ResponseComplete 200",
            "panic Panic 500",
            "nobody ResponseStarted 401",
            "watch ResponseStarted 200",
            "watch ResponseComplete 200",
        ]
    );
    assert_eq!(lines(&path)[1]["responseStatus"]["message"], "APIServer panic'd: of this test");
}

#[tokio::test]
async fn batches_are_bounded_and_nothing_is_lost_at_the_end() {
    let server = Server::default();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let sinks = vec![Sink::webhook(&server.webhook(Mode::Batch)), Sink::log(&log(&path, Mode::Batch)).unwrap()];
    let auditor = auditor("omitStages: [RequestReceived]\nrules: [{level: Metadata}]", sinks);
    for i in 0..10 {
        begin(&auditor, &i.to_string()).completed(code(200)).await;
    }
    auditor.close().await;
    assert_eq!(server.batches().iter().sum::<usize>(), 10);
    assert!(server.batches().iter().all(|len| *len <= 4), "{:?}", server.batches());
    assert_eq!(lines(&path).len(), 10);
    let list = server.taken.lock()[0].clone();
    assert_eq!((&list["kind"], &list["apiVersion"]), (&"EventList".into(), &"audit.k8s.io/v1".into()));
    // Behind the end nothing is taken, and nobody is hindered.
    begin(&auditor, "late").completed(code(200)).await;
}

#[tokio::test]
async fn a_webhook_is_asked_again_while_that_may_help() {
    let server = Server::default();
    server.refusals.lock().extend([true, true]);
    let auditor = auditor("rules: [{level: Metadata}]", vec![Sink::webhook(&server.webhook(Mode::BlockingStrict))]);
    let record = begin(&auditor, "one");
    assert!(record.received().await);
    assert_eq!(server.batches(), [1]);
    server.refusals.lock().push_back(false);
    let record = begin(&auditor, "two");
    assert!(!record.received().await, "strict: what cannot be recorded is not done");
    server.refusals.lock().extend([true; 5]);
    let record = begin(&auditor, "three");
    assert!(!record.received().await, "five attempts");

    let lenient = Sink::webhook(&server.webhook(Mode::Blocking));
    let auditor = self::auditor("rules: [{level: Metadata}]", vec![lenient]);
    server.refusals.lock().push_back(false);
    assert!(begin(&auditor, "four").received().await);
}

#[tokio::test]
async fn strict_logs_refuse_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    for (mode, goes_on) in [(Mode::BlockingStrict, false), (Mode::Blocking, true)] {
        // A device that is always full.
        let sink = Sink::log(&log(std::path::Path::new("/dev/full"), mode)).unwrap();
        let auditor = auditor("rules: [{level: Metadata}]", vec![sink]);
        assert_eq!(begin(&auditor, "one").received().await, goes_on);
    }
    drop(dir);
}

#[tokio::test]
async fn large_events_lose_their_objects() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let truncate = Some(TruncateConfig { event_bytes_max: 1000, batch_bytes_max: 10_000 });
    let sink = Sink::log(&LogConfig { truncate, ..log(&path, Mode::Blocking) }).unwrap();
    let auditor = auditor("omitStages: [RequestReceived]\nrules: [{level: RequestResponse}]", vec![sink]);
    for (id, len) in [("small", 10), ("large", 2000)] {
        let record = begin(&auditor, id);
        record.request_object(format!("{{\"data\":\"{}\"}}", "x".repeat(len)).as_bytes());
        record.completed(code(200)).await;
    }
    let record = begin(&auditor, "hopeless");
    record.annotate("long", &"x".repeat(2000));
    record.completed(code(200)).await;
    let lines = lines(&path);
    assert_eq!(lines.len(), 2);
    assert!(lines[0]["requestObject"].is_object());
    assert!(lines[1]["requestObject"].is_null());
    assert_eq!(lines[1]["annotations"]["audit.k8s.io/truncated"], "true");
}
