//! How a Service looks in a table.

use serde_json::Value;

use crate::hooks::TablePrinter;
use crate::table::{self, AGE, NAME};
use crate::value::{get, int, items, text};

const SPEC: &str = "io.k8s.api.core.v1.ServiceSpec";

pub const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field("Type", "string", SPEC, "type"),
        table::field("Cluster-IP", "string", SPEC, "clusterIP"),
        table::field("External-IP", "string", SPEC, "externalIPs"),
        table::field("Port(s)", "string", SPEC, "ports"),
        AGE,
        table::field("Selector", "string", SPEC, "selector").wide(),
    ],
    |service, now| {
        vec![
            table::name(service),
            text(service, "spec.type").into(),
            table::or_none(text(service, "spec.clusterIP")),
            external_ip(service).into(),
            ports(service),
            table::age(service, now),
            table::labels(service, "spec.selector").into(),
        ]
    },
);

fn external_ip(service: &Value) -> String {
    let external = table::join(items(service, "spec.externalIPs").iter().filter_map(Value::as_str));
    match text(service, "spec.type") {
        "ClusterIP" | "NodePort" if external.is_empty() => "<none>".to_owned(),
        "ClusterIP" | "NodePort" => external,
        "LoadBalancer" => match (load_balancer(service, "status.loadBalancer.ingress"), external) {
            (balancer, external) if balancer.is_empty() && external.is_empty() => "<pending>".to_owned(),
            (balancer, external) if balancer.is_empty() => external,
            (balancer, external) if external.is_empty() => balancer,
            (balancer, external) => format!("{balancer},{external}"),
        },
        "ExternalName" => text(service, "spec.externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// The addresses (or host names) of a load balancer, sorted.
pub fn load_balancer(object: &Value, path: &str) -> String {
    let mut points: Vec<&str> = items(object, path)
        .iter()
        .map(|point| if text(point, "ip").is_empty() { text(point, "hostname") } else { text(point, "ip") })
        .filter(|point| !point.is_empty())
        .collect();
    points.sort_unstable();
    points.dedup();
    points.join(",")
}

fn ports(service: &Value) -> Value {
    let shown: Vec<String> = items(service, "spec.ports")
        .iter()
        .map(|port| match int(port, "nodePort").unwrap_or(0) {
            0 => format!("{}/{}", get(port, "port"), text(port, "protocol")),
            node_port => format!("{}:{node_port}/{}", get(port, "port"), text(port, "protocol")),
        })
        .collect();
    table::or_none(&shown.join(","))
}
