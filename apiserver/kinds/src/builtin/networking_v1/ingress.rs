//! Ingress.

use serde_json::Value;

use crate::builtin::core_v1::service::table::load_balancer;
use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{is_set, items, text};

pub const HOOKS: Hooks = Hooks { table: Some(TABLE), ..Hooks::NONE };

/// How many hosts a table shows.
const HOSTS_SHOWN_MAX: usize = 3;

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::own(
            "Class",
            "string",
            "The name of the IngressClass resource that should be used for additional configuration",
        ),
        table::own("Hosts", "string", "Hosts that incoming requests are matched against before the ingress rule"),
        table::own("Address", "string", "Address is a list containing ingress points for the load-balancer"),
        table::own("Ports", "string", "Ports of TLS configurations that open"),
        AGE,
    ],
    |ingress, now| {
        let hosts = items(ingress, "spec.rules").iter().map(|rule| text(rule, "host")).filter(|host| !host.is_empty());
        let hosts = table::abbreviated(hosts, HOSTS_SHOWN_MAX);
        vec![
            table::name(ingress),
            table::or_none(text(ingress, "spec.ingressClassName")),
            if hosts.is_empty() { "*".into() } else { hosts.into() },
            load_balancer(ingress, "status.loadBalancer.ingress").into(),
            if is_set(ingress, "spec.tls") { "80, 443".into() } else { "80".into() },
            table::age(ingress, now),
        ]
    },
);

/// The class of an Ingress, which an old annotation can name too.
pub fn class(ingress: &Value) -> &str {
    match crate::value::get(ingress, "metadata.annotations").get("kubernetes.io/ingress.class") {
        Some(class) => class.as_str().unwrap_or(""),
        None => text(ingress, "spec.ingressClassName"),
    }
}
