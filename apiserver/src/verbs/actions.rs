//! Actions on pods: binding to a node, eviction within disruption budgets.

use http::StatusCode;
use kuorum_cache::Txn;
use kuorum_kinds::field::FieldError;
use kuorum_kinds::value as json;
use kuorum_schema::codec;
use kuorum_schema::selector::Selector;
use serde_json::{Value, json};

use super::delete_options::DeleteOptions;
use super::store::{Current, Objects, now};
use super::update::{Change, guaranteed_update};
use super::{Response, decode, delete, ownership, reply};
use crate::admission::{Attributes, Operation};
use crate::app::Call;
use crate::body::Payload;
use crate::request::info::RequestInfo;
use crate::request::options::WriteOptions;
use crate::status::ApiError;

/// Seconds after which a client may ask again for an eviction that a budget cannot judge yet.
const RETRY_AFTER_SECONDS: u32 = 10;
/// How often an eviction is tried again because its budget moved.
const BUDGET_ATTEMPTS_MAX: usize = 16;

/// POST pods/binding.
pub async fn bind(call: &Call<'_>, payload: Payload) -> Result<Response, ApiError> {
    let (object, options) = body(call, payload, ("", "v1", "Binding")).await?;
    if json::text(&object, "metadata.name") != call.info.name && json::is_set(&object, "metadata.name") {
        return Err(ApiError::bad_request("name in URL does not match name in Binding object"));
    }
    assign(call, &object, &options).await
}

/// POST bindings: as [`bind`], the pod named by the object.
pub async fn bind_object(call: &Call<'_>, object: Value) -> Result<Response, ApiError> {
    let options = WriteOptions::parse(call.query, "CreateOptions", false)?;
    let served = call.app.kinds.load_full();
    let pods = served.registry.resource("", "v1", "pods").ok_or_else(ApiError::no_such_path)?;
    let info = RequestInfo {
        name: json::text(&object, "metadata.name"),
        resource: "pods",
        subresource: "binding",
        ..call.info.clone()
    };
    let call = Call { info: &info, kind: pods, ..*call };
    assign(&call, &object, &options).await
}

async fn assign(call: &Call<'_>, binding: &Value, options: &WriteOptions) -> Result<Response, ApiError> {
    let mut binding = binding.clone();
    let mut attributes = Attributes::new(call, Operation::Create, options.dry_run).of_kind("", "v1", "Binding");
    call.app.admission.admit(&mut attributes, Some(&mut binding), None).await?;
    let binding = &binding;
    let node = json::text(binding, "target.name").to_owned();
    let mut errors = Vec::new();
    if !matches!(json::text(binding, "target.kind"), "" | "Node") {
        let shown = json::get(binding, "target.kind");
        errors.push(FieldError::not_supported("target.kind", shown, &["Node", "<empty>"]));
    }
    if node.is_empty() {
        errors.push(FieldError::required("target.name", ""));
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid("", "Binding", call.info.name, &errors));
    }
    call.app.admission.validate(&attributes, Some(binding), None).await?;
    let change = Change { subresource: "binding", already_admitted: true, ..Change::untracked(options) };
    guaranteed_update(call, &change, &mut |current| {
        let Some(current) = current else { return Err(ApiError::no_such_path()) };
        bound(call, &current.value, binding, &node)
    })
    .await?;
    Ok(reply::success(call, StatusCode::CREATED))
}

/// The pod, assigned to its node.
fn bound(call: &Call<'_>, pod: &Value, binding: &Value, node: &str) -> Result<Value, ApiError> {
    let name = call.info.name;
    let conflict = |why: String| Err(ApiError::conflict("", "pods/binding", name, why));
    if json::is_set(pod, "metadata.deletionTimestamp") {
        return conflict(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let before = json::text(pod, "spec.nodeName");
    if !before.is_empty() {
        return conflict(format!("pod {name} is already assigned to node {before:?}"));
    }
    if json::is_set(pod, "spec.schedulingGates") {
        return conflict(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    let mut pod = pod.clone();
    if let Some(spec) = json::child(&mut pod, "spec") {
        json::set(spec, "nodeName", node);
    }
    for map in ["annotations", "labels"] {
        for (key, value) in json::entries(binding, &format!("metadata.{map}")) {
            if let Some(own) = json::child(&mut pod, "metadata").and_then(|m| json::child(m, map)) {
                json::set(own, key, value.clone());
            }
        }
    }
    if let Some(status) = json::child(&mut pod, "status") {
        let mut conditions: Vec<Value> = json::items(status, "conditions").to_vec();
        conditions.retain(|c| json::text(c, "type") != "PodScheduled");
        conditions.push(json!({
            "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now(),
        }));
        json::set(status, "conditions", conditions);
    }
    Ok(pod)
}

/// POST pods/eviction: a deletion that disruption budgets must allow.
pub async fn evict(call: &Call<'_>, payload: Payload) -> Result<Response, ApiError> {
    let (mut object, options) = body(call, payload, ("policy", "v1", "Eviction")).await?;
    let mut attributes = Attributes::new(call, Operation::Create, options.dry_run).of_kind("policy", "v1", "Eviction");
    call.app.admission.admit(&mut attributes, Some(&mut object), None).await?;
    if json::text(&object, "metadata.name") != call.info.name {
        return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
    }
    let mut delete_options = DeleteOptions::from_value(json::get(&object, "deleteOptions"))?;
    delete_options.dry_run |= options.dry_run;
    delete_options.already_admitted = true;
    call.app.admission.validate(&attributes, Some(&object), None).await?;
    let objects = Objects::of(call)?;
    for _ in 0..BUDGET_ATTEMPTS_MAX {
        objects.fence().await?;
        let found = objects.resource.get(objects.namespace(), call.info.name);
        let mut pod = objects.decode(found.ok_or_else(|| objects.not_found(call.info.name))?)?;
        delete::check_preconditions(call.kind, call.info.name, &pod, &delete_options)?;
        // The budget is charged in the transaction in which the pod begins to go: never the one without the other.
        let mut charge = Txn::new();
        if needs_budget(&pod.value) {
            charge = budget_charge(call, &pod)?;
            mark_disrupted(&mut pod.value);
        }
        if delete::remove_with(&objects, &pod, &delete_options, &charge).await?.is_some() {
            return Ok(reply::success(call, StatusCode::CREATED));
        }
    }
    Err(ApiError::too_many_requests("the disruption budget is changing, please try again", RETRY_AFTER_SECONDS))
}

/// The pod says why it goes.
fn mark_disrupted(pod: &mut Value) {
    if let Some(status) = json::child(pod, "status") {
        let mut conditions: Vec<Value> = json::items(status, "conditions").to_vec();
        conditions.retain(|c| json::text(c, "type") != "DisruptionTarget");
        conditions.push(json!({
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": now(),
        }));
        json::set(status, "conditions", conditions);
    }
}

/// A pod that is finished, not started or going already disrupts nothing.
fn needs_budget(pod: &Value) -> bool {
    !matches!(json::text(pod, "status.phase"), "Succeeded" | "Failed" | "Pending")
        && !json::is_set(pod, "metadata.deletionTimestamp")
}

/// What takes one disruption from the budget that covers the pod; nothing where none does.
fn budget_charge(call: &Call<'_>, pod: &Current) -> Result<Txn, ApiError> {
    let (kind, budgets) = call.app.resource_named("policy", "v1", "poddisruptionbudgets")?;
    let mut covering = Vec::new();
    let mut walk = budgets.snapshot().walk(call.info.namespace, "");
    while let Some(object) = walk.next_object() {
        let budget: Value = serde_json::from_slice(object.json()).unwrap_or_default();
        if covers(&budget, pod.object.labels()) {
            covering.push((object.clone(), budget));
        }
    }
    if covering.len() > 1 {
        return Err(ApiError::plain_500(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        ));
    }
    let Some((object, budget)) = covering.pop() else { return Ok(Txn::new()) };
    let ready = json::items(&pod.value, "status.conditions")
        .iter()
        .any(|c| json::text(c, "type") == "Ready" && json::text(c, "status") == "True");
    if !ready && may_evict_unhealthy(&budget) {
        return Ok(Txn::new());
    }
    let mut charged = charged(&budget, pod.object.name())?;
    ownership::by_server(call, &kind, "status", Some(&budget), &mut charged);
    let mut encoded = Vec::new();
    let offset = codec::encode_stored(&charged, &kind.schema, &mut encoded);
    let key = budgets.key(object.namespace(), object.name());
    Ok(Txn::update(key, object.revision(), kuorum_cache::value::pack(&encoded, offset)))
}

fn covers(budget: &Value, labels: &kuorum_cache::Labels) -> bool {
    let selector = json::get(budget, "spec.selector");
    if selector.is_null() {
        return false;
    }
    let labels: Value =
        labels.iter().map(|(k, v)| (k.to_owned(), Value::from(v))).collect::<serde_json::Map<_, _>>().into();
    Selector::from_label_selector(selector).is_ok_and(|s| s.matches(&labels))
}

/// A pod that is not ready may go if the policy says so, or if enough others are healthy.
fn may_evict_unhealthy(budget: &Value) -> bool {
    if json::text(budget, "spec.unhealthyPodEvictionPolicy") == "AlwaysAllow" {
        return true;
    }
    let (healthy, desired) = (json::int(budget, "status.currentHealthy"), json::int(budget, "status.desiredHealthy"));
    desired.unwrap_or(0) > 0 && healthy.unwrap_or(0) >= desired.unwrap_or(0)
}

/// The budget with one disruption fewer, or 429.
fn charged(budget: &Value, pod: &str) -> Result<Value, ApiError> {
    let name = json::text(budget, "metadata.name");
    let refuse = |why: String, wait: bool| {
        let error = ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequests",
            "Cannot evict pod as it would violate the pod's disruption budget.",
        )
        .cause("DisruptionBudget", why, "");
        Err(if wait { error.retry_after(RETRY_AFTER_SECONDS) } else { error })
    };
    let observed = json::int(budget, "status.observedGeneration").unwrap_or(0);
    if observed < json::int(budget, "metadata.generation").unwrap_or(0) {
        return refuse(format!("The disruption budget {name} is still being processed by the server."), true);
    }
    let allowed = json::int(budget, "status.disruptionsAllowed").unwrap_or(0);
    if allowed <= 0 {
        let healthy = json::int(budget, "status.currentHealthy").unwrap_or(0);
        let desired = json::int(budget, "status.desiredHealthy").unwrap_or(0);
        let why = if healthy <= desired {
            format!("The disruption budget {name} needs {desired} healthy pods and has {healthy} currently")
        } else {
            format!("The disruption budget {name} does not allow evicting pods currently")
        };
        return refuse(why, false);
    }
    let mut charged = budget.clone();
    if let Some(status) = json::child(&mut charged, "status") {
        json::set(status, "disruptionsAllowed", allowed - 1);
        if let Some(pods) = json::child(status, "disruptedPods") {
            json::set(pods, pod, now());
        }
        if allowed == 1 {
            let generation = json::get(budget, "metadata.generation").clone();
            let mut conditions: Vec<Value> = json::items(status, "conditions").to_vec();
            conditions.retain(|c| json::text(c, "type") != "DisruptionAllowed");
            conditions.push(json!({
                "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
                "observedGeneration": generation, "lastTransitionTime": now(),
            }));
            json::set(status, "conditions", conditions);
        }
    }
    Ok(charged)
}

/// Decodes the body of an action.
pub(super) async fn body(
    call: &Call<'_>,
    payload: Payload,
    (group, version, kind): (&str, &str, &str),
) -> Result<(Value, WriteOptions), ApiError> {
    let body = payload.read().await?;
    let format = decode::format(call.headers)?;
    let options = WriteOptions::parse(call.query, "CreateOptions", false)?;
    let schema = kuorum_schema::catalog()
        .kind(group, version, kind)
        .ok_or_else(|| ApiError::internal(format!("the catalog has no {kind}")))?;
    let expected = decode::Expected { group, version, kind, schema: &schema };
    let served = call.app.kinds.load();
    let object = decode::typed(&served.registry, &body, format, expected, options.field_validation, call.warnings)?;
    Ok((object, options))
}
