//! CustomResourceDefinition.

use serde_json::{Value, json};

use super::validate;
use crate::hooks::{Context, Hooks};
use crate::value::{child, existing, flag, get, is_set, items, set, set_default, set_default_text, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_create: Some(prepare_create),
    prepare_update: Some(prepare_update),
    validate_create: Some(validate::create),
    validate_update: Some(validate::update),
    ..Hooks::NONE
};

fn default(crd: &mut Value) {
    let Some(spec) = child(crd, "spec") else { return };
    if let Some(names) = child(spec, "names") {
        let kind = text(names, "kind").to_owned();
        if !kind.is_empty() {
            set_default_text(names, "singular", &kind.to_lowercase());
            set_default_text(names, "listKind", &format!("{kind}List"));
        }
    }
    if let Some(conversion) = child(spec, "conversion") {
        set_default_text(conversion, "strategy", "None");
        if let Some(service) = existing(conversion, "webhook")
            .and_then(|webhook| existing(webhook, "clientConfig"))
            .and_then(|client| existing(client, "service"))
        {
            set_default(service, "port", 443);
        }
    }
}

fn prepare_create(crd: &mut Value, _: &Context) {
    set(crd, "status", json!({"storedVersions": storage_versions(crd)}));
}

/// The version that is stored now stays in the list of versions that may be in the store.
fn prepare_update(new: &mut Value, old: &Value, context: &Context) {
    if context.subresource == "status" {
        crate::metadata::keep_for_status(new, old);
        return;
    }
    let mut stored = items(new, "status.storedVersions").to_vec();
    for version in storage_versions(new) {
        if !stored.contains(&version) {
            stored.push(version);
        }
    }
    if let Some(status) = child(new, "status") {
        set(status, "storedVersions", stored);
    }
}

fn storage_versions(crd: &Value) -> Vec<Value> {
    let stored = items(crd, "spec.versions").iter().filter(|v| flag(v, "storage"));
    stored.map(|v| get(v, "name").clone()).filter(|name| is_set(&json!({"n": name}), "n")).collect()
}
