//! What the audit log has of requests: every one of them, once complete, with objects only where the level asks.

use std::path::{Path, PathBuf};

use http::Request;
use http_body_util::BodyExt;
use kuorum_apiserver::auditor;
use kuorum_apiserver::auth::Peer;
use kuorum_apiserver::body::Payload;
use kuorum_apiserver::config::Config;
use kuorum_apiserver::layers::stack;
use kuorum_apiserver::options::AuditOptions;
use serde_json::{Value, json};

use crate::harness::{CONFIG_MAPS, MERGE, Server, config_map};

struct Audited {
    server: Server,
    log: PathBuf,
    _dir: tempfile::TempDir,
}

/// A server whose audit log is a file. Nothing of its own start is in it.
async fn audited(policy: &str) -> Audited {
    let dir = tempfile::tempdir().unwrap();
    let (policy_file, log) = (dir.path().join("policy.yaml"), dir.path().join("audit.log"));
    std::fs::write(&policy_file, format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{policy}")).unwrap();
    let options = AuditOptions {
        audit_policy_file: Some(policy_file),
        audit_log_path: Some(log.clone()),
        ..AuditOptions::default()
    };
    let server = Server::with(Config::default()).await;
    let auditor = auditor::open(&options).unwrap().unwrap();
    assert!(server.app.auditor.set(auditor).is_ok());
    Audited { server, log, _dir: dir }
}

fn events(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Audited {
    /// The events that were written since the last call.
    fn take(&self) -> Vec<Value> {
        let events = events(&self.log);
        std::fs::write(&self.log, "").unwrap();
        events
    }

    /// The one event that was written.
    #[track_caller]
    fn one(&self) -> Value {
        let mut events = self.take();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }
}

const COMPLETE: &str = "omitStages: [RequestReceived]\n";

#[tokio::test]
async fn every_request_has_one_complete_record() {
    let a = audited(&format!("{COMPLETE}rules: [{{level: Metadata}}]")).await;
    let s = &a.server;
    let answer = s.post(CONFIG_MAPS, &config_map("c")).await.is(201);
    let event = a.one();
    assert_eq!(event["auditID"], answer.headers["audit-id"].to_str().unwrap());
    assert_eq!((&event["stage"], &event["verb"]), (&json!("ResponseComplete"), &json!("create")));
    assert_eq!(event["requestURI"], CONFIG_MAPS);
    assert_eq!(event["user"]["username"], "admin");
    assert_eq!(event["sourceIPs"], json!(["127.0.0.1"]));
    let object = json!({"resource": "configmaps", "namespace": "default", "name": "c", "apiVersion": "v1"});
    assert_eq!(event["objectRef"], object);
    assert_eq!(event["responseStatus"], json!({"metadata": {}, "code": 201}));
    assert_eq!(event["annotations"]["authorization.k8s.io/decision"], "allow");
    assert!(event["requestObject"].is_null() && event["responseObject"].is_null());

    // Refused ones: nobody, not allowed, absent, invalid, no path, a bad parameter.
    let with = |token: &'static str| [("authorization", token)];
    s.call_with("GET", "/api/v1/pods", &with("Bearer wrong"), None::<&str>).await.is(401);
    let event = a.one();
    assert_eq!(event["responseStatus"]["code"], 401);
    assert_eq!((&event["stage"], &event["user"]), (&json!("ResponseStarted"), &json!({})));
    s.call_with("GET", "/api/v1/namespaces/default/secrets/x", &with("Bearer alice-token"), None::<&str>).await.is(403);
    let event = a.one();
    assert_eq!(
        (&event["responseStatus"]["code"], &event["responseStatus"]["reason"]),
        (&json!(403), &json!("Forbidden"))
    );
    assert_eq!(event["annotations"]["authorization.k8s.io/decision"], "forbid");
    assert_eq!(event["user"]["groups"], json!(["dev", "system:authenticated"]));
    s.get(&format!("{CONFIG_MAPS}/absent")).await.is(404);
    let status = a.one()["responseStatus"].clone();
    assert_eq!(status["message"], "configmaps \"absent\" not found");
    assert_eq!((&status["status"], &status["details"]["name"]), (&json!("Failure"), &json!("absent")));
    s.post(CONFIG_MAPS, &config_map("Not Valid")).await.is(422);
    assert_eq!(a.one()["responseStatus"]["reason"], "Invalid");
    s.get("/no/such/path").await.is(404);
    let event = a.one();
    assert_eq!((&event["verb"], &event["responseStatus"]["code"]), (&json!("get"), &json!(404)));
    assert!(event["objectRef"].is_null());
    s.get("/api/v1/pods?timeout=soon").await.is(400);
    assert_eq!(a.one()["responseStatus"]["code"], 400);
    s.get("/healthz").await;
    assert_eq!(a.one()["requestURI"], "/healthz");
    s.delete(&format!("{CONFIG_MAPS}/c")).await.is(200);
    let status = a.one()["responseStatus"].clone();
    assert_eq!(
        (&status["status"], &status["code"], &status["details"]["name"]),
        (&json!("Success"), &json!(200), &json!("c"))
    );
}

#[tokio::test]
async fn objects_are_recorded_by_level_and_secrets_only_where_it_asks() {
    let a = audited(
        "omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: Metadata, resources: [{group: '', resources: [secrets]}]}
- {level: Request, verbs: [patch]}
- {level: RequestResponse, resources: [{group: '', resources: [configmaps]}]}",
    )
    .await;
    let s = &a.server;
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "planted"}});
    let secrets = "/api/v1/namespaces/default/secrets";
    s.post(secrets, &secret).await.is(201);
    s.get(secrets).await.is(200);
    s.patch(&format!("{secrets}/s"), MERGE, &json!({"stringData": {"k": "planted"}})).await.is(200);
    let events = a.take();
    assert_eq!(events.len(), 3);
    assert!(!json!(events).to_string().contains("planted") && !json!(events).to_string().contains("cGxhbnRlZA"));
    assert_eq!(events[0]["objectRef"]["name"], "s");

    s.post(CONFIG_MAPS, &config_map("c")).await.is(201);
    let event = a.one();
    assert_eq!(event["requestObject"]["data"], json!({"k": "v"}));
    assert_eq!(event["responseObject"]["data"], json!({"k": "v"}));
    assert!(event["responseObject"]["metadata"]["uid"].is_string());
    assert!(event["responseObject"]["metadata"]["managedFields"].is_null());

    s.get(CONFIG_MAPS).await.is(200);
    let event = a.one();
    assert_eq!(event["responseObject"]["kind"], "ConfigMapList");
    assert!(event["requestObject"].is_null());
    // The answer is whole all the same.
    let yaml =
        s.call_with("GET", &format!("{CONFIG_MAPS}/c"), &[("accept", "application/yaml")], None::<&str>).await.is(200);
    assert!(String::from_utf8_lossy(&yaml.body).contains("k: v"));
    assert_eq!(a.one()["responseObject"]["data"], json!({"k": "v"}));

    s.patch(&format!("{CONFIG_MAPS}/c"), MERGE, &json!({"data": {"k": "w"}})).await.is(200);
    let event = a.one();
    assert_eq!((&event["requestObject"], &event["responseObject"]), (&json!({"data": {"k": "w"}}), &Value::Null));

    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0});
    s.call("DELETE", &format!("{CONFIG_MAPS}/c"), Some(&options)).await.is(200);
    assert_eq!(a.one()["requestObject"]["gracePeriodSeconds"], 0);
    // A refusal is an object, too; what was refused before it was read is not there.
    s.get(&format!("{CONFIG_MAPS}/c")).await.is(404);
    assert_eq!(a.one()["responseObject"]["kind"], "Status");
}

#[tokio::test]
async fn watches_are_recorded_when_they_begin_and_when_they_end() {
    let a = audited(&format!("{COMPLETE}rules: [{{level: RequestResponse}}]")).await;
    let s = &a.server;
    s.get(&format!("{CONFIG_MAPS}?watch=true&timeoutSeconds=1")).await.is(200);
    let stages: Vec<_> = a.take().iter().map(|e| (e["stage"].clone(), e["responseStatus"]["code"].clone())).collect();
    assert_eq!(stages, [(json!("ResponseStarted"), json!(200)), (json!("ResponseComplete"), json!(200))]);

    // A client that goes away.
    let request = Request::builder()
        .uri(format!("{CONFIG_MAPS}?watch=true"))
        .header("authorization", "Bearer admin-token")
        .body(Payload::Bytes(bytes::Bytes::new()))
        .unwrap();
    let peer = Peer::new(([127, 0, 0, 1], 1234).into(), Vec::new());
    let mut response = stack::handle(&s.app, &peer, request).await;
    assert_eq!(a.take().len(), 1, "it goes on");
    s.post(CONFIG_MAPS, &config_map("seen")).await.is(201);
    assert!(response.body_mut().frame().await.is_some());
    drop(response);
    let ends = a.take();
    assert_eq!(ends.last().unwrap()["stage"], "ResponseComplete");
    assert_eq!(ends.last().unwrap()["verb"], "watch");
}

#[tokio::test]
async fn a_log_that_must_not_fail_refuses_requests() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.yaml");
    std::fs::write(&policy, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]").unwrap();
    let options = AuditOptions {
        audit_policy_file: Some(policy),
        // A device that is always full.
        audit_log_path: Some("/dev/full".into()),
        audit_log_mode: "blocking-strict".to_owned(),
        ..AuditOptions::default()
    };
    let server = Server::with(Config::default()).await;
    assert!(server.app.auditor.set(auditor::open(&options).unwrap().unwrap()).is_ok());
    let refused = server.post(CONFIG_MAPS, &config_map("c")).await.is(500);
    assert!(refused.message().contains("failed to store audit event"));
    let resource = server.app.resource_named("", "v1", "configmaps").unwrap().1;
    assert!(resource.get("default", "c").is_none(), "what cannot be recorded is not done");
}

#[tokio::test]
async fn a_webhook_gets_batches() {
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (taken, mut lists) = tokio::sync::mpsc::unbounded_channel::<Value>();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let taken = taken.clone();
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let taken = taken.clone();
                async move {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    taken.send(serde_json::from_slice(&body).unwrap()).unwrap();
                    Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Empty::<bytes::Bytes>::new()))
                }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let (policy, kubeconfig) = (dir.path().join("policy.yaml"), dir.path().join("webhook.yaml"));
    std::fs::write(
        &policy,
        format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{COMPLETE}rules: [{{level: Metadata}}]"),
    )
    .unwrap();
    std::fs::write(
        &kubeconfig,
        format!(
            "apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: 'http://{address}/audit'}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
users: [{{name: u, user: {{}}}}]
current-context: x
"
        ),
    )
    .unwrap();
    let options = AuditOptions {
        audit_policy_file: Some(policy),
        audit_webhook_config_file: Some(kubeconfig),
        audit_webhook_batch_max_wait: std::time::Duration::from_millis(50),
        ..AuditOptions::default()
    };
    let server = Server::with(Config::default()).await;
    let auditor = auditor::open(&options).unwrap().unwrap();
    assert!(server.app.auditor.set(auditor.clone()).is_ok());
    for index in 0..5 {
        server.post(CONFIG_MAPS, &config_map(&format!("c{index}"))).await.is(201);
    }
    auditor.close().await;
    let mut names = Vec::new();
    while let Ok(list) = lists.try_recv() {
        assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("EventList"), &json!("audit.k8s.io/v1")));
        let items = list["items"].as_array().unwrap();
        names.extend(items.iter().map(|event| event["objectRef"]["name"].as_str().unwrap().to_owned()));
    }
    names.sort();
    assert_eq!(names, ["c0", "c1", "c2", "c3", "c4"]);
}
