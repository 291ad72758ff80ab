//! DenyServiceExternalIPs: nobody takes over an address by naming it in a Service; what was named before may stay.

use kuorum_kinds::value as json;
use serde_json::Value;

use super::{Attributes, Operation, Plugin, Verdict, refuse};

pub struct DenyServiceExternalIps;

impl Plugin for DenyServiceExternalIps {
    fn name(&self) -> &'static str {
        "DenyServiceExternalIPs"
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        let concerns = attributes.does(&[Operation::Create, Operation::Update], "", "Service");
        let adds = concerns && adds_addresses(object?, old);
        adds.then(|| refuse(attributes.forbidden("Use of external IPs is denied by admission control")))
    }
}

fn adds_addresses(new: &Value, old: Option<&Value>) -> bool {
    let known = old.map_or(&[][..], |old| json::items(old, "spec.externalIPs"));
    json::items(new, "spec.externalIPs").iter().any(|address| !known.contains(address))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_may_go_and_stay() {
        let service = |addresses: &[&str]| json!({"spec": {"externalIPs": addresses}});
        let rows = [
            (service(&[]), None, false),
            (service(&["1.1.1.1"]), None, true),
            (service(&["1.1.1.1"]), Some(service(&["1.1.1.1", "2.2.2.2"])), false),
            (service(&["3.3.3.3"]), Some(service(&["1.1.1.1"])), true),
        ];
        for (new, old, expected) in rows {
            assert_eq!(adds_addresses(&new, old.as_ref()), expected, "{new} {old:?}");
        }
    }
}
