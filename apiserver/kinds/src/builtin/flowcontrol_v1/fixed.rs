//! The mandatory objects, whose specs nobody may change, and how messages show a spec: in the order and with the
//! names of Go's fields.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::field::{Errors, FieldError};
use crate::value::{equal, get, text};

static SCHEMAS: LazyLock<[(&str, Value); 2]> = LazyLock::new(|| {
    let group = |name: &str| json!({"kind": "Group", "group": {"name": name}});
    let everything = |subjects: Value| {
        json!([{
            "subjects": subjects,
            "resourceRules": [{
                "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"],
            }],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }])
    };
    let exempt = json!({
        "priorityLevelConfiguration": {"name": "exempt"}, "matchingPrecedence": 1,
        "rules": everything(json!([group("system:masters")])),
    });
    let catch_all = json!({
        "priorityLevelConfiguration": {"name": "catch-all"}, "matchingPrecedence": 10_000,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": everything(json!([group("system:unauthenticated"), group("system:authenticated")])),
    });
    [("exempt", exempt), ("catch-all", catch_all)]
});

static LEVELS: LazyLock<[(&str, Value); 2]> = LazyLock::new(|| {
    let catch_all = json!({"type": "Limited", "limited": {
        "nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"},
    }});
    [("exempt", json!({"type": "Exempt"})), ("catch-all", catch_all)]
});

fn fixed<'a>(all: &'a [(&str, Value)], object: &Value) -> Option<&'a Value> {
    let name = text(object, "metadata.name");
    all.iter().find(|(own, _)| *own == name).map(|(_, spec)| spec)
}

/// A mandatory FlowSchema is as it must be.
pub fn schema(schema: &Value, errors: &mut Errors) {
    let Some(fixed) = fixed(&*SCHEMAS, schema) else { return };
    let spec = get(schema, "spec");
    if !equal(spec, fixed) {
        let detail = format!("spec of '{}' must equal the fixed value", text(schema, "metadata.name"));
        errors.push(FieldError::invalid_shown("spec", &shown(spec, SCHEMA), &detail));
    }
}

/// A mandatory PriorityLevelConfiguration is as it must be, but for what the exempt one lends and borrows.
pub fn level(level: &Value, errors: &mut Errors) {
    let Some(fixed) = fixed(&*LEVELS, level) else { return };
    let spec = get(level, "spec");
    let name = text(level, "metadata.name");
    let mut compared = spec.clone();
    let mut except = "";
    if name == "exempt" {
        except = " except the 'spec.exempt' field";
        compared.as_object_mut().map(|spec| spec.remove("exempt"));
    }
    if !equal(&compared, fixed) {
        let detail = format!("spec of '{name}'{except} must equal the fixed value");
        errors.push(FieldError::invalid_shown("spec", &shown(spec, LEVEL), &detail));
    }
}

/// A Go struct: its fields in order, by JSON key and Go name, and what they are.
type Struct = &'static [(&'static str, &'static str, Shape)];

#[derive(Clone, Copy)]
enum Shape {
    /// As the JSON value is.
    Plain,
    Text,
    Flag,
    Of(Struct),
    ListOf(Struct),
}

use Shape::{Flag, ListOf, Of, Plain, Text};

const NAMED: Struct = &[("name", "Name", Text)];
const ACCOUNT: Struct = &[("namespace", "Namespace", Text), ("name", "Name", Text)];
const SUBJECT: Struct = &[
    ("kind", "Kind", Text),
    ("user", "User", Of(NAMED)),
    ("group", "Group", Of(NAMED)),
    ("serviceAccount", "ServiceAccount", Of(ACCOUNT)),
];
const RESOURCE_RULE: Struct = &[
    ("verbs", "Verbs", Plain),
    ("apiGroups", "APIGroups", Plain),
    ("resources", "Resources", Plain),
    ("clusterScope", "ClusterScope", Flag),
    ("namespaces", "Namespaces", Plain),
];
const PATH_RULE: Struct = &[("verbs", "Verbs", Plain), ("nonResourceURLs", "NonResourceURLs", Plain)];
const RULE: Struct = &[
    ("subjects", "Subjects", ListOf(SUBJECT)),
    ("resourceRules", "ResourceRules", ListOf(RESOURCE_RULE)),
    ("nonResourceRules", "NonResourceRules", ListOf(PATH_RULE)),
];
const SCHEMA: Struct = &[
    ("priorityLevelConfiguration", "PriorityLevelConfiguration", Of(NAMED)),
    ("matchingPrecedence", "MatchingPrecedence", Plain),
    ("distinguisherMethod", "DistinguisherMethod", Of(&[("type", "Type", Text)])),
    ("rules", "Rules", ListOf(RULE)),
];
const QUEUING: Struct =
    &[("queues", "Queues", Plain), ("handSize", "HandSize", Plain), ("queueLengthLimit", "QueueLengthLimit", Plain)];
const RESPONSE: Struct = &[("type", "Type", Text), ("queuing", "Queuing", Of(QUEUING))];
const LIMITED: Struct = &[
    ("nominalConcurrencyShares", "NominalConcurrencyShares", Plain),
    ("limitResponse", "LimitResponse", Of(RESPONSE)),
    ("lendablePercent", "LendablePercent", Plain),
    ("borrowingLimitPercent", "BorrowingLimitPercent", Plain),
];
const EXEMPT: Struct =
    &[("nominalConcurrencyShares", "NominalConcurrencyShares", Plain), ("lendablePercent", "LendablePercent", Plain)];
const LEVEL: Struct = &[("type", "Type", Text), ("limited", "Limited", Of(LIMITED)), ("exempt", "Exempt", Of(EXEMPT))];

fn shown(value: &Value, of: Struct) -> String {
    if !value.is_object() {
        return "null".to_owned();
    }
    let field = |(key, name, shape): &(&str, &str, Shape)| {
        let value = get(value, key);
        let text = match shape {
            Plain => value.to_string(),
            Text => Value::from(value.as_str().unwrap_or("")).to_string(),
            Flag => value.as_bool().unwrap_or(false).to_string(),
            Of(of) => shown(value, of),
            ListOf(of) => value.as_array().map_or("null".to_owned(), |items| {
                let items: Vec<String> = items.iter().map(|item| shown(item, of)).collect();
                format!("[{}]", items.join(","))
            }),
        };
        format!("{name:?}:{text}")
    };
    format!("{{{}}}", of.iter().map(field).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_of_mandatory_objects_are_fixed() {
        let complaint = |check: fn(&Value, &mut Errors), name: &str, spec: &Value| {
            let mut errors = Errors::new();
            check(&json!({"metadata": {"name": name}, "spec": spec}), &mut errors);
            errors.first().map(|error| error.message.clone())
        };
        for (name, spec) in SCHEMAS.iter() {
            assert_eq!(complaint(schema, name, spec), None, "{name}");
            assert_eq!(complaint(schema, "other", &json!({})), None);
        }
        let mut changed = SCHEMAS[0].1.clone();
        changed["matchingPrecedence"] = 3.into();
        let want = concat!(
            r#"Invalid value: {"PriorityLevelConfiguration":{"Name":"exempt"},"MatchingPrecedence":3,"#,
            r#""DistinguisherMethod":null,"Rules":[{"Subjects":[{"Kind":"Group","User":null,"Group":{"Name":"#,
            r#""system:masters"},"ServiceAccount":null}],"ResourceRules":[{"Verbs":["*"],"APIGroups":["*"],"#,
            r#""Resources":["*"],"ClusterScope":true,"Namespaces":["*"]}],"NonResourceRules":[{"Verbs":["*"],"#,
            r#""NonResourceURLs":["*"]}]}]}: spec of 'exempt' must equal the fixed value"#
        );
        assert_eq!(complaint(schema, "exempt", &changed).as_deref(), Some(want));

        let lending = json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 4, "lendablePercent": 9}});
        assert_eq!(complaint(level, "exempt", &lending), None);
        let limited = json!({"type": "Limited", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}});
        let want = concat!(
            r#"Invalid value: {"Type":"Limited","Limited":null,"Exempt":{"NominalConcurrencyShares":0,"LendablePercent":0}}: "#,
            "spec of 'exempt' except the 'spec.exempt' field must equal the fixed value"
        );
        assert_eq!(complaint(level, "exempt", &limited).as_deref(), Some(want));
        assert_eq!(complaint(level, "catch-all", &LEVELS[1].1), None);
        assert!(complaint(level, "catch-all", &json!({"type": "Limited"})).is_some());
    }
}
