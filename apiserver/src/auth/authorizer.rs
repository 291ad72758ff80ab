//! May the user do this? The seam for RBAC and friends, and the rules that hold before them.

use super::{AUTHENTICATED, MASTERS, UNAUTHENTICATED, User};
use crate::request::info::RequestInfo;

/// What one authorizer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow,
    /// Refused, whatever others say. The reason is shown to the user.
    Deny(String),
    /// Others decide. The reason (may be empty) is shown if nobody allows.
    NoOpinion(String),
}

/// Decides on one request. Must not block: what it needs is in memory.
pub trait Authorizer: Send + Sync {
    fn authorize(&self, user: &User, request: &RequestInfo<'_>) -> Decision;
}

/// Asks several authorizers in order: the first that has an opinion decides.
#[derive(Default)]
pub struct Chain(Vec<Box<dyn Authorizer>>);

impl Chain {
    /// The authorizers of `--authorization-mode`, behind those that always hold. RBAC has its seam here; until its
    /// rules are served, modes that grant by rules grant nothing.
    pub fn from_modes(modes: &[String]) -> Self {
        let mut chain: Vec<Box<dyn Authorizer>> = vec![Box::new(Masters), Box::new(PublicPaths)];
        for mode in modes {
            match mode.as_str() {
                "AlwaysAllow" => chain.push(Box::new(AlwaysAllow)),
                "AlwaysDeny" => chain.push(Box::new(AlwaysDeny)),
                _ => {}
            }
        }
        Chain(chain)
    }
}

impl Authorizer for Chain {
    fn authorize(&self, user: &User, request: &RequestInfo<'_>) -> Decision {
        let mut reasons = Vec::new();
        for authorizer in &self.0 {
            match authorizer.authorize(user, request) {
                Decision::NoOpinion(reason) => {
                    if !reason.is_empty() {
                        reasons.push(reason);
                    }
                }
                decided => return decided,
            }
        }
        Decision::NoOpinion(reasons.join("\n"))
    }
}

/// system:masters may do everything.
struct Masters;

impl Authorizer for Masters {
    fn authorize(&self, user: &User, _: &RequestInfo<'_>) -> Decision {
        if user.is_in(MASTERS) { Decision::Allow } else { Decision::NoOpinion(String::new()) }
    }
}

/// Health and version are for everyone.
struct PublicPaths;

impl Authorizer for PublicPaths {
    fn authorize(&self, user: &User, request: &RequestInfo<'_>) -> Decision {
        // Every request is in one of the two; a review may ask about a user who is in neither.
        if !user.is_in(AUTHENTICATED) && !user.is_in(UNAUTHENTICATED) {
            return Decision::NoOpinion(String::new());
        }
        let path = request.path.trim_end_matches('/');
        let public = ["/healthz", "/livez", "/readyz", "/version"]
            .iter()
            .any(|p| path.strip_prefix(p).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
        if public && request.verb == "get" { Decision::Allow } else { Decision::NoOpinion(String::new()) }
    }
}

struct AlwaysAllow;

impl Authorizer for AlwaysAllow {
    fn authorize(&self, _: &User, _: &RequestInfo<'_>) -> Decision {
        Decision::Allow
    }
}

struct AlwaysDeny;

impl Authorizer for AlwaysDeny {
    fn authorize(&self, _: &User, _: &RequestInfo<'_>) -> Decision {
        Decision::NoOpinion("Everything is forbidden.".to_owned())
    }
}

/// The text behind `… is forbidden: `.
pub fn refusal(user: &User, request: &RequestInfo<'_>, reason: &str) -> String {
    let mut text = if request.is_resource {
        let resource = if request.subresource.is_empty() {
            request.resource.to_owned()
        } else {
            format!("{}/{}", request.resource, request.subresource)
        };
        let scope = if request.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", request.namespace)
        };
        format!(
            "User {:?} cannot {} resource {resource:?} in API group {:?} {scope}",
            user.name, request.verb, request.group
        )
    } else {
        format!("User {:?} cannot {} path {:?}", user.name, request.verb, request.path)
    };
    if !reason.is_empty() {
        text.push_str(": ");
        text.push_str(reason);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::info::request_info;
    use crate::request::query::Query;
    use http::Method;

    fn decide(user: &User, method: Method, path: &str) -> Decision {
        let query = Query::default();
        Chain::from_modes(&["RBAC".to_owned()]).authorize(user, &request_info(&method, path, &query))
    }

    #[test]
    fn anonymous_sees_health_and_version_only() {
        let user = User::anonymous();
        for path in ["/healthz", "/livez/ping", "/readyz", "/version", "/version/"] {
            assert_eq!(decide(&user, Method::GET, path), Decision::Allow, "{path}");
        }
        for path in ["/", "/metrics", "/healthzz", "/api/v1/pods"] {
            assert_ne!(decide(&user, Method::GET, path), Decision::Allow, "{path}");
        }
        assert_eq!(decide(&User::loopback(), Method::DELETE, "/api/v1/pods"), Decision::Allow);
    }

    #[test]
    fn the_refusal_names_verb_resource_and_scope() {
        let query = Query::default();
        let info = request_info(&Method::GET, "/api/v1/namespaces/default/pods", &query);
        assert_eq!(
            refusal(&User::anonymous(), &info, ""),
            r#"User "system:anonymous" cannot list resource "pods" in API group "" in the namespace "default""#
        );
        let info = request_info(&Method::GET, "/metrics", &query);
        assert_eq!(refusal(&User::anonymous(), &info, ""), r#"User "system:anonymous" cannot get path "/metrics""#);
    }
}
