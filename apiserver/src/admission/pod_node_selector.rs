//! PodNodeSelector: pods of a namespace run on the nodes that the namespace, or the cluster, selects for it.

use std::collections::BTreeMap;

use kuorum_kinds::value as json;
use serde::Deserialize;
use serde_json::Value;

use super::read::{Class, Name};
use super::{Attributes, Plugin, Verdict, refuse};
use crate::status::ApiError;

/// Selectors by namespace; `clusterDefaultNodeSelector` is for namespaces without one of their own.
pub struct PodNodeSelector(BTreeMap<String, String>);

const NAMESPACES: Name = Name("", "v1", "namespaces");
const ANNOTATION: &str = "scheduler.alpha.kubernetes.io/node-selector";
const CLUSTER_DEFAULT: &str = "clusterDefaultNodeSelector";

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Configuration {
    pod_node_selector_plugin_config: BTreeMap<String, String>,
}

/// Labels that a node must have.
type Labels = BTreeMap<String, String>;

impl PodNodeSelector {
    pub fn new(settings: Option<&Value>) -> Result<Self, String> {
        let settings = settings.map(|s| serde_json::from_value::<Configuration>(s.clone())).transpose();
        Ok(PodNodeSelector(settings.map_err(|e| e.to_string())?.unwrap_or_default().pod_node_selector_plugin_config))
    }

    /// What the namespace of a request selects.
    fn selected(&self, attributes: &Attributes<'_>) -> Result<Labels, ApiError> {
        let namespace = NAMESPACES.get::<Class>(attributes.call, attributes.namespace)?;
        let namespace = namespace.ok_or_else(|| ApiError::not_found("", "namespaces", attributes.namespace))?;
        let own = namespace.metadata.annotations.get(ANNOTATION).or_else(|| self.0.get(CLUSTER_DEFAULT));
        parse(own.map_or("", String::as_str)).map_err(ApiError::plain_500)
    }
}

impl Plugin for PodNodeSelector {
    fn name(&self) -> &'static str {
        "PodNodeSelector"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.creates("", "Pod") {
            return None;
        }
        let pod = object?;
        let outcome = self.selected(attributes).and_then(|selected| {
            check_conflict(pod, &selected).map_err(|why| attributes.refusal(pod, why))?;
            if let Some(own) = json::child(pod, "spec").filter(|_| !selected.is_empty())
                && let Some(own) = json::child(own, "nodeSelector")
            {
                selected.into_iter().for_each(|(key, value)| json::set(own, &key, value));
            }
            Ok(())
        });
        outcome.err().map(refuse)
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.creates("", "Pod") {
            return None;
        }
        let pod = object?;
        let outcome = self.selected(attributes).and_then(|selected| {
            check_conflict(pod, &selected).map_err(|why| attributes.forbidden(why))?;
            let allowed = self.0.get(attributes.namespace).map_or("", String::as_str);
            let allowed = parse(allowed).map_err(ApiError::plain_500)?;
            check_allowed(pod, &allowed).map_err(|why| attributes.forbidden(why))
        });
        outcome.err().map(refuse)
    }
}

fn check_conflict(pod: &Value, selected: &Labels) -> Result<(), &'static str> {
    let conflicts = |(key, value): (&str, &Value)| selected.get(key).is_some_and(|own| value != own.as_str());
    if json::entries(pod, "spec.nodeSelector").any(conflicts) {
        return Err("pod node label selector conflicts with its namespace node label selector");
    }
    Ok(())
}

/// No list allows everything.
fn check_allowed(pod: &Value, allowed: &Labels) -> Result<(), &'static str> {
    let is_allowed = |(key, value): (&str, &Value)| allowed.get(key).is_some_and(|own| value == own.as_str());
    if allowed.is_empty() || json::entries(pod, "spec.nodeSelector").all(is_allowed) {
        return Ok(());
    }
    Err("pod node label selector labels conflict with its namespace whitelist")
}

/// `a=b,c=d`
fn parse(selector: &str) -> Result<Labels, String> {
    let mut labels = Labels::new();
    for label in selector.split(',').filter(|_| !selector.is_empty()) {
        match label.split('=').collect::<Vec<_>>().as_slice() {
            [key, value] => labels.insert(key.trim().to_owned(), value.trim().to_owned()),
            parts => return Err(format!("invalid selector: [{}]", parts.join(" "))),
        };
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_labels() {
        assert_eq!(parse(""), Ok(Labels::new()));
        let two = [("a".to_owned(), "b".to_owned()), ("c".to_owned(), String::new())];
        assert_eq!(parse("a = b,c="), Ok(two.into()));
        for bad in ["a", "a=b=c", "a=b,"] {
            assert!(parse(bad).unwrap_err().starts_with("invalid selector"), "{bad}");
        }
    }

    #[test]
    fn a_pod_may_add_and_not_contradict() {
        let pod = |selector: Value| json!({"spec": {"nodeSelector": selector}});
        let selected = parse("zone=a").unwrap();
        assert!(check_conflict(&pod(json!({"disk": "ssd", "zone": "a"})), &selected).is_ok());
        assert!(check_conflict(&pod(json!({"zone": "b"})), &selected).is_err());
        assert!(check_allowed(&pod(json!({"disk": "ssd"})), &Labels::new()).is_ok());
        assert!(check_allowed(&pod(json!({"zone": "a"})), &selected).is_ok());
        assert!(check_allowed(&pod(json!({"zone": "a", "disk": "ssd"})), &selected).is_err());
    }

    #[test]
    fn settings_are_by_namespace() {
        let settings = json!({"podNodeSelectorPluginConfig": {"clusterDefaultNodeSelector": "a=b", "ns": "c=d"}});
        assert_eq!(PodNodeSelector::new(Some(&settings)).unwrap().0["ns"], "c=d");
        assert!(PodNodeSelector::new(Some(&json!({"podNodeSelectorPluginConfig": 1}))).is_err());
    }
}
