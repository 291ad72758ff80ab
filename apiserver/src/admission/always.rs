//! AlwaysAdmit and AlwaysDeny, for tests; and plugins that are on and have nothing to say yet.

use serde_json::Value;

use super::{Attributes, Plugin, Verdict, refuse};

/// Has nothing against anything: AlwaysAdmit, and plugins whose feature gates are off in kube-apiserver, too.
pub struct Inert(pub &'static str);

impl Plugin for Inert {
    fn name(&self) -> &'static str {
        self.0
    }
}

pub struct AlwaysDeny;

impl Plugin for AlwaysDeny {
    fn name(&self) -> &'static str {
        "AlwaysDeny"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        let object = object.as_deref().unwrap_or(&Value::Null);
        Some(refuse(attributes.refusal(object, "admission control is denying all modifications")))
    }
}
