//! DefaultStorageClass: a claim that names no class gets the default one.

use kuorum_kinds::value as json;
use serde_json::Value;

use super::read::{Name, default_class};
use super::{Attributes, Plugin, Verdict, refuse};

pub struct DefaultStorageClass;

pub const CLASSES: Name = Name("storage.k8s.io", "v1", "storageclasses");
const IS_DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
/// In the JSON of every class that has one of the annotations.
const DEFAULT_MARK: &str = "kubernetes.io/is-default-class\":\"true\"";
/// The annotation that named the class before there was a field.
pub const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

impl Plugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.creates("", "PersistentVolumeClaim") {
            return None;
        }
        let claim = object.filter(|claim| !has_class(claim))?;
        match CLASSES.marked(attributes.call, DEFAULT_MARK) {
            Ok(classes) => {
                let class = default_class(classes, &IS_DEFAULT)?;
                json::set(json::child(claim, "spec")?, "storageClassName", class);
                None
            }
            Err(error) => Some(refuse(error)),
        }
    }
}

/// Whether the claim names a class. The empty name is one: it asks for a volume of no class.
fn has_class(claim: &Value) -> bool {
    !json::get(claim, "spec.storageClassName").is_null()
        || json::get(claim, "metadata.annotations").get(BETA_CLASS).is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_empty_class_is_a_class() {
        let rows = [
            (json!({"spec": {}}), false),
            (json!({"spec": {"storageClassName": null}}), false),
            (json!({"spec": {"storageClassName": ""}}), true),
            (json!({"spec": {"storageClassName": "x"}}), true),
            (json!({"metadata": {"annotations": {BETA_CLASS: ""}}}), true),
            (json!({"metadata": {"annotations": {"other": "x"}}}), false),
        ];
        for (claim, expected) in rows {
            assert_eq!(has_class(&claim), expected, "{claim}");
        }
    }

    #[test]
    fn the_mark_is_in_every_default_class() {
        for annotation in IS_DEFAULT {
            assert!(json!({ annotation: "true" }).to_string().contains(DEFAULT_MARK));
        }
    }
}
