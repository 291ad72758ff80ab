//! Request info: from method and path to verb, group, version, resource, subresource, namespace and name.
//!
//! The rules are those of apiserver's `RequestInfoFactory`, because authorization and audit name requests by them.

use http::Method;

/// What a request is about. Borrows from the decoded path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo<'a> {
    /// Whether the path names a resource of the API; else only `path` and `verb` count.
    pub is_resource: bool,
    pub path: &'a str,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for other paths the
    /// lower-case method.
    pub verb: &'static str,
    /// `api` or `apis`
    pub prefix: &'a str,
    pub group: &'a str,
    pub version: &'a str,
    pub namespace: &'a str,
    /// Plural.
    pub resource: &'a str,
    pub subresource: &'a str,
    pub name: &'a str,
    /// What follows the subresource (`proxy/<this>`).
    pub rest: &'a str,
    /// Segments after group and version, without the namespace pair.
    pub parts: usize,
    /// Whether the path has the deprecated `/watch/` prefix.
    pub legacy_watch: bool,
}

/// Resources under `namespaces/<name>/` that are parts of the namespace itself.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

/// The info of `method` on the percent-decoded `path`. `query` decides between list and watch, and names the object
/// of a `metadata.name=` field selector.
pub fn request_info<'a>(method: &Method, path: &'a str, query: &super::query::Query<'_>) -> RequestInfo<'a> {
    let mut info = RequestInfo { path, verb: lower(method), ..Default::default() };
    let trimmed = path.trim_matches('/');
    let mut rest = trimmed;
    let mut next = || -> Option<&'a str> {
        if rest.is_empty() {
            return None;
        }
        let (head, tail) = rest.split_once('/').unwrap_or((rest, ""));
        rest = tail;
        Some(head)
    };
    let Some(prefix @ ("api" | "apis")) = next() else { return info };
    info.prefix = prefix;
    if prefix == "apis" {
        let Some(group) = next() else { return RequestInfo { prefix: "", ..info } };
        info.group = group;
    }
    let Some(version) = next() else { return RequestInfo { group: "", prefix: "", ..info } };
    info.version = version;
    let Some(mut head) = next() else {
        return RequestInfo { path, verb: info.verb, ..Default::default() };
    };
    info.is_resource = true;
    info.verb = match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    };
    if head == "watch" || head == "proxy" {
        match next() {
            Some(following) => {
                info.legacy_watch = head == "watch";
                info.verb = if info.legacy_watch { "watch" } else { "proxy" };
                head = following;
            }
            None => return RequestInfo { path, verb: lower(method), ..Default::default() },
        }
    }
    let mut parts: smallvec::SmallVec<[&'a str; 4]> = smallvec::SmallVec::new();
    if head == "namespaces" {
        match next() {
            Some(namespace) => {
                info.namespace = namespace;
                match next() {
                    Some(resource) if !NAMESPACE_SUBRESOURCES.contains(&resource) => parts.push(resource),
                    Some(subresource) => parts.extend([head, namespace, subresource]),
                    None => parts.extend([head, namespace]),
                }
            }
            None => parts.push(head),
        }
    } else {
        parts.push(head);
    }
    while parts.len() < 3 {
        match next() {
            Some(part) => parts.push(part),
            None => break,
        }
    }
    info.rest = rest;
    info.parts = parts.len() + usize::from(!rest.is_empty());
    info.resource = parts[0];
    info.name = parts.get(1).copied().unwrap_or("");
    info.subresource = parts.get(2).copied().unwrap_or("");
    if info.name.is_empty() && info.verb == "get" {
        info.verb = if query.flag("watch") { "watch" } else { "list" };
    }
    if info.name.is_empty() && info.verb == "delete" {
        info.verb = "deletecollection";
    }
    info
}

fn lower(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        Method::CONNECT => "connect",
        Method::TRACE => "trace",
        _ => "other",
    }
}

impl RequestInfo<'_> {
    /// Watches, and subresources that carry a stream: no deadline, a limit of their own.
    pub fn is_long_running(&self) -> bool {
        self.is_resource
            && (self.verb == "watch"
                || self.verb == "proxy"
                || matches!(self.subresource, "attach" | "exec" | "proxy" | "log" | "portforward"))
    }

    /// Whether it changes nothing (the two in-flight limits tell these apart).
    pub fn is_read_only(&self) -> bool {
        matches!(self.verb, "get" | "list" | "watch" | "head" | "options")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::query::Query;

    fn info<'a>(method: Method, path: &'a str, query: &str) -> RequestInfo<'a> {
        request_info(&method, path, &Query::parse(query))
    }

    #[test]
    fn resources() {
        let table: &[(Method, &str, &str, [&str; 7])] = &[
            // method, path, query, [verb, group, version, namespace, resource, subresource, name]
            (Method::GET, "/api/v1/pods", "", ["list", "", "v1", "", "pods", "", ""]),
            (Method::GET, "/api/v1/pods", "watch=1", ["watch", "", "v1", "", "pods", "", ""]),
            (Method::GET, "/api/v1/pods", "watch=false", ["list", "", "v1", "", "pods", "", ""]),
            (Method::GET, "/api/v1/watch/pods", "", ["watch", "", "v1", "", "pods", "", ""]),
            (Method::GET, "/api/v1/namespaces/a/pods/b", "", ["get", "", "v1", "a", "pods", "", "b"]),
            (Method::GET, "/api/v1/namespaces", "", ["list", "", "v1", "", "namespaces", "", ""]),
            (Method::GET, "/api/v1/namespaces/a", "", ["get", "", "v1", "a", "namespaces", "", "a"]),
            (
                Method::PUT,
                "/api/v1/namespaces/a/finalize",
                "",
                ["update", "", "v1", "a", "namespaces", "finalize", "a"],
            ),
            (
                Method::POST,
                "/apis/apps/v1/namespaces/a/deployments",
                "",
                ["create", "apps", "v1", "a", "deployments", "", ""],
            ),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/a/deployments/d/scale",
                "",
                ["patch", "apps", "v1", "a", "deployments", "scale", "d"],
            ),
            (Method::DELETE, "/api/v1/namespaces/a/pods", "", ["deletecollection", "", "v1", "a", "pods", "", ""]),
            (Method::DELETE, "/api/v1/nodes/n", "", ["delete", "", "v1", "", "nodes", "", "n"]),
        ];
        for (method, path, query, want) in table {
            let i = info(method.clone(), path, query);
            assert!(i.is_resource, "{path}");
            assert_eq!([i.verb, i.group, i.version, i.namespace, i.resource, i.subresource, i.name], *want, "{path}");
        }
    }

    #[test]
    fn other_paths_keep_their_method() {
        for path in
            ["/", "/api", "/apis", "/apis/apps", "/apis/apps/v1", "/api/v1", "/healthz", "/version", "/api/v1/watch"]
        {
            let i = info(Method::GET, path, "");
            assert!(!i.is_resource, "{path}");
            assert_eq!((i.verb, i.resource), ("get", ""), "{path}");
        }
    }
}
