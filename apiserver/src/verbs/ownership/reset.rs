//! Which fields a request to a kind resets, so that nobody becomes their owner by it.

use kuorum_kinds::kind::Kind;
use kuorum_schema::fields::Reset;

/// Paths of field names.
type Paths = &'static [&'static [&'static str]];

const SPEC: &[&str] = &["spec"];
const STATUS: &[&str] = &["status"];
const METADATA: &[&str] = &["metadata"];
const LABELS: &[&str] = &["metadata", "labels"];

/// Where a kind's request resets something else than the other part of the object: group, plural, subresource.
const EXCEPTIONS: &[(&str, &str, &str, Paths)] = &[
    ("", "namespaces", "finalize", &[STATUS]),
    ("", "pods", "status", &[SPEC, &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]]),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", "status", &[SPEC, METADATA]),
    ("apiextensions.k8s.io", "customresourcedefinitions", "status", &[SPEC, METADATA]),
    ("apiregistration.k8s.io", "apiservices", "status", &[SPEC, METADATA]),
    ("apps", "deployments", "status", &[SPEC, LABELS]),
    ("certificates.k8s.io", "certificatesigningrequests", "", &[SPEC, STATUS]),
    ("certificates.k8s.io", "certificatesigningrequests", "approval", &[SPEC, &["status", "certificate"]]),
    ("certificates.k8s.io", "certificatesigningrequests", "status", &[SPEC, &["status", "conditions"]]),
    ("flowcontrol.apiserver.k8s.io", "flowschemas", "status", &[SPEC, METADATA]),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "status", &[SPEC, METADATA]),
    ("networking.k8s.io", "servicecidrs", "status", &[SPEC, METADATA]),
    ("resource.k8s.io", "resourceclaims", "status", &[SPEC, METADATA]),
    ("storage.k8s.io", "volumeattachments", "status", &[SPEC, METADATA]),
];

/// What a request resets: usually the status by a write of the object, the spec by a write of its status.
pub fn reset(kind: &Kind, subresource: &str) -> Reset<'static> {
    let row = &kind.row;
    let exception = EXCEPTIONS
        .iter()
        .find(|(group, plural, sub, _)| *group == row.group && *plural == row.plural && *sub == subresource);
    match (exception, subresource) {
        (Some((.., paths)), _) => Reset::Fields(paths),
        (None, "") if row.has_status() => Reset::Fields(&[STATUS]),
        (None, "status") => Reset::Fields(&[SPEC]),
        _ => Reset::NONE,
    }
}
