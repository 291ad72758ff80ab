//! What objects use of a quota, by kind: which resources, how much, when, and whom a scope covers.

use std::collections::BTreeSet;

use kuorum_kinds::pod_template::resources::{qos_class, quantity};
use kuorum_kinds::row::KindRow;
use kuorum_kinds::value as json;
use kuorum_schema::quantity::{Format, Quantity};
use serde_json::Value;

use super::quota::Scope;
use crate::admission::Operation;
use crate::admission::amounts::{self, Amounts, is_extended, is_native};

/// How the objects of a kind are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluator {
    Pods,
    Services,
    Claims,
    ResourceClaims,
    /// One each: `count/<resource>.<group>`, for some kinds also under an old name.
    Objects,
}

/// Kinds that are also counted under the plain name of their resource.
const OLD_NAMES: [&str; 4] = ["configmaps", "resourcequotas", "replicationcontrollers", "secrets"];

/// Counted by nobody: they come and go, or are not there at all.
const IGNORED: [(&str, &str); 2] = [("", "events"), ("events.k8s.io", "events")];

/// `Pods` and `Services` have these, besides the count of objects.
const POD_RESOURCES: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
];
const SERVICE_RESOURCES: [&str; 3] = ["services", "services.nodeports", "services.loadbalancers"];
const CLAIM_RESOURCES: [&str; 2] = ["persistentvolumeclaims", "requests.storage"];
/// What a quota of one of these asks every container to say.
const MUST_BE_SAID: [&str; 6] = ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
const STORAGE_CLASS: &str = ".storageclass.storage.k8s.io/";
const DEVICE_CLASS: &str = ".deviceclass.resource.k8s.io/devices";
/// What a request for all devices of a class counts as: an allocation cannot have more.
const DEVICES_MAX: i64 = 32;

/// `count/pods`, `count/deployments.apps`
pub fn count_name(row: &KindRow) -> String {
    if row.group.is_empty() { format!("count/{}", row.plural) } else { format!("count/{}.{}", row.plural, row.group) }
}

impl Evaluator {
    /// `None`: quotas do not count the kind.
    pub fn of(row: &KindRow) -> Option<Self> {
        if IGNORED.contains(&(row.group, row.plural)) {
            return None;
        }
        Some(match (row.group, row.plural) {
            ("", "pods") => Evaluator::Pods,
            ("", "services") => Evaluator::Services,
            ("", "persistentvolumeclaims") => Evaluator::Claims,
            ("resource.k8s.io", "resourceclaims") => Evaluator::ResourceClaims,
            _ => Evaluator::Objects,
        })
    }

    /// Whether a request can change what is used.
    pub fn handles(self, operation: Operation, subresource: &str) -> bool {
        matches!(
            (self, operation, subresource),
            (_, Operation::Create, "")
                | (Evaluator::Pods, Operation::Update, "resize")
                | (Evaluator::Services | Evaluator::Claims | Evaluator::ResourceClaims, Operation::Update, "")
                | (Evaluator::Claims, Operation::Update, "status")
        )
    }

    /// Whether `resource` of a quota is about this kind.
    pub fn tracks(self, row: &KindRow, resource: &str) -> bool {
        if resource == count_name(row) {
            return true;
        }
        match self {
            Evaluator::Pods => {
                POD_RESOURCES.contains(&resource)
                    || resource.starts_with("hugepages-")
                    || resource.starts_with("requests.hugepages-")
                    || (!is_native(resource) && resource.starts_with("requests."))
            }
            Evaluator::Services => SERVICE_RESOURCES.contains(&resource),
            Evaluator::Claims => {
                let of_class = resource.split_once(STORAGE_CLASS).map(|(_, rest)| rest);
                CLAIM_RESOURCES.contains(&of_class.unwrap_or(resource))
            }
            Evaluator::ResourceClaims => resource.ends_with(DEVICE_CLASS),
            Evaluator::Objects => row.group.is_empty() && OLD_NAMES.contains(&row.plural) && resource == row.plural,
        }
    }

    /// What an object uses. `now`: seconds since 1970.
    pub fn usage(self, row: &KindRow, object: &Value, now: i64) -> Amounts {
        let mut used = Amounts::from([(count_name(row), whole(1))]);
        match self {
            Evaluator::Pods => pod(object, now, &mut used),
            Evaluator::Services => service(object, &mut used),
            Evaluator::Claims => claim(object, &mut used),
            Evaluator::ResourceClaims => resource_claim(object, &mut used),
            Evaluator::Objects if row.group.is_empty() && OLD_NAMES.contains(&row.plural) => {
                used.insert(row.plural.to_owned(), whole(1));
            }
            Evaluator::Objects => {}
        }
        used
    }

    /// What an object has to say where a quota counts `resources`, and does not.
    pub fn unsaid(self, resources: &BTreeSet<&str>, object: &Value) -> Result<(), String> {
        if self != Evaluator::Pods {
            return Ok(());
        }
        let mut missing: Vec<String> = Vec::new();
        for resource in resources.iter().filter(|resource| MUST_BE_SAID.contains(resource)) {
            let silent: BTreeSet<&str> = ["containers", "initContainers"]
                .iter()
                .flat_map(|list| json::items(json::get(object, "spec"), list))
                .filter(|container| !says(json::get(container, "resources"), resource))
                .map(|container| json::text(container, "name"))
                .collect();
            if !silent.is_empty() {
                missing.push(format!("{resource} for: {}", silent.into_iter().collect::<Vec<_>>().join(",")));
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(format!("must specify {}", missing.join("; "))) }
    }

    /// Whether a scope covers an object.
    pub fn covers(self, scope: &Scope, object: &Value) -> bool {
        match (self, scope.name.as_str()) {
            (Evaluator::Pods, "Terminating") => is_terminating(object),
            (Evaluator::Pods, "NotTerminating") => !is_terminating(object),
            (Evaluator::Pods, "BestEffort") => is_best_effort(object),
            (Evaluator::Pods, "NotBestEffort") => !is_best_effort(object),
            (Evaluator::Pods, "CrossNamespacePodAffinity") => reaches_out(object),
            (Evaluator::Pods, "PriorityClass") => {
                let class = json::text(object, "spec.priorityClassName");
                scope.matches(if class.is_empty() { &[] } else { std::slice::from_ref(&class) })
            }
            (Evaluator::Claims, "VolumeAttributesClass") => scope.matches(&attribute_classes(object)),
            _ => false,
        }
    }
}

fn whole(count: i64) -> Quantity {
    Quantity::from_i64(count, Format::DecimalSi)
}

/// Whether a container's resources say `requests.cpu` (or `cpu`), `limits.cpu`, and so on.
fn says(resources: &Value, resource: &str) -> bool {
    let (list, name) = match resource.split_once('.') {
        Some((list, name)) => (list, name),
        None => ("requests", resource),
    };
    json::get(resources, list).get(name).is_some_and(|v| !v.is_null())
}

/// A finished pod, and one whose time to stop is over, is counted as an object only.
fn pod(pod: &Value, now: i64, used: &mut Amounts) {
    if matches!(json::text(pod, "status.phase"), "Failed" | "Succeeded") {
        return;
    }
    let deleted = kuorum_schema::time::Timestamp::parse(json::text(pod, "metadata.deletionTimestamp"));
    if let (Ok(at), Some(grace)) = (deleted, json::int(pod, "metadata.deletionGracePeriodSeconds"))
        && now > at.seconds.saturating_add(grace)
    {
        return;
    }
    used.insert("pods".to_owned(), whole(1));
    for (name, amount) in amounts::of_pod(pod, "requests") {
        match name.as_str() {
            "cpu" | "memory" | "ephemeral-storage" => {
                used.insert(format!("requests.{name}"), amount);
                used.insert(name, amount);
            }
            _ if name.starts_with("hugepages-") => {
                used.insert(format!("requests.{name}"), amount);
                used.insert(name, amount);
            }
            _ if is_extended(&name) => {
                used.insert(format!("requests.{name}"), amount);
            }
            _ => {}
        }
    }
    for (name, amount) in amounts::of_pod(pod, "limits") {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            used.insert(format!("limits.{name}"), amount);
        }
    }
}

fn service(service: &Value, used: &mut Amounts) {
    let ports = json::items(service, "spec.ports");
    let all = ports.len();
    let given = ports.iter().filter(|port| json::int(port, "nodePort").unwrap_or(0) != 0).count();
    let suppressed = json::get(service, "spec.allocateLoadBalancerNodePorts").as_bool() == Some(false);
    // Ports are not allocated yet: what is meant counts.
    let (node_ports, balancers) = match json::text(service, "spec.type") {
        "NodePort" => (all, 0),
        "LoadBalancer" => (if suppressed { given } else { all }, 1),
        _ => (0, 0),
    };
    used.insert("services".to_owned(), whole(1));
    used.insert("services.nodeports".to_owned(), whole(i64::try_from(node_ports).unwrap_or(i64::MAX)));
    used.insert("services.loadbalancers".to_owned(), whole(balancers));
}

fn claim(claim: &Value, used: &mut Amounts) {
    let annotation = json::get(claim, "metadata.annotations").get("volume.beta.kubernetes.io/storage-class");
    let class = annotation.and_then(Value::as_str).unwrap_or_else(|| json::text(claim, "spec.storageClassName"));
    let asked = quantity(json::get(claim, "spec.resources.requests.storage"));
    let allocated = quantity(json::get(claim, "status.allocatedResources.storage"));
    let size = asked.map(|asked| allocated.filter(|more| *more > asked).unwrap_or(asked).round_up(0));
    let mut charge = |resource: &str, amount: Quantity| {
        used.insert(resource.to_owned(), amount);
        if !class.is_empty() {
            used.insert(format!("{class}{STORAGE_CLASS}{resource}"), amount);
        }
    };
    charge("persistentvolumeclaims", whole(1));
    if let Some(size) = size {
        charge("requests.storage", size);
    }
}

fn resource_claim(claim: &Value, used: &mut Amounts) {
    let devices = |request: &Value| match json::text(request, "allocationMode") {
        "All" => DEVICES_MAX,
        "ExactCount" | "" => json::int(request, "count").unwrap_or(1),
        _ => 0,
    };
    for request in json::items(claim, "spec.devices.requests") {
        let mut wanted = Amounts::new();
        let exactly = json::get(request, "exactly");
        let choices = json::items(request, "firstAvailable");
        // Of several choices the largest of each class counts.
        for choice in choices.iter().chain(exactly.is_object().then_some(exactly)) {
            let name = format!("{}{DEVICE_CLASS}", json::text(choice, "deviceClassName"));
            let count = whole(devices(choice));
            let most = wanted.get(&name).copied().filter(|have| *have > count).unwrap_or(count);
            wanted.insert(name, most);
        }
        amounts::add(used, &wanted);
    }
}

fn is_terminating(pod: &Value) -> bool {
    json::int(pod, "spec.activeDeadlineSeconds").is_some_and(|seconds| seconds >= 0)
}

fn is_best_effort(pod: &Value) -> bool {
    match json::text(pod, "status.qosClass") {
        "" => qos_class(pod) == "BestEffort",
        known => known == "BestEffort",
    }
}

/// Whether (anti-)affinity looks at pods of other namespaces.
fn reaches_out(pod: &Value) -> bool {
    let term = |t: &Value| json::is_set(t, "namespaces") || json::get(t, "namespaceSelector").is_object();
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let affinity = json::get(json::get(pod, "spec.affinity"), kind);
        json::items(affinity, "requiredDuringSchedulingIgnoredDuringExecution").iter().any(term)
            || json::items(affinity, "preferredDuringSchedulingIgnoredDuringExecution")
                .iter()
                .any(|weighted| term(json::get(weighted, "podAffinityTerm")))
    })
}

/// The attribute classes that a claim asks for, has, or is being given.
pub fn attribute_classes(claim: &Value) -> Vec<&str> {
    let paths = [
        "spec.volumeAttributesClassName",
        "status.currentVolumeAttributesClassName",
        "status.modifyVolumeStatus.targetVolumeAttributesClassName",
    ];
    let names: BTreeSet<&str> = paths.iter().map(|path| json::text(claim, path)).filter(|n| !n.is_empty()).collect();
    names.into_iter().collect()
}
