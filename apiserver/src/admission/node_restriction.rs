//! NodeRestriction: a node changes itself, its pods and what belongs to them, and nothing by which it could draw other
//! workloads or the secrets of other nodes to itself.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kuorum_kinds::value as json;
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::read::{Class, Name};
use super::{Attributes, Operation, Plugin, Verdict, references, refuse};
use crate::auth::User;
use crate::status::ApiError;

pub struct NodeRestriction;

const PODS: Name = Name("", "v1", "pods");
const NODES: Name = Name("", "v1", "nodes");
const MIRROR: &str = "kubernetes.io/config.mirror";
const LEASES_OF_NODES: &str = "kube-node-lease";
/// Signers whose certificates say that one is a node.
const NODE_SIGNERS: [&str; 2] = ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"];

/// Labels of Kubernetes that kubelets set on their node, and domains in which they may set any.
const KUBELET_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "kubernetes.io/os",
    "kubernetes.io/arch",
];
const KUBELET_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];
/// Labels by which administrators keep nodes apart.
const RESTRICTED_DOMAIN: &str = "node-restriction.kubernetes.io";

impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a mut Attributes<'_>,
        object: Option<&'a mut Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        // Deletions are judged where the object is known for sure.
        if !matches!(attributes.operation, Operation::Create | Operation::Update) {
            return None;
        }
        let node = node_name(attributes.call.user)?;
        restrict(attributes, node, object.as_deref(), old).err().map(refuse)
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        _object: Option<&'a Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if attributes.operation != Operation::Delete {
            return None;
        }
        let node = node_name(attributes.call.user)?;
        restrict(attributes, node, None, old).err().map(refuse)
    }
}

/// The node that a user is; `None`: it is no node. The name may be empty, which is no node's.
fn node_name(user: &User) -> Option<&str> {
    user.name.strip_prefix("system:node:").filter(|_| user.is_in("system:nodes"))
}

fn restrict(
    attributes: &Attributes<'_>,
    node: &str,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let no = |why: String| Err(attributes.refusal(object.unwrap_or(&Value::Null), why));
    if node.is_empty() {
        return no(format!("could not determine node from user {:?}", attributes.call.user.name));
    }
    let row = &attributes.kind.row;
    let object = object.unwrap_or(&Value::Null);
    let outcome = match (row.group, row.plural, attributes.subresource) {
        ("", "pods", "") => pod(attributes, node, object, old),
        ("", "pods", "status") => pod_status(attributes.operation, node, object, old),
        ("", "pods", "eviction") => return eviction(attributes, node, object),
        ("", "pods", other) => {
            Err(format!("unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed"))
        }
        ("", "nodes", _) => own_node(attributes, node, object, old),
        ("", "persistentvolumeclaims", "status") => claim_status(node, object, old),
        ("", "persistentvolumeclaims", _) => Err("may only update PVC status".to_owned()),
        ("", "serviceaccounts", "token") => return token(attributes, node, object),
        ("coordination.k8s.io", "leases", _) => lease(attributes, node, object),
        ("storage.k8s.io", "csinodes", _) => {
            let own = named(attributes, object) == node;
            if own {
                Ok(())
            } else {
                Err("can only access CSINode with the same name as the requesting node".to_owned())
            }
        }
        ("resource.k8s.io", "resourceslices", _) => slice(attributes.operation, node, object, old),
        ("certificates.k8s.io", "certificatesigningrequests", "") => request_of_node(attributes, node, object),
        _ => Ok(()),
    };
    outcome.or_else(no)
}

/// The name of the object: the path's, or on a create its own.
fn named<'a>(attributes: &'a Attributes<'_>, object: &'a Value) -> &'a str {
    if attributes.operation == Operation::Create { json::text(object, "metadata.name") } else { attributes.name }
}

fn pod(attributes: &Attributes<'_>, node: &str, pod: &Value, old: Option<&Value>) -> Result<(), String> {
    match attributes.operation {
        Operation::Create => {
            let uid = new_pod(node, pod)?;
            let found = NODES.get::<Class>(attributes.call, node);
            let found = found.map_err(|e| format!("error looking up node {node} to verify uid: {e}"))?;
            let own = found.map(|n| n.metadata.uid).ok_or_else(|| format!("node {node:?} not found"))?;
            if uid == own { Ok(()) } else { Err(format!("node {node} UID mismatch: expected {uid} got {own}")) }
        }
        Operation::Delete if old.is_some_and(|old| json::text(old, "spec.nodeName") == node) => Ok(()),
        Operation::Delete => Err(format!("node {node:?} can only delete pods with spec.nodeName set to itself")),
        other => Err(format!(
            "unexpected operation {:?}, node {node:?} can only create and delete mirror pods",
            other.to_string()
        )),
    }
}

/// Mirror pods only, on the node, owned by it, with nothing of the cluster in them. Returns the uid that the owner
/// is said to have.
fn new_pod<'a>(node: &str, pod: &'a Value) -> Result<&'a str, String> {
    if json::get(pod, "metadata.annotations").get(MIRROR).is_none() {
        return Err(format!("pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"));
    }
    if json::text(pod, "spec.nodeName") != node {
        return Err(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let owner = match json::items(pod, "metadata.ownerReferences") {
        [] => return Err(format!("node {node:?} can only create pods with an owner reference set to itself")),
        [owner] => owner,
        _ => return Err(format!("node {node:?} can only create pods with a single owner reference set to itself")),
    };
    let is_node = json::text(owner, "apiVersion") == "v1" && json::text(owner, "kind") == "Node";
    if !is_node || json::text(owner, "name") != node {
        return Err(format!("node {node:?} can only create pods with an owner reference set to itself"));
    }
    if !json::flag(owner, "controller") {
        return Err(format!("node {node:?} can only create pods with a controller owner reference set to itself"));
    }
    if json::flag(owner, "blockOwnerDeletion") {
        return Err(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
    }
    let references = [
        (json::is_set(pod, "spec.serviceAccountName"), "a service account"),
        (references::secrets(pod).next().is_some(), "secrets"),
        (references::config_maps(pod).next().is_some(), "configmaps"),
        (references::projections(pod, "clusterTrustBundle").next().is_some(), "clustertrustbundles"),
        (references::projections(pod, "podCertificate").next().is_some(), "podcertificates"),
        (references::has_claim(pod), "persistentvolumeclaims"),
        (json::is_set(pod, "spec.resourceClaims"), "resourceclaims"),
    ];
    match references.iter().find(|(has, _)| *has) {
        Some((_, what)) => Err(format!("node {node:?} can not create pods that reference {what}")),
        None => Ok(json::text(owner, "uid")),
    }
}

fn pod_status(operation: Operation, node: &str, new: &Value, old: Option<&Value>) -> Result<(), String> {
    let Some(old) = old.filter(|_| operation == Operation::Update) else {
        return Err(format!("unexpected operation {:?}", operation.to_string()));
    };
    if json::text(old, "spec.nodeName") != node {
        return Err(format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself"));
    }
    let differs = |path: &str| !json::equal(json::get(new, path), json::get(old, path));
    if differs("metadata.labels") {
        return Err(format!("node {node:?} cannot update labels through pod status"));
    }
    if differs("status.resourceClaimStatuses") {
        return Err(format!("node {node:?} cannot update resource claim statues"));
    }
    if differs("status.extendedResourceClaimStatus") {
        return Err(format!("node {node:?} cannot update extended resource claim status"));
    }
    Ok(())
}

fn eviction(attributes: &Attributes<'_>, node: &str, eviction: &Value) -> Result<(), ApiError> {
    if attributes.operation != Operation::Create {
        return Err(attributes.forbidden(format!("unexpected operation {}", attributes.operation)));
    }
    let name = match attributes.name {
        "" => json::text(eviction, "metadata.name"),
        name => name,
    };
    if name.is_empty() {
        return Err(attributes.forbidden("could not determine pod from request data"));
    }
    let pod = PODS.get_in::<Value>(attributes.call, attributes.namespace, name)?;
    let pod = pod.ok_or_else(|| ApiError::not_found("", "pods", name))?;
    if json::text(&pod, "spec.nodeName") == node {
        return Ok(());
    }
    Err(attributes.forbidden(format!("node {node} can only evict pods with spec.nodeName set to itself")))
}

fn own_node(attributes: &Attributes<'_>, node: &str, new: &Value, old: Option<&Value>) -> Result<(), String> {
    let name = named(attributes, new);
    if name != node {
        return Err(format!("node {node:?} is not allowed to modify node {name:?}"));
    }
    match (attributes.operation, old) {
        (Operation::Create, _) => new_node(node, new),
        (Operation::Update, Some(old)) => changed_node(node, new, old),
        _ => Ok(()),
    }
}

fn new_node(node: &str, new: &Value) -> Result<(), String> {
    if json::get(new, "spec.configSource").is_object() {
        return Err(format!("node {node:?} is not allowed to create pods with a non-nil configSource"));
    }
    let labels = forbidden_labels(json::get(new, "metadata.labels"), &Value::Null);
    if labels.is_empty() {
        return Ok(());
    }
    Err(format!("node {node:?} is not allowed to set the following labels: {}", labels.join(", ")))
}

fn changed_node(node: &str, new: &Value, old: &Value) -> Result<(), String> {
    let differs = |path: &str| !json::equal(json::get(new, path), json::get(old, path));
    if json::get(new, "spec.configSource").is_object() && differs("spec.configSource") {
        return Err(format!("node {node:?} is not allowed to update configSource to a new non-nil configSource"));
    }
    if differs("spec.taints") {
        return Err(format!("node {node:?} is not allowed to modify taints"));
    }
    // An owner that does not exist has the garbage collector delete the node, and the taints with it.
    if differs("metadata.ownerReferences") {
        return Err(format!("node {node:?} is not allowed to modify ownerReferences"));
    }
    let labels = forbidden_labels(json::get(new, "metadata.labels"), json::get(old, "metadata.labels"));
    if labels.is_empty() { Ok(()) } else { Err(format!("is not allowed to modify labels: {}", labels.join(", "))) }
}

/// Labels that differ and are not a kubelet's to set.
fn forbidden_labels<'a>(new: &'a Value, old: &'a Value) -> Vec<&'a str> {
    let keys = |labels: &'a Value| labels.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    let all: BTreeSet<&str> = keys(new).chain(keys(old)).collect();
    all.into_iter().filter(|key| new.get(key) != old.get(key) && is_forbidden(key)).collect()
}

fn is_forbidden(label: &str) -> bool {
    let domain = label.split_once('/').map_or("", |(domain, _)| domain);
    let within = |parent: &str| domain.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let of_kubelets = KUBELET_LABELS.contains(&label) || KUBELET_DOMAINS.iter().any(|d| within(d));
    within(RESTRICTED_DOMAIN) || ((within("kubernetes.io") || within("k8s.io")) && !of_kubelets)
}

/// What a node says about a volume: its size and how resizing goes on.
fn claim_status(node: &str, new: &Value, old: Option<&Value>) -> Result<(), String> {
    const OWN: [&str; 4] = ["capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"];
    let Some(old) = old else { return Err("unexpected operation \"CREATE\"".to_owned()) };
    let rest = |claim: &Value| {
        let mut claim = claim.clone();
        if let Some(status) = json::existing(&mut claim, "status") {
            for key in OWN {
                json::remove(status, key);
            }
        }
        if let Some(meta) = json::existing(&mut claim, "metadata") {
            json::remove(meta, "resourceVersion");
            json::remove(meta, "managedFields");
        }
        claim
    };
    let (new, old) = (rest(new), rest(old));
    if json::equal(&new, &old) {
        return Ok(());
    }
    let differing =
        ["metadata", "spec", "status"].iter().filter(|part| !json::equal(json::get(&new, part), json::get(&old, part)));
    let differing: Vec<&str> = differing.copied().collect();
    Err(format!(
        "node {node:?} is not allowed to update fields other than status.quantity and status.conditions: {}",
        differing.join(", ")
    ))
}

/// Tokens are for pods on the node.
fn token(attributes: &Attributes<'_>, node: &str, request: &Value) -> Result<(), ApiError> {
    let no = |why: String| Err(attributes.forbidden(why));
    if attributes.operation != Operation::Create {
        return Ok(());
    }
    let bound = json::get(request, "spec.boundObjectRef");
    let (name, uid) = (json::text(bound, "name"), json::text(bound, "uid"));
    if json::text(bound, "apiVersion") != "v1" || json::text(bound, "kind") != "Pod" || name.is_empty() {
        return no("node requested token not bound to a pod".to_owned());
    }
    if uid.is_empty() {
        return no("node requested token with a pod binding without a uid".to_owned());
    }
    let pod = PODS.get_in::<Value>(attributes.call, attributes.namespace, name)?;
    let pod = pod.ok_or_else(|| ApiError::not_found("", "pods", name))?;
    if json::text(&pod, "metadata.uid") != uid {
        return no(format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        ));
    }
    if json::text(&pod, "spec.nodeName") != node {
        return no("node requested token bound to a pod scheduled on a different node".to_owned());
    }
    Ok(())
}

fn lease(attributes: &Attributes<'_>, node: &str, lease: &Value) -> Result<(), String> {
    if attributes.namespace != LEASES_OF_NODES {
        return Err(format!("can only access leases in the {LEASES_OF_NODES:?} system namespace"));
    }
    if named(attributes, lease) != node {
        return Err("can only access node lease with the same name as the requesting node".to_owned());
    }
    Ok(())
}

fn slice(operation: Operation, node: &str, new: &Value, old: Option<&Value>) -> Result<(), String> {
    let (slice, verb) = match operation {
        Operation::Create => (new, "create"),
        Operation::Delete => (old.unwrap_or(&Value::Null), "delete"),
        _ => return Ok(()),
    };
    if json::text(slice, "spec.nodeName") == node {
        return Ok(());
    }
    Err(format!("can only {verb} ResourceSlice with the same NodeName as the requesting node"))
}

fn request_of_node(attributes: &Attributes<'_>, node: &str, csr: &Value) -> Result<(), String> {
    let of_node = NODE_SIGNERS.contains(&json::text(csr, "spec.signerName"));
    if attributes.operation != Operation::Create || !of_node {
        return Ok(());
    }
    let name = common_name(json::text(csr, "spec.request")).map_err(|why| format!("unable to parse csr: {why}"))?;
    let own = format!("system:node:{node}");
    if name == own { Ok(()) } else { Err(format!("can only create a node CSR with CN={own}")) }
}

/// The common name of a request, which is PEM in base64; empty where there is none or more than one.
fn common_name(request: &str) -> Result<String, String> {
    let pem = STANDARD.decode(request).map_err(|e| e.to_string())?;
    let der = CertificateSigningRequestDer::from_pem_slice(&pem)
        .map_err(|_| "PEM block type must be CERTIFICATE REQUEST".to_owned())?;
    let (_, parsed) = X509CertificationRequest::from_der(&der).map_err(|e| e.to_string())?;
    let mut names = parsed.certification_request_info.subject.iter_common_name();
    match (names.next(), names.next()) {
        (Some(name), None) => name.as_str().map(str::to_owned).map_err(|e| e.to_string()),
        _ => Ok(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nodes_are_known_by_name_and_group() {
        let user = |name: &str, group: &str| User { name: name.into(), groups: vec![group.into()], ..User::default() };
        assert_eq!(node_name(&user("system:node:a", "system:nodes")), Some("a"));
        assert_eq!(node_name(&user("system:node:", "system:nodes")), Some(""));
        assert_eq!(node_name(&user("system:node:a", "system:masters")), None);
        assert_eq!(node_name(&user("a", "system:nodes")), None);
    }

    fn mirror(metadata: Value, spec: Value) -> Value {
        let mut pod = json!({
            "metadata": {
                "annotations": {MIRROR: "x"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "u", "controller": true}],
            },
            "spec": {"nodeName": "a"},
        });
        pod["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        pod
    }

    #[test]
    fn nodes_make_mirror_pods_only() {
        let owner = |change: Value| {
            let mut owner = json!({"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "u", "controller": true});
            owner.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            json!({"ownerReferences": [owner]})
        };
        let two = json!({"ownerReferences": [{}, {}]});
        let rows = [
            (mirror(json!({}), json!({})), ""),
            (
                mirror(json!({"annotations": {}}), json!({})),
                "pod does not have \"kubernetes.io/config.mirror\" annotation",
            ),
            (mirror(json!({}), json!({"nodeName": "b"})), "spec.nodeName set to itself"),
            (mirror(json!({"ownerReferences": []}), json!({})), "an owner reference set to itself"),
            (mirror(two, json!({})), "a single owner reference set to itself"),
            (mirror(owner(json!({"name": "b"})), json!({})), "an owner reference set to itself"),
            (mirror(owner(json!({"kind": "Pod"})), json!({})), "an owner reference set to itself"),
            (mirror(owner(json!({"controller": false})), json!({})), "a controller owner reference"),
            (mirror(owner(json!({"blockOwnerDeletion": true})), json!({})), "must not set blockOwnerDeletion"),
            (mirror(json!({}), json!({"serviceAccountName": "s"})), "reference a service account"),
            (mirror(json!({}), json!({"imagePullSecrets": [{"name": "s"}]})), "reference secrets"),
            (mirror(json!({}), json!({"volumes": [{"configMap": {"name": "c"}}]})), "reference configmaps"),
            (
                mirror(json!({}), json!({"volumes": [{"projected": {"sources": [{"clusterTrustBundle": {}}]}}]})),
                "reference clustertrustbundles",
            ),
            (
                mirror(json!({}), json!({"volumes": [{"persistentVolumeClaim": {}}]})),
                "reference persistentvolumeclaims",
            ),
            (mirror(json!({}), json!({"resourceClaims": [{"name": "r"}]})), "reference resourceclaims"),
        ];
        for (pod, part) in rows {
            let outcome = new_pod("a", &pod);
            assert_eq!(outcome.is_ok(), part.is_empty(), "{pod}");
            assert!(outcome.err().unwrap_or_default().contains(part), "{pod}");
        }
    }

    #[test]
    fn a_node_does_not_change_what_is_said_about_it() {
        let node = |metadata: Value, spec: Value| json!({"metadata": metadata, "spec": spec});
        let old = node(json!({"labels": {"a": "b", "kubernetes.io/hostname": "h"}}), json!({"taints": [{"key": "k"}]}));
        let with = |metadata: Value| node(metadata, json!({"taints": [{"key": "k"}]}));
        let labels = |labels: Value| with(json!({"labels": labels}));
        let rows = [
            (old.clone(), ""),
            (
                labels(
                    json!({"a": "c", "kubernetes.io/hostname": "i", "node.kubernetes.io/x": "y", "a.kubelet.kubernetes.io/b": "c"}),
                ),
                "",
            ),
            (
                labels(json!({"a": "b", "kubernetes.io/hostname": "h", "node-restriction.kubernetes.io/x": "y"})),
                "modify labels: node-restriction.kubernetes.io/x",
            ),
            (
                labels(json!({"foo.node-restriction.kubernetes.io/x": "y"})),
                "modify labels: foo.node-restriction.kubernetes.io/x",
            ),
            (
                labels(json!({"node-role.kubernetes.io/control-plane": "", "x.k8s.io/y": ""})),
                "modify labels: node-role.kubernetes.io/control-plane, x.k8s.io/y",
            ),
            (node(json!({"labels": {"a": "b", "kubernetes.io/hostname": "h"}}), json!({})), "modify taints"),
            (
                with(
                    json!({"labels": {"a": "b", "kubernetes.io/hostname": "h"}, "ownerReferences": [{"uid": "gone"}]}),
                ),
                "modify ownerReferences",
            ),
        ];
        for (new, part) in rows {
            let outcome = changed_node("n", &new, &old);
            assert_eq!(outcome.is_ok(), part.is_empty(), "{new}");
            assert!(outcome.err().unwrap_or_default().contains(part), "{new}");
        }
        assert!(new_node("n", &labels(json!({"kubernetes.io/os": "linux"}))).is_ok());
        let why = new_node("n", &labels(json!({"x.kubernetes.io/y": ""}))).unwrap_err();
        assert_eq!(why, "node \"n\" is not allowed to set the following labels: x.kubernetes.io/y");
    }

    #[test]
    fn status_is_all_that_is_changed() {
        let pod = |node: &str, labels: Value, claims: Value| json!({"metadata": {"labels": labels}, "spec": {"nodeName": node}, "status": {"resourceClaimStatuses": claims}});
        let old = pod("a", json!({"x": "y"}), json!([]));
        let check =
            |new: &Value, old: &Value| pod_status(Operation::Update, "a", new, Some(old)).err().unwrap_or_default();
        assert_eq!(check(&old, &old), "");
        assert!(check(&old, &pod("b", json!({"x": "y"}), json!([]))).contains("spec.nodeName set to itself"));
        assert!(check(&pod("a", json!({}), json!([])), &old).contains("cannot update labels through pod status"));
        assert!(check(&pod("a", json!({"x": "y"}), json!([{"name": "c"}])), &old).contains("resource claim"));
        let claim = |size: &str, label: &str| json!({"metadata": {"labels": {"l": label}}, "status": {"capacity": {"storage": size}}});
        assert!(claim_status("a", &claim("2Gi", "x"), Some(&claim("1Gi", "x"))).is_ok());
        assert!(
            claim_status("a", &claim("1Gi", "y"), Some(&claim("1Gi", "x")))
                .unwrap_err()
                .ends_with("status.conditions: metadata")
        );
    }

    #[test]
    fn slices_are_of_the_node() {
        let slice_of = |node: &str| json!({"spec": {"nodeName": node}});
        assert!(slice(Operation::Create, "a", &slice_of("a"), None).is_ok());
        assert!(slice(Operation::Create, "a", &slice_of("b"), None).is_err());
        assert!(slice(Operation::Delete, "a", &Value::Null, Some(&slice_of("b"))).is_err());
        assert!(slice(Operation::Update, "a", &slice_of("b"), Some(&slice_of("b"))).is_ok());
    }

    #[test]
    fn certificates_are_asked_for_in_the_nodes_name() {
        let key = rcgen::KeyPair::generate().unwrap();
        let request = |names: &[&str]| {
            let mut params = rcgen::CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            for name in names {
                params.distinguished_name.push(rcgen::DnType::CommonName, *name);
            }
            STANDARD.encode(params.serialize_request(&key).unwrap().pem().unwrap())
        };
        assert_eq!(common_name(&request(&["system:node:a"])), Ok("system:node:a".to_owned()));
        assert_eq!(common_name(&request(&[])), Ok(String::new()));
        assert!(common_name("!").is_err());
    }
}
