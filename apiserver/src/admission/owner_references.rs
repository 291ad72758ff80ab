//! OwnerReferencesPermissionEnforcement: who makes an object go with its owner could also have deleted it; who makes an
//! owner wait for it may also change the owner's finalizers.

use kuorum_kinds::row::Scope;
use kuorum_kinds::value as json;
use serde_json::Value;

use super::{Attributes, Operation, Plugin, Verdict, permission};
use crate::auth::authorizer::Attributes as Question;
use crate::verbs::decode::group_version;

pub struct OwnerReferencesPermissionEnforcement;

const OWNERS: &str = "metadata.ownerReferences";

impl Plugin for OwnerReferencesPermissionEnforcement {
    fn name(&self) -> &'static str {
        "OwnerReferencesPermissionEnforcement"
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !matches!(attributes.operation, Operation::Create | Operation::Update) {
            return None;
        }
        // Old kubelets spoil the references, and the status of a pod does not write them.
        if attributes.is("", "Pod") && attributes.subresource == "status" {
            return None;
        }
        let object = object?;
        if !changes(object, old) {
            return None;
        }
        Some(Box::pin(
            async move { check(attributes, object, old).await.map_err(|why| attributes.refusal(object, why)) },
        ))
    }
}

fn changes(new: &Value, old: Option<&Value>) -> bool {
    let (new, old) = (json::items(new, OWNERS), old.map_or(&[][..], |old| json::items(old, OWNERS)));
    new.len() != old.len() || new.iter().zip(old).any(|(new, old)| !json::equal(new, old))
}

async fn check(attributes: &Attributes<'_>, new: &Value, old: Option<&Value>) -> Result<(), String> {
    let row = &attributes.kind.row;
    let user = attributes.call.user;
    let deletion = Question {
        version: row.version,
        namespace: attributes.namespace,
        subresource: attributes.subresource,
        name: attributes.name,
        ..Question::of_resource(user, "delete", row.group, row.plural)
    };
    permission::may(attributes.call, &deletion)
        .await
        .map_err(|why| format!("cannot set an ownerRef on a resource you can't delete: {why}, <nil>"))?;
    for owner in newly_blocking(new, old) {
        let (api_version, kind) = (json::text(owner, "apiVersion"), json::text(owner, "kind"));
        let served = attributes.call.app.kinds.load_full();
        let (group, version) = group_version(api_version).unwrap_or_default();
        let Some(kind) = served.registry.kind(group, version, kind) else {
            return Err(format!(
                "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {api_version} Kind {kind}: no matches for kind {kind:?} in version {api_version:?}"
            ));
        };
        let finalizers = Question {
            version,
            // An owner is in the namespace of what it owns, or in none.
            namespace: if kind.row.scope == Scope::Namespaced { attributes.namespace } else { "" },
            subresource: "finalizers",
            name: json::text(owner, "name"),
            ..Question::of_resource(user, "update", group, kind.row.plural)
        };
        permission::may(attributes.call, &finalizers).await.map_err(|why| {
            format!(
                "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: {why}, <nil>"
            )
        })?;
    }
    Ok(())
}

/// Owners whose deletion waits for the object, and did not before.
fn newly_blocking<'a>(new: &'a Value, old: Option<&Value>) -> Vec<&'a Value> {
    let before = old.map_or(&[][..], |old| json::items(old, OWNERS));
    let blocks = |owner: &&Value| json::flag(owner, "blockOwnerDeletion");
    let blocked_before = |owner: &Value| {
        let uid = json::text(owner, "uid");
        before.iter().filter(blocks).any(|old| json::text(old, "uid") == uid)
    };
    json::items(new, OWNERS).iter().filter(blocks).filter(|owner| !blocked_before(owner)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owned(owners: Value) -> Value {
        json!({"metadata": {"ownerReferences": owners}})
    }

    #[test]
    fn only_changes_count() {
        let a = json!({"uid": "a", "kind": "Pod"});
        let rows = [
            (owned(json!([])), None, false),
            (json!({}), None, false),
            (owned(json!([a])), None, true),
            (owned(json!([a])), Some(owned(json!([a]))), false),
            (owned(json!([])), Some(owned(json!([a]))), true),
            (owned(json!([{"uid": "a", "kind": "Pod", "controller": true}])), Some(owned(json!([a]))), true),
        ];
        for (new, old, expected) in rows {
            assert_eq!(changes(&new, old.as_ref()), expected, "{new}");
        }
    }

    #[test]
    fn blocking_counts_when_it_is_new() {
        let (plain, blocking) = (json!({"uid": "a"}), json!({"uid": "a", "blockOwnerDeletion": true}));
        let count = |new: &Value, old: Option<Value>| newly_blocking(&owned(json!([new])), old.as_ref()).len();
        assert_eq!(count(&plain, None), 0);
        assert_eq!(count(&blocking, None), 1);
        assert_eq!(count(&blocking, Some(owned(json!([plain])))), 1);
        assert_eq!(count(&blocking, Some(owned(json!([blocking])))), 0);
    }
}
