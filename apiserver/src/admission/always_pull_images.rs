//! AlwaysPullImages: every image is pulled before its container starts, so that a node does not give one tenant's
//! private images to another.

use kuorum_kinds::field::FieldError;
use kuorum_kinds::value as json;
use serde_json::Value;

use super::{Attributes, Operation, Plugin, Verdict, aggregate, refuse};

pub struct AlwaysPullImages;

const ALWAYS: &str = "Always";
const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

impl Plugin for AlwaysPullImages {
    fn name(&self) -> &'static str {
        "AlwaysPullImages"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        let pod = object?;
        if concerns(attributes) && brings_images(pod, old) {
            pull(json::existing(pod, "spec")?);
        }
        None
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        let pod = object?;
        if !concerns(attributes) || !brings_images(pod, old) {
            return None;
        }
        let complaints = check(json::get(pod, "spec"));
        (!complaints.is_empty()).then(|| refuse(attributes.forbidden(aggregate(&complaints))))
    }
}

/// Pods, and containers that are added to running ones.
fn concerns(attributes: &Attributes<'_>) -> bool {
    matches!(attributes.operation, Operation::Create | Operation::Update)
        && attributes.is("", "Pod")
        && matches!(attributes.subresource, "" | "ephemeralcontainers")
}

/// Whether a pod has images that it did not have: pods from before the plugin was on can be changed otherwise.
fn brings_images(pod: &Value, old: Option<&Value>) -> bool {
    fn images(pod: &Value) -> impl Iterator<Item = &str> {
        let spec = json::get(pod, "spec");
        LISTS.into_iter().flat_map(move |list| json::items(spec, list)).map(|c| json::text(c, "image"))
    }
    old.is_none_or(|old| images(pod).any(|image| images(old).all(|known| known != image)))
}

fn pull(spec: &mut Value) {
    for list in LISTS {
        for container in json::items_mut(spec, list) {
            json::set(container, "imagePullPolicy", ALWAYS);
        }
    }
    for volume in json::items_mut(spec, "volumes") {
        if let Some(image) = json::existing(volume, "image") {
            json::set(image, "pullPolicy", ALWAYS);
        }
    }
}

fn check(spec: &Value) -> Vec<String> {
    let complaint = |path: String, policy: &Value| {
        (policy != ALWAYS).then(|| FieldError::not_supported(path, policy, &[ALWAYS]).full())
    };
    let containers = LISTS.into_iter().flat_map(|list| {
        let each = json::items(spec, list).iter().enumerate();
        each.filter_map(move |(at, c)| {
            complaint(format!("spec.{list}[{at}].imagePullPolicy"), json::get(c, "imagePullPolicy"))
        })
    });
    let volumes = json::items(spec, "volumes").iter().enumerate().filter_map(|(at, volume)| {
        let image = json::get(volume, "image");
        image
            .is_object()
            .then(|| complaint(format!("spec.volumes[{at}].image.pullPolicy"), json::get(image, "pullPolicy")))?
    });
    containers.chain(volumes).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_is_pulled() {
        let mut spec = json!({
            "initContainers": [{"name": "i", "imagePullPolicy": "Never"}],
            "containers": [{"name": "c", "imagePullPolicy": "IfNotPresent"}],
            "ephemeralContainers": [{"name": "e"}],
            "volumes": [{"name": "v", "image": {"reference": "r"}}, {"name": "w", "emptyDir": {}}],
        });
        assert_eq!(
            check(&spec)[1],
            "spec.containers[0].imagePullPolicy: Unsupported value: \"IfNotPresent\": supported values: \"Always\""
        );
        assert_eq!(check(&spec).len(), 4);
        pull(&mut spec);
        assert!(check(&spec).is_empty(), "{spec}");
        assert_eq!(spec["volumes"][1], json!({"name": "w", "emptyDir": {}}));
    }

    #[test]
    fn a_change_without_new_images_is_left_alone() {
        let pod = |containers: &[&str], ephemeral: &[&str]| {
            let list = |images: &[&str]| images.iter().map(|image| json!({"image": image})).collect::<Vec<_>>();
            json!({"spec": {"containers": list(containers), "ephemeralContainers": list(ephemeral)}})
        };
        let old = pod(&["a"], &[]);
        assert!(brings_images(&old, None));
        assert!(!brings_images(&old, Some(&old)));
        assert!(brings_images(&pod(&["b"], &[]), Some(&old)));
        assert!(brings_images(&pod(&["a"], &["c"]), Some(&old)));
    }
}
