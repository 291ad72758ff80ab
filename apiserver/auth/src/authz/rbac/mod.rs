//! RBAC: roles, bindings, and an index of them by subject that is kept up by the changes of the four kinds.

pub mod escalation;
mod index;
pub mod rule;

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::Value;

use super::attributes::Attributes;
use super::decision::{Answer, Authorizer, Decision, Reason, RuleList};
use super::message::quoted;
use crate::user::User;
use index::{Binding, Index};
use rule::PolicyRule;

pub const GROUP: &str = "rbac.authorization.k8s.io";

/// The four kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Role,
    ClusterRole,
    RoleBinding,
    ClusterRoleBinding,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Role, Kind::ClusterRole, Kind::RoleBinding, Kind::ClusterRoleBinding];

    pub fn plural(self) -> &'static str {
        match self {
            Kind::Role => "roles",
            Kind::ClusterRole => "clusterroles",
            Kind::RoleBinding => "rolebindings",
            Kind::ClusterRoleBinding => "clusterrolebindings",
        }
    }
}

/// The RBAC authorizer. Cheap to ask, cheap to change; shared by reference.
#[derive(Default)]
pub struct Rbac {
    index: RwLock<Index>,
}

/// A role that a binding names and that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}.{GROUP} {} not found", quoted(.name))]
pub struct RoleMissing {
    /// `role` or `clusterrole`
    pub kind: &'static str,
    pub name: String,
}

impl Rbac {
    /// An object was created or changed. `namespace` is empty for cluster-scoped kinds.
    pub fn put(&self, kind: Kind, namespace: &str, name: &str, object: &Value) {
        let mut index = self.index.write();
        match kind {
            Kind::Role | Kind::ClusterRole => index.put_role(namespace, name, PolicyRule::all_of(object)),
            Kind::RoleBinding | Kind::ClusterRoleBinding => {
                index.put_binding(Binding::from_json(namespace, name, object));
            }
        }
    }

    /// An object was deleted.
    pub fn remove(&self, kind: Kind, namespace: &str, name: &str) {
        let mut index = self.index.write();
        match kind {
            Kind::Role | Kind::ClusterRole => index.remove_role(namespace, name),
            Kind::RoleBinding | Kind::ClusterRoleBinding => index.remove_binding(namespace, name),
        }
    }

    /// Forgets all objects of a kind, before they are told anew.
    pub fn clear(&self, kind: Kind) {
        let mut index = self.index.write();
        let cluster = matches!(kind, Kind::ClusterRole | Kind::ClusterRoleBinding);
        match kind {
            Kind::Role | Kind::ClusterRole => index.clear_roles(cluster),
            Kind::RoleBinding | Kind::ClusterRoleBinding => index.clear_bindings(cluster),
        }
    }

    /// The rules that apply to a user in a namespace (empty: cluster-wide), and the roles that are missing.
    pub fn rules_for(&self, user: &User, namespace: &str) -> (Vec<Arc<PolicyRule>>, Vec<RoleMissing>) {
        let (mut found, mut lost) = (Vec::new(), Vec::new());
        self.index.read().visit(user, namespace, &mut |_, _, rules| {
            match rules {
                Ok(rules) => found.extend(rules.iter().cloned()),
                Err(missing) => lost.push(missing),
            }
            true
        });
        (found, lost)
    }

    /// The rules of the role that a binding in a namespace (empty: a ClusterRoleBinding) names.
    pub fn rules_of(&self, role_kind: &str, role: &str, namespace: &str) -> Result<Vec<Arc<PolicyRule>>, RoleMissing> {
        self.index.read().role(role_kind == "ClusterRole", namespace, role).map(<[_]>::to_vec)
    }
}

impl Authorizer for Rbac {
    fn authorize<'a>(&'a self, attributes: &'a Attributes<'a>) -> Answer<'a> {
        let mut granted = None;
        let mut errors: Vec<String> = Vec::new();
        self.index.read().visit(attributes.user, attributes.namespace, &mut |binding, subject, rules| {
            match rules {
                Ok(rules) if rules.iter().any(|rule| rule.allows(attributes)) => {
                    granted = Some(Grant { binding: binding.clone(), subject });
                }
                Ok(_) => {}
                Err(missing) => errors.push(missing.to_string()),
            }
            granted.is_none()
        });
        Answer::Now(match granted {
            Some(grant) => Decision::Allow(Reason::Grant(grant)),
            None if errors.is_empty() => Decision::none(),
            None => Decision::no_opinion(format!("RBAC: {}", aggregate(&errors))),
        })
    }

    fn rules(&self, user: &User, namespace: &str, list: &mut RuleList) {
        let (found, lost) = self.rules_for(user, namespace);
        list.rules.extend(found);
        if !lost.is_empty() {
            let errors: Vec<String> = lost.iter().map(RoleMissing::to_string).collect();
            list.errors.push(aggregate(&errors));
        }
    }
}

/// Errors as Go prints an aggregate: equal ones once, several in brackets.
pub fn aggregate(errors: &[String]) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for error in errors {
        if !seen.contains(&error.as_str()) {
            seen.push(error);
        }
    }
    match seen[..] {
        [one] => one.to_owned(),
        _ => format!("[{}]", seen.join(", ")),
    }
}

/// A binding that allowed something, and which of its subjects the user is.
#[derive(Clone)]
pub struct Grant {
    binding: Arc<Binding>,
    subject: usize,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = &self.binding;
        let (kind, name) = if b.namespace.is_empty() {
            ("ClusterRoleBinding", quoted(&b.name))
        } else {
            ("RoleBinding", quoted(&format!("{}/{}", b.name, b.namespace)))
        };
        let role = if b.role_is_cluster { "ClusterRole" } else { "Role" };
        write!(f, "RBAC: allowed by {kind} {name} of {role} {}", quoted(&b.role))?;
        match b.subjects.get(self.subject) {
            Some(subject) => write!(f, " to {subject}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests;
