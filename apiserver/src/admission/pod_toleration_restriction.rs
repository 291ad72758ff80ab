//! PodTolerationRestriction: pods of a namespace tolerate what the namespace, or the cluster, adds, and no more than it
//! lets them.

use kuorum_kinds::pod_template::resources::qos_class;
use kuorum_kinds::value as json;
use serde::Deserialize;
use serde_json::{Value, json};

use super::read::{Class, Name};
use super::tolerations::{implies, merge};
use super::{Attributes, Operation, Plugin, Verdict, refuse, settings};
use crate::status::ApiError;

/// The cluster's lists, for namespaces without their own.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PodTolerationRestriction {
    default: Vec<Value>,
    whitelist: Vec<Value>,
}

const NAMESPACES: Name = Name("", "v1", "namespaces");
const DEFAULT_ANNOTATION: &str = "scheduler.alpha.kubernetes.io/defaultTolerations";
const WHITELIST_ANNOTATION: &str = "scheduler.alpha.kubernetes.io/tolerationsWhitelist";
const VERSIONS: [(&str, &str); 1] = [("podtolerationrestriction.admission.k8s.io/v1alpha1", "Configuration")];

impl PodTolerationRestriction {
    pub fn new(settings: Option<&Value>) -> Result<Self, String> {
        settings::versioned(settings, &VERSIONS)
    }
}

/// A list of the request's namespace; `None`: it has none.
fn of_namespace(attributes: &Attributes<'_>, annotation: &str) -> Result<Option<Vec<Value>>, ApiError> {
    let namespace = NAMESPACES.get::<Class>(attributes.call, attributes.namespace)?;
    let namespace = namespace.ok_or_else(|| ApiError::not_found("", "namespaces", attributes.namespace))?;
    let text = namespace.metadata.annotations.get(annotation).filter(|text| !text.is_empty());
    text.map(|text| serde_json::from_str(text).map_err(|e| ApiError::plain_500(e.to_string()))).transpose()
}

impl Plugin for PodTolerationRestriction {
    fn name(&self) -> &'static str {
        "PodTolerationRestriction"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.does(&[Operation::Create, Operation::Update], "", "Pod") {
            return None;
        }
        let pod = object?;
        let mut added = Vec::new();
        if attributes.operation == Operation::Create {
            match of_namespace(attributes, DEFAULT_ANNOTATION) {
                Ok(own) => added = own.unwrap_or_else(|| self.default.clone()),
                Err(error) => return Some(refuse(error)),
            }
        }
        tolerate(pod, added);
        None
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.does(&[Operation::Create, Operation::Update], "", "Pod") {
            return None;
        }
        let tolerations = json::items(object?, "spec.tolerations");
        let (allowed, of) = match of_namespace(attributes, WHITELIST_ANNOTATION) {
            Ok(Some(own)) => (own, "namespace"),
            Ok(None) => (self.whitelist.clone(), "cluster"),
            Err(error) => return Some(refuse(error)),
        };
        if are_allowed(tolerations, &allowed) {
            return None;
        }
        let why = format!(
            "pod tolerations (possibly merged with namespace default tolerations) conflict with its {of} whitelist"
        );
        Some(refuse(ApiError::plain_500(why)))
    }
}

/// Adds tolerations; a pod that has resources of its own also stays on a node that runs out of memory.
fn tolerate(pod: &mut Value, added: Vec<Value>) {
    let mut tolerations = merge(&added, json::items(pod, "spec.tolerations"));
    if qos_class(pod) != "BestEffort" {
        let pressure =
            json!({"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"});
        tolerations = merge(&tolerations, &[pressure]);
    }
    if let Some(spec) = json::child(pod, "spec").filter(|_| !tolerations.is_empty()) {
        json::set(spec, "tolerations", tolerations);
    }
}

/// No list allows everything.
fn are_allowed(tolerations: &[Value], allowed: &[Value]) -> bool {
    allowed.is_empty() || tolerations.iter().all(|t| allowed.iter().any(|wide| implies(wide, t)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_are_added() {
        let exists = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoSchedule"});
        let mut pod = json!({"spec": {"containers": [{"name": "c"}], "tolerations": [exists("own")]}});
        tolerate(&mut pod, vec![exists("added"), exists("own")]);
        assert_eq!(pod["spec"]["tolerations"], json!([exists("added"), exists("own")]));
        let mut pod = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}});
        tolerate(&mut pod, Vec::new());
        assert_eq!(pod["spec"]["tolerations"], json!([exists("node.kubernetes.io/memory-pressure")]));
    }

    #[test]
    fn what_is_tolerated_is_allowed() {
        let exists = |key: &str| json!({"key": key, "operator": "Exists"});
        let equal = json!({"key": "a", "operator": "Equal", "value": "1", "effect": "NoSchedule"});
        let rows = [
            (vec![equal.clone()], vec![], true),
            (vec![equal.clone()], vec![exists("a")], true),
            (vec![exists("a")], vec![equal.clone()], false),
            (vec![exists("a"), exists("b")], vec![exists("a")], false),
            (vec![], vec![exists("a")], true),
        ];
        for (tolerations, allowed, expected) in rows {
            assert_eq!(are_allowed(&tolerations, &allowed), expected, "{tolerations:?} {allowed:?}");
        }
    }
}
