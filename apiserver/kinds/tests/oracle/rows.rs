//! Walks every row: names are unique, verbs sorted, schemas known, and discovery is what the real server answers.

use std::collections::HashSet;

use kuorum_kinds::registry::Registry;
use kuorum_kinds::row::Scope;
use serde_json::{Value, json};

use crate::scenario;

#[test]
fn every_row_is_well_formed() {
    let registry = Registry::builtin().expect("every row has a schema");
    let mut resources = HashSet::new();
    let mut short_names = HashSet::new();
    for kind in registry.iter() {
        let row = &kind.row;
        let at = format!("{}/{}/{}", row.group, row.version, row.plural);
        assert!(resources.insert(at.clone()), "{at} is there twice");
        for name in row.short_names {
            // Both event APIs answer to `ev`, both autoscaler versions to `hpa`.
            assert!(
                short_names.insert((*name, row.group)) || row.plural == "horizontalpodautoscalers",
                "{at}: short name {name} is taken"
            );
        }
        assert!(row.verbs.is_sorted(), "{at}: verbs");
        assert!(row.subresources.is_sorted_by_key(|s| s.name), "{at}: subresources");
        assert!(row.subresources.iter().all(|s| s.verbs.is_sorted()), "{at}: subresource verbs");
        assert_eq!(row.singular, row.kind.to_lowercase(), "{at}");
        assert!(kind.schema.as_object().is_some(), "{at}: schema");
        assert_eq!(
            registry.resource(row.group, row.version, row.plural).map(|k| k.row.kind),
            Some(row.kind),
            "{at}: look-up"
        );
        assert!(registry.kind(row.group, row.version, row.kind).is_some(), "{at}: look-up by kind");
        for column in kind.table().columns {
            let described = matches!(column.doc, kuorum_kinds::hooks::Doc::Text(_))
                || matches!(column.doc, kuorum_kinds::hooks::Doc::Field(definition, field)
                    if kuorum_schema::catalog().definition(definition).is_some_and(|s| s.field(field).is_some()));
            assert!(described, "{at}: column {} is described by no field", column.name);
        }
        let cells = (kind.table().cells)(&json!({}), 0);
        assert!(cells.len() >= kind.table().columns.len(), "{at}: cells of an empty object");
    }
    assert_eq!(resources.len(), 68);
    assert_eq!(registry.iter().map(|k| k.row.subresources.len()).sum::<usize>(), 45);
    assert_eq!(registry.stored().count(), 58);
}

#[test]
fn unknown_resources_are_not_found() {
    let registry = Registry::builtin().expect("schemas");
    assert!(registry.resource("", "v1", "deployments").is_none());
    assert!(registry.resource("zzz", "v1", "pods").is_none());
    assert!(registry.kind("apps", "v1beta1", "Deployment").is_none());
}

#[test]
fn groups_are_in_discovery_order() {
    let registry = Registry::builtin().expect("schemas");
    let answer = &scenario::read("machinery-discovery-groups")[1].answer;
    let mine: Vec<Value> = registry
        .groups()
        .iter()
        .filter(|group| !group.name.is_empty())
        .map(|group| {
            let version =
                |v: &kuorum_kinds::registry::GroupVersion| json!({"groupVersion": v.api_version, "version": v.version});
            json!({
                "name": group.name,
                "versions": group.versions.iter().map(version).collect::<Vec<_>>(),
                "preferredVersion": version(&group.versions[0]),
            })
        })
        .collect();
    assert_eq!(Value::from(mine), answer["groups"]);
}

#[test]
fn resources_are_those_of_discovery() {
    let registry = Registry::builtin().expect("schemas");
    for step in scenario::read("machinery-discovery-resources") {
        if step.answer["kind"] != "APIResourceList" || !step.headers.is_null() {
            continue;
        }
        let group_version = step.answer["groupVersion"].as_str().expect("groupVersion");
        let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
        let mut mine = Vec::new();
        for kind in registry.of_version(group, version) {
            let row = &kind.row;
            let namespaced = row.scope == Scope::Namespaced;
            let mut entry = json!({
                "name": row.plural, "singularName": row.singular, "namespaced": namespaced, "kind": row.kind,
                "verbs": row.verbs,
            });
            if !row.short_names.is_empty() {
                entry["shortNames"] = json!(row.short_names);
            }
            if !row.categories.is_empty() {
                entry["categories"] = json!(row.categories);
            }
            if let Some(hash) = kind.storage_version_hash() {
                entry["storageVersionHash"] = hash.into();
            }
            mine.push(entry);
            for sub in row.subresources {
                let mut entry = json!({
                    "name": format!("{}/{}", row.plural, sub.name), "singularName": "", "namespaced": namespaced,
                    "kind": sub.kind.map_or(row.kind, |(_, _, kind)| kind), "verbs": sub.verbs,
                });
                if let Some((g, v, _)) = sub.kind
                    && (g, v) != (group, version)
                {
                    entry["group"] = g.into();
                    entry["version"] = v.into();
                }
                mine.push(entry);
            }
        }
        let mut differences = Vec::new();
        scenario::differences(&mine.into(), &step.answer["resources"], group_version, &mut differences);
        assert!(differences.is_empty(), "{differences:#?}");
    }
}
