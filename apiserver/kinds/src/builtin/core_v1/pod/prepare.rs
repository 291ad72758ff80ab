//! What the server sets in a Pod, and what each way of writing one may change.

use serde_json::{Value, json};

use crate::hooks::Context;
use crate::pod_template::{disabled, resources::qos_class};
use crate::value::{carry_over, child, entries, existing, get, int, is_set, items, items_mut, set, text};

pub fn create(pod: &mut Value, context: &Context) {
    if let Some(spec) = existing(pod, "spec") {
        disabled::drop_from_spec(spec, None);
        end_at_once(spec);
    }
    let mut status = json!({"phase": "Pending", "qosClass": qos_class(pod)});
    if is_set(pod, "spec.schedulingGates") {
        status["conditions"] = json!([{
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null,
            "lastTransitionTime": context.now,
        }]);
    }
    set(pod, "status", status);
    merge_match_label_keys(pod);
    app_armor_from_annotations(pod);
}

/// A grace period of less than nothing is the shortest that there is.
fn end_at_once(spec: &mut Value) {
    if int(spec, "terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        set(spec, "terminationGracePeriodSeconds", 1);
    }
}

/// AppArmor profiles in annotations, as clients of old wrote them, become fields.
fn app_armor_from_annotations(pod: &mut Value) {
    const PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
    let profiles: Vec<(String, Value)> = entries(pod, "metadata.annotations")
        .filter_map(|(key, value)| {
            let profile = match value.as_str()? {
                "runtime/default" => json!({"type": "RuntimeDefault"}),
                "unconfined" => json!({"type": "Unconfined"}),
                other => json!({"type": "Localhost", "localhostProfile": other.strip_prefix("localhost/")?}),
            };
            Some((key.strip_prefix(PREFIX)?.to_owned(), profile))
        })
        .collect();
    let Some(spec) = existing(pod, "spec").filter(|_| !profiles.is_empty()) else { return };
    let of_pod = get(spec, "securityContext.appArmorProfile").clone();
    for list in ["containers", "initContainers"] {
        for container in items_mut(spec, list) {
            let Some((_, profile)) = profiles.iter().find(|(name, _)| name == text(container, "name")) else {
                continue;
            };
            if get(container, "securityContext.appArmorProfile").is_null()
                && *profile != of_pod
                && let Some(context) = child(container, "securityContext")
            {
                set(context, "appArmorProfile", profile.clone());
            }
        }
    }
}

pub fn update(new: &mut Value, old: &Value, context: &Context) {
    match context.subresource {
        "" => {
            if let Some(spec) = existing(new, "spec") {
                disabled::drop_from_spec(spec, Some(get(old, "spec")));
                end_at_once(spec);
            }
        }
        "status" => {
            if let Some(meta) = child(new, "metadata") {
                carry_over(meta, get(old, "metadata"), "ownerReferences");
            }
            if !is_set(new, "status.qosClass")
                && let Some(status) = child(new, "status")
            {
                carry_over(status, get(old, "status"), "qosClass");
            }
        }
        "ephemeralcontainers" => {
            let wanted = get(new, "spec.ephemeralContainers").clone();
            keep_all(new, old);
            if let Some(spec) = child(new, "spec") {
                set(spec, "ephemeralContainers", wanted);
            }
        }
        "resize" => resize(new, old),
        _ => {}
    }
}

/// Takes everything but the version and field ownership from the old object.
fn keep_all(new: &mut Value, old: &Value) {
    for key in ["spec", "status"] {
        carry_over(new, old, key);
    }
    if let Some(meta) = child(new, "metadata") {
        for key in ["labels", "annotations", "finalizers", "ownerReferences"] {
            carry_over(meta, get(old, "metadata"), key);
        }
    }
}

/// Only resources and resize policies change; the rest is what it was.
///
/// Containers that come, go or move are left in place for validation to refuse.
fn resize(new: &mut Value, old: &Value) {
    for list in ["containers", "initContainers"] {
        let names = |pod| items(get(pod, "spec"), list).iter().map(|c| text(c, "name"));
        if !names(new).eq(names(old)) {
            return;
        }
    }
    let wanted = new.get("spec").cloned().unwrap_or_default();
    keep_all(new, old);
    let Some(spec) = existing(new, "spec") else { return };
    for list in ["containers", "initContainers"] {
        for (container, found) in items_mut(spec, list).iter_mut().zip(items(&wanted, list)) {
            carry_over(container, found, "resources");
            carry_over(container, found, "resizePolicy");
        }
    }
    if wanted.get("resources").is_some() {
        carry_over(spec, &wanted, "resources");
    }
}

/// `matchLabelKeys` of affinity terms and spread constraints become plain requirements, with the pod's own labels.
fn merge_match_label_keys(pod: &mut Value) {
    let labels = get(pod, "metadata.labels").clone();
    let Some(spec) = existing(pod, "spec") else { return };
    for constraint in items_mut(spec, "topologySpreadConstraints") {
        add_requirements(constraint, &labels, "matchLabelKeys", "In");
    }
    let Some(affinity) = existing(spec, "affinity") else { return };
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(rules) = existing(affinity, kind) else { continue };
        for term in items_mut(rules, "requiredDuringSchedulingIgnoredDuringExecution") {
            affinity_term(term, &labels);
        }
        for weighted in items_mut(rules, "preferredDuringSchedulingIgnoredDuringExecution") {
            if let Some(term) = existing(weighted, "podAffinityTerm") {
                affinity_term(term, &labels);
            }
        }
    }
}

fn affinity_term(term: &mut Value, labels: &Value) {
    add_requirements(term, labels, "matchLabelKeys", "In");
    add_requirements(term, labels, "mismatchLabelKeys", "NotIn");
}

fn add_requirements(term: &mut Value, labels: &Value, keys: &str, operator: &str) {
    let added: Vec<Value> = items(term, keys)
        .iter()
        .filter_map(|key| {
            let value = labels.get(key.as_str()?)?;
            Some(json!({"key": key, "operator": operator, "values": [value]}))
        })
        .collect();
    if added.is_empty() {
        return;
    }
    // Without a selector nothing is matched, with or without these keys.
    let Some(selector) = existing(term, "labelSelector") else { return };
    let mut expressions = items(selector, "matchExpressions").to_vec();
    expressions.extend(added);
    set(selector, "matchExpressions", expressions);
}
