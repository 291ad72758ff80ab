//! IngressClass.

use serde_json::Value;

use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{existing, get, set_default, text};

pub const HOOKS: Hooks = Hooks { default: Some(default), table: Some(TABLE), ..Hooks::NONE };

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own("Controller", "string", "Controller that is responsible for handling this class"),
        table::own("Parameters", "string", "A reference to a resource with additional parameters"),
        AGE,
    ],
    |class, now| {
        vec![
            table::name(class),
            text(class, "spec.controller").into(),
            parameters(class).into(),
            table::age(class, now),
        ]
    },
);

fn parameters(class: &Value) -> String {
    let reference = get(class, "spec.parameters");
    match text(reference, "apiGroup") {
        _ if !reference.is_object() => "<none>".to_owned(),
        "" => format!("{}/{}", text(reference, "kind"), text(reference, "name")),
        group => format!("{}.{group}/{}", text(reference, "kind"), text(reference, "name")),
    }
}

fn default(class: &mut Value) {
    if let Some(reference) = existing(class, "spec").and_then(|spec| existing(spec, "parameters")) {
        set_default(reference, "scope", "Cluster");
    }
}
