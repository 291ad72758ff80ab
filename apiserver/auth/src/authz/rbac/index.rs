//! The index: from a user and a namespace to bindings, from a binding to the rules of its role, without scanning.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::RoleMissing;
use super::rule::PolicyRule;
use crate::authz::message::quoted;
use crate::user::User;

/// A RoleBinding, or (without a namespace) a ClusterRoleBinding.
pub(super) struct Binding {
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub role_is_cluster: bool,
    pub role: Box<str>,
    pub subjects: Box<[Subject]>,
}

/// Whom a binding is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    User(Box<str>),
    Group(Box<str>),
    ServiceAccount {
        namespace: Box<str>,
        name: Box<str>,
    },
    /// Of a kind that nobody knows, or without a namespace where one is needed: nobody.
    Nobody,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::User(name) => write!(f, "User {}", quoted(name)),
            Subject::Group(name) => write!(f, "Group {}", quoted(name)),
            Subject::ServiceAccount { namespace, name } => {
                write!(f, "ServiceAccount {}", quoted(&format!("{name}/{namespace}")))
            }
            Subject::Nobody => f.write_str("nobody"),
        }
    }
}

impl Binding {
    /// Reads a stored binding.
    pub fn from_json(namespace: &str, name: &str, binding: &Value) -> Self {
        let text = |object: &Value, key: &str| -> Box<str> { object[key].as_str().unwrap_or_default().into() };
        let subject = |s: &Value| match s["kind"].as_str().unwrap_or_default() {
            "User" => Subject::User(text(s, "name")),
            "Group" => Subject::Group(text(s, "name")),
            "ServiceAccount" => {
                let own = text(s, "namespace");
                // In a RoleBinding it may be left out: the account is in the binding's namespace.
                let of = if own.is_empty() { namespace.into() } else { own };
                if of.is_empty() {
                    return Subject::Nobody;
                }
                Subject::ServiceAccount { namespace: of, name: text(s, "name") }
            }
            _ => Subject::Nobody,
        };
        let subjects = binding["subjects"].as_array().map(Vec::as_slice).unwrap_or_default();
        Binding {
            namespace: namespace.into(),
            name: name.into(),
            role_is_cluster: binding["roleRef"]["kind"].as_str() == Some("ClusterRole"),
            role: text(&binding["roleRef"], "name"),
            subjects: subjects.iter().map(subject).collect(),
        }
    }
}

/// Bindings by name: reasons and errors come in an order that does not change.
type Bindings = BTreeMap<Box<str>, (Arc<Binding>, usize)>;

/// The bindings of one scope (the cluster, or a namespace) by subject. A service account is found by its user name.
#[derive(Default)]
struct Scope {
    users: BySubject,
    groups: BySubject,
}

/// Bindings by the name of a user or group.
type BySubject = HashMap<Box<str>, Bindings>;

impl Scope {
    fn place(&mut self, subject: &Subject) -> Option<(&mut BySubject, Box<str>)> {
        match subject {
            Subject::User(name) => Some((&mut self.users, name.clone())),
            Subject::Group(name) => Some((&mut self.groups, name.clone())),
            Subject::ServiceAccount { namespace, name } => {
                Some((&mut self.users, format!("system:serviceaccount:{namespace}:{name}").into()))
            }
            Subject::Nobody => None,
        }
    }

    fn insert(&mut self, binding: &Arc<Binding>) {
        // The first subject that fits is the one that reasons name.
        for (i, subject) in binding.subjects.iter().enumerate().rev() {
            if let Some((map, key)) = self.place(subject) {
                map.entry(key).or_default().insert(binding.name.clone(), (binding.clone(), i));
            }
        }
    }

    fn remove(&mut self, binding: &Binding) {
        for subject in &binding.subjects {
            let Some((map, key)) = self.place(subject) else { continue };
            if let Some(bindings) = map.get_mut(&key) {
                bindings.remove(&binding.name);
                if bindings.is_empty() {
                    map.remove(&key);
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    /// The bindings of a user, each once: under its name, then those of its groups that were not named before.
    fn visit(&self, user: &User, visitor: &mut dyn FnMut(&Arc<Binding>, usize) -> bool) -> bool {
        let named = self.users.get(&*user.name);
        for (binding, subject) in named.into_iter().flat_map(BTreeMap::values) {
            if !visitor(binding, *subject) {
                return false;
            }
        }
        for (i, group) in user.groups.iter().enumerate() {
            let Some(bindings) = self.groups.get(&**group) else { continue };
            for (name, (binding, subject)) in bindings {
                let seen = named.is_some_and(|bindings| bindings.contains_key(name))
                    || user.groups[..i].iter().any(|g| self.groups.get(&**g).is_some_and(|b| b.contains_key(name)));
                if !seen && !visitor(binding, *subject) {
                    return false;
                }
            }
        }
        true
    }
}

type Rules = Box<[Arc<PolicyRule>]>;

/// Roles and bindings of the whole cluster.
#[derive(Default)]
pub(super) struct Index {
    /// By namespace (empty: ClusterRoles), then name.
    roles: HashMap<Box<str>, HashMap<Box<str>, Rules>>,
    /// As they are, to be taken out of `scopes` again. By namespace (empty: ClusterRoleBindings), then name.
    bindings: HashMap<Box<str>, HashMap<Box<str>, Arc<Binding>>>,
    /// By namespace; the empty one is the cluster.
    scopes: HashMap<Box<str>, Scope>,
}

/// Is told of a binding, of which of its subjects the user is, and of the rules of its role. False ends the visit.
pub(super) type Visitor<'v> = dyn FnMut(&Arc<Binding>, usize, Result<&[Arc<PolicyRule>], RoleMissing>) -> bool + 'v;

impl Index {
    pub fn put_role(&mut self, namespace: &str, name: &str, rules: Vec<PolicyRule>) {
        let rules: Rules = rules.into_iter().map(Arc::new).collect();
        self.roles.entry(namespace.into()).or_default().insert(name.into(), rules);
    }

    pub fn remove_role(&mut self, namespace: &str, name: &str) {
        if let Some(roles) = self.roles.get_mut(namespace) {
            roles.remove(name);
            if roles.is_empty() {
                self.roles.remove(namespace);
            }
        }
    }

    pub fn put_binding(&mut self, binding: Binding) {
        self.remove_binding(&binding.namespace.clone(), &binding.name.clone());
        let binding = Arc::new(binding);
        self.scopes.entry(binding.namespace.clone()).or_default().insert(&binding);
        self.bindings.entry(binding.namespace.clone()).or_default().insert(binding.name.clone(), binding);
    }

    pub fn remove_binding(&mut self, namespace: &str, name: &str) {
        let Some(bindings) = self.bindings.get_mut(namespace) else { return };
        let Some(binding) = bindings.remove(name) else { return };
        if bindings.is_empty() {
            self.bindings.remove(namespace);
        }
        if let Some(scope) = self.scopes.get_mut(namespace) {
            scope.remove(&binding);
            if scope.is_empty() {
                self.scopes.remove(namespace);
            }
        }
    }

    /// Forgets the roles of the cluster, or of all namespaces.
    pub fn clear_roles(&mut self, cluster: bool) {
        self.roles.retain(|namespace, _| namespace.is_empty() != cluster);
    }

    /// Forgets the bindings of the cluster, or of all namespaces.
    pub fn clear_bindings(&mut self, cluster: bool) {
        self.bindings.retain(|namespace, _| namespace.is_empty() != cluster);
        self.scopes.retain(|namespace, _| namespace.is_empty() != cluster);
    }

    /// The rules of a ClusterRole, or of a Role in a namespace.
    pub fn role(&self, cluster: bool, namespace: &str, name: &str) -> Result<&[Arc<PolicyRule>], RoleMissing> {
        let roles = self.roles.get(if cluster { "" } else { namespace });
        let kind = if cluster { "clusterrole" } else { "role" };
        // There are no Roles without a namespace, whatever a binding says.
        let found = roles.filter(|_| cluster || !namespace.is_empty()).and_then(|roles| roles.get(name));
        found.map(|rules| &**rules).ok_or_else(|| RoleMissing { kind, name: name.to_owned() })
    }

    /// Visits the bindings that apply to a user: those of the cluster, then those of the namespace.
    pub fn visit(&self, user: &User, namespace: &str, visitor: &mut Visitor<'_>) {
        let scopes = ["", namespace];
        let scopes = if namespace.is_empty() { &scopes[..1] } else { &scopes[..] };
        for scope in scopes.iter().filter_map(|scope| self.scopes.get(*scope)) {
            let more = scope.visit(user, &mut |binding, subject| {
                let rules = self.role(binding.role_is_cluster, &binding.namespace, &binding.role);
                visitor(binding, subject, rules)
            });
            if !more {
                return;
            }
        }
    }
}
