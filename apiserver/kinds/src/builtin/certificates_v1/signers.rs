//! Names of signers (`example.com/name`) and of trust bundles, which may begin with one.

use kuorum_schema::names;

use crate::field::{Errors, FieldError};
use crate::path::Path;

/// Longest domain of a signer's name, and longest name: domain, slash, DNS label, dot, DNS subdomain.
const DOMAIN_BYTES_MAX: usize = 253;
const NAME_BYTES_MAX: usize = DOMAIN_BYTES_MAX + 1 + 253 + 63 + 1;

/// Complaints about the name of a signer.
pub fn name(signer: &str, path: Path, errors: &mut Errors) {
    if signer.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let Some((domain, rest)) = signer.split_once('/').filter(|(_, rest)| !rest.contains('/')) else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(FieldError::invalid(path, &signer.into(), detail));
        return;
    };
    if domain.len() > DOMAIN_BYTES_MAX {
        errors.push(FieldError::too_long(path, DOMAIN_BYTES_MAX));
    }
    labels(domain, names::dns1123_label, path, errors);
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(FieldError::invalid(path, &domain.into(), detail));
    }
    labels(rest, names::dns1123_subdomain, path, errors);
    if signer.len() > NAME_BYTES_MAX {
        errors.push(FieldError::too_long(path, NAME_BYTES_MAX));
    }
}

/// Complaints about the first bad label of a dotted name.
fn labels(dotted: &str, rule: fn(&str) -> Vec<String>, path: Path, errors: &mut Errors) {
    let found = dotted.split('.').map(|label| (label, rule(label))).find(|(_, complaints)| !complaints.is_empty());
    for (label, complaint) in found.into_iter().flat_map(|(label, all)| all.into_iter().map(move |c| (label, c))) {
        let detail = format!("validating label {label:?}: {complaint}");
        errors.push(FieldError::invalid(path, &dotted.into(), &detail));
    }
}

/// Complaints about the name of a trust bundle: that of a signer's begins with the signer, in colons.
pub fn trust_bundle_name(name: &str) -> Vec<String> {
    names::dns1123_subdomain(name.rsplit_once(':').map_or(name, |(_, own)| own))
}
