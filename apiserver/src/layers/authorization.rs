//! Authorization stage: asks the authorizers, answers 403 in Kubernetes' words.

use kuorum_auth::authz::message::forbidden;
use kuorum_schema::selector::FieldSelector;

use super::audit;
use crate::auth::User;
use crate::auth::authorizer::{Attributes, Authorization, Decision, Reason, Refusal, Selector};
use crate::request::info::RequestInfo;
use crate::request::query::Query;
use crate::status::ApiError;

/// Passes what is allowed, with the reason, which the audit log wants.
pub async fn check(
    authorization: &Authorization,
    user: &User,
    info: &RequestInfo<'_>,
    query: &Query<'_>,
) -> Result<Reason, ApiError> {
    let named = named_by_selector(info, query);
    let mut attributes = attributes(user, info);
    if let Some(name) = &named {
        attributes.name = name;
    }
    if selects(info) {
        attributes.fields = selector(query, "fieldSelector");
        attributes.labels = selector(query, "labelSelector");
    }
    let refusal = match authorization.authorize(&attributes).await {
        Decision::Allow(reason) => {
            audit::authorized("allow", &reason);
            return Ok(reason);
        }
        Decision::Deny(refusal) | Decision::NoOpinion(refusal) => refusal,
    };
    if refusal.error.is_none() {
        audit::authorized("forbid", &refusal.reason);
    }
    Err(refused(&attributes, &refusal))
}

/// Passes a request that also needs the right to another verb on what it names.
pub async fn check_verb(
    authorization: &Authorization,
    user: &User,
    info: &RequestInfo<'_>,
    verb: &str,
) -> Result<(), ApiError> {
    let attributes = Attributes { verb, ..attributes(user, info) };
    match authorization.authorize(&attributes).await {
        Decision::Allow(_) => Ok(()),
        Decision::Deny(refusal) | Decision::NoOpinion(refusal) => Err(refused(&attributes, &refusal)),
    }
}

/// A request as authorizers see it. Nothing is copied.
pub fn attributes<'a>(user: &'a User, info: &RequestInfo<'a>) -> Attributes<'a> {
    Attributes {
        user,
        verb: info.verb,
        is_resource: info.is_resource,
        group: info.group,
        version: info.version,
        resource: info.resource,
        subresource: info.subresource,
        namespace: info.namespace,
        name: info.name,
        path: info.path,
        fields: Selector::None,
        labels: Selector::None,
    }
}

/// The answer to what is not allowed: 403, or 500 where an authorizer could not decide.
pub fn refused(attributes: &Attributes<'_>, refusal: &Refusal) -> ApiError {
    if let Some(error) = &refusal.error {
        return ApiError::internal(error);
    }
    let why = forbidden(attributes, &refusal.reason);
    let resource = if attributes.is_resource { attributes.resource } else { "" };
    let group = if attributes.is_resource { attributes.group } else { "" };
    ApiError::forbidden(group, resource, attributes.name, why)
}

/// Whether a request's selectors narrow it. Those of deprecated `/watch/` paths are not looked at: not all of them
/// take selectors.
fn selects(info: &RequestInfo<'_>) -> bool {
    info.is_resource && !info.legacy_watch && matches!(info.verb, "list" | "watch" | "deletecollection")
}

fn selector<'a>(query: &'a Query<'_>, parameter: &str) -> Selector<'a> {
    match query.get(parameter) {
        None | Some("") => Selector::None,
        Some(text) => Selector::Raw(text),
    }
}

/// A list or watch of `metadata.name=x` is one of the object x: rules for names apply to it.
fn named_by_selector(info: &RequestInfo<'_>, query: &Query<'_>) -> Option<String> {
    let reads = selects(info) && info.verb != "deletecollection" && info.name.is_empty();
    let text = if reads { query.get("fieldSelector")? } else { return None };
    if !text.contains("metadata.name") {
        return None;
    }
    let selector = FieldSelector::parse(text).ok()?;
    let name = selector.requires_exact_match("metadata.name")?;
    (!name.is_empty() && kuorum_schema::names::path_segment_name(name).is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::info::request_info;
    use http::Method;

    #[test]
    fn a_selector_of_one_name_names_it() {
        for (path, raw, named) in [
            ("/api/v1/pods", "fieldSelector=metadata.name%3Dx", Some("x")),
            ("/api/v1/pods", "watch=1&fieldSelector=metadata.name%3D%3Dx,spec.nodeName%3Dn", Some("x")),
            ("/api/v1/pods", "fieldSelector=metadata.name!%3Dx", None),
            ("/api/v1/pods", "fieldSelector=metadata.name%3D", None),
            ("/api/v1/pods", "fieldSelector=metadata.name%3D..", None),
            ("/api/v1/pods", "fieldSelector=metadata.namespace%3Dx", None),
            ("/api/v1/watch/pods", "fieldSelector=metadata.name%3Dx", None),
            ("/api/v1/namespaces/a/pods/y", "fieldSelector=metadata.name%3Dx", None),
        ] {
            let query = Query::parse(raw);
            let info = request_info(&Method::GET, path, &query);
            assert_eq!(named_by_selector(&info, &query).as_deref(), named, "{path}?{raw}");
        }
        let query = Query::parse("fieldSelector=metadata.name%3Dx");
        let info = request_info(&Method::DELETE, "/api/v1/namespaces/a/pods", &query);
        assert_eq!(named_by_selector(&info, &query), None);
    }
}
