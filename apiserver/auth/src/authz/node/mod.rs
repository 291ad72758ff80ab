//! The Node authorizer: a kubelet may see what the pods on its node need, and change what is its own.

mod graph;
mod identity;
mod references;

pub use graph::{Graph, Referenced};
pub use identity::{NODES, NodeIdentity, USER_PREFIX, node_identity};
pub use references::{PodReferences, VolumeReferences};

use std::sync::Arc;

use super::attributes::Attributes;
use super::decision::{Answer, Authorizer, Decision, Reason, RuleList};
use super::rbac::rule::PolicyRule;
use crate::user::User;

/// Where the Leases of nodes are.
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// Answers for nodes; has no opinion about others.
pub struct NodeAuthorizer {
    graph: Arc<Graph>,
    /// What every node may do, beside what is decided one by one.
    rules: Vec<PolicyRule>,
}

/// `Err` is why not; it may be empty.
type Outcome = Result<(), String>;

fn refuse(why: &str) -> Outcome {
    Err(why.to_owned())
}

impl NodeAuthorizer {
    pub fn new(graph: Arc<Graph>, rules: Vec<PolicyRule>) -> Self {
        NodeAuthorizer { graph, rules }
    }

    fn decide(&self, node: &str, a: &Attributes<'_>) -> Outcome {
        if !a.is_resource {
            return self.by_rules(a);
        }
        match (a.group, a.resource) {
            ("", "secrets") => self.read(node, Referenced::Secret, a),
            ("", "configmaps") => self.read(node, Referenced::ConfigMap, a),
            ("", "persistentvolumeclaims") if a.subresource == "status" => match a.verb {
                "update" | "patch" => self.related(node, Referenced::Claim, a),
                _ => refuse("can only get/update/patch this type"),
            },
            ("", "persistentvolumeclaims") => self.get(node, Referenced::Claim, a),
            ("", "persistentvolumes") => self.get(node, Referenced::Volume, a),
            ("resource.k8s.io", "resourceclaims") => self.get(node, Referenced::ResourceClaim, a),
            ("storage.k8s.io", "volumeattachments") => self.get(node, Referenced::Attachment, a),
            ("", "serviceaccounts") => self.service_account(node, a),
            ("coordination.k8s.io", "leases") => lease(node, a),
            ("storage.k8s.io", "csinodes") => csi_node(node, a),
            ("resource.k8s.io", "resourceslices") => self.slice(node, a),
            ("", "nodes") => own_node(node, a),
            ("", "pods") => self.pod(node, a),
            _ => self.by_rules(a),
        }
    }

    fn by_rules(&self, a: &Attributes<'_>) -> Outcome {
        if self.rules.iter().any(|rule| rule.allows(a)) { Ok(()) } else { refuse("") }
    }

    /// Whether a pod on the node leads to the object.
    fn related(&self, node: &str, kind: Referenced, a: &Attributes<'_>) -> Outcome {
        if a.name.is_empty() {
            return refuse("No Object name found");
        }
        if self.graph.leads_to(kind, a.namespace, a.name, node) {
            return Ok(());
        }
        Err(format!("no relationship found between node '{node}' and this object"))
    }

    fn get(&self, node: &str, kind: Referenced, a: &Attributes<'_>) -> Outcome {
        if a.verb != "get" {
            return refuse("can only get individual resources of this type");
        }
        if !a.subresource.is_empty() {
            return refuse("cannot get subresource");
        }
        self.related(node, kind, a)
    }

    /// Secrets and config maps: kubelets also list and watch single ones.
    fn read(&self, node: &str, kind: Referenced, a: &Attributes<'_>) -> Outcome {
        if !matches!(a.verb, "get" | "list" | "watch") {
            return refuse("can only read resources of this type");
        }
        if !a.subresource.is_empty() {
            return refuse("cannot read subresource");
        }
        if a.namespace.is_empty() {
            return refuse("can only read namespaced object of this type");
        }
        self.related(node, kind, a)
    }

    /// Kubelets make tokens for their pods' accounts, and read them to know how images are pulled.
    fn service_account(&self, node: &str, a: &Attributes<'_>) -> Outcome {
        if a.verb == "get" && a.subresource.is_empty() {
            return self.related(node, Referenced::ServiceAccount, a);
        }
        if a.verb != "create" || a.name.is_empty() {
            return refuse("can only create tokens for individual service accounts");
        }
        if a.subresource != "token" {
            return refuse("can only create token subresource of serviceaccount");
        }
        self.related(node, Referenced::ServiceAccount, a)
    }

    fn slice(&self, node: &str, a: &Attributes<'_>) -> Outcome {
        if !a.subresource.is_empty() {
            return refuse("cannot authorize ResourceSlice subresources");
        }
        match a.verb {
            // Which node it is for is NodeRestriction's to check: the object is not known here.
            "create" => Ok(()),
            "get" | "update" | "patch" | "delete" => self.related(node, Referenced::Slice, a),
            "watch" | "list" | "deletecollection" if a.fields.requires_field("nodeName", node) => Ok(()),
            "watch" | "list" | "deletecollection" => {
                refuse("can only list/watch/deletecollection resourceslices with nodeName field selector")
            }
            _ => refuse(
                "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, \
                 delete, deletecollection",
            ),
        }
    }

    fn pod(&self, node: &str, a: &Attributes<'_>) -> Outcome {
        match (a.subresource, a.verb) {
            ("", "get") => self.get(node, Referenced::Pod, a),
            ("", "list" | "watch") => {
                if a.fields.requires_field("spec.nodeName", node) {
                    return Ok(());
                }
                if !a.name.is_empty() {
                    return self.related(node, Referenced::Pod, a);
                }
                refuse("can only list/watch pods with spec.nodeName field selector")
            }
            // Mirror pods; status and eviction of its own pods. NodeRestriction sees to which ones.
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ok(()),
            _ => refuse(""),
        }
    }
}

fn lease(node: &str, a: &Attributes<'_>) -> Outcome {
    if !matches!(a.verb, "get" | "create" | "update" | "patch" | "delete") {
        return refuse("can only get, create, update, patch, or delete a node lease");
    }
    if a.namespace != LEASE_NAMESPACE {
        return Err(format!("can only access leases in the {LEASE_NAMESPACE:?} system namespace"));
    }
    // The name of a new one is not known yet.
    if a.verb != "create" && a.name != node {
        return refuse("can only access node lease with the same name as the requesting node");
    }
    Ok(())
}

fn csi_node(node: &str, a: &Attributes<'_>) -> Outcome {
    if !matches!(a.verb, "get" | "create" | "update" | "patch" | "delete") {
        return refuse("can only get, create, update, patch, or delete a CSINode");
    }
    if !a.subresource.is_empty() {
        return refuse("cannot authorize CSINode subresources");
    }
    if a.verb != "create" && a.name != node {
        return refuse("can only access CSINode with the same name as the requesting node");
    }
    Ok(())
}

fn own_node(node: &str, a: &Attributes<'_>) -> Outcome {
    match (a.subresource, a.verb) {
        // Which one is NodeRestriction's to check.
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Ok(()),
        ("", "get" | "list" | "watch") => match a.name {
            own if own == node => Ok(()),
            "" => Err(format!("node '{node}' cannot read all nodes, only its own Node object")),
            other => Err(format!("node '{node}' cannot read '{other}', only its own Node object")),
        },
        _ => refuse(""),
    }
}

impl Authorizer for NodeAuthorizer {
    fn authorize<'a>(&'a self, attributes: &'a Attributes<'a>) -> Answer<'a> {
        Answer::Now(match node_identity(attributes.user) {
            NodeIdentity::NotANode => Decision::none(),
            NodeIdentity::Unknown => {
                let user = super::message::quoted(&attributes.user.name);
                Decision::no_opinion(format!("unknown node for user {user}"))
            }
            NodeIdentity::Node(node) => match self.decide(node, attributes) {
                Ok(()) => Decision::Allow(Reason::None),
                Err(why) => Decision::no_opinion(why),
            },
        })
    }

    fn rules(&self, user: &User, _: &str, list: &mut RuleList) {
        if node_identity(user) != NodeIdentity::NotANode {
            list.incomplete = true;
            list.errors.push("node authorizer does not support user rule resolution".to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
