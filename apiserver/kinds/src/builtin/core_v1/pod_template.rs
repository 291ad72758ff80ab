//! PodTemplate: a pod template as an object of its own.

use serde_json::Value;

use crate::field::Errors;
use crate::hooks::{Column, Hooks, TablePrinter};
use crate::path::Path;
use crate::pod_template::{defaults, validate::template};
use crate::table::{self, CONTAINERS, IMAGES, NAME};
use crate::value::{child, equal, get};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    desired_state_changed: Some(|new, old| !equal(get(new, "template"), get(old, "template"))),
    validate_create: Some(|object, _| validate(object)),
    validate_update: Some(|new, _, _| validate(new)),
    table: Some(TABLE),
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        Column { priority: 0, ..CONTAINERS },
        Column { priority: 0, ..IMAGES },
        table::own("Pod Labels", "string", "The labels for the pod template."),
    ],
    |object, _| {
        let [names, images] = table::containers(object, "template.spec");
        vec![table::name(object), names, images, table::labels(object, "template.metadata.labels").into()]
    },
);

fn default(object: &mut Value) {
    if let Some(template) = child(object, "template") {
        defaults::template(template);
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    template(get(object, "template"), &Path::new("template"), &mut errors);
    errors
}
