//! Endpoints, the older form of EndpointSlice.

use serde_json::Value;

use crate::hooks::{Hooks, TablePrinter};
use crate::table::{self, AGE, NAME};
use crate::value::{get, items, items_mut, set_default_text, text};

pub const HOOKS: Hooks = Hooks { default: Some(default), warnings: Some(warnings), table: Some(TABLE), ..Hooks::NONE };

/// How many addresses a table shows.
const SHOWN_MAX: usize = 3;

const TABLE: TablePrinter = TablePrinter::new(
    &[NAME, table::field("Endpoints", "string", "io.k8s.api.core.v1.Endpoints", "subsets"), AGE],
    |endpoints, now| vec![table::name(endpoints), addresses(endpoints).into(), table::age(endpoints, now)],
);

fn addresses(endpoints: &Value) -> String {
    let mut all = Vec::new();
    for subset in items(endpoints, "subsets") {
        let ips = || items(subset, "addresses").iter().map(|a| text(a, "ip"));
        if items(subset, "ports").is_empty() {
            all.extend(ips().map(str::to_owned));
        }
        for port in items(subset, "ports") {
            let number = get(port, "port");
            all.extend(
                ips().map(|ip| if ip.contains(':') { format!("[{ip}]:{number}") } else { format!("{ip}:{number}") }),
            );
        }
    }
    if all.is_empty() {
        return "<none>".to_owned();
    }
    table::abbreviated(all.iter().map(String::as_str), SHOWN_MAX)
}

fn default(endpoints: &mut Value) {
    for subset in items_mut(endpoints, "subsets") {
        for port in items_mut(subset, "ports") {
            set_default_text(port, "protocol", "TCP");
        }
    }
}

fn warnings(_: &Value, _: Option<&Value>) -> Vec<String> {
    vec!["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned()]
}
