//! Event of events.k8s.io: the same objects as core Events under other names.

use serde_json::Value;

use crate::builtin::core_v1::event;
use crate::hooks::{Hooks, TablePrinter};

pub const HOOKS: Hooks = Hooks {
    from_storage: Some(from_core),
    to_storage: Some(to_core),
    validate_create: Some(|object, _| {
        let mut core = object.clone();
        to_core(&mut core);
        event::validate_new_style(&core)
    }),
    validate_update: Some(|new, old, _| {
        let (mut core, mut before) = (new.clone(), old.clone());
        to_core(&mut core);
        to_core(&mut before);
        event::validate_new_style_update(&core, &before)
    }),
    table: Some(TABLE),
    ..Hooks::NONE
};

/// `(core, events.k8s.io)`; fields that are not listed have one name in both.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

const TABLE: TablePrinter = TablePrinter::new(event::COLUMNS, |object, now| {
    let mut core = object.clone();
    to_core(&mut core);
    event::cells(&core, now)
});

fn from_core(object: &mut Value) {
    rename(object, "events.k8s.io/v1", |(core, new)| (core, new));
}

fn to_core(object: &mut Value) {
    rename(object, "v1", |(core, new)| (new, core));
}

fn rename(
    object: &mut Value,
    api_version: &str,
    direction: fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    let Some(map) = object.as_object_mut() else { return };
    map.insert("apiVersion".to_owned(), api_version.into());
    for pair in NAMES {
        let (from, to) = direction(pair);
        if let Some(value) = map.remove(from) {
            map.insert(to.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_ways_give_the_same_event() {
        let core = json!({"apiVersion": "v1", "kind": "Event", "involvedObject": {"name": "p"}, "message": "m",
                          "count": 2, "source": {"component": "c"}, "reason": "R"});
        let mut event = core.clone();
        from_core(&mut event);
        assert_eq!(event["note"], "m");
        assert_eq!(event["deprecatedCount"], 2);
        assert!(event.get("message").is_none());
        to_core(&mut event);
        assert_eq!(event, core);
    }
}
