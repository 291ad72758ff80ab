//! The documents as clients read them.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

fn strings(words: &str) -> Vec<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

const ALL: &str = "create delete deletecollection get list patch update watch";

fn resource(group: &str, version: &str, kind: &str, plural: &str, namespaced: bool) -> Resource {
    Resource {
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
        plural: plural.into(),
        namespaced,
        verbs: strings(ALL),
        subresources: Vec::new(),
        schema: None,
    }
}

fn sample() -> Vec<Resource> {
    let subresource = |name: &str, group: &str, version: &str, kind: &str, verbs: &str| Subresource {
        name: name.into(),
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
        verbs: strings(verbs),
    };
    let mut pods = resource("", "v1", "Pod", "pods", true);
    pods.subresources = vec![
        subresource("status", "", "v1", "Pod", "get patch update"),
        subresource("eviction", "policy", "v1", "Eviction", "create"),
        subresource("exec", "", "v1", "PodExecOptions", "create get"),
        subresource("log", "", "v1", "Pod", "get"),
    ];
    let mut deployments = resource("apps", "v1", "Deployment", "deployments", true);
    deployments.subresources = vec![subresource("scale", "autoscaling", "v1", "Scale", "get patch update")];
    let mut docs = resource("o-crd-openapi.io", "v1", "Doc", "docs", true);
    docs.schema = Some(Arc::new(json!({"type": "object", "description": "a doc", "properties": {
        "spec": {"type": "object", "properties": {"b": {"x-kubernetes-int-or-string": true}}}}})));
    let reviews = Resource {
        verbs: strings("create"),
        ..resource("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", false)
    };
    let crds = resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false);
    vec![pods, resource("", "v1", "Node", "nodes", false), deployments, docs, reviews, crds]
}

fn v3(path: &str) -> Value {
    serde_json::from_slice(&v3_document(&sample(), path).unwrap()).unwrap()
}

/// Every `$ref` under `value`.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                found.insert(target.to_owned());
            }
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn every_reference_resolves(document: &Value) {
    let mut found = BTreeSet::new();
    references(document, &mut found);
    assert!(!found.is_empty());
    for target in found {
        let pointer = target.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
}

#[test]
fn a_group_version_in_version_3() {
    let document = v3("apis/apps/v1");
    every_reference_resolves(&document);
    let path = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
    assert_eq!(path["patch"]["operationId"], "patchAppsV1NamespacedDeployment");
    assert_eq!(path["patch"]["x-kubernetes-action"], "patch");
    let kind = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    assert_eq!(path["patch"]["x-kubernetes-group-version-kind"], kind);
    let names: Vec<&str> =
        path["patch"]["parameters"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
    let scale = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"];
    assert_eq!(scale["get"]["operationId"], "readAppsV1NamespacedDeploymentScale");
    assert_eq!(scale["get"]["x-kubernetes-group-version-kind"]["kind"], "Scale");
    let collection = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments"];
    assert_eq!(collection["delete"]["operationId"], "deleteAppsV1CollectionNamespacedDeployment");
    let all = &document["paths"]["/apis/apps/v1/deployments"]["get"]["operationId"];
    assert_eq!(all, "listAppsV1DeploymentForAllNamespaces");
    let watch = &document["paths"]["/apis/apps/v1/watch/namespaces/{namespace}/deployments"]["get"];
    assert_eq!(watch["operationId"], "watchAppsV1NamespacedDeploymentList");
}

#[test]
fn schemas_in_version_3() {
    let document = v3("api/v1");
    every_reference_resolves(&document);
    let schemas = &document["components"]["schemas"];
    let port = &schemas["io.k8s.api.core.v1.ContainerPort"];
    assert_eq!(port["required"], json!(["containerPort"]));
    assert_eq!(port["properties"]["protocol"]["default"], "TCP");
    assert_eq!(port["properties"]["protocol"]["enum"], json!(["SCTP", "TCP", "UDP"]));
    assert!(port["properties"]["protocol"]["description"].as_str().unwrap().starts_with("Protocol for port."));
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    let template = &schemas["io.k8s.api.core.v1.Pod"]["properties"]["spec"];
    assert_eq!(template["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.core.v1.PodSpec");
    assert_eq!(template["default"], json!({}));
    let exec = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}/exec"];
    assert_eq!(exec["get"]["operationId"], "connectCoreV1GetNamespacedPodExec");
    assert_eq!(exec["post"]["x-kubernetes-action"], "connect");
    let kind = &schemas["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"];
    assert_eq!(kind, &json!([{"group": "", "kind": "Pod", "version": "v1"}]));
}

#[test]
fn a_custom_resource() {
    let document = v3("apis/o-crd-openapi.io/v1");
    every_reference_resolves(&document);
    let path = &document["paths"]["/apis/o-crd-openapi.io/v1/namespaces/{namespace}/docs/{name}"];
    assert_eq!(path["put"]["operationId"], "replaceOCrdOpenapiIoV1NamespacedDoc");
    assert_eq!(path["put"]["tags"], json!(["oCrdOpenapiIo_v1"]));
    let doc = &document["components"]["schemas"]["io.o-crd-openapi.v1.Doc"];
    let int_or_string = json!({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true});
    assert_eq!(doc["properties"]["spec"]["properties"]["b"], int_or_string);
    assert_eq!(doc["properties"]["kind"]["type"], "string");
    assert!(document["components"]["schemas"]["io.o-crd-openapi.v1.DocList"].is_object());
}

#[test]
fn the_index_has_the_hash_of_each_document() {
    use sha2::{Digest, Sha256};
    let resources = sample();
    let index: Value = serde_json::from_slice(&v3_index(&resources)).unwrap();
    let paths = index["paths"].as_object().unwrap();
    assert!(paths.contains_key("api/v1") && paths.contains_key("apis/apps") && paths.contains_key("version"));
    for (path, entry) in paths {
        let document = v3_document(&resources, path).unwrap();
        let hash: String = Sha256::digest(&document).iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(entry["serverRelativeURL"], format!("/openapi/v3/{path}?hash={hash}"));
        every_document_is_json(&document);
    }
    assert!(v3_document(&resources, "apis/nothing/v1").is_none());
}

fn every_document_is_json(document: &[u8]) {
    let parsed: Value = serde_json::from_slice(document).unwrap();
    assert_eq!(parsed["openapi"], "3.0.0");
}

#[test]
fn version_2() {
    let document: Value = serde_json::from_slice(&v2_document(&sample())).unwrap();
    every_reference_resolves(&document);
    let definitions = document["definitions"].as_object().unwrap();
    let metadata = &definitions["io.k8s.api.core.v1.Pod"]["properties"]["metadata"];
    assert_eq!(metadata["$ref"], "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    assert_eq!(definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"]["type"], "string");
    assert!(definitions["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"].get("default").is_none());
    let patch = &document["paths"]["/api/v1/nodes/{name}"]["patch"];
    assert_eq!(patch["parameters"][0]["in"], "body");
    assert_eq!(patch["parameters"][1]["name"], "dryRun");
}

/// Reads protobuf back without a schema: fields by number.
fn fields(mut bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                let value = varint(&mut bytes);
                out.push(((key >> 3) as u32, value.to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            _ => varint(&mut bytes) as usize,
        };
        out.push(((key >> 3) as u32, bytes[..length].to_vec()));
        bytes = &bytes[length..];
    }
    out
}

fn child(bytes: &[u8], path: &[u32]) -> Vec<u8> {
    path.iter().fold(bytes.to_vec(), |bytes, number| {
        fields(&bytes).into_iter().find(|(field, _)| field == number).unwrap_or_else(|| panic!("no field {number}")).1
    })
}

#[test]
fn version_2_in_protobuf() {
    let document = v2_protobuf(&sample());
    assert_eq!(child(&document, &[1]), b"2.0");
    let definitions: Vec<Vec<u8>> =
        fields(&document).into_iter().filter(|(field, _)| *field == 9).map(|(_, entry)| child(&entry, &[1])).collect();
    let pod = definitions.iter().find(|entry| child(entry, &[1]) == b"io.k8s.api.core.v1.Pod").unwrap();
    assert_eq!(child(pod, &[2, 22, 1]), b"object");
    let extension = child(pod, &[2, 31]);
    assert_eq!(child(&extension, &[1]), b"x-kubernetes-group-version-kind");
    assert_eq!(child(&extension, &[2, 2]), br#"[{"group":"","kind":"Pod","version":"v1"}]"#);
    let paths: Vec<Vec<u8>> =
        fields(&document).into_iter().filter(|(field, _)| *field == 8).map(|(_, entry)| child(&entry, &[2])).collect();
    let node = paths.iter().find(|entry| child(entry, &[1]) == b"/api/v1/nodes/{name}").unwrap();
    let patch = child(node, &[2, 8]);
    let queries: Vec<String> = fields(&patch)
        .into_iter()
        .filter(|(field, _)| *field == 8)
        .filter_map(|(_, item)| {
            let parameter = child(&item, &[1]);
            let kind = fields(&parameter)[0].0;
            (kind == 2).then(|| String::from_utf8(child(&parameter, &[2, 3, 4])).unwrap())
        })
        .collect();
    assert_eq!(queries, ["dryRun", "fieldManager", "fieldValidation", "force"]);
}
