//! PersistentVolumeClaimResize: a claim grows only when it is bound and its StorageClass says that volumes may grow.

use kuorum_kinds::value as json;
use kuorum_schema::quantity::Quantity;
use serde::Deserialize;
use serde_json::Value;

use super::default_class::{STORAGE_CLASS_ANNOTATION, STORAGE_CLASSES};
use super::read::{decide, null_as_default};
use super::{Attributes, Operation, Plugin, Verdict};

pub struct PersistentVolumeClaimResize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StorageClass {
    #[serde(deserialize_with = "null_as_default")]
    allow_volume_expansion: bool,
}

impl Plugin for PersistentVolumeClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        let (claim, old) = (object?, old?);
        if !attributes.does(&[Operation::Update], "", "PersistentVolumeClaim") || size(claim) <= size(old) {
            return None;
        }
        decide(attributes.call, move || {
            let class = match class(claim) {
                "" => None,
                name => STORAGE_CLASSES.get::<StorageClass>(attributes.call, name)?,
            };
            let expandable = class.is_some_and(|c| c.allow_volume_expansion);
            may_grow(claim, old, expandable).map_err(|why| attributes.refusal(claim, why))
        })
    }
}

fn may_grow(claim: &Value, old: &Value, class_is_expandable: bool) -> Result<(), &'static str> {
    if json::text(old, "status.phase") != "Bound" {
        return Err("Only bound persistent volume claims can be expanded");
    }
    if class(claim).is_empty() || class(claim) != class(old) || !class_is_expandable {
        return Err(
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
        );
    }
    Ok(())
}

/// What the claim asks for. Text that is no quantity was refused before.
fn size(claim: &Value) -> Quantity {
    json::text(claim, "spec.resources.requests.storage").parse().unwrap_or(Quantity::ZERO)
}

/// The claim's class; the old annotation goes before the field.
fn class(claim: &Value) -> &str {
    let annotation = json::get(claim, "metadata.annotations").get(STORAGE_CLASS_ANNOTATION).and_then(Value::as_str);
    annotation.unwrap_or_else(|| json::text(claim, "spec.storageClassName"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim(size: &str, class: &str, phase: &str) -> Value {
        json!({
            "spec": {"storageClassName": class, "resources": {"requests": {"storage": size}}},
            "status": {"phase": phase},
        })
    }

    #[test]
    fn grows_only_bound_and_expandable() {
        let rows = [
            (claim("2Gi", "a", "Bound"), claim("1Gi", "a", "Bound"), true, None),
            (claim("2Gi", "a", "Bound"), claim("1Gi", "a", "Pending"), true, Some("Only bound")),
            (claim("2Gi", "a", "Bound"), claim("1Gi", "a", "Bound"), false, Some("only dynamically")),
            (claim("2Gi", "b", "Bound"), claim("1Gi", "a", "Bound"), true, Some("only dynamically")),
            (claim("2Gi", "", "Bound"), claim("1Gi", "", "Bound"), true, Some("only dynamically")),
        ];
        for (new, old, expandable, expected) in rows {
            let why = may_grow(&new, &old, expandable).err();
            assert_eq!(why.is_some(), expected.is_some(), "{why:?}");
            assert!(why.unwrap_or_default().starts_with(expected.unwrap_or_default()));
        }
    }

    #[test]
    fn sizes_compare_by_amount() {
        assert_eq!(size(&claim("1Gi", "", "")), size(&claim("1024Mi", "", "")));
        assert!(size(&claim("1100Mi", "", "")) > size(&claim("1Gi", "", "")));
    }
}
