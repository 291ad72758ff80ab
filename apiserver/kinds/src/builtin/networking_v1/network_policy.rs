//! NetworkPolicy.

use serde_json::{Value, json};

use crate::field::{Errors, FieldError};
use crate::hooks::{Hooks, TablePrinter};
use crate::label_selector;
use crate::path::Path;
use crate::rules::{invalid_each, one_of, port, port_or_name};
use crate::table::{self, AGE, NAME};
use crate::value::{child, get, is_set, items, items_mut, set, set_default};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    validate_create: Some(|policy, _| validate(policy)),
    validate_update: Some(|new, _, _| validate(new)),
    table: Some(TABLE),
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(
    &[NAME, table::field("Pod-Selector", "string", "io.k8s.api.networking.v1.NetworkPolicySpec", "podSelector"), AGE],
    |policy, now| {
        let selector = table::label_selector(policy, "spec.podSelector");
        vec![table::name(policy), selector.into(), table::age(policy, now)]
    },
);

fn default(policy: &mut Value) {
    let Some(spec) = child(policy, "spec") else { return };
    for direction in ["ingress", "egress"] {
        for rule in items_mut(spec, direction) {
            for port in items_mut(rule, "ports") {
                set_default(port, "protocol", "TCP");
            }
        }
    }
    if !is_set(spec, "policyTypes") {
        let types = if is_set(spec, "egress") { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        set(spec, "policyTypes", types);
    }
}

fn validate(policy: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("spec");
    let spec = get(policy, "spec");
    label_selector::validate(get(spec, "podSelector"), &path.child("podSelector"), &mut errors);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        let list = path.child(direction);
        for (i, rule) in items(spec, direction).iter().enumerate() {
            let path = list.index(i);
            let ports = path.child("ports");
            for (j, found) in items(rule, "ports").iter().enumerate() {
                policy_port(found, &ports.index(j), &mut errors);
            }
            let list = path.child(peers);
            for (j, found) in items(rule, peers).iter().enumerate() {
                peer(found, &list.index(j), &mut errors);
            }
        }
    }
    let types = items(spec, "policyTypes");
    if types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        errors.push(FieldError::invalid(path.child("policyTypes"), get(spec, "policyTypes"), detail));
        return errors;
    }
    for (i, kind) in types.iter().enumerate() {
        if kind != "Ingress" && kind != "Egress" {
            let list = path.child("policyTypes");
            errors.push(FieldError::not_supported(list.index(i), kind, &["Egress", "Ingress"]));
        }
    }
    errors
}

fn policy_port(found: &Value, path: &Path, errors: &mut Errors) {
    one_of(found, "protocol", &["TCP", "UDP", "SCTP"], path, errors);
    let number = get(found, "port");
    if !number.is_null() {
        port_or_name(number, path.child("port"), errors);
    }
    let end = get(found, "endPort");
    if let Some(last) = end.as_i64() {
        let at = path.child("endPort");
        match number {
            Value::Null => {
                errors.push(FieldError::invalid(at, end, "may not be specified when `port` is not specified"));
            }
            Value::String(_) => {
                errors.push(FieldError::invalid(at, end, "may not be specified when `port` is non-numeric"));
            }
            first if first.as_i64().is_some_and(|first| last < first) => {
                errors.push(FieldError::invalid(at, first, "must be greater than or equal to `port`"));
            }
            _ => port(end, at, errors),
        }
    }
}

fn peer(peer: &Value, path: &Path, errors: &mut Errors) {
    let mut count = 0;
    for key in ["podSelector", "namespaceSelector"] {
        if get(peer, key).is_object() {
            count += 1;
            label_selector::validate(get(peer, key), &path.child(key), errors);
        }
    }
    let block = get(peer, "ipBlock");
    if block.is_object() {
        ip_block(block, &path.child("ipBlock"), errors);
    }
    if count == 0 && !block.is_object() {
        errors.push(FieldError::required(path, "must specify a peer"));
    } else if block.is_object() && count > 0 {
        errors.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer"));
    }
}

fn ip_block(block: &Value, path: &Path, errors: &mut Errors) {
    let cidr = crate::value::text(block, "cidr");
    if cidr.is_empty() {
        errors.push(FieldError::required(path.child("cidr"), ""));
        return;
    }
    invalid_each(path.child("cidr"), cidr, kuorum_schema::names::cidr_strict(cidr), errors);
    let list = path.child("except");
    for (i, hole) in items(block, "except").iter().enumerate() {
        let hole = hole.as_str().unwrap_or("");
        invalid_each(list.index(i), hole, kuorum_schema::names::cidr_strict(hole), errors);
    }
}
