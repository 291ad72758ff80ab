//! ValidatingWebhookConfiguration and MutatingWebhookConfiguration.

use serde_json::{Value, json};

use super::{rules, webhook_client};
use crate::field::{Errors, FieldError};
use crate::hooks::{Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::path::Path;
use crate::rules::optional_one_of;
use crate::table::{self, AGE, NAME};
use crate::value::{equal, existing, get, int, items, items_mut, set_default, text};

pub const VALIDATING: Hooks = Hooks {
    default: Some(default_validating),
    desired_state_changed: Some(|new, old| !equal(get(new, "webhooks"), get(old, "webhooks"))),
    validate_create: Some(|config, _| validate(config)),
    validate_update: Some(|new, _, _| validate(new)),
    table: Some(TABLE),
    update_metadata: &[Pass::Create],
    ..Hooks::NONE
};
pub const MUTATING: Hooks = Hooks { default: Some(default_mutating), ..VALIDATING };

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own("Webhooks", "integer", "Webhooks indicates the number of webhooks registered in this configuration"),
        AGE,
    ],
    |config, now| vec![table::name(config), items(config, "webhooks").len().into(), table::age(config, now)],
);

fn default_validating(config: &mut Value) {
    for webhook in items_mut(config, "webhooks") {
        default_webhook(webhook);
    }
}

fn default_mutating(config: &mut Value) {
    for webhook in items_mut(config, "webhooks") {
        default_webhook(webhook);
        set_default(webhook, "reinvocationPolicy", "Never");
    }
}

fn default_webhook(webhook: &mut Value) {
    set_default(webhook, "failurePolicy", "Fail");
    set_default(webhook, "matchPolicy", "Equivalent");
    set_default(webhook, "namespaceSelector", json!({}));
    set_default(webhook, "objectSelector", json!({}));
    set_default(webhook, "timeoutSeconds", 10);
    if let Some(service) = existing(webhook, "clientConfig").and_then(|client| existing(client, "service")) {
        set_default(service, "port", 443);
    }
    default_rules(webhook, "rules");
}

/// Rules apply to namespaced and cluster-scoped objects unless they say which.
pub fn default_rules(object: &mut Value, key: &str) {
    for rule in items_mut(object, key) {
        set_default(rule, "scope", "*");
    }
}

/// Side effects that a dry run can bear.
const SIDE_EFFECTS: [&str; 2] = ["None", "NoneOnDryRun"];

fn validate(config: &Value) -> Errors {
    let mut errors = Errors::new();
    let list = Path::new("webhooks");
    let webhooks = items(config, "webhooks");
    for (i, webhook) in webhooks.iter().enumerate() {
        let path = list.index(i);
        validate_webhook(webhook, &path, &mut errors);
        let versions = get(webhook, "admissionReviewVersions");
        webhook_client::validate_review_versions(versions, &path.child("admissionReviewVersions"), &mut errors);
        let name = text(webhook, "name");
        if !name.is_empty() && webhooks[..i].iter().any(|earlier| text(earlier, "name") == name) {
            errors.push(FieldError::duplicate(path.child("name"), &name.into()));
        }
    }
    errors
}

fn validate_webhook(webhook: &Value, path: &Path, errors: &mut Errors) {
    let name = text(webhook, "name");
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    } else {
        let complaints = kuorum_schema::names::fully_qualified_name(name);
        crate::rules::invalid_each(path.child("name"), name, complaints, errors);
    }
    let of_rules = path.child("rules");
    for (i, rule) in items(webhook, "rules").iter().enumerate() {
        rules::rule_with_operations(rule, &of_rules.index(i), errors);
    }
    optional_one_of(webhook, "failurePolicy", &["Fail", "Ignore"], path, errors);
    optional_one_of(webhook, "matchPolicy", &["Equivalent", "Exact"], path, errors);
    if get(webhook, "sideEffects").is_null() {
        let detail = format!("must specify one of {}", SIDE_EFFECTS.join(", "));
        errors.push(FieldError::required(path.child("sideEffects"), &detail));
    } else {
        optional_one_of(webhook, "sideEffects", &SIDE_EFFECTS, path, errors);
    }
    if let Some(seconds) = int(webhook, "timeoutSeconds").filter(|seconds| !(1..=30).contains(seconds)) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.push(FieldError::invalid(path.child("timeoutSeconds"), &seconds.into(), detail));
    }
    rules::selector(webhook, "namespaceSelector", path, errors);
    rules::selector(webhook, "objectSelector", path, errors);
    webhook_client::validate(get(webhook, "clientConfig"), &path.child("clientConfig"), errors);
    rules::match_conditions(items(webhook, "matchConditions"), false, &path.child("matchConditions"), errors);
    optional_one_of(webhook, "reinvocationPolicy", &["IfNeeded", "Never"], path, errors);
}
