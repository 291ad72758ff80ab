//! ValidatingWebhookConfiguration and MutatingWebhookConfiguration.

use serde_json::{Value, json};

use crate::hooks::{Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::table::{self, AGE, NAME};
use crate::value::{equal, existing, get, items, items_mut, set_default};

pub const VALIDATING: Hooks = Hooks {
    default: Some(default_validating),
    desired_state_changed: Some(|new, old| !equal(get(new, "webhooks"), get(old, "webhooks"))),
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
