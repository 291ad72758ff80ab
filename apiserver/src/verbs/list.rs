//! LIST: a snapshot of the cache, or of the past, filtered, cut into pages, and streamed.

pub mod body;
pub mod message;
pub mod token;

use std::sync::Arc;

use http::StatusCode;
use kuorum_cache::{Object, Resource, Snapshot, SnapshotError, Walk};

use self::body::{Items, ListEncoder, ListMeta};
use self::token::Token;
use super::selection::Selection;
use super::{Response, decode, store, version};
use crate::app::Call;
use crate::layers::respond;
use crate::object::render::Renderer;
use crate::request::negotiate::{Format, View};
use crate::request::options::ListOptions;
use crate::status::ApiError;

pub async fn list(call: &Call<'_>) -> Result<Response, ApiError> {
    let options = ListOptions::parse(call.query)?;
    options.validate(false)?;
    let resource = call.app.resource(call.kind)?;
    let selection = Selection::parse(call, &resource, &options)?;
    check_view(call)?;
    let renderer = Renderer::of(call)?;
    let page = find(call, &resource, &selection, &options).await?;
    let meta = page.meta();
    let selection = if page.scoped { selection.within_walk() } else { selection };
    Ok(answer(call, ListEncoder::new(renderer, Items::Walk(page.walk, selection), meta)))
}

/// A list of the objects that were chosen from a page (what a collection delete answers).
pub fn chosen(call: &Call<'_>, objects: Vec<Arc<Object>>, meta: ListMeta) -> Result<Response, ApiError> {
    check_view(call)?;
    let renderer = Renderer::of(call)?;
    Ok(answer(call, ListEncoder::new(renderer, Items::Chosen(objects.into_iter()), meta)))
}

/// A list has no single object's metadata.
pub fn check_view(call: &Call<'_>) -> Result<(), ApiError> {
    if call.accept.view != View::PartialObjectMetadata {
        return Ok(());
    }
    let row = &call.kind.row;
    Err(ApiError::not_acceptable(format!(
        "you requested PartialObjectMetadata, but the requested object is a list (*{}.{})",
        decode::package(row.group),
        row.list_kind()
    )))
}

fn answer(call: &Call<'_>, list: ListEncoder) -> Response {
    let accept = &call.accept;
    if accept.format == Format::Protobuf {
        let mut response = Response::new(list.into_protobuf().into_body());
        let content_type = http::HeaderValue::from_static(accept.format.content_type());
        response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
        return response;
    }
    if accept.format != Format::Json || accept.pretty {
        return respond::json(StatusCode::OK, list.whole(), accept);
    }
    let mut response = Response::new(list.into_body());
    let content_type = http::HeaderValue::from_static(accept.format.content_type());
    response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    response
}

/// One page.
pub struct Page {
    /// Of the state that is shown.
    pub revision: u64,
    /// The objects, not yet filtered.
    pub walk: Walk,
    /// Whether the walk is limited to the selection's namespace and name.
    pub scoped: bool,
    pub next: Option<Token>,
    /// How many objects follow; only where no selector was given.
    pub remaining: Option<usize>,
}

impl Page {
    /// The metadata of a list that shows this page.
    pub fn meta(&self) -> ListMeta {
        ListMeta {
            resource_version: self.revision.to_string(),
            continue_token: self.next.as_ref().map(Token::encode).unwrap_or_default(),
            remaining_item_count: self.remaining,
        }
    }
}

/// Finds the page that the options ask for.
pub async fn find(
    call: &Call<'_>,
    resource: &Resource,
    selection: &Selection,
    options: &ListOptions,
) -> Result<Page, ApiError> {
    let wanted = options.version()?;
    let limit = usize::try_from(options.limit).unwrap_or(0);
    // The part of a key that tokens leave out.
    let prefix = if resource.spec().namespaced && !call.info.namespace.is_empty() {
        format!("{}/", call.info.namespace)
    } else {
        String::new()
    };
    let mut start = String::new();
    let (snapshot, limit) = if options.continue_token.is_empty() {
        let exact = options.resource_version_match == "Exact"
            || (options.resource_version_match.is_empty() && limit > 0 && wanted.unwrap_or(0) > 0);
        match wanted {
            None => {
                store::fence(call.app, call.deadline).await?;
                (resource.snapshot(), limit)
            }
            // What a client accepts from any cache is answered as a whole.
            Some(0) => (resource.snapshot(), 0),
            Some(revision) => {
                version::not_older_than(call, revision).await?;
                match exact {
                    true => (at(call, resource, revision).await.map_err(version::snapshot_error)?, limit),
                    false => (resource.snapshot(), limit),
                }
            }
        }
    } else {
        let token = Token::decode(&options.continue_token)
            .map_err(|why| ApiError::bad_request(format!("invalid continue token: {why}")))?;
        if wanted.is_some_and(|revision| revision > 0) {
            return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
        }
        start = format!("{prefix}{}", token.start);
        (continued(call, resource, &token).await?, limit)
    };
    // A list without what cannot be read would say that it is not there.
    let namespace = selection.scope.namespace.as_deref().unwrap_or("");
    let readable = match &selection.scope.name {
        Some(name) if !namespace.is_empty() || !resource.spec().namespaced => resource.check_readable(namespace, name),
        _ => resource.check_all_readable(namespace),
    };
    readable.map_err(store::store_error)?;
    let (walk, scoped) = match (&selection.scope.namespace, &selection.scope.name) {
        (Some(namespace), Some(name)) => (snapshot.walk_one(&format!("{namespace}/{name}")), true),
        (None, Some(name)) if !resource.spec().namespaced => (snapshot.walk_one(name), true),
        (namespace, name) => (snapshot.walk(namespace.as_deref().unwrap_or(""), &start), name.is_none()),
    };
    Ok(Page { scoped, ..cut(resource, selection, snapshot, walk, limit, &prefix) })
}

/// Ends the page behind `limit` matching objects (0: no limit).
fn cut(
    resource: &Resource,
    selection: &Selection,
    snapshot: Snapshot,
    mut walk: Walk,
    limit: usize,
    prefix: &str,
) -> Page {
    let revision = snapshot.revision();
    if limit == 0 || walk.remaining() <= limit {
        return Page { revision, walk, scoped: false, next: None, remaining: None };
    }
    let mut ahead = walk.clone();
    let (mut passed, mut matched) = (0, 0);
    let mut last = None;
    while matched < limit {
        let Some(object) = ahead.next_object() else { break };
        passed += 1;
        if selection.matches(object) {
            matched += 1;
            last = Some(object.clone());
        }
    }
    let remaining = walk.truncate(passed);
    let next = last.filter(|_| remaining > 0).map(|last| {
        let key = last.key().strip_prefix(prefix).unwrap_or(last.key());
        Token::behind(key, Some(revision))
    });
    if next.is_some() {
        // The later pages show this state.
        resource.retain(&snapshot);
    }
    let remaining = next.as_ref().filter(|_| selection.everything).map(|_| remaining);
    Page { revision, walk, scoped: false, next, remaining }
}

async fn at(call: &Call<'_>, resource: &Resource, revision: u64) -> Result<Snapshot, SnapshotError> {
    resource.snapshot_at(revision, call.deadline).await
}

/// The state that a token's list shows; 410, with a token to go on anyway, when it is gone.
async fn continued(call: &Call<'_>, resource: &Resource, token: &Token) -> Result<Snapshot, ApiError> {
    let Some(revision) = token.revision else {
        store::fence(call.app, call.deadline).await?;
        return Ok(resource.snapshot());
    };
    version::not_older_than(call, revision).await?;
    match at(call, resource, revision).await {
        Ok(snapshot) => Ok(snapshot),
        Err(SnapshotError::Compacted { .. }) => {
            let go_on = Token { revision: None, start: token.start.clone() };
            Err(ApiError::expired(INCONSISTENT).with_continue(go_on.encode()))
        }
        Err(error) => Err(version::snapshot_error(error)),
    }
}

const INCONSISTENT: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
