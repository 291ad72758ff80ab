//! Aggregated discovery (`apidiscovery.k8s.io/v2`): everything in two documents, with tags for caching.

use bytes::Bytes;
use http::HeaderMap;
use kuorum_kinds::kind::Kind;
use kuorum_kinds::registry::Registry;
use kuorum_kinds::row::Scope;
use serde::Serialize;

use crate::request::negotiate::Format;

/// A ready document.
pub struct Document {
    pub json: Bytes,
    pub etag: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupDiscoveryList<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Empty,
    items: Vec<GroupDiscovery<'a>>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Meta<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
}

#[derive(Serialize)]
struct GroupDiscovery<'a> {
    metadata: Meta<'a>,
    versions: Vec<VersionDiscovery<'a>>,
}

#[derive(Serialize)]
struct VersionDiscovery<'a> {
    version: &'a str,
    resources: Vec<ResourceDiscovery<'a>>,
    freshness: &'static str,
}

#[derive(Serialize)]
struct ResponseKind<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceDiscovery<'a> {
    resource: &'a str,
    response_kind: ResponseKind<'a>,
    scope: &'static str,
    singular_resource: &'a str,
    verbs: &'a [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'a [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'a [&'static str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<SubresourceDiscovery<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubresourceDiscovery<'a> {
    subresource: &'a str,
    response_kind: ResponseKind<'a>,
    verbs: &'a [&'static str],
}

impl Document {
    /// The core group alone (`/api`), or all others (`/apis`).
    pub fn new(registry: &Registry, core: bool) -> Self {
        let groups = registry.groups().iter().filter(|g| g.name.is_empty() == core);
        let items = groups
            .map(|g| GroupDiscovery {
                metadata: Meta { name: &g.name },
                versions: g
                    .versions
                    .iter()
                    .map(|v| VersionDiscovery {
                        version: &v.version,
                        resources: registry.of_version(&g.name, &v.version).map(|k| resource(k)).collect(),
                        freshness: "Current",
                    })
                    .collect(),
            })
            .collect();
        let list = GroupDiscoveryList {
            kind: "APIGroupDiscoveryList",
            api_version: "apidiscovery.k8s.io/v2",
            metadata: Empty {},
            items,
        };
        let mut json = serde_json::to_vec(&list).unwrap_or_default();
        let etag = super::etag(&json);
        json.push(b'\n');
        Document { json: Bytes::from(json), etag }
    }
}

fn resource(kind: &Kind) -> ResourceDiscovery<'_> {
    let row = &kind.row;
    ResourceDiscovery {
        resource: row.plural,
        response_kind: ResponseKind { group: "", version: "", kind: row.kind },
        scope: if row.scope == Scope::Namespaced { "Namespaced" } else { "Cluster" },
        singular_resource: row.singular,
        verbs: row.verbs,
        short_names: row.short_names,
        categories: row.categories,
        subresources: row
            .subresources
            .iter()
            .map(|s| {
                let (group, version, body) = s.kind.unwrap_or(("", "", row.kind));
                let own = group == row.group && version == row.version;
                let (group, version) = if own { ("", "") } else { (group, version) };
                SubresourceDiscovery {
                    subresource: s.name,
                    response_kind: ResponseKind { group, version, kind: body },
                    verbs: s.verbs,
                }
            })
            .collect(),
    }
}

/// Whether the client asks for this form, and in which format. The first clause that names it counts; clients list
/// it before the plain type that they fall back to.
pub fn wanted(headers: &HeaderMap) -> Option<Format> {
    let accept = headers.get(http::header::ACCEPT)?.to_str().ok()?;
    accept.split(',').find_map(|clause| {
        let mut parts = clause.split(';').map(str::trim);
        let format = match parts.next()? {
            "application/json" => Format::Json,
            "application/yaml" => Format::Yaml,
            _ => return None,
        };
        let (mut group, mut version, mut kind) = (false, false, false);
        for part in parts {
            match part {
                "g=apidiscovery.k8s.io" => group = true,
                "v=v2" => version = true,
                "as=APIGroupDiscoveryList" => kind = true,
                _ => {}
            }
        }
        (group && version && kind).then_some(format)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_v2_is_known() {
        let ask = |accept: &str| {
            let mut h = HeaderMap::new();
            h.insert(http::header::ACCEPT, accept.parse().unwrap());
            wanted(&h)
        };
        let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        assert_eq!(ask(v2), Some(Format::Json));
        assert_eq!(ask(&format!("{},{v2}", v2.replace("v2", "v2beta1"))), Some(Format::Json));
        assert_eq!(ask(&v2.replace("v=v2", "v=v2beta1")), None);
        assert_eq!(ask("application/json"), None);
    }
}
