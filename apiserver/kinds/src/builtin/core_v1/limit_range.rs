//! LimitRange: the defaults of a container limit come from its bounds.

use serde_json::Value;

use crate::hooks::Hooks;
use crate::value::{child, entries, existing, get, items_mut, set, text};

pub const HOOKS: Hooks = Hooks { default: Some(default), ..Hooks::NONE };

fn default(range: &mut Value) {
    let Some(spec) = existing(range, "spec") else { return };
    for limit in items_mut(spec, "limits") {
        if text(limit, "type") == "Container" {
            // A default limit is the maximum; a default request is the default limit, else the minimum.
            fill(limit, "max", "default");
            fill(limit, "default", "defaultRequest");
            fill(limit, "min", "defaultRequest");
        }
    }
}

fn fill(limit: &mut Value, from: &str, to: &str) {
    let missing: Vec<(String, Value)> = entries(limit, from)
        .filter(|(name, _)| get(limit, to).get(name).is_none())
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    if !missing.is_empty()
        && let Some(target) = child(limit, to)
    {
        for (name, value) in missing {
            set(target, &name, value);
        }
    }
}
