//! CertificateApproval and CertificateSigning: who approves or signs a certificate signing request needs the
//! permission on its signer, besides the one on the subresource.

use kuorum_kinds::value as json;
use serde_json::Value;

use super::{Attributes, Operation, Plugin, Verdict, permission};

/// One of the two.
pub struct SignerCheck {
    name: &'static str,
    /// The permission that is asked for.
    verb: &'static str,
    /// The subresource that is written to do it.
    subresource: &'static str,
    /// Whether a change of the subresource does it.
    does_it: fn(&Value, &Value) -> bool,
}

pub const APPROVAL: SignerCheck =
    SignerCheck { name: "CertificateApproval", verb: "approve", subresource: "approval", does_it: |_, _| true };
pub const SIGNING: SignerCheck =
    SignerCheck { name: "CertificateSigning", verb: "sign", subresource: "status", does_it: signs };

impl Plugin for SignerCheck {
    fn name(&self) -> &'static str {
        self.name
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        let is_it = attributes.operation == Operation::Update && attributes.subresource == self.subresource;
        if !is_it || !attributes.is("certificates.k8s.io", "CertificateSigningRequest") {
            return None;
        }
        // The stored signer counts: the new one might be anything, it is not written.
        let (new, old) = (object?, old?);
        let signer = json::text(old, "spec.signerName");
        if !(self.does_it)(new, old) {
            return None;
        }
        Some(Box::pin(async move {
            if permission::may_use_signer(attributes.call, self.verb, signer).await {
                return Ok(());
            }
            let why = format!("user not permitted to {} requests with signerName {signer:?}", self.verb);
            Err(attributes.refusal(old, why))
        }))
    }
}

/// Whether a change of the status is a signer's: it issues, or says why not.
fn signs(new: &Value, old: &Value) -> bool {
    ["status.certificate", "status.conditions"]
        .iter()
        .any(|path| !json::equal(json::get(new, path), json::get(old, path)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_signing_changes_need_the_permission() {
        let empty = json!({"status": {}});
        let rows = [
            (json!({"status": {}}), false),
            (json!({"status": {"conditions": []}}), false),
            (json!({"metadata": {"labels": {"a": "b"}}}), false),
            (json!({"status": {"certificate": "eA=="}}), true),
            (json!({"status": {"conditions": [{"type": "Failed"}]}}), true),
        ];
        for (new, expected) in rows {
            assert_eq!(signs(&new, &empty), expected, "{new}");
        }
    }
}
