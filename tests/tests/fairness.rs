//! Priority and fairness with real clients over real connections: a flood is refused, others are served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use kuorum_tests::dev::{self, Dev};
use kuorum_tests::machine;
use serde_json::{Value, json};

/// Bounds the whole test; it takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// Lists of the flood that are in flight.
const FLOOD: usize = 48;
/// GETs of the other user, one after the other.
const VISITS: usize = 100;

const TOKENS: &str = "flood-token,flood,flood-uid\nvisitor-token,visitor,visitor-uid\n";
const JSON: &str = "application/json";
/// As kubectl lists: a rendered answer, which takes its seat until it is sent.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A level with one seat, and short queues: what waits is at most `queueLengthLimit` for each user.
fn level() -> Value {
    json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
        "metadata": {"name": "contended"},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 1, "lendablePercent": 0, "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Queue", "queuing": {"queues": 64, "handSize": 2, "queueLengthLimit": 5}},
        }},
    })
}

fn schema() -> Value {
    let user = |name: &str| json!({"kind": "User", "user": {"name": name}});
    json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": {"name": "contended"},
        "spec": {
            "matchingPrecedence": 500, "priorityLevelConfiguration": {"name": "contended"},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{
                "subjects": [user("flood"), user("visitor")],
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}],
            }],
        },
    })
}

async fn with_token(server: &Dev, token: &str) -> Result<Client> {
    let kubeconfig = kube::config::Kubeconfig::read_from(server.kubeconfig())?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await?;
    // A 429 is what the test is about; the client would try again by itself.
    config.default_retry = false;
    config.auth_info = kube::config::AuthInfo { token: Some(token.to_owned().into()), ..Default::default() };
    Ok(Client::try_from(config)?)
}

/// The status of a GET, read to its end.
async fn get(client: &Client, path: &str, accept: &str) -> Result<u16> {
    match client.request_text(http::Request::get(path).header("accept", accept).body(Vec::new())?).await {
        Ok(_) => Ok(200),
        Err(kube::Error::Api(status)) => Ok(status.code),
        Err(error) => Err(error).context(path.to_owned()),
    }
}

async fn configure(admin: &Client) -> Result<()> {
    let resource =
        |kind: &str| ApiResource::from_gvk(&GroupVersionKind::gvk("flowcontrol.apiserver.k8s.io", "v1", kind));
    let levels: Api<DynamicObject> = Api::all_with(admin.clone(), &resource("PriorityLevelConfiguration"));
    levels.create(&PostParams::default(), &serde_json::from_value(level())?).await?;
    let schemas: Api<DynamicObject> = Api::all_with(admin.clone(), &resource("FlowSchema"));
    schemas.create(&PostParams::default(), &serde_json::from_value(schema())?).await?;
    let user = |name: &str| json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name});
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "contended"}, "subjects": [user("flood"), user("visitor")],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    }))?;
    Api::all(admin.clone()).create(&PostParams::default(), &binding).await?;
    let config_maps: Api<ConfigMap> = Api::default_namespaced(admin.clone());
    for number in 0..20 {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("c{number}")},
            "data": {"payload": "x".repeat(50_000)},
        });
        config_maps.patch(&format!("c{number}"), &PatchParams::apply("test"), &Patch::Apply(&object)).await?;
    }
    // The server has taken the schema over when it has said so.
    loop {
        let schema = schemas.get("contended").await?;
        if schema.data["status"]["conditions"][0]["status"] == "False" {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn flood_and_visit(server: &Dev) -> Result<()> {
    let admin = dev::client(&server.kubeconfig()).await?;
    configure(&admin).await?;
    let over = Arc::new(AtomicBool::new(false));
    let (served, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut workers = Vec::new();
    for _ in 0..FLOOD {
        let client = with_token(server, "flood-token").await?;
        let (over, served, refused) = (over.clone(), served.clone(), refused.clone());
        workers.push(tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                match get(&client, &format!("{CONFIG_MAPS}?includeObject=Object"), TABLE).await? {
                    200 => served.fetch_add(1, Ordering::Relaxed),
                    429 => refused.fetch_add(1, Ordering::Relaxed),
                    other => bail!("the flood was answered with {other}"),
                };
            }
            anyhow::Ok(())
        }));
    }
    // The flood is one when some of it is refused.
    while refused.load(Ordering::Relaxed) == 0 {
        ensure!(!workers.iter().any(|worker| worker.is_finished()), "the flood has ended");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let visitor = with_token(server, "visitor-token").await?;
    let before = served.load(Ordering::Relaxed);
    for visit in 0..VISITS {
        let status = get(&visitor, &format!("{CONFIG_MAPS}/c1"), JSON).await?;
        ensure!(status == 200, "visit {visit} was answered with {status}");
        let status = get(&admin, &format!("{CONFIG_MAPS}/c1"), JSON).await?;
        ensure!(status == 200, "the administrator was answered with {status}");
    }
    let meanwhile = served.load(Ordering::Relaxed) - before;
    over.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await??;
    }
    println!("{VISITS} visits, {meanwhile} lists of the flood meanwhile, {refused:?} refused");
    let metrics = admin.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
    let labels = "flow_schema=\"contended\",priority_level=\"contended\"";
    let refusals = format!("apiserver_flowcontrol_rejected_requests_total{{{labels},reason=\"queue-full\"}}");
    ensure!(metrics.contains(&refusals), "no refusal was counted: {metrics}");
    Ok(())
}

#[test]
fn a_flood_is_refused_and_others_are_served() -> Result<()> {
    let _machine = machine();
    let dir = tempfile::tempdir()?;
    let tokens = dir.path().join("tokens.csv");
    std::fs::write(&tokens, TOKENS)?;
    let mut server = Dev::start(&[
        format!("--token-auth-file={}", tokens.display()),
        "--max-requests-inflight=1".to_owned(),
        "--max-mutating-requests-inflight=0".to_owned(),
    ])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, flood_and_visit(&server)).await.context("the test did not end")?
    });
    server.check_alive()?;
    result
}
