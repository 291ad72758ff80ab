//! ClusterTrustBundleAttest: a bundle in a signer's name is written by who may attest for the signer.

use kuorum_kinds::value as json;
use serde_json::Value;

use super::{Attributes, Operation, Plugin, Verdict, permission};

pub struct ClusterTrustBundleAttest;

impl Plugin for ClusterTrustBundleAttest {
    fn name(&self) -> &'static str {
        "ClusterTrustBundleAttest"
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        let written = [Operation::Create, Operation::Update];
        if !attributes.does(&written, "certificates.k8s.io", "ClusterTrustBundle") {
            return None;
        }
        let bundle = object?;
        let signer = json::text(bundle, "spec.signerName");
        if signer.is_empty() || old.is_some_and(|old| only_collected(bundle, old)) {
            return None;
        }
        Some(Box::pin(async move {
            if permission::may_use_signer(attributes.call, "attest", signer).await {
                return Ok(());
            }
            Err(attributes.forbidden(format!("user not permitted to attest for signerName {signer:?}")))
        }))
    }
}

/// Whether a change only says who owns the object and what its deletion waits for: what garbage collection writes.
fn only_collected(new: &Value, old: &Value) -> bool {
    let rest = |object: &Value| {
        let mut object = object.clone();
        if let Some(meta) = json::existing(&mut object, "metadata") {
            for key in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
                json::remove(meta, key);
            }
        }
        object
    };
    json::equal(&rest(new), &rest(old))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn garbage_collection_attests_nothing() {
        let old =
            json!({"metadata": {"name": "b", "finalizers": ["x"]}, "spec": {"signerName": "s", "trustBundle": "t"}});
        let mut new = old.clone();
        new["metadata"]["finalizers"] = json!([]);
        assert!(only_collected(&new, &old));
        new["spec"]["trustBundle"] = json!("u");
        assert!(!only_collected(&new, &old));
    }
}
