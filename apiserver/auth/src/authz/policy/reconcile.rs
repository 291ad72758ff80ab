//! What to do with an object of the policy that is there already: add what is missing, take nothing away.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::AUTOUPDATE;
use crate::authz::rbac::escalation::missing;
use crate::authz::rbac::rule::PolicyRule;

/// The step that brings an object to what the policy wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// It has everything, or says that it is to be left alone.
    Nothing,
    Create,
    /// With what was missing.
    Update(Value),
    /// It binds another role, which cannot be changed: delete, then create.
    Recreate,
}

/// Compares an object (`None`: absent) to the wanted one.
pub fn reconcile(existing: Option<&Value>, wanted: &Value) -> Action {
    let Some(existing) = existing else { return Action::Create };
    let protected = existing["metadata"]["annotations"][AUTOUPDATE].as_str();
    if protected.is_some_and(|text| matches!(text, "false" | "False" | "FALSE" | "f" | "F" | "0")) {
        return Action::Nothing;
    }
    if wanted["roleRef"].is_object() && existing["roleRef"] != wanted["roleRef"] {
        return Action::Recreate;
    }
    let mut updated = existing.clone();
    for key in ["labels", "annotations"] {
        // Indexing for writing makes an entry: only where there is something to add.
        if wanted["metadata"][key].is_object() {
            add_entries(&mut updated["metadata"][key], &wanted["metadata"][key]);
        }
    }
    if wanted["roleRef"].is_object() {
        add_items(&mut updated, "subjects", &wanted["subjects"]);
    } else if wanted["aggregationRule"].is_object() {
        // The rules are the aggregation controller's.
        let selectors = &wanted["aggregationRule"]["clusterRoleSelectors"];
        if !updated["aggregationRule"].is_object() {
            updated["aggregationRule"] = json!({});
        }
        add_items(&mut updated["aggregationRule"], "clusterRoleSelectors", selectors);
    } else {
        let rules = |role: &Value| PolicyRule::all_of(role).into_iter().map(Arc::new).collect::<Vec<_>>();
        let lacking = missing(&rules(existing), &rules(wanted));
        add_items(&mut updated, "rules", &lacking.iter().map(PolicyRule::to_json).collect());
    }
    if updated == *existing { Action::Nothing } else { Action::Update(updated) }
}

/// Entries of a map; those that are there already stay as they are.
fn add_entries(map: &mut Value, wanted: &Value) {
    let Some(wanted) = wanted.as_object() else { return };
    if !map.is_object() {
        *map = Value::Object(Map::new());
    }
    if let Value::Object(map) = map {
        for (key, value) in wanted {
            map.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// Items of a list that are not in it yet.
fn add_items(object: &mut Value, key: &str, wanted: &Value) {
    let lacking: Vec<Value> = match wanted.as_array() {
        Some(items) => {
            let has = object[key].as_array();
            items.iter().filter(|item| !has.is_some_and(|list| list.contains(item))).cloned().collect()
        }
        None => Vec::new(),
    };
    if lacking.is_empty() {
        return;
    }
    match &mut object[key] {
        Value::Array(list) => list.extend(lacking),
        other => *other = Value::Array(lacking),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(rules: Value) -> Value {
        json!({"metadata": {"name": "r", "labels": {"a": "b"}, "annotations": {AUTOUPDATE: "true"}}, "rules": rules})
    }

    #[test]
    fn what_is_missing_is_added_and_nothing_else_changes() {
        let wanted = role(json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]));
        assert_eq!(reconcile(None, &wanted), Action::Create);
        assert_eq!(reconcile(Some(&wanted), &wanted), Action::Nothing);
        // A wider rule is enough.
        let wider = role(json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]));
        assert_eq!(reconcile(Some(&wider), &wanted), Action::Nothing);
        // Own labels and rules stay; changed labels are not changed back.
        let mut own = role(json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "secrets"]}]));
        own["metadata"]["labels"] = json!({"a": "changed", "own": "x"});
        own["metadata"]["annotations"] = json!({});
        let Action::Update(updated) = reconcile(Some(&own), &wanted) else { panic!("something is missing") };
        assert_eq!(updated["metadata"]["labels"], json!({"a": "changed", "own": "x"}));
        assert_eq!(updated["metadata"]["annotations"], json!({AUTOUPDATE: "true"}));
        assert_eq!(
            updated["rules"],
            json!([
                {"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "secrets"]},
                {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]},
            ])
        );
        assert_eq!(reconcile(Some(&updated), &wanted), Action::Nothing);
        own["metadata"]["annotations"] = json!({AUTOUPDATE: "false"});
        assert_eq!(reconcile(Some(&own), &wanted), Action::Nothing);
    }

    #[test]
    fn bindings_get_their_subjects_and_their_role_back() {
        let subject = |name: &str| json!({"kind": "User", "name": name});
        let binding = |role: &str, subjects: Value| json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": subjects});
        let wanted = binding("r", json!([subject("a"), subject("b")]));
        let found = binding("r", json!([subject("x"), subject("b")]));
        let Action::Update(updated) = reconcile(Some(&found), &wanted) else { panic!("a subject is missing") };
        assert_eq!(updated["subjects"], json!([subject("x"), subject("b"), subject("a")]));
        assert_eq!(reconcile(Some(&binding("other", json!([]))), &wanted), Action::Recreate);
        let mut none = wanted.clone();
        none.as_object_mut().unwrap().remove("subjects");
        assert_eq!(reconcile(Some(&wanted), &none), Action::Nothing);
    }

    #[test]
    fn aggregated_rules_are_left_to_their_controller() {
        let selector = json!({"matchLabels": {"x": "true"}});
        let mut wanted = role(Value::Null);
        wanted["aggregationRule"] = json!({"clusterRoleSelectors": [selector]});
        let mut found = role(json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]));
        let Action::Update(updated) = reconcile(Some(&found), &wanted) else { panic!("it does not aggregate yet") };
        assert_eq!(updated["aggregationRule"]["clusterRoleSelectors"], json!([selector]));
        found["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"own": "1"}}, selector]});
        assert_eq!(reconcile(Some(&found), &wanted), Action::Nothing);
    }
}
