//! PodSecurity: pods keep to the Pod Security Standards that the labels of their namespace ask for.
//!
//! A pod is refused, recorded or warned about; a workload's template is recorded and warned about, because its pods
//! are judged when they are made; a namespace whose labels ask for more is told which of its pods would be refused.

mod config;
pub mod policy;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kuorum_cache::Object;
use kuorum_kinds::field::FieldError;
use kuorum_kinds::value as json;
use serde_json::Value;

use self::config::Exemptions;
use self::policy::{EnforceChange, LabelError, LevelVersion, PREFIX, Pod, Policy, evaluate};
use super::{Attributes, Operation, Plugin, Verdict, refuse};
use crate::status::ApiError;

/// Pods of a namespace that are looked at when its labels change, and how long that may take.
const NAMESPACE_PODS_MAX: usize = 3000;
const NAMESPACE_CHECK_MAX: Duration = Duration::from_secs(1);

/// Subresources of pods whose body is no pod, or that change nothing that checks look at. All others are judged.
const IGNORED_SUBRESOURCES: [&str; 8] =
    ["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"];

/// Where kinds that make pods keep their template.
const TEMPLATES: [(&str, &str, &str); 8] = [
    ("", "PodTemplate", "template"),
    ("", "ReplicationController", "spec.template"),
    ("apps", "ReplicaSet", "spec.template"),
    ("apps", "Deployment", "spec.template"),
    ("apps", "StatefulSet", "spec.template"),
    ("apps", "DaemonSet", "spec.template"),
    ("batch", "Job", "spec.template"),
    ("batch", "CronJob", "spec.jobTemplate.spec.template"),
];

pub struct PodSecurity {
    defaults: Policy,
    exemptions: Exemptions,
}

impl PodSecurity {
    pub fn new(settings: Option<&Value>) -> Result<Self, String> {
        let (defaults, exemptions) = config::read(settings)?;
        Ok(PodSecurity { defaults, exemptions })
    }
}

impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !matches!(attributes.operation, Operation::Create | Operation::Update) {
            return None;
        }
        let judged = if attributes.is("", "Namespace") {
            self.namespace(attributes, object?, old)
        } else if attributes.is("", "Pod") {
            self.pod(attributes, object?, old)
        } else if attributes.subresource.is_empty() {
            let row = &attributes.kind.row;
            let (.., path) = TEMPLATES.iter().find(|(group, kind, _)| (*group, *kind) == (row.group, row.kind))?;
            self.template(attributes, json::get(object?, path))
        } else {
            Ok(())
        };
        judged.err().map(refuse)
    }
}

impl PodSecurity {
    fn namespace(&self, attributes: &Attributes<'_>, new: &Value, old: Option<&Value>) -> Result<(), ApiError> {
        if !attributes.subresource.is_empty() {
            return Ok(());
        }
        let name = json::text(new, "metadata.name");
        let (policy, errors) = self.policy_of(new);
        let Some(old) = old else {
            return if errors.is_empty() {
                self.warn_if_ignored(attributes, name, new, &policy);
                Ok(())
            } else {
                Err(invalid(name, &errors))
            };
        };
        let (before, errors_before) = self.policy_of(old);
        // A mistake that is there already does not keep the rest from being changed.
        if !errors.is_empty() && errors != errors_before {
            return Err(invalid(name, &errors));
        }
        if policy.change_from(&before) == EnforceChange::None {
            return Ok(());
        }
        if self.warn_if_ignored(attributes, name, new, &policy) || self.exemptions.namespaces.iter().any(|n| n == name)
        {
            return Ok(());
        }
        for warning in self.judge_namespace(attributes, name, policy.enforce)? {
            attributes.call.warnings.add(warning);
        }
        Ok(())
    }

    /// The policy of a namespace object.
    fn policy_of(&self, namespace: &Value) -> (Policy, Vec<LabelError>) {
        let labels = json::get(namespace, "metadata.labels");
        self.defaults.with_labels(|label| labels.get(label).and_then(Value::as_str))
    }

    /// Labels of an exempt namespace do nothing, which is said.
    fn warn_if_ignored(&self, attributes: &Attributes<'_>, name: &str, namespace: &Value, policy: &Policy) -> bool {
        let exempt = self.exemptions.namespaces.iter().any(|n| n == name);
        if !exempt || policy.is_privileged() || policy.equivalent(&self.defaults) {
            return false;
        }
        let labels = json::get(namespace, "metadata.labels");
        let modes = [("enforce", policy.enforce), ("audit", policy.audit), ("warn", policy.warn)];
        let said: Vec<String> = modes
            .iter()
            .filter(|(_, asked)| asked.level != policy::Level::Privileged)
            .filter(|(mode, _)| {
                ["", "-version"].iter().any(|suffix| labels.get(format!("{PREFIX}{mode}{suffix}")).is_some())
            })
            .map(|(mode, asked)| format!("{mode}={asked}"))
            .collect();
        attributes.call.warnings.add(format!(
            "namespace {name:?} is exempt from Pod Security, and the policy ({}) will be ignored",
            said.join(", ")
        ));
        true
    }

    /// What is to be said about the pods that are there, were they held against `enforce`.
    fn judge_namespace(
        &self,
        attributes: &Attributes<'_>,
        name: &str,
        enforce: LevelVersion,
    ) -> Result<Vec<String>, ApiError> {
        let (_, pods) = attributes.call.app.resource_named("", "v1", "pods")?;
        let mut walk = pods.snapshot().walk(name, "");
        let mut all = Vec::with_capacity(walk.remaining());
        while let Some(pod) = walk.next_object() {
            all.push(pod.clone());
        }
        Ok(judge_pods(&all, name, enforce, &self.exemptions.runtime_classes, Instant::now() + NAMESPACE_CHECK_MAX))
    }

    fn pod(&self, attributes: &Attributes<'_>, pod: &Value, old: Option<&Value>) -> Result<(), ApiError> {
        if IGNORED_SUBRESOURCES.contains(&attributes.subresource) || self.is_exempt(attributes) {
            return Ok(());
        }
        let (policy, errors) = self.policy_in_force(attributes)?;
        if errors.is_empty() && policy.is_privileged() {
            annotate(attributes, "enforce-policy", policy.enforce);
            return Ok(());
        }
        if old.is_some_and(|old| !is_significant(pod, old)) {
            return Ok(());
        }
        let pod = Pod { metadata: json::get(pod, "metadata"), spec: json::get(pod, "spec") };
        self.judge(attributes, &pod, &policy, &errors, true)
    }

    fn template(&self, attributes: &Attributes<'_>, template: &Value) -> Result<(), ApiError> {
        if !template.is_object() || self.is_exempt(attributes) {
            return Ok(());
        }
        let (policy, errors) = self.policy_in_force(attributes)?;
        if errors.is_empty() && policy.is_silent() {
            return Ok(());
        }
        let pod = Pod { metadata: json::get(template, "metadata"), spec: json::get(template, "spec") };
        self.judge(attributes, &pod, &policy, &errors, false)
    }

    /// The policy of the request's namespace, from the labels that its cached object has at hand.
    fn policy_in_force(&self, attributes: &Attributes<'_>) -> Result<(Policy, Vec<LabelError>), ApiError> {
        let (_, namespaces) = attributes.call.app.resource_named("", "v1", "namespaces")?;
        let namespace = namespaces
            .get("", attributes.namespace)
            .ok_or_else(|| ApiError::internal(format!("failed to lookup namespace {:?}", attributes.namespace)))?;
        let labels = namespace.labels();
        if !labels.iter().any(|(key, _)| key.starts_with(PREFIX)) {
            return Ok((self.defaults, Vec::new()));
        }
        Ok(self.defaults.with_labels(|label| labels.get(label)))
    }

    fn is_exempt(&self, attributes: &Attributes<'_>) -> bool {
        let Exemptions { usernames, namespaces, .. } = &self.exemptions;
        let why = if namespaces.iter().any(|n| n == attributes.namespace) {
            "namespace"
        } else if usernames.contains(&attributes.call.user.name) {
            "user"
        } else {
            return false;
        };
        annotate(attributes, "exempt", why);
        true
    }

    fn judge(
        &self,
        attributes: &Attributes<'_>,
        pod: &Pod<'_>,
        policy: &Policy,
        errors: &[LabelError],
        enforce: bool,
    ) -> Result<(), ApiError> {
        if self.exemptions.runtime_classes.iter().any(|c| c == json::text(pod.spec, "runtimeClassName")) {
            annotate(attributes, "exempt", "runtimeClass");
            return Ok(());
        }
        if !errors.is_empty() {
            let texts: Vec<String> = errors.iter().map(|e| field_error(e).full()).collect();
            annotate(attributes, "error", format!("Failed to parse policy: {}", crate::admission::aggregate(&texts)));
        }
        let enforced = enforce.then(|| {
            annotate(attributes, "enforce-policy", policy.enforce);
            evaluate(policy.enforce, pod)
        });
        // Equal policies have equal outcomes.
        let outcome = |asked: LevelVersion| match &enforced {
            Some(known) if asked == policy.enforce => known.clone(),
            _ => evaluate(asked, pod),
        };
        let audit = outcome(policy.audit);
        if !audit.allows() {
            let text = format!("would violate PodSecurity {:?}: {}", policy.audit.to_string(), audit.details());
            annotate(attributes, "audit-violations", text);
        }
        if let Some(refused) = enforced.as_ref().filter(|verdict| !verdict.allows()) {
            let why = format!("violates PodSecurity {:?}: {}", policy.enforce.to_string(), refused.details());
            return Err(attributes.forbidden(why));
        }
        let warn = outcome(policy.warn);
        if !warn.allows() {
            let text = format!("would violate PodSecurity {:?}: {}", policy.warn.to_string(), warn.details());
            attributes.call.warnings.add(text);
        }
        Ok(())
    }
}

fn annotate(attributes: &Attributes<'_>, key: &str, value: impl ToString) {
    attributes.annotate(format!("{PREFIX}{key}"), value.to_string());
}

fn field_error(error: &LabelError) -> FieldError {
    let field = format!("metadata.labels[{}]", error.label);
    FieldError::invalid(field, &error.value.as_str().into(), error.why)
}

fn invalid(name: &str, errors: &[LabelError]) -> ApiError {
    let errors: Vec<FieldError> = errors.iter().map(field_error).collect();
    ApiError::invalid("", "Namespace", name, &errors)
}

/// Whether a change of a pod can change the verdict. Of what checks look at, only images say that a container is
/// another one; containers come and go as ephemeral ones.
fn is_significant(new: &Value, old: &Value) -> bool {
    let (new, old) = (json::get(new, "spec"), json::get(old, "spec"));
    let image = |container: &Value| json::text(container, "image").to_owned();
    for list in ["containers", "initContainers"] {
        let (new, old) = (json::items(new, list), json::items(old, list));
        if new.len() != old.len() || new.iter().zip(old).any(|(new, old)| image(new) != image(old)) {
            return true;
        }
    }
    let before = json::items(old, "ephemeralContainers");
    json::items(new, "ephemeralContainers").iter().any(|container| {
        let name = json::text(container, "name");
        let same = before.iter().find(|b| json::text(b, "name") == name);
        same.is_none_or(|same| image(same) != image(container))
    })
}

/// Holds pods against a policy: one of each controller first, so that many replicas of one do not hide the others.
/// Pods with the same complaints are told together.
fn judge_pods(
    pods: &[Arc<Object>],
    namespace: &str,
    enforce: LevelVersion,
    exempt_classes: &[String],
    deadline: Instant,
) -> Vec<String> {
    let parsed = pods.iter().filter_map(|pod| serde_json::from_slice::<Value>(pod.json()).ok());
    let judged = parsed.filter(|pod| !exempt_classes.iter().any(|c| c == json::text(pod, "spec.runtimeClassName")));
    let mut controllers: BTreeSet<String> = BTreeSet::new();
    let (mut queue, mut replicas) = (Vec::new(), Vec::new());
    for pod in judged {
        let is_replica = controller(&pod).is_some_and(|uid| !controllers.insert(uid.to_owned()));
        if is_replica { replicas.push(pod) } else { queue.push(pod) }
    }
    queue.append(&mut replicas);
    let total = queue.len();
    queue.truncate(NAMESPACE_PODS_MAX);
    let mut checked = queue.len();
    let mut complaints: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for (at, pod) in queue.iter().enumerate() {
        let verdict = evaluate(enforce, &Pod { metadata: json::get(pod, "metadata"), spec: json::get(pod, "spec") });
        if !verdict.allows() {
            let name = json::text(pod, "metadata.name");
            let (first, count) = complaints.entry(verdict.reasons()).or_insert_with(|| (name.to_owned(), 0));
            if name < first.as_str() {
                *first = name.to_owned();
            }
            *count += 1;
        }
        if Instant::now() >= deadline {
            checked = at + 1;
            break;
        }
    }
    let mut warnings = Vec::new();
    if checked < total {
        warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {checked} of {total} existing pods"
        ));
    }
    if !complaints.is_empty() {
        warnings.push(format!(
            "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level {:?}",
            enforce.to_string()
        ));
    }
    let mut lines: Vec<String> = complaints
        .into_iter()
        .map(|(reasons, (first, count))| match count {
            1 => format!("{first}: {reasons}"),
            2 => format!("{first} (and 1 other pod): {reasons}"),
            _ => format!("{first} (and {} other pods): {reasons}", count - 1),
        })
        .collect();
    lines.sort_unstable();
    warnings.append(&mut lines);
    warnings
}

fn controller(pod: &Value) -> Option<&str> {
    let owner = json::items(pod, "metadata.ownerReferences").iter().find(|owner| json::flag(owner, "controller"))?;
    Some(json::text(owner, "uid"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_images_and_new_containers_are_significant() {
        let pod = |image: &str, ephemeral: Value| json!({"metadata": {}, "spec": {"containers": [{"name": "c", "image": image}], "ephemeralContainers": ephemeral}});
        let old = pod("a", json!([{"name": "e", "image": "x"}]));
        let rows = [
            (pod("a", json!([{"name": "e", "image": "x"}])), false),
            (pod("b", json!([{"name": "e", "image": "x"}])), true),
            (pod("a", json!([{"name": "e", "image": "y"}])), true),
            (pod("a", json!([{"name": "e", "image": "x"}, {"name": "f", "image": "x"}])), true),
            (pod("a", json!(null)), false),
        ];
        for (new, expected) in rows {
            assert_eq!(is_significant(&new, &old), expected, "{new}");
        }
    }

    #[test]
    fn a_pods_controller_is_the_owner_that_says_so() {
        let pod = json!({"metadata": {"ownerReferences": [{"uid": "a"}, {"uid": "b", "controller": true}]}});
        assert_eq!(controller(&pod), Some("b"));
        assert_eq!(controller(&json!({})), None);
    }
}
