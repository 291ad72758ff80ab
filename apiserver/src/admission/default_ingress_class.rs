//! DefaultIngressClass: an ingress that names no class gets the default one.

use kuorum_kinds::value as json;
use serde_json::Value;

use super::read::{Name, default_class};
use super::{Attributes, Plugin, Verdict, refuse};

pub struct DefaultIngressClass;

const CLASSES: Name = Name("networking.k8s.io", "v1", "ingressclasses");
const IS_DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
/// The annotation that named the class before there was a field.
const ANNOTATION: &str = "kubernetes.io/ingress.class";

impl Plugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.creates("networking.k8s.io", "Ingress") {
            return None;
        }
        let ingress = object.filter(|ingress| !has_class(ingress))?;
        match CLASSES.marked(attributes.call, IS_DEFAULT) {
            Ok(classes) => {
                let class = default_class(classes, &[IS_DEFAULT])?;
                json::set(json::child(ingress, "spec")?, "ingressClassName", class);
                None
            }
            Err(error) => Some(refuse(error)),
        }
    }
}

fn has_class(ingress: &Value) -> bool {
    !json::get(ingress, "spec.ingressClassName").is_null()
        || json::get(ingress, "metadata.annotations").get(ANNOTATION).is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn either_way_of_naming_a_class_counts() {
        let rows = [
            (json!({"spec": {}}), false),
            (json!({"spec": {"ingressClassName": "x"}}), true),
            (json!({"metadata": {"annotations": {ANNOTATION: ""}}}), true),
            (json!({"metadata": {"annotations": {"other": "x"}}}), false),
        ];
        for (ingress, expected) in rows {
            assert_eq!(has_class(&ingress), expected, "{ingress}");
        }
    }
}
