//! ValidatingAdmissionPolicy, MutatingAdmissionPolicy and their bindings.

use serde_json::{Value, json};

use super::policy_rules;
use super::webhook::default_rules;
use crate::hooks::{Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::table::{self, AGE, NAME};
use crate::value::{child, existing, get, items, set_default, text};

const POLICY: Hooks = Hooks {
    default: Some(default_policy),
    validate_create: Some(policy_rules::policy),
    validate_update: Some(|new, _, context| policy_rules::policy(new, context)),
    update_metadata: &[Pass::Create],
    ..Hooks::NONE
};
pub const VALIDATING: Hooks = Hooks { table: Some(VALIDATING_TABLE), ..POLICY };
pub const MUTATING: Hooks = Hooks { table: Some(MUTATING_TABLE), ..POLICY };
pub const BINDING: Hooks = Hooks {
    default: Some(default_binding),
    validate_create: Some(policy_rules::binding),
    validate_update: Some(|new, _, context| policy_rules::binding(new, context)),
    table: Some(BINDING_TABLE),
    update_metadata: &[Pass::Create],
    ..Hooks::NONE
};

const PARAM_KIND: crate::hooks::Column =
    table::own("ParamKind", "string", "ParamKind specifies the kind of resources used to parameterize this policy");

const VALIDATING_TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own(
            "Validations",
            "integer",
            "Validations indicates the number of validation rules defined in this configuration",
        ),
        PARAM_KIND,
        AGE,
    ],
    |policy, now| {
        let count = items(policy, "spec.validations").len();
        vec![table::name(policy), count.into(), param_kind(policy).into(), table::age(policy, now)]
    },
);

const MUTATING_TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own(
            "Mutations",
            "integer",
            "Mutation indicates the number of mutations rules defined in this configuration",
        ),
        PARAM_KIND,
        AGE,
    ],
    |policy, now| {
        let count = items(policy, "spec.mutations").len();
        vec![table::name(policy), count.into(), param_kind(policy).into(), table::age(policy, now)]
    },
);

const BINDING_TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own(
            "PolicyName",
            "string",
            "PolicyName indicates the policy definition which the policy binding binded to",
        ),
        table::own("ParamRef", "string", "ParamRef indicates the param resource which sets the configuration param"),
        AGE,
    ],
    |binding, now| {
        vec![
            table::name(binding),
            text(binding, "spec.policyName").into(),
            param_ref(binding).into(),
            table::age(binding, now),
        ]
    },
);

fn param_kind(policy: &Value) -> String {
    let kind = get(policy, "spec.paramKind");
    if kind.is_object() { format!("{}/{}", text(kind, "apiVersion"), text(kind, "kind")) } else { "<unset>".to_owned() }
}

fn param_ref(binding: &Value) -> String {
    let reference = get(binding, "spec.paramRef");
    match (text(reference, "namespace"), text(reference, "name")) {
        _ if !reference.is_object() => "<unset>".to_owned(),
        (_, "") => crate::label_selector::to_string(get(reference, "selector")),
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

fn default_policy(policy: &mut Value) {
    let Some(spec) = child(policy, "spec") else { return };
    set_default(spec, "failurePolicy", "Fail");
    if let Some(constraints) = existing(spec, "matchConstraints") {
        default_match(constraints);
    }
}

fn default_binding(binding: &mut Value) {
    let Some(spec) = child(binding, "spec") else { return };
    if let Some(resources) = existing(spec, "matchResources") {
        default_match(resources);
    }
}

fn default_match(resources: &mut Value) {
    set_default(resources, "matchPolicy", "Equivalent");
    set_default(resources, "namespaceSelector", json!({}));
    set_default(resources, "objectSelector", json!({}));
    default_rules(resources, "resourceRules");
    default_rules(resources, "excludeResourceRules");
}
