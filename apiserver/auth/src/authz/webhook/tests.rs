use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;

/// A webhook on loopback that answers with `status` and counts the questions.
struct Hook {
    url: String,
    asked: Arc<Mutex<Vec<Value>>>,
    status: Arc<Mutex<Value>>,
}

impl Hook {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let status: Arc<Mutex<Value>> = Arc::default();
        let (seen, answer) = (asked.clone(), status.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (seen, answer) = (seen.clone(), answer.clone());
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (seen, answer) = (seen.clone(), answer.clone());
                    async move {
                        let body = request.into_body().collect().await?.to_bytes();
                        seen.lock().push(serde_json::from_slice(&body).unwrap_or_default());
                        let status = answer.lock().clone();
                        let code = if status.is_null() { 400 } else { 200 };
                        let body = json!({"status": status}).to_string();
                        let response = http::Response::builder().status(code).body(Full::new(bytes::Bytes::from(body)));
                        Ok::<_, hyper::Error>(response.unwrap_or_default())
                    }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service);
                tokio::spawn(connection);
            }
        });
        Hook { url, asked, status }
    }

    fn webhook(&self, settings: Settings, conditions: &[&str]) -> Webhook {
        let tls = crate::webhook::client_config(None, None).unwrap();
        let client = Client::new(&self.url, tls, None).unwrap();
        let conditions = conditions.iter().map(|c| Webhook::condition(c).unwrap()).collect();
        Webhook::new(client, settings, conditions)
    }

    fn says(&self, status: Value) {
        *self.status.lock() = status;
    }

    fn questions(&self) -> usize {
        self.asked.lock().len()
    }
}

fn user() -> User {
    let extra = [("k".to_owned(), vec!["v".to_owned()])].into();
    User { name: "alice".into(), uid: "1".into(), groups: vec!["dev".into()], extra }
}

async fn ask(webhook: &Webhook, attributes: &Attributes<'_>) -> Decision {
    webhook.authorize(attributes).decision().await
}

#[tokio::test]
async fn the_question_has_everything_and_answers_are_remembered() {
    let hook = Hook::start().await;
    let webhook = hook.webhook(Settings { version: "v1", ..Settings::default() }, &[]);
    hook.says(json!({"allowed": true, "reason": "fine"}));
    let user = user();
    let pods = Attributes {
        namespace: "a",
        version: "v1",
        fields: Selector::Raw("spec.nodeName=n1"),
        labels: Selector::Raw("app in (x,y)"),
        ..Attributes::of_resource(&user, "list", "", "pods")
    };
    for _ in 0..3 {
        let Decision::Allow(reason) = ask(&webhook, &pods).await else { panic!("it was allowed") };
        assert_eq!(reason.to_string(), "fine");
    }
    assert_eq!(hook.questions(), 1);
    let question = hook.asked.lock()[0].clone();
    assert_eq!(
        (&question["apiVersion"], &question["kind"]),
        (&json!("authorization.k8s.io/v1"), &json!("SubjectAccessReview"))
    );
    assert_eq!(
        question["spec"],
        json!({
            "user": "alice", "uid": "1", "groups": ["dev"], "extra": {"k": ["v"]},
            "resourceAttributes": {
                "namespace": "a", "verb": "list", "version": "v1", "resource": "pods",
                "fieldSelector": {"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]},
                "labelSelector": {"requirements": [{"key": "app", "operator": "In", "values": ["x", "y"]}]},
            },
        })
    );
    // Another question is another.
    hook.says(json!({"allowed": false, "denied": true, "reason": "no"}));
    let path = Attributes::of_path(&user, "get", "/metrics");
    assert!(matches!(ask(&webhook, &path).await, Decision::Deny(r) if r.reason == "no" && r.error.is_none()));
    assert_eq!(hook.asked.lock()[1]["spec"]["nonResourceAttributes"], json!({"path": "/metrics", "verb": "get"}));
    let long = "x".repeat(CONTROLLED_BYTES_MAX);
    for _ in 0..2 {
        ask(&webhook, &Attributes::of_path(&user, "get", &long)).await;
    }
    assert_eq!(hook.questions(), 4, "a long question is not remembered");
}

#[tokio::test]
async fn old_versions_spell_groups_differently_and_nothing_is_remembered_without_a_ttl() {
    let hook = Hook::start().await;
    let settings = Settings { authorized_ttl: Duration::ZERO, ..Settings::default() };
    let webhook = hook.webhook(settings, &[]);
    hook.says(json!({"allowed": true}));
    let user = user();
    for _ in 0..2 {
        assert!(ask(&webhook, &Attributes::of_resource(&user, "get", "", "pods")).await.is_allowed());
    }
    assert_eq!(hook.questions(), 2);
    assert_eq!(hook.asked.lock()[0]["apiVersion"], "authorization.k8s.io/v1beta1");
    assert_eq!(hook.asked.lock()[0]["spec"]["group"], json!(["dev"]));
}

#[tokio::test]
async fn failures_follow_the_policy() {
    let hook = Hook::start().await;
    let user = user();
    let asked = Attributes::of_resource(&user, "get", "", "pods");
    let lenient = hook.webhook(Settings::default(), &[]);
    assert!(matches!(ask(&lenient, &asked).await, Decision::NoOpinion(r) if r.error.is_some()));
    let strict = hook.webhook(Settings { failure_policy: FailurePolicy::Deny, ..Settings::default() }, &[]);
    assert!(matches!(ask(&strict, &asked).await, Decision::Deny(r) if r.error.is_some()));
    // A failure is not remembered; a contradiction is one.
    hook.says(json!({"allowed": true}));
    assert!(ask(&strict, &asked).await.is_allowed());
    hook.says(json!({"allowed": true, "denied": true}));
    let other = Attributes { name: "x", ..asked };
    assert!(matches!(ask(&lenient, &other).await, Decision::Deny(r) if r.error.is_some()));
}

#[tokio::test]
async fn conditions_decide_who_is_asked_about() {
    let hook = Hook::start().await;
    hook.says(json!({"allowed": true}));
    let user = user();
    let in_namespace = |namespace| Attributes { namespace, ..Attributes::of_resource(&user, "get", "", "pods") };
    let conditions = ["has(request.resourceAttributes)", "request.resourceAttributes.namespace == 'a'"];
    let webhook = hook.webhook(Settings::default(), &conditions);
    assert!(ask(&webhook, &in_namespace("a")).await.is_allowed());
    assert!(matches!(ask(&webhook, &in_namespace("b")).await, Decision::NoOpinion(r) if r == Refusal::default()));
    let path = Attributes::of_path(&user, "get", "/x");
    assert!(matches!(ask(&webhook, &path).await, Decision::NoOpinion(r) if r == Refusal::default()));
    assert_eq!(hook.questions(), 1);
    // One that cannot be evaluated is a failure, unless another says no.
    let failing = hook.webhook(
        Settings { failure_policy: FailurePolicy::Deny, ..Settings::default() },
        &["request.resourceAttributes.nope == 'a'"],
    );
    assert!(matches!(ask(&failing, &in_namespace("a")).await, Decision::Deny(r) if r.error.is_some()));
    let both = hook.webhook(
        Settings { failure_policy: FailurePolicy::Deny, ..Settings::default() },
        &["request.resourceAttributes.nope == 'a'", "request.user == 'bob'"],
    );
    assert!(matches!(ask(&both, &in_namespace("a")).await, Decision::NoOpinion(r) if r == Refusal::default()));
}
