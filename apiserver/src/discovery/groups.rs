//! The per-group discovery documents, fields in the order of the Go types: scripts match on it.

use kuorum_kinds::kind::Kind;
use kuorum_kinds::registry::{Group, GroupVersion, Registry};
use kuorum_kinds::row::Scope;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiVersions<'a> {
    kind: &'static str,
    versions: [&'static str; 1],
    #[serde(rename = "serverAddressByClientCIDRs")]
    server_addresses: [ServerAddress<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServerAddress<'a> {
    #[serde(rename = "clientCIDR")]
    client_cidr: &'static str,
    server_address: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Version<'a> {
    group_version: &'a str,
    version: &'a str,
}

impl<'a> Version<'a> {
    fn of(version: &'a GroupVersion) -> Self {
        Version { group_version: &version.api_version, version: &version.version }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroup<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    api_version: &'static str,
    name: &'a str,
    versions: Vec<Version<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_version: Option<Version<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroupList<'a> {
    kind: &'static str,
    api_version: &'static str,
    groups: Vec<ApiGroup<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiResourceList<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    api_version: &'static str,
    group_version: &'a str,
    resources: Vec<ApiResource<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiResource<'a> {
    name: String,
    singular_name: &'a str,
    namespaced: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    kind: &'a str,
    verbs: &'a [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'a [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'a [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_version_hash: Option<String>,
}

/// `/api`
pub fn api_versions(address: &str) -> ApiVersions<'_> {
    ApiVersions {
        kind: "APIVersions",
        versions: ["v1"],
        server_addresses: [ServerAddress { client_cidr: "0.0.0.0/0", server_address: address }],
    }
}

/// `/apis`
pub fn group_list(registry: &Registry) -> ApiGroupList<'_> {
    let named = registry.groups().iter().filter(|g| !g.name.is_empty());
    let groups = named.map(|g| ApiGroup { kind: "", api_version: "", ..group(g) }).collect();
    ApiGroupList { kind: "APIGroupList", api_version: "v1", groups }
}

/// `/apis/<group>`
pub fn group(group: &Group) -> ApiGroup<'_> {
    ApiGroup {
        kind: "APIGroup",
        api_version: "v1",
        name: &group.name,
        versions: group.versions.iter().map(Version::of).collect(),
        preferred_version: group.versions.first().map(Version::of),
    }
}

/// `/apis/<group>/<version>`
pub fn resource_list<'a>(registry: &'a Registry, group: &'a str, version: &'a GroupVersion) -> ApiResourceList<'a> {
    let mut resources = Vec::new();
    for kind in registry.of_version(group, &version.version) {
        resources.push(main_resource(kind));
        resources.extend(subresources(kind));
    }
    // Objects first, then parts, as names sort.
    resources.sort_by(|a, b| a.name.cmp(&b.name));
    ApiResourceList {
        kind: "APIResourceList",
        // The core group's list is older than the field.
        api_version: if group.is_empty() { "" } else { "v1" },
        group_version: &version.api_version,
        resources,
    }
}

fn main_resource(kind: &Kind) -> ApiResource<'_> {
    let row = &kind.row;
    ApiResource {
        name: row.plural.to_owned(),
        singular_name: row.singular,
        namespaced: row.scope == Scope::Namespaced,
        group: "",
        version: "",
        kind: row.kind,
        verbs: row.verbs,
        short_names: row.short_names,
        categories: row.categories,
        storage_version_hash: kind.storage_version_hash(),
    }
}

fn subresources(kind: &Kind) -> impl Iterator<Item = ApiResource<'_>> {
    let row = &kind.row;
    row.subresources.iter().map(|s| {
        let (group, version, body) = s.kind.unwrap_or(("", "", row.kind));
        let own = group == row.group && version == row.version;
        ApiResource {
            name: format!("{}/{}", row.plural, s.name),
            singular_name: "",
            namespaced: row.scope == Scope::Namespaced,
            group: if own { "" } else { group },
            version: if own { "" } else { version },
            kind: body,
            verbs: s.verbs,
            short_names: &[],
            categories: &[],
            storage_version_hash: None,
        }
    })
}
