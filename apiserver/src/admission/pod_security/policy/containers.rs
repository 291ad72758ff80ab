//! Containers of a pod, and how complaints name them.

use std::collections::BTreeSet;

use kuorum_kinds::value as json;
use serde_json::Value;

use super::Pod;

/// Every container of a pod: init, regular, ephemeral.
pub fn all<'a>(pod: &Pod<'a>) -> impl Iterator<Item = &'a Value> {
    let spec = pod.spec;
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|list| json::items(spec, list))
}

/// The names of the containers that are `bad`.
pub fn names<'a>(pod: &Pod<'a>, mut bad: impl FnMut(&'a Value) -> bool) -> Vec<&'a str> {
    all(pod).filter(|container| bad(container)).map(|container| json::text(container, "name")).collect()
}

/// `container "a"`, `containers "a", "b"`
pub fn list(names: &[&str]) -> String {
    format!("{} {}", plural("container", "containers", names.len()), quoted(names))
}

/// Who has set something: the pod as a whole, some of its containers, or both.
pub fn setters(pod: bool, containers: &[&str]) -> Vec<String> {
    let mut setters = Vec::new();
    if pod {
        setters.push("pod".to_owned());
    }
    if !containers.is_empty() {
        setters.push(list(containers));
    }
    setters
}

pub fn plural(one: &'static str, many: &'static str, count: usize) -> &'static str {
    if count == 1 { one } else { many }
}

/// `"a", "b"`
pub fn quoted<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    // As Go joins them: quotes around, nothing escaped.
    items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect::<Vec<_>>().join(", ")
}

/// What the pod and its containers have at `field` of their security contexts, and who has something `bad` there.
pub struct Settings<'a> {
    pub pod: bool,
    pub containers: Vec<&'a str>,
    /// The bad values, sorted, each once.
    pub values: BTreeSet<&'a str>,
}

impl Settings<'_> {
    pub fn setters(&self) -> Vec<String> {
        setters(self.pod, &self.containers)
    }
}

/// Looks at the text at `field` (dotted) of each security context that has its parent object.
pub fn settings<'a>(pod: &Pod<'a>, parent: &str, field: &str, bad: impl Fn(&str) -> bool) -> Settings<'a> {
    let mut values = BTreeSet::new();
    let mut is_bad = |owner: &'a Value| {
        let parent = json::get(json::get(owner, "securityContext"), parent);
        let value = json::text(parent, field);
        let found = parent.is_object() && bad(value);
        if found {
            values.insert(value);
        }
        found
    };
    let of_pod = is_bad(pod.spec);
    let containers = names(pod, &mut is_bad);
    Settings { pod: of_pod, containers, values }
}
