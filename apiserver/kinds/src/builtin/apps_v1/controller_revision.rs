//! ControllerRevision.

use serde_json::Value;

use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{flag, get, items, text};

pub const HOOKS: Hooks = Hooks { table: Some(TABLE), ..Hooks::NONE };

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own("Controller", "string", "Controller of the object"),
        table::field("Revision", "string", "io.k8s.api.apps.v1.ControllerRevision", "revision"),
        AGE,
    ],
    |revision, now| {
        let revision_number = get(revision, "revision").as_i64().unwrap_or(0);
        vec![table::name(revision), controller(revision).into(), revision_number.into(), table::age(revision, now)]
    },
);

/// `statefulset.apps/db`
fn controller(object: &Value) -> String {
    let Some(owner) = items(object, "metadata.ownerReferences").iter().find(|o| flag(o, "controller")) else {
        return "<none>".to_owned();
    };
    let kind = text(owner, "kind").to_lowercase();
    match text(owner, "apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{}", text(owner, "name")),
        None => format!("{kind}/{}", text(owner, "name")),
    }
}
