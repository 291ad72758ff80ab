//! Whole documents. Each path and definition is written out as it is made, so that no tree of all is in memory.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::definitions::{self, Definitions, META};
use super::descriptions::Descriptions;
use super::operations::{self, Answer, Operation, Path};
use super::render::path_item;
use super::{Dialect, Resource, gnostic};
use crate::codec::print;

/// Of the Kubernetes API that is served.
const VERSION: &str = "v1.36.2";
const VERSION_SHORT: &str = "1.36";

/// `/openapi/v3`: where the documents are, as JSON. Each address carries the SHA-256 of its document in hex, so
/// that clients can keep it for ever.
///
/// Building every document for its hash takes some 100 ms: callers keep the result.
pub fn v3_index(resources: &[Resource]) -> Vec<u8> {
    let descriptions = Descriptions::unpack();
    let mut paths = serde_json::Map::new();
    for path in document_paths(resources) {
        let Some(document) = v3_with(resources, &path, &descriptions) else { continue };
        let hash: String = Sha256::digest(&document).iter().map(|byte| format!("{byte:02X}")).collect();
        let address = format!("/openapi/v3/{path}?hash={hash}");
        paths.insert(path, json!({"serverRelativeURL": address}));
    }
    let mut out = Vec::new();
    print(&json!({"paths": paths}), &mut out);
    out
}

/// `/openapi/v3/<path>`, as JSON: a group version (`api/v1`, `apis/apps/v1`), or the discovery above it (`api`,
/// `apis`, `apis/apps`, `version`…); `None` if nothing is served there.
pub fn v3_document(resources: &[Resource], path: &str) -> Option<Vec<u8>> {
    // Most invented paths need not unpack the texts to be refused.
    document_paths(resources).contains(path).then(|| v3_with(resources, path, &Descriptions::unpack()))?
}

/// `/openapi/v2` as JSON.
pub fn v2_document(resources: &[Resource]) -> Vec<u8> {
    let descriptions = Descriptions::unpack();
    let mut definitions = Definitions::new(Dialect::V2, &descriptions);
    let mut out = Vec::with_capacity(4 << 20);
    out.extend_from_slice(br#"{"swagger":"2.0","info":"#);
    print(&info_v2(), &mut out);
    out.extend_from_slice(br#","paths":{"#);
    let mut first = true;
    v2_paths(resources, &mut definitions, |path, item| {
        member(path, item, &mut first, &mut out);
    });
    out.extend_from_slice(br#"},"definitions":{"#);
    let mut first = true;
    for (name, schema) in definitions.finish() {
        member(&name, &schema, &mut first, &mut out);
    }
    out.extend_from_slice(br#"},"securityDefinitions":"#);
    print(&security(), &mut out);
    out.extend_from_slice(br#","security":[{"BearerToken":[]}]}"#);
    out
}

/// `/openapi/v2` in protobuf (gnostic's `openapi.v2.Document`), which kubectl before 1.27 insists on.
pub fn v2_protobuf(resources: &[Resource]) -> Vec<u8> {
    let descriptions = Descriptions::unpack();
    let mut definitions = Definitions::new(Dialect::V2, &descriptions);
    let mut document = gnostic::Document::new(&info_v2());
    v2_paths(resources, &mut definitions, |path, item| document.path(path, item));
    for (name, schema) in definitions.finish() {
        document.definition(&name, &schema);
    }
    document.finish()
}

fn v2_paths(resources: &[Resource], definitions: &mut Definitions<'_>, mut emit: impl FnMut(&str, &Value)) {
    for document in document_paths(resources) {
        if let Some(path) = discovery(&document) {
            let tag = discovery_tag(&document);
            emit(&path.path, &path_item(&path, &tag, definitions, Dialect::V2));
        }
    }
    for resource in resources {
        define_custom(resource, definitions);
        let tag = operations::tag(&resource.group, &resource.version);
        for path in operations::paths(resource) {
            emit(&path.path, &path_item(&path, &tag, definitions, Dialect::V2));
        }
    }
}

fn v3_with(resources: &[Resource], document: &str, descriptions: &Descriptions) -> Option<Vec<u8>> {
    let mut definitions = Definitions::new(Dialect::V3, descriptions);
    let mut out = Vec::with_capacity(256 << 10);
    out.extend_from_slice(br#"{"openapi":"3.0.0","info":"#);
    print(&json!({"title": "Kubernetes", "version": VERSION_SHORT}), &mut out);
    out.extend_from_slice(br#","paths":{"#);
    let mut first = true;
    let mut write = |path: &Path, tag: &str, definitions: &mut Definitions<'_>| {
        let item = path_item(path, tag, definitions, Dialect::V3);
        member(&path.path, &item, &mut first, &mut out);
    };
    if let Some(path) = discovery(document) {
        write(&path, &discovery_tag(document), &mut definitions);
    }
    for resource in resources.iter().filter(|resource| document_of(resource) == document) {
        define_custom(resource, &mut definitions);
        let tag = operations::tag(&resource.group, &resource.version);
        for path in operations::paths(resource) {
            write(&path, &tag, &mut definitions);
        }
    }
    if first {
        return None;
    }
    out.extend_from_slice(br#"},"components":{"schemas":{"#);
    let mut first = true;
    for (name, schema) in definitions.finish() {
        member(&name, &schema, &mut first, &mut out);
    }
    out.extend_from_slice(br#"},"securitySchemes":"#);
    print(&security(), &mut out);
    out.extend_from_slice(b"}}");
    Some(out)
}

fn member(name: &str, value: &Value, first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::take(first) {
        out.push(b',');
    }
    print(&Value::from(name), out);
    out.push(b':');
    print(value, out);
}

fn info_v2() -> Value {
    json!({"title": "Kubernetes", "version": VERSION})
}

fn security() -> Value {
    json!({"BearerToken": {
        "description": "Bearer Token authentication", "in": "header", "name": "authorization", "type": "apiKey"}})
}

/// The definitions of a custom resource and its list.
fn define_custom(resource: &Resource, definitions: &mut Definitions<'_>) {
    let Some(schema) = &resource.schema else { return };
    let kind = (resource.group.as_str(), resource.version.as_str(), resource.kind.as_str());
    let item = resource.definition();
    let schema = definitions::custom(schema, kind, definitions);
    definitions.define(item.clone(), schema);
    let list = definitions::custom_list(&item, kind, definitions);
    definitions.define(resource.list_definition(), list);
}

/// The path of the document that a resource is in: `api/v1`, `apis/apps/v1`.
fn document_of(resource: &Resource) -> String {
    operations::base(&resource.group, &resource.version).trim_start_matches('/').to_owned()
}

fn document_paths(resources: &[Resource]) -> BTreeSet<String> {
    let fixed = [".well-known/openid-configuration", "api", "apis", "openid/v1/jwks", "version"];
    let mut paths: BTreeSet<String> = fixed.iter().map(|&path| path.to_owned()).collect();
    for resource in resources {
        paths.insert(document_of(resource));
        if !resource.group.is_empty() {
            paths.insert(format!("apis/{}", resource.group));
        }
    }
    paths
}

fn discovery_tag(document: &str) -> String {
    let parts: Vec<&str> = document.split('/').collect();
    match parts.as_slice() {
        ["api", version] => operations::tag("", version),
        ["apis", group, version] => operations::tag(group, version),
        ["apis", group] => operations::tag(group, ""),
        ["api"] => "core".to_owned(),
        ["apis"] => "apis".to_owned(),
        [".well-known", _] => "WellKnown".to_owned(),
        ["openid", ..] => "openid".to_owned(),
        _ => "version".to_owned(),
    }
}

/// The path that tells what is below it: the lists of groups, versions and resources.
fn discovery(document: &str) -> Option<Path> {
    let parts: Vec<&str> = document.split('/').collect();
    let meta = |name: &str| Answer::Object(format!("{META}{name}"));
    let (path, id, text, answer) = match parts.as_slice() {
        ["api"] => {
            ("/api/".to_owned(), "getCoreAPIVersions".to_owned(), "get available API versions", meta("APIVersions"))
        }
        ["apis"] => {
            ("/apis/".to_owned(), "getAPIVersions".to_owned(), "get available API versions", meta("APIGroupList"))
        }
        ["apis", group] => {
            let id = format!("get{}APIGroup", operations::group_title(group));
            (format!("/apis/{group}/"), id, "get information of a group", meta("APIGroup"))
        }
        ["api", version] => {
            let id = format!("get{}APIResources", operations::title("", version));
            (format!("/api/{version}/"), id, "get available resources", meta("APIResourceList"))
        }
        ["apis", group, version] => {
            let id = format!("get{}APIResources", operations::title(group, version));
            (format!("/apis/{group}/{version}/"), id, "get available resources", meta("APIResourceList"))
        }
        ["version"] => {
            let info = Answer::Object("io.k8s.apimachinery.pkg.version.Info".to_owned());
            ("/version/".to_owned(), "getCodeVersion".to_owned(), "get the version information for this server", info)
        }
        [".well-known", "openid-configuration"] => (
            "/.well-known/openid-configuration/".to_owned(),
            "getServiceAccountIssuerOpenIDConfiguration".to_owned(),
            "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
            Answer::Stream,
        ),
        ["openid", "v1", "jwks"] => (
            "/openid/v1/jwks/".to_owned(),
            "getServiceAccountIssuerOpenIDKeyset".to_owned(),
            "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
            Answer::Stream,
        ),
        _ => return None,
    };
    let operation = Operation {
        method: "get",
        action: "",
        id,
        text: text.to_owned(),
        parameters: Vec::new(),
        body: None,
        answer,
        codes: &[],
        kind: Default::default(),
    };
    Some(Path { path, parameters: Vec::new(), operations: vec![operation] })
}
