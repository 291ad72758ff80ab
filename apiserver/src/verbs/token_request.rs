//! POST serviceaccounts/token: a token of a service account, perhaps bound to a pod, a secret or a node.

use bytes::Bytes;
use http::StatusCode;
use kuorum_auth::authn::service_account::{
    BoundTo, EXTENDED_EXPIRATION_SECONDS, Reference, TokenSpec, WARN_AFTER_SECONDS,
};
use kuorum_kinds::field::{Errors, FieldError};
use kuorum_kinds::value as json;
use kuorum_schema::codec;
use kuorum_schema::time::Timestamp;
use serde_json::{Value, json};

use super::store::fence;
use super::{Response, actions, reply};
use crate::admission::{Attributes, Operation};
use crate::app::Call;
use crate::auth::setup::audiences;
use crate::body::Payload;
use crate::request::options::WriteOptions;
use crate::status::ApiError;
use crate::tls::unix_now;

const GROUP: &str = "authentication.k8s.io";
const KIND: &str = "TokenRequest";
/// How long a token lives that asks for nothing.
const EXPIRATION_SECONDS: i64 = 3600;
const EXPIRATION_SECONDS_MIN: i64 = 600;
const EXPIRATION_SECONDS_MAX: i64 = 1 << 32;

/// Answers the request with its token. Nothing is stored.
pub async fn create(call: &Call<'_>, payload: Payload) -> Result<Response, ApiError> {
    let (mut request, options) = actions::body(call, payload, (GROUP, "v1", KIND)).await?;
    let Some(issuer) = &call.app.authenticator.issuer else { return Err(ApiError::no_such_path()) };
    check_namespace(call, &request)?;
    set_defaults(&mut request);
    admit(call, &mut request, &options).await?;
    let name = call.info.name;
    let given = json::get(&request, "metadata.name");
    if given.as_str().is_some_and(|given| !given.is_empty() && given != name) {
        let error = FieldError::invalid("metadata.name", given, "must match the service account name if specified");
        return Err(ApiError::invalid(GROUP, KIND, name, &[error]));
    }
    fence(call.app, call.deadline).await?;
    let account = find(call, "serviceaccounts", call.info.namespace, name)?;
    let uid = json::text(&account, "metadata.uid").to_owned();
    check_uid(&request, name, &uid)?;
    let now = unix_now();
    fill_in(call, &mut request, &uid, now);
    check_expiration(&request)?;
    validate(call, &request, &options).await?;
    let bound_to = bound_to(call, &request)?;
    let mut seconds = json::int(&request, "spec.expirationSeconds").unwrap_or(EXPIRATION_SECONDS);
    let longest = call.app.config.authentication.service_account_max_token_expiration.as_secs();
    if let Some(longest) = i64::try_from(longest).ok().filter(|longest| *longest > 0 && seconds > *longest) {
        call.warnings.add(format!("requested expiration of {seconds} seconds shortened to {longest} seconds"));
        seconds = longest;
        set(&mut request, "spec", "expirationSeconds", seconds);
    }
    let wanted: Vec<String> =
        json::items(&request, "spec.audiences").iter().filter_map(|a| a.as_str().map(str::to_owned)).collect();
    // A pod's own token is made to outlive its hour, for clients that do not read it again.
    let own = audiences(&call.app.config);
    let extended = call.app.config.authentication.service_account_extend_token_expiration
        && matches!(bound_to, BoundTo::Pod(..))
        && seconds == WARN_AFTER_SECONDS
        && wanted.iter().all(|a| own.contains(a));
    let spec = TokenSpec {
        namespace: call.info.namespace.to_owned(),
        service_account: Reference { name: name.to_owned(), uid },
        bound_to,
        audiences: wanted,
        now,
        expiration_seconds: if extended { EXTENDED_EXPIRATION_SECONDS } else { seconds },
        warn_after_seconds: extended.then_some(seconds),
        id: uuid::Uuid::new_v4().to_string(),
    };
    let token = issuer.token(&spec).ok_or_else(|| ApiError::internal("failed to generate token"))?;
    call.annotations.add("authentication.kubernetes.io/issued-credential-id", format!("JTI={}", spec.id));
    let expires = Timestamp { seconds: now.saturating_add(seconds), nanos: 0 }.to_rfc3339();
    json::set(&mut request, "status", json!({"token": token, "expirationTimestamp": expires}));
    let schema = kuorum_schema::catalog()
        .kind(GROUP, "v1", KIND)
        .ok_or_else(|| ApiError::internal(format!("the catalog has no {KIND}")))?;
    let mut out = Vec::with_capacity(2048);
    codec::encode(&request, &schema, &mut out);
    reply::object(call, StatusCode::CREATED, Bytes::from(out))
}

/// The namespace of the object, if it has one, is the request's.
fn check_namespace(call: &Call<'_>, request: &Value) -> Result<(), ApiError> {
    match json::text(request, "metadata.namespace") {
        "" => Ok(()),
        same if same == call.info.namespace => Ok(()),
        _ => Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
    }
}

fn set_defaults(request: &mut Value) {
    json::remove(request, "status");
    if let Some(spec) = json::child(request, "spec") {
        json::set_default_int(spec, "expirationSeconds", EXPIRATION_SECONDS);
    }
}

fn set(request: &mut Value, part: &str, key: &str, value: impl Into<Value>) {
    if let Some(part) = json::child(request, part) {
        json::set(part, key, value);
    }
}

/// The UID of the object, if it has one, is a precondition.
fn check_uid(request: &Value, name: &str, uid: &str) -> Result<(), ApiError> {
    match json::text(request, "metadata.uid") {
        "" => Ok(()),
        same if same == uid => Ok(()),
        other => Err(ApiError::conflict(
            GROUP,
            KIND,
            name,
            format!("the UID in the token request ({other}) does not match the UID of the service account ({uid})"),
        )),
    }
}

fn fill_in(call: &Call<'_>, request: &mut Value, uid: &str, now: i64) {
    if json::items(request, "spec.audiences").is_empty() {
        set(request, "spec", "audiences", json!(audiences(&call.app.config)));
    }
    let created = Timestamp { seconds: now, nanos: 0 }.to_rfc3339();
    for (key, value) in
        [("name", call.info.name), ("namespace", call.info.namespace), ("uid", uid), ("creationTimestamp", &created)]
    {
        set(request, "metadata", key, value);
    }
}

fn check_expiration(request: &Value) -> Result<(), ApiError> {
    let shown = json::get(request, "spec.expirationSeconds");
    let seconds = shown.as_i64().unwrap_or(EXPIRATION_SECONDS);
    let mut errors = Errors::new();
    let mut refuse = |why: &str| errors.push(FieldError::invalid("spec.expirationSeconds", shown, why));
    if seconds < EXPIRATION_SECONDS_MIN {
        refuse("may not specify a duration less than 10 minutes");
    }
    if seconds > EXPIRATION_SECONDS_MAX {
        refuse("may not specify a duration larger than 2^32 seconds");
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(GROUP, KIND, "", &errors)) }
}

async fn admit(call: &Call<'_>, request: &mut Value, options: &WriteOptions) -> Result<(), ApiError> {
    let attributes = Attributes::new(call, Operation::Create, options.dry_run);
    let mut attributes = attributes.named(call.info.name).of_kind(GROUP, "v1", KIND);
    call.app.admission.admit(&mut attributes, Some(request), None).await
}

async fn validate(call: &Call<'_>, request: &Value, options: &WriteOptions) -> Result<(), ApiError> {
    let attributes = Attributes::new(call, Operation::Create, options.dry_run);
    let attributes = attributes.named(call.info.name).of_kind(GROUP, "v1", KIND);
    call.app.admission.validate(&attributes, Some(request), None).await
}

/// The object, decoded, or 404. Behind a fence.
fn find(call: &Call<'_>, plural: &str, namespace: &str, name: &str) -> Result<Value, ApiError> {
    let (_, resource) = call.app.resource_named("", "v1", plural)?;
    let object = resource.get(namespace, name).ok_or_else(|| ApiError::not_found("", plural, name))?;
    serde_json::from_slice(object.json())
        .map_err(|e| ApiError::internal(format!("stored object {} is not JSON: {e}", object.key())))
}

/// What the token is to be bound to, which must exist.
fn bound_to(call: &Call<'_>, request: &Value) -> Result<BoundTo, ApiError> {
    let wanted = json::get(request, "spec.boundObjectRef");
    if wanted.is_null() {
        return Ok(BoundTo::Nothing);
    }
    let (kind, name) = (json::text(wanted, "kind"), json::text(wanted, "name"));
    let (group, version) = match json::text(wanted, "apiVersion") {
        "" => ("", ""),
        text => text.split_once('/').unwrap_or(("", text)),
    };
    let reference =
        |object: &Value| Reference { name: name.to_owned(), uid: json::text(object, "metadata.uid").to_owned() };
    let namespace = call.info.namespace;
    let bound_to = match (group, kind) {
        ("", "Pod") => {
            let pod = find(call, "pods", namespace, name)?;
            if json::text(&pod, "spec.serviceAccountName") != call.info.name {
                let text = format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                    call.info.name
                );
                return Err(ApiError::bad_request(text));
            }
            let node = match json::text(&pod, "spec.nodeName") {
                "" => None,
                node => {
                    // A node that is not there is still named.
                    let uid = find(call, "nodes", "", node).ok();
                    let uid = uid.map(|n| json::text(&n, "metadata.uid").to_owned()).unwrap_or_default();
                    Some(Reference { name: node.to_owned(), uid })
                }
            };
            BoundTo::Pod(reference(&pod), node)
        }
        ("", "Node") => BoundTo::Node(reference(&find(call, "nodes", "", name)?)),
        ("", "Secret") => BoundTo::Secret(reference(&find(call, "secrets", namespace, name)?)),
        _ => {
            let text = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
            return Err(ApiError::bad_request(text));
        }
    };
    let (BoundTo::Pod(found, _) | BoundTo::Node(found) | BoundTo::Secret(found)) = &bound_to else {
        return Ok(bound_to);
    };
    match json::text(wanted, "uid") {
        "" => Ok(bound_to),
        uid if uid == found.uid => Ok(bound_to),
        uid => Err(ApiError::conflict(
            "",
            kind,
            name,
            format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
            ),
        )),
    }
}
