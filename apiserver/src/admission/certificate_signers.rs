//! CertificateApproval and CertificateSigning: who approves or signs a certificate signing request needs the
//! permission on its signer, besides the one on the subresource.

use kuorum_kinds::value as json;
use serde_json::Value;

use super::{Attributes, Operation, Plugin, Verdict, refuse};
use crate::auth::User;
use crate::auth::authorizer::{Authorizer, Decision};
use crate::request::info::RequestInfo;

pub struct CertificateApproval;
pub struct CertificateSigning;

impl Plugin for CertificateApproval {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        _object: Option<&'a Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        // The stored signer counts: the new one might be anything, it is not written.
        let old = old.filter(|_| is_update_of(attributes, "approval"))?;
        check(attributes, old, "approve").err().map(|why| refuse(attributes.refusal(old, why)))
    }
}

impl Plugin for CertificateSigning {
    fn name(&self) -> &'static str {
        "CertificateSigning"
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        let (new, old) = (object?, old.filter(|_| is_update_of(attributes, "status"))?);
        if !signs(new, old) {
            return None;
        }
        check(attributes, old, "sign").err().map(|why| refuse(attributes.refusal(old, why)))
    }
}

fn is_update_of(attributes: &Attributes<'_>, subresource: &str) -> bool {
    attributes.operation == Operation::Update
        && attributes.subresource == subresource
        && attributes.is("certificates.k8s.io", "CertificateSigningRequest")
}

/// Whether a change of the status is a signer's: it issues, or says why not.
fn signs(new: &Value, old: &Value) -> bool {
    ["status.certificate", "status.conditions"]
        .iter()
        .any(|path| !json::equal(json::get(new, path), json::get(old, path)))
}

fn check(attributes: &Attributes<'_>, csr: &Value, verb: &'static str) -> Result<(), String> {
    let signer = json::text(csr, "spec.signerName");
    if may(&*attributes.call.app.authorizer, attributes.call.user, verb, signer) {
        return Ok(());
    }
    Err(format!("user not permitted to {verb} requests with signerName {signer:?}"))
}

/// Whether the user may `verb` for the signer, or for every signer of its domain (`example.com/*`).
fn may(authorizer: &dyn Authorizer, user: &User, verb: &'static str, signer: &str) -> bool {
    let all_of_domain = format!("{}/*", signer.split('/').next().unwrap_or_default());
    [signer, &all_of_domain].into_iter().any(|name| {
        let request = RequestInfo {
            is_resource: true,
            verb,
            group: "certificates.k8s.io",
            version: "*",
            resource: "signers",
            name,
            ..Default::default()
        };
        authorizer.authorize(user, &request) == Decision::Allow
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Allows one verb on one signer.
    struct One(&'static str, &'static str);

    impl Authorizer for One {
        fn authorize(&self, _: &User, request: &RequestInfo<'_>) -> Decision {
            assert_eq!((request.group, request.resource), ("certificates.k8s.io", "signers"));
            match (request.verb, request.name) == (self.0, self.1) {
                true => Decision::Allow,
                false => Decision::NoOpinion(String::new()),
            }
        }
    }

    #[test]
    fn permission_is_on_the_signer_or_its_domain() {
        let rows = [
            (One("approve", "ex.io/a"), "approve", true),
            (One("approve", "ex.io/*"), "approve", true),
            (One("approve", "ex.io/b"), "approve", false),
            (One("approve", "*"), "approve", false),
            (One("sign", "ex.io/a"), "approve", false),
        ];
        for (authorizer, verb, expected) in rows {
            assert_eq!(may(&authorizer, &User::default(), verb, "ex.io/a"), expected);
        }
    }

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
