//! What is known of a request's work before it is served.

use kuorum_cache::Resource;
use kuorum_fairness::Work;
use kuorum_fairness::figures::FlowFigures;
use kuorum_fairness::work::{ListShape, write_work};

use crate::layers::overload::Entering;
use crate::request::options::ListOptions;

/// The estimate. `level_seats_max`: most seats of one request in its level, 0 for no such limit.
pub fn estimate(entering: &Entering<'_>, level_seats_max: u32, figures: &FlowFigures) -> Work {
    let info = entering.info;
    if !info.is_resource {
        return Work::ONE;
    }
    match info.verb {
        "list" | "watch" => list_work(entering, level_seats_max),
        // A token is made, and no watcher of its ServiceAccount learns of it.
        "create" if info.subresource == "token" && info.resource == "serviceaccounts" => Work::ONE,
        "create" | "update" | "patch" | "delete" => {
            let Some(resource) = resource(entering) else { return Work::ONE };
            let namespace = if resource.spec().namespaced { info.namespace } else { "" };
            let watchers = resource.watchers(namespace, info.name) as u64;
            figures.watchers.observe(watchers);
            write_work(watchers, level_seats_max)
        }
        _ => Work::ONE,
    }
}

fn list_work(entering: &Entering<'_>, level_seats_max: u32) -> Work {
    // A request with options that do not parse is refused before it costs anything.
    let Ok(options) = ListOptions::parse(entering.query) else { return Work::ONE };
    let from_start = matches!(options.resource_version.as_str(), "" | "0");
    if entering.info.verb == "watch" && options.send_initial_events != Some(true) && !from_start {
        return Work::ONE;
    }
    let Some(resource) = resource(entering) else { return Work::ONE };
    let (objects, bytes) = resource.stats();
    let selects = !options.label_selector.is_empty() || !options.field_selector.is_empty();
    let shape = ListShape {
        objects,
        bytes,
        limit: options.limit.try_into().unwrap_or(0),
        single: !entering.info.name.is_empty() || options.field_selector.contains("metadata.name="),
        selects,
        from_store: entering.info.verb == "list" && reads_store(&options),
    };
    shape.work(level_seats_max)
}

/// Whether an exact old revision is asked for, which the caches may not have.
fn reads_store(options: &ListOptions) -> bool {
    let old = !matches!(options.resource_version.as_str(), "" | "0");
    match options.resource_version_match.as_str() {
        "Exact" => true,
        "" => old && options.limit > 0,
        _ => false,
    }
}

fn resource(entering: &Entering<'_>) -> Option<Resource> {
    let (app, info) = (entering.app, entering.info);
    let kinds = app.kinds.load();
    let kind = kinds.registry.resource(info.group, info.version, info.resource)?;
    app.store.resource(&kind.storage_prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::query::Query;

    #[test]
    fn which_lists_read_the_store() {
        for (query, want) in [
            ("", false),
            ("limit=500", false),
            ("resourceVersion=0&limit=500", false),
            ("resourceVersion=7", false),
            ("resourceVersion=7&limit=500", true),
            ("resourceVersion=7&resourceVersionMatch=Exact", true),
            ("resourceVersion=7&resourceVersionMatch=NotOlderThan&limit=500", false),
        ] {
            let options = ListOptions::parse(&Query::parse(query)).unwrap();
            assert_eq!(reads_store(&options), want, "{query}");
        }
    }
}
