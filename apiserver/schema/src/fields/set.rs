//! Sets of fields, kept in the form in which they are serialised (`FieldsV1`).
//!
//! A set is a tree of path elements. A member has the value `{}`, or, if fields below it are members too, an object
//! with the entry `".": {}`. So no set is ever converted on its way between an object and the rules: what an update
//! does not touch is not even looked at.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::element::Element;

/// The key that makes a node with children a member.
const SELF: &str = ".";

/// A set of paths to fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Set(Tree);

/// The children of a node, by serialised path element.
pub(super) type Tree = Map<String, Value>;

/// A node of a set while it is built: whether it is a member, and what is below it.
#[derive(Debug, Default)]
pub(super) struct Branch {
    pub own: bool,
    pub children: Tree,
}

impl Branch {
    /// A member with nothing below it.
    pub fn leaf() -> Branch {
        Branch { own: true, children: Tree::new() }
    }

    pub fn is_empty(&self) -> bool {
        !self.own && self.children.is_empty()
    }

    /// The node as it stands in its parent; `None` if nothing is in it.
    fn into_value(mut self) -> Option<Value> {
        if self.is_empty() {
            return None;
        }
        if self.own && !self.children.is_empty() {
            self.children.insert(SELF.to_owned(), Value::Object(Map::new()));
        }
        Some(Value::Object(self.children))
    }

    /// Puts a child below `tree` unless it is empty. The key is made only if it is needed.
    pub fn put(self, tree: &mut Tree, key: impl FnOnce() -> String) {
        if let Some(value) = self.into_value() {
            tree.insert(key(), value);
        }
    }
}

impl Set {
    /// Reads a set that a client has written: keys become canonical, sorts of elements that are not known are left out.
    ///
    /// # Errors
    /// It is not an object of objects, or a key is no path element.
    pub fn parse(fields: &Value) -> Result<Set, String> {
        let (_, tree) = parse_node(fields)?;
        Ok(Set(tree))
    }

    /// A set in its serialised form, which is known to be canonical.
    pub(super) fn of_tree(mut tree: Tree) -> Set {
        tree.remove(SELF);
        Set(tree)
    }

    /// A set of paths of field names.
    pub fn of_fields(paths: &[&[&str]]) -> Set {
        let mut set = Set::default();
        for path in paths {
            let mut branch = Branch::leaf();
            for name in path.iter().rev() {
                let mut parent = Branch::default();
                branch.put(&mut parent.children, || super::element::field_key(name));
                branch = parent;
            }
            unite(&mut set.0, &branch.children);
        }
        set
    }

    /// The serialised form.
    pub fn as_tree(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The serialised form, as the value of `fieldsV1`.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the field at a path of field names is a member.
    pub fn has_field(&self, path: &[&str]) -> bool {
        let Some((last, parents)) = path.split_last() else { return false };
        let mut tree = &self.0;
        for name in parents {
            match tree.get(&super::element::field_key(name)) {
                Some(Value::Object(children)) => tree = children,
                _ => return false,
            }
        }
        tree.get(&super::element::field_key(last)).is_some_and(is_member)
    }

    /// Adds the members of `other`.
    pub fn unite(&mut self, other: &Set) {
        unite(&mut self.0, &other.0);
    }

    /// Takes out the members of `other`; fields below or above one stay. Returns whether anything was taken.
    pub fn subtract(&mut self, other: &Set) -> bool {
        subtract(&mut self.0, &other.0)
    }

    /// Takes out the members of `other` and all that is below them.
    pub fn subtract_deep(&mut self, other: &Set) {
        subtract_deep(&mut self.0, &other.0);
    }

    /// What is a member of both.
    pub fn intersection(&self, other: &Set) -> Set {
        Set(intersection(&self.0, &other.0))
    }

    /// Keeps what is at or below one of the paths of field names (`*`: any element), and members on the way there.
    pub fn retain_below(&mut self, paths: &[&[&str]]) {
        let paths: Vec<&[&str]> = paths.to_vec();
        retain_below(&mut self.0, &paths);
    }

    /// Every member as a path of serialised elements: the members of a node before those below its children.
    pub fn members(&self) -> Vec<Vec<&str>> {
        let mut paths = Vec::new();
        collect(&self.0, &mut Vec::new(), &mut paths);
        paths
    }

    /// Prints the set as the real server does: members first in [`Element::compare`]'s order, `.` before all.
    pub fn print(&self, out: &mut Vec<u8>) {
        print_tree(&self.0, out);
    }
}

/// A path of serialised elements as messages show it.
pub(super) fn path_text(path: &[&str]) -> String {
    path.iter().filter_map(|key| Element::parse(key).ok().flatten()).map(|element| element.to_string()).collect()
}

/// Whether the node is itself a member.
pub(super) fn is_member(node: &Value) -> bool {
    node.as_object().is_some_and(|tree| tree.is_empty() || tree.contains_key(SELF))
}

/// The nodes below a node.
pub(super) fn below(tree: &Tree) -> impl Iterator<Item = (&String, &Value)> {
    tree.iter().filter(|(key, _)| *key != SELF)
}

/// Makes a node a member, or not; a node that is not and has nothing below it must not stay.
pub(super) fn set_member(tree: &mut Tree, member: bool) {
    let marked = tree.contains_key(SELF);
    let needed = member && tree.len() > usize::from(marked);
    if marked && !needed {
        tree.remove(SELF);
    } else if needed && !marked {
        tree.insert(SELF.to_owned(), Value::Object(Map::new()));
    }
}

fn parse_node(node: &Value) -> Result<(bool, Tree), String> {
    let fields = match node {
        Value::Object(fields) => fields,
        Value::Null => return Ok((true, Tree::new())),
        _ => return Err("a set of fields is an object".to_owned()),
    };
    let mut member = fields.contains_key(SELF);
    let mut tree = Tree::new();
    for (key, child) in below(fields) {
        let Some(element) = Element::parse(key)? else { continue };
        let (own, children) = parse_node(child)?;
        Branch { own, children }.put(&mut tree, || element.serialise());
    }
    member |= tree.is_empty();
    Ok((member, tree))
}

fn unite(into: &mut Tree, other: &Tree) {
    for (key, theirs) in below(other) {
        let (Some(Value::Object(ours)), Value::Object(theirs_below)) = (into.get_mut(key), theirs) else {
            into.insert(key.clone(), theirs.clone());
            continue;
        };
        let member = ours.is_empty() || ours.contains_key(SELF) || is_member(theirs);
        unite(ours, theirs_below);
        set_member(ours, member);
    }
}

fn subtract(from: &mut Tree, other: &Tree) -> bool {
    let mut changed = false;
    for (key, theirs) in below(other) {
        let (Some(Value::Object(ours)), Value::Object(theirs_below)) = (from.get_mut(key), theirs) else { continue };
        let was_member = ours.is_empty() || ours.contains_key(SELF);
        let member = was_member && !is_member(theirs);
        let mut this = was_member != member;
        this |= subtract(ours, theirs_below);
        if !this {
            continue;
        }
        changed = true;
        set_member(ours, member);
        if !member && ours.is_empty() {
            from.remove(key);
        }
    }
    changed
}

fn subtract_deep(from: &mut Tree, other: &Tree) {
    for (key, theirs) in below(other) {
        if is_member(theirs) {
            from.remove(key);
            continue;
        }
        let (Some(Value::Object(ours)), Value::Object(theirs_below)) = (from.get_mut(key), theirs) else { continue };
        let member = ours.is_empty() || ours.contains_key(SELF);
        subtract_deep(ours, theirs_below);
        set_member(ours, member);
        if !member && ours.is_empty() {
            from.remove(key);
        }
    }
}

fn intersection(a: &Tree, b: &Tree) -> Tree {
    let mut both = Tree::new();
    for (key, ours) in below(a) {
        if let (Value::Object(ours_below), Some(theirs @ Value::Object(theirs_below))) = (ours, b.get(key)) {
            let own = is_member(ours) && is_member(theirs);
            Branch { own, children: intersection(ours_below, theirs_below) }.put(&mut both, || key.clone());
        }
    }
    both
}

fn retain_below(tree: &mut Tree, paths: &[&[&str]]) {
    let old = std::mem::take(tree);
    for (key, node) in old {
        if key == SELF {
            continue;
        }
        let field = match Element::parse(&key) {
            Ok(Some(Element::Field(name))) => Cow::Borrowed(name),
            _ => Cow::Borrowed(""),
        };
        let next: Vec<&[&str]> = paths
            .iter()
            .filter_map(|path| path.split_first())
            .filter(|(step, _)| **step == "*" || **step == field)
            .map(|(_, rest)| rest)
            .collect();
        if next.is_empty() {
            continue;
        }
        if next.iter().any(|rest| rest.is_empty()) {
            tree.insert(key, node);
            continue;
        }
        let own = is_member(&node);
        if let Value::Object(mut children) = node {
            retain_below(&mut children, &next);
            Branch { own, children }.put(tree, || key);
        }
    }
}

fn collect<'s>(tree: &'s Tree, path: &mut Vec<&'s str>, paths: &mut Vec<Vec<&'s str>>) {
    let nodes = in_order(tree);
    for (key, _) in nodes.iter().filter(|(_, node)| is_member(node)) {
        paths.push(path.iter().copied().chain([*key]).collect());
    }
    for (key, node) in nodes {
        if let Value::Object(children) = node {
            path.push(key);
            collect(children, path, paths);
            path.pop();
        }
    }
}

/// The nodes below a node in the order of their elements. Field names are in order already.
fn in_order(tree: &Tree) -> Vec<(&str, &Value)> {
    let nodes = below(tree).map(|(key, node)| (key.as_str(), node));
    if tree.keys().all(|key| key.starts_with("f:") || key == SELF) {
        return nodes.collect();
    }
    // A key that is no element is not printed by the real server either.
    let mut parsed: Vec<(Element<'_>, &str, &Value)> =
        nodes.filter_map(|(key, node)| Some((Element::parse(key).ok()??, key, node))).collect();
    parsed.sort_by(|(a, ..), (b, ..)| a.compare(b));
    parsed.into_iter().map(|(_, key, node)| (key, node)).collect()
}

fn print_tree(tree: &Tree, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut separate = tree.contains_key(SELF);
    if separate {
        out.extend_from_slice(b"\".\":{}");
    }
    for (key, node) in in_order(tree) {
        if separate {
            out.push(b',');
        }
        separate = true;
        crate::codec::print_text(key, out);
        out.push(b':');
        match node {
            Value::Object(children) => print_tree(children, out),
            _ => out.extend_from_slice(b"{}"),
        }
    }
    out.push(b'}');
}

/// Prints the value of `fieldsV1`, whatever a client put there.
pub(crate) fn print_fields(fields: &Map<String, Value>, out: &mut Vec<u8>) {
    print_tree(fields, out);
}
