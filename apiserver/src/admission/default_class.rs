//! DefaultStorageClass and DefaultIngressClass: what names no class gets the one that is the default.

use kuorum_kinds::value as json;
use serde_json::Value;

use super::read::{Name, default_class};
use super::{Attributes, Plugin, Verdict, refuse};

/// What gets a class, and where classes are.
pub struct DefaultClass {
    name: &'static str,
    group: &'static str,
    kind: &'static str,
    classes: Name,
    /// In the JSON of every class that is the default.
    mark: &'static str,
    /// One of these is `true` on the default class.
    is_default: &'static [&'static str],
    /// The field of the spec that names the class.
    field: &'static str,
    /// The annotation that named the class before there was a field.
    annotation: &'static str,
}

pub const STORAGE_CLASSES: Name = Name("storage.k8s.io", "v1", "storageclasses");
pub const STORAGE_CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

pub const STORAGE: DefaultClass = DefaultClass {
    name: "DefaultStorageClass",
    group: "",
    kind: "PersistentVolumeClaim",
    classes: STORAGE_CLASSES,
    mark: "kubernetes.io/is-default-class\":\"true\"",
    is_default: &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"],
    field: "storageClassName",
    annotation: STORAGE_CLASS_ANNOTATION,
};

pub const INGRESS: DefaultClass = DefaultClass {
    name: "DefaultIngressClass",
    group: "networking.k8s.io",
    kind: "Ingress",
    classes: Name("networking.k8s.io", "v1", "ingressclasses"),
    mark: "kubernetes.io/is-default-class\":\"true\"",
    is_default: &["ingressclass.kubernetes.io/is-default-class"],
    field: "ingressClassName",
    annotation: "kubernetes.io/ingress.class",
};

impl Plugin for DefaultClass {
    fn name(&self) -> &'static str {
        self.name
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.creates(self.group, self.kind) {
            return None;
        }
        let object = object.filter(|object| !self.is_named(object))?;
        match self.classes.marked(attributes.call, self.mark) {
            Ok(classes) => {
                let class = default_class(classes, self.is_default)?;
                json::set(json::child(object, "spec")?, self.field, class);
                None
            }
            Err(error) => Some(refuse(error)),
        }
    }
}

impl DefaultClass {
    /// Whether the object names a class. The empty name is one: it asks for none.
    fn is_named(&self, object: &Value) -> bool {
        !json::get(json::get(object, "spec"), self.field).is_null()
            || json::get(object, "metadata.annotations").get(self.annotation).is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn either_way_of_naming_a_class_counts() {
        for class in [STORAGE, INGRESS] {
            let rows = [
                (json!({"spec": {}}), false),
                (json!({"spec": {class.field: null}}), false),
                (json!({"spec": {class.field: ""}}), true),
                (json!({"spec": {class.field: "x"}}), true),
                (json!({"metadata": {"annotations": {class.annotation: ""}}}), true),
                (json!({"metadata": {"annotations": {"other": "x"}}}), false),
            ];
            for (object, expected) in rows {
                assert_eq!(class.is_named(&object), expected, "{object}");
            }
        }
    }

    #[test]
    fn the_mark_is_in_every_default_class() {
        for class in [STORAGE, INGRESS] {
            for annotation in class.is_default {
                assert!(json!({ *annotation: "true" }).to_string().contains(class.mark));
            }
        }
    }
}
