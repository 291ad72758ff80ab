use serde_json::{Value, json};

use super::*;
use crate::authz::Selector;

fn node(name: &str) -> User {
    User { name: format!("system:node:{name}"), groups: vec![NODES.to_owned()], ..User::default() }
}

fn authorizer() -> NodeAuthorizer {
    let rules = json!({"rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["services"]}]});
    NodeAuthorizer::new(Arc::new(Graph::default()), PolicyRule::all_of(&rules))
}

fn put(authorizer: &NodeAuthorizer, pod: &Value) {
    let (namespace, name) = (pod["metadata"]["namespace"].as_str().unwrap(), pod["metadata"]["name"].as_str().unwrap());
    let on = pod["spec"]["nodeName"].as_str().unwrap();
    authorizer.graph.put_pod(namespace, name, on, &PodReferences::of(pod));
}

/// `[verb, group, resource[/subresource], namespace, name]`; `Ok`, or why not.
fn ask(
    authorizer: &NodeAuthorizer,
    user: &User,
    [verb, group, resource, namespace, name]: [&str; 5],
) -> Result<(), String> {
    ask_fields(authorizer, user, [verb, group, resource, namespace, name], Selector::None)
}

fn ask_fields(
    authorizer: &NodeAuthorizer,
    user: &User,
    [verb, group, resource, namespace, name]: [&str; 5],
    fields: Selector<'_>,
) -> Result<(), String> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let attributes =
        Attributes { subresource, namespace, name, fields, ..Attributes::of_resource(user, verb, group, resource) };
    match authorizer.authorize(&attributes) {
        Answer::Now(Decision::Allow(_)) => Ok(()),
        Answer::Now(Decision::NoOpinion(refusal)) => Err(refusal.reason),
        _ => panic!("answers at once, and never denies"),
    }
}

fn pod() -> Value {
    json!({
        "metadata": {"name": "p", "namespace": "a"},
        "spec": {
            "nodeName": "n1",
            "serviceAccountName": "sa",
            "imagePullSecrets": [{"name": "pull"}],
            "initContainers": [{"envFrom": [{"secretRef": {"name": "env-from"}}]}],
            "containers": [{"env": [
                {"valueFrom": {"secretKeyRef": {"name": "env"}}},
                {"valueFrom": {"configMapKeyRef": {"name": "env"}}},
            ]}],
            "ephemeralContainers": [{"envFrom": [{"configMapRef": {"name": "debug"}}]}],
            "volumes": [
                {"name": "a", "secret": {"secretName": "volume"}},
                {"name": "b", "configMap": {"name": "volume"}},
                {"name": "c", "projected": {"sources": [{"secret": {"name": "part"}}, {"configMap": {"name": "part"}}]}},
                {"name": "d", "persistentVolumeClaim": {"claimName": "claim"}},
                {"name": "e", "ephemeral": {"volumeClaimTemplate": {}}},
                {"name": "f", "csi": {"nodePublishSecretRef": {"name": "csi"}}},
                {"name": "g", "azureFile": {"secretName": "azure"}},
                {"name": "h", "emptyDir": {}},
            ],
            "resourceClaims": [
                {"name": "x", "resourceClaimName": "given"},
                {"name": "y", "resourceClaimTemplateName": "t"},
                {"name": "z", "resourceClaimTemplateName": "t"},
            ],
        },
        "status": {
            "resourceClaimStatuses": [{"name": "y", "resourceClaimName": "made"}, {"name": "z"}],
            "extendedResourceClaimStatus": {"resourceClaimName": "extended"},
        },
    })
}

const NEEDED: [(&str, &str, &[&str]); 5] = [
    ("", "secrets", &["pull", "env-from", "env", "volume", "part", "csi", "azure"]),
    ("", "configmaps", &["env", "debug", "volume", "part"]),
    ("", "persistentvolumeclaims", &["claim", "p-e"]),
    ("", "serviceaccounts", &["sa"]),
    ("resource.k8s.io", "resourceclaims", &["given", "made", "extended"]),
];

#[test]
fn a_node_sees_what_its_pods_need() {
    let authorizer = authorizer();
    put(&authorizer, &pod());
    for (group, resource, names) in NEEDED {
        for name in names {
            assert_eq!(ask(&authorizer, &node("n1"), ["get", group, resource, "a", name]), Ok(()), "{resource} {name}");
            let other = ask(&authorizer, &node("n2"), ["get", group, resource, "a", name]);
            assert_eq!(other, Err("no relationship found between node 'n2' and this object".into()));
            assert!(ask(&authorizer, &node("n1"), ["get", group, resource, "b", name]).is_err());
            assert!(ask(&authorizer, &node("n1"), ["update", group, resource, "a", name]).is_err());
        }
        assert!(ask(&authorizer, &node("n1"), ["get", group, resource, "a", "other"]).is_err());
    }
    // And no longer, once the pod is gone or elsewhere.
    let mut moved = pod();
    moved["spec"]["nodeName"] = json!("n2");
    put(&authorizer, &moved);
    for (user, seen) in [("n1", false), ("n2", true)] {
        for (group, resource, names) in NEEDED {
            assert_eq!(ask(&authorizer, &node(user), ["get", group, resource, "a", names[0]]).is_ok(), seen);
        }
    }
    let mut second = moved.clone();
    second["metadata"]["name"] = json!("q");
    put(&authorizer, &second);
    authorizer.graph.remove_pod("a", "p");
    assert!(ask(&authorizer, &node("n2"), ["get", "", "secrets", "a", "env"]).is_ok());
    authorizer.graph.remove_pod("a", "q");
    for (group, resource, names) in NEEDED {
        assert!(ask(&authorizer, &node("n2"), ["get", group, resource, "a", names[0]]).is_err());
    }
    let state = authorizer.graph.state_for_tests();
    assert_eq!(state, (0, 0), "nothing is left behind");
}

#[test]
fn a_mirror_pod_leads_to_nothing() {
    let authorizer = authorizer();
    let mut mirror = pod();
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    put(&authorizer, &mirror);
    assert!(ask(&authorizer, &node("n1"), ["get", "", "pods", "a", "p"]).is_ok());
    for (group, resource, names) in NEEDED {
        assert!(ask(&authorizer, &node("n1"), ["get", group, resource, "a", names[0]]).is_err(), "{resource}");
    }
}

#[test]
fn a_claim_leads_to_its_volume_and_the_volumes_secrets() {
    let authorizer = authorizer();
    put(&authorizer, &pod());
    let volume = json!({"spec": {
        "claimRef": {"namespace": "a", "name": "claim"},
        "csi": {
            "nodeStageSecretRef": {"name": "stage", "namespace": "storage"},
            "controllerPublishSecretRef": {"name": "controller", "namespace": "storage"},
        },
        "azureFile": {"secretName": "own"},
    }});
    authorizer.graph.put_volume("pv", VolumeReferences::of(&volume).unwrap());
    let allowed = |user: &str, resource: &str, namespace: &str, name: &str| {
        ask(&authorizer, &node(user), ["get", "", resource, namespace, name]).is_ok()
    };
    assert!(allowed("n1", "persistentvolumes", "", "pv") && !allowed("n2", "persistentvolumes", "", "pv"));
    assert!(allowed("n1", "secrets", "storage", "stage") && !allowed("n2", "secrets", "storage", "stage"));
    assert!(allowed("n1", "secrets", "a", "own"));
    assert!(!allowed("n1", "secrets", "storage", "controller"));
    assert!(!allowed("n1", "secrets", "a", "stage"));
    authorizer.graph.remove_volume("pv");
    assert!(!allowed("n1", "persistentvolumes", "", "pv") && !allowed("n1", "secrets", "storage", "stage"));
    assert_eq!(VolumeReferences::of(&json!({"spec": {}})), None);
}

#[test]
fn what_is_a_nodes_own_and_how_it_may_list() {
    let authorizer = authorizer();
    put(&authorizer, &pod());
    authorizer.graph.put_direct(Referenced::Attachment, "va", "n1");
    authorizer.graph.put_direct(Referenced::Slice, "slice", "n1");
    let leases = "coordination.k8s.io";
    let pods_here = "can only list/watch pods with spec.nodeName field selector";
    let table: &[([&str; 5], Result<(), &str>)] = &[
        (["get", "", "nodes", "", "n1"], Ok(())),
        (["get", "", "nodes", "", "n2"], Err("node 'n1' cannot read 'n2', only its own Node object")),
        (["list", "", "nodes", "", ""], Err("node 'n1' cannot read all nodes, only its own Node object")),
        (["watch", "", "nodes", "", "n1"], Ok(())),
        (["create", "", "nodes", "", ""], Ok(())),
        (["patch", "", "nodes/status", "", "n1"], Ok(())),
        (["delete", "", "nodes", "", "n1"], Err("")),
        (["get", "", "nodes/proxy", "", "n1"], Err("")),
        (["get", "", "pods", "a", "p"], Ok(())),
        (["get", "", "pods", "a", "q"], Err("no relationship found between node 'n1' and this object")),
        (["list", "", "pods", "", ""], Err(pods_here)),
        (["watch", "", "pods", "a", "p"], Ok(())),
        (["get", "", "pods/log", "a", "p"], Err("")),
        (["create", "", "pods/exec", "a", "p"], Err("")),
        (["update", "", "pods/status", "a", "p"], Ok(())),
        (["create", "", "pods/eviction", "a", "p"], Ok(())),
        (["update", "", "pods", "a", "p"], Err("")),
        (["list", "", "secrets", "a", ""], Err("No Object name found")),
        (["list", "", "secrets", "", "env"], Err("can only read namespaced object of this type")),
        (["get", "", "secrets/x", "a", "env"], Err("cannot read subresource")),
        (["delete", "", "secrets", "a", "env"], Err("can only read resources of this type")),
        (["list", "", "persistentvolumeclaims", "a", ""], Err("can only get individual resources of this type")),
        (["patch", "", "persistentvolumeclaims/status", "a", "claim"], Ok(())),
        (["get", "", "persistentvolumeclaims/status", "a", "claim"], Err("can only get/update/patch this type")),
        (["create", "", "serviceaccounts/token", "a", "sa"], Ok(())),
        (
            ["create", "", "serviceaccounts/token", "a", "default"],
            Err("no relationship found between node 'n1' and this object"),
        ),
        (["create", "", "serviceaccounts", "a", ""], Err("can only create tokens for individual service accounts")),
        (
            ["get", "", "serviceaccounts/token", "a", "sa"],
            Err("can only create tokens for individual service accounts"),
        ),
        (["get", leases, "leases", "kube-node-lease", "n1"], Ok(())),
        (["create", leases, "leases", "kube-node-lease", ""], Ok(())),
        (
            ["get", leases, "leases", "kube-node-lease", "n2"],
            Err("can only access node lease with the same name as the requesting node"),
        ),
        (
            ["get", leases, "leases", "a", "n1"],
            Err("can only access leases in the \"kube-node-lease\" system namespace"),
        ),
        (
            ["list", leases, "leases", "kube-node-lease", ""],
            Err("can only get, create, update, patch, or delete a node lease"),
        ),
        (["update", "storage.k8s.io", "csinodes", "", "n1"], Ok(())),
        (
            ["update", "storage.k8s.io", "csinodes", "", "n2"],
            Err("can only access CSINode with the same name as the requesting node"),
        ),
        (["get", "storage.k8s.io", "volumeattachments", "", "va"], Ok(())),
        (
            ["get", "storage.k8s.io", "volumeattachments", "", "vb"],
            Err("no relationship found between node 'n1' and this object"),
        ),
        (["delete", "resource.k8s.io", "resourceslices", "", "slice"], Ok(())),
        (
            ["list", "resource.k8s.io", "resourceslices", "", ""],
            Err("can only list/watch/deletecollection resourceslices with nodeName field selector"),
        ),
        (["get", "", "services", "a", "s"], Ok(())),
        (["get", "rbac.authorization.k8s.io", "roles", "a", "r"], Err("")),
    ];
    for (question, answer) in table {
        assert_eq!(ask(&authorizer, &node("n1"), *question), answer.map_err(str::to_owned), "{question:?}");
    }
    for (group, resource, field) in [("", "pods", "spec.nodeName"), ("resource.k8s.io", "resourceslices", "nodeName")] {
        let of = |who: &str| format!("{field}={who}");
        for (text, allowed) in [(of("n1"), true), (of("n2"), false), (format!("{field}!=n1"), false)] {
            let question = ["list", group, resource, "", ""];
            assert_eq!(ask_fields(&authorizer, &node("n1"), question, Selector::Raw(&text)).is_ok(), allowed, "{text}");
        }
    }
    let nobody = User { name: "system:node:".into(), groups: vec![NODES.into()], ..User::default() };
    let refused = ask(&authorizer, &nobody, ["get", "", "services", "a", "s"]);
    assert_eq!(refused, Err("unknown node for user \"system:node:\"".into()));
    let bob = User { name: "bob".into(), groups: vec![NODES.into()], ..User::default() };
    assert_eq!(ask(&authorizer, &bob, ["get", "", "services", "a", "s"]), Err(String::new()));
}
