//! CertificateSigningRequest: the requestor is recorded, approval and issuing go through their own subresources.

use serde_json::{Value, json};

use super::validate;
use crate::hooks::{Column, Context, Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::row::SelectableField;
use crate::table::{self, AGE, NAME};
use crate::value::{carry_over, child, get, int, is_set, items, items_mut, remove, set, text};

pub const HOOKS: Hooks = Hooks {
    prepare_create: Some(prepare_create),
    prepare_update: Some(prepare_update),
    validate_create: Some(validate::create),
    validate_update: Some(validate::update),
    table: Some(TABLE),
    name: |name, _| kuorum_schema::names::path_segment_name(name),
    update_metadata: &[Pass::Create, Pass::Update],
    ..Hooks::NONE
};

pub const FIELDS: &[SelectableField] =
    &[SelectableField { name: "spec.signerName", value: |csr| text(csr, "spec.signerName").to_owned() }];

/// The words of the v1beta1 type, which is no longer published: the printer of kube-apiserver still uses them.
const SIGNER_NAME: Column = table::own(
    "SignerName",
    "string",
    "Requested signer for the request. It is a qualified name in the form: `scope-hostname.io/name`. If empty, it will be defaulted:\n 1. If it's a kubelet client certificate, it is assigned\n    \"kubernetes.io/kube-apiserver-client-kubelet\".\n 2. If it's a kubelet serving certificate, it is assigned\n    \"kubernetes.io/kubelet-serving\".\n 3. Otherwise, it is assigned \"kubernetes.io/legacy-unknown\".\nDistribution of trust for signers happens out of band. You can select on this field using `spec.signerName`.",
);

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        AGE,
        SIGNER_NAME,
        table::own("Requestor", "string", "Base64-encoded PKCS#10 CSR data"),
        table::field(
            "RequestedDuration",
            "string",
            "io.k8s.api.certificates.v1.CertificateSigningRequestSpec",
            "expirationSeconds",
        ),
        table::own("Condition", "string", "Conditions applied to the request, such as approval or denial."),
    ],
    |csr, now| {
        let duration = int(csr, "spec.expirationSeconds").map(kuorum_schema::time::human_duration);
        vec![
            table::name(csr),
            table::age(csr, now),
            table::or_none(text(csr, "spec.signerName")),
            text(csr, "spec.username").into(),
            duration.map_or_else(|| "<none>".into(), Value::from),
            state(csr).into(),
        ]
    },
);

fn state(csr: &Value) -> String {
    let has = |kind: &str| items(csr, "status.conditions").iter().any(|c| text(c, "type") == kind);
    let mut state = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        (false, false) => "Pending",
    }
    .to_owned();
    if has("Failed") {
        state.push_str(",Failed");
    }
    if is_set(csr, "status.certificate") {
        state.push_str(",Issued");
    }
    state
}

fn prepare_create(csr: &mut Value, context: &Context) {
    let Some(spec) = child(csr, "spec") else { return };
    for key in ["username", "uid", "groups", "extra"] {
        remove(spec, key);
    }
    set(spec, "username", context.user);
    if !context.uid.is_empty() {
        set(spec, "uid", context.uid);
    }
    if !context.groups.is_empty() {
        set(spec, "groups", context.groups.to_vec());
    }
    set(csr, "status", json!({}));
}

fn prepare_update(new: &mut Value, old: &Value, context: &Context) {
    carry_over(new, old, "spec");
    match context.subresource {
        "approval" => {
            let conditions = get(new, "status.conditions").clone();
            carry_over(new, old, "status");
            if let Some(status) = child(new, "status") {
                set(status, "conditions", conditions);
            }
            stamp_conditions(new, old, context.now);
        }
        "status" => {
            keep_decisions(new, old);
            stamp_conditions(new, old, context.now);
        }
        _ => {}
    }
}

/// Approval and denial are what they were, as long as they are as many: adding and removing them is refused later.
fn keep_decisions(new: &mut Value, old: &Value) {
    for decision in ["Approved", "Denied"] {
        let of_kind = |csr: &Value| -> Vec<Value> {
            items(csr, "status.conditions").iter().filter(|c| text(c, "type") == decision).cloned().collect()
        };
        let before = of_kind(old);
        if before.len() != of_kind(new).len() {
            continue;
        }
        let Some(status) = crate::value::existing(new, "status") else { return };
        let decided = items_mut(status, "conditions").iter_mut().filter(|c| text(c, "type") == decision);
        for (condition, kept) in decided.zip(before) {
            *condition = kept;
        }
    }
}

fn stamp_conditions(new: &mut Value, old: &Value, now: &str) {
    let before = items(old, "status.conditions");
    let Some(status) = child(new, "status") else { return };
    for condition in items_mut(status, "conditions") {
        if !is_set(condition, "lastUpdateTime") {
            set(condition, "lastUpdateTime", now);
        }
        if !is_set(condition, "lastTransitionTime") {
            let same =
                |c: &&Value| c.get("type") == condition.get("type") && c.get("status") == condition.get("status");
            let kept = before.iter().find(same).map(|c| text(c, "lastTransitionTime")).filter(|t| !t.is_empty());
            let stamp = kept.unwrap_or(now).to_owned();
            set(condition, "lastTransitionTime", stamp);
        }
    }
}
