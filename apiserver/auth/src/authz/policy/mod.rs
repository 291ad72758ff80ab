//! The bootstrap policy: the roles and bindings that every cluster has from its first second, and how they are kept.

mod reconcile;

pub use reconcile::{Action, reconcile};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::rbac::rule::PolicyRule;
use super::rbac::{GROUP, Kind};

/// The data, see its first lines.
const POLICY: &str = include_str!("policy.yaml");

/// Unless it is `false`, what is missing is put back at every start.
pub const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
const CONTROLLER_NAMESPACE: &str = "kube-system";
/// The node authorizer's own rules are those of this role.
const NODE_ROLE: &str = "system:node";

/// An object of the policy.
#[derive(Clone, Debug)]
pub struct PolicyObject {
    pub kind: Kind,
    pub object: Value,
}

impl PolicyObject {
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Empty for cluster-scoped kinds.
    pub fn namespace(&self) -> &str {
        self.object["metadata"]["namespace"].as_str().unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Policy {
    cluster_roles: Vec<Role>,
    controller_roles: Vec<Role>,
    roles: Vec<Role>,
    role_bindings: Vec<Binding>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Role {
    name: String,
    namespace: Option<String>,
    #[serde(default)]
    aggregates: bool,
    #[serde(default)]
    aggregate_to: Vec<String>,
    subjects: Option<Vec<String>>,
    rules: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    verbs: Vec<String>,
    groups: Option<Vec<String>>,
    resources: Option<Vec<String>>,
    names: Option<Vec<String>>,
    urls: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Binding {
    name: String,
    namespace: String,
    role: String,
    subjects: Vec<String>,
}

/// Why the policy of this build cannot be read: a defect.
#[derive(Debug, thiserror::Error)]
#[error("the bootstrap policy: {0}")]
pub struct BadPolicy(String);

fn read() -> Result<Policy, BadPolicy> {
    let document = kuorum_schema::yaml::to_json(POLICY.as_bytes()).map_err(|e| BadPolicy(e.to_string()))?;
    serde_json::from_value(document.value).map_err(|e| BadPolicy(e.to_string()))
}

/// All objects, roles before the bindings that name them.
pub fn objects() -> Result<Vec<PolicyObject>, BadPolicy> {
    let policy = read()?;
    let mut objects = Vec::with_capacity(160);
    let mut bindings = Vec::with_capacity(64);
    for role in &policy.cluster_roles {
        objects.push(PolicyObject { kind: Kind::ClusterRole, object: role_object(&role.name, role) });
        if let Some(subjects) = &role.subjects {
            bindings.push(cluster_binding(&role.name, subjects));
        }
    }
    for role in &policy.controller_roles {
        let name = format!("system:controller:{}", role.name);
        let account = format!("ServiceAccount/{CONTROLLER_NAMESPACE}/{}", role.name);
        objects.push(PolicyObject { kind: Kind::ClusterRole, object: role_object(&name, role) });
        bindings.push(cluster_binding(&name, &[account]));
    }
    for role in &policy.roles {
        objects.push(PolicyObject { kind: Kind::Role, object: role_object(&role.name, role) });
    }
    objects.append(&mut bindings);
    for b in &policy.role_bindings {
        let object = binding_object("RoleBinding", &b.name, Some(&b.namespace), ("Role", &b.role), &b.subjects);
        objects.push(PolicyObject { kind: Kind::RoleBinding, object });
    }
    Ok(objects)
}

/// What every node may do.
pub fn node_rules() -> Result<Vec<PolicyRule>, BadPolicy> {
    let policy = read()?;
    let role = policy.cluster_roles.iter().find(|role| role.name == NODE_ROLE);
    let role = role.ok_or_else(|| BadPolicy(format!("there is no role {NODE_ROLE}")))?;
    Ok(PolicyRule::all_of(&role_object(NODE_ROLE, role)))
}

fn metadata(name: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {AUTOUPDATE: "true"},
    });
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    metadata
}

fn role_object(name: &str, role: &Role) -> Value {
    let mut metadata = metadata(name, role.namespace.as_deref());
    for to in &role.aggregate_to {
        metadata["labels"][aggregate_label(to)] = "true".into();
    }
    let kind = if role.namespace.is_some() { "Role" } else { "ClusterRole" };
    let mut object = json!({"apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": metadata});
    if role.aggregates {
        let selector = json!({"matchLabels": {aggregate_label(name): "true"}});
        object["aggregationRule"] = json!({"clusterRoleSelectors": [selector]});
    }
    object["rules"] = match &role.rules {
        Some(rules) => rules.iter().map(rule_object).collect(),
        None => Value::Null,
    };
    object
}

fn aggregate_label(to: &str) -> String {
    format!("{GROUP}/aggregate-to-{to}")
}

fn rule_object(rule: &Rule) -> Value {
    let mut object = Map::new();
    object.insert("verbs".into(), json!(rule.verbs));
    for (key, list) in [
        ("apiGroups", &rule.groups),
        ("resources", &rule.resources),
        ("resourceNames", &rule.names),
        ("nonResourceURLs", &rule.urls),
    ] {
        if let Some(list) = list {
            object.insert(key.into(), json!(list));
        }
    }
    Value::Object(object)
}

fn cluster_binding(name: &str, subjects: &[String]) -> PolicyObject {
    let object = binding_object("ClusterRoleBinding", name, None, ("ClusterRole", name), subjects);
    PolicyObject { kind: Kind::ClusterRoleBinding, object }
}

fn binding_object(kind: &str, name: &str, namespace: Option<&str>, role: (&str, &str), subjects: &[String]) -> Value {
    let mut object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": metadata(name, namespace),
        "roleRef": {"apiGroup": GROUP, "kind": role.0, "name": role.1},
    });
    if !subjects.is_empty() {
        object["subjects"] = subjects.iter().map(|s| subject_object(s)).collect();
    }
    object
}

/// `User/<name>`, `Group/<name>`, `ServiceAccount/<namespace>/<name>`
fn subject_object(text: &str) -> Value {
    let (kind, rest) = text.split_once('/').unwrap_or((text, ""));
    match rest.split_once('/').filter(|_| kind == "ServiceAccount") {
        Some((namespace, name)) => json!({"kind": kind, "name": name, "namespace": namespace}),
        None => json!({"apiGroup": GROUP, "kind": kind, "name": rest}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_the_real_server() {
        let objects = objects().unwrap();
        let count = |kind: Kind| objects.iter().filter(|o| o.kind == kind).count();
        assert_eq!(Kind::ALL.map(count), [7, 69, 7, 50]);
        let find =
            |kind: Kind, name: &str| &objects.iter().find(|o| o.kind == kind && o.name() == name).unwrap().object;
        let edit = find(Kind::ClusterRole, "edit");
        assert_eq!(edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"], "true");
        assert_eq!(
            edit["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"],
            json!({"rbac.authorization.k8s.io/aggregate-to-edit": "true"})
        );
        let bound = find(Kind::ClusterRoleBinding, "system:controller:job-controller");
        let account = json!([{"kind": "ServiceAccount", "name": "job-controller", "namespace": "kube-system"}]);
        assert_eq!(bound["subjects"], account);
        assert!(find(Kind::ClusterRoleBinding, "system:node").get("subjects").is_none());
        // Every binding names a role of the policy, every role has rules or aggregates them.
        for o in &objects {
            match o.kind {
                Kind::Role | Kind::ClusterRole => {
                    assert!(o.object["rules"].is_array() || o.object["aggregationRule"].is_object(), "{}", o.name());
                }
                Kind::RoleBinding | Kind::ClusterRoleBinding => {
                    let role = &o.object["roleRef"];
                    let of_kind = if role["kind"] == "Role" { Kind::Role } else { Kind::ClusterRole };
                    let named = |r: &&PolicyObject| r.kind == of_kind && role["name"] == r.name();
                    let found = objects
                        .iter()
                        .filter(named)
                        .any(|r| r.namespace().is_empty() || r.namespace() == o.namespace());
                    assert!(found, "{}", o.name());
                }
            }
        }
        assert!(node_rules().unwrap().len() > 20);
    }
}
