//! Which node a user is.

use crate::user::User;

/// The group of all nodes.
pub const NODES: &str = "system:nodes";
/// What stands before the node's name in its user name.
pub const USER_PREFIX: &str = "system:node:";

/// Whether a user is a node, and which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeIdentity<'a> {
    NotANode,
    /// A node's name and group, but no name behind the prefix.
    Unknown,
    Node(&'a str),
}

/// A node is in the group system:nodes and is called `system:node:<name>`.
pub fn node_identity(user: &User) -> NodeIdentity<'_> {
    match user.name.strip_prefix(USER_PREFIX) {
        Some(name) if user.is_in(NODES) => {
            if name.is_empty() {
                NodeIdentity::Unknown
            } else {
                NodeIdentity::Node(name)
            }
        }
        _ => NodeIdentity::NotANode,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_group_make_a_node() {
        let user = |name: &str, group: &str| User { name: name.into(), groups: vec![group.into()], ..User::default() };
        assert_eq!(node_identity(&user("system:node:n1", NODES)), NodeIdentity::Node("n1"));
        assert_eq!(node_identity(&user("system:node:", NODES)), NodeIdentity::Unknown);
        assert_eq!(node_identity(&user("system:node:n1", "nodes")), NodeIdentity::NotANode);
        assert_eq!(node_identity(&user("bob", NODES)), NodeIdentity::NotANode);
        assert_eq!(node_identity(&user("system:nodes:n1", NODES)), NodeIdentity::NotANode);
    }
}
