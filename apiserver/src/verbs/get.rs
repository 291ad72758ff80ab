//! GET of one object: from the cache, behind a fence unless the client accepts an older version.

use http::StatusCode;

use crate::app::Call;
use crate::layers::respond;
use crate::object::render::Renderer;
use crate::request::negotiate::{Format, View};
use crate::request::query::parse_uint;
use crate::status::ApiError;
use crate::verbs::store::Objects;
use crate::verbs::{Response, reply, version};

pub async fn get(call: &Call<'_>) -> Result<Response, ApiError> {
    let objects = Objects::of(call)?;
    match call.query.text("resourceVersion") {
        "" => drop(objects.fence().await?),
        "0" => {}
        text => {
            let revision = parse_uint(text)
                .map_err(|why| ApiError::plain_500(format!("resourceVersion: Invalid value: {text:?}: {why}")))?;
            version::not_older_than(call, revision).await?;
        }
    }
    let name = call.info.name;
    let found = objects.resource.get(objects.namespace(), name).ok_or_else(|| objects.not_found(name))?;
    let accept = &call.accept;
    if objects.same_version() && accept.view == View::Object && accept.format == Format::Json && !accept.pretty {
        // Encoded when it was written: every reader gets the same bytes.
        return Ok(respond::bytes_of(StatusCode::OK, found.json_line().clone(), Format::Json.content_type()));
    }
    if accept.format == Format::Protobuf && accept.view != View::PartialObjectMetadataList {
        let mut out = Vec::with_capacity(found.json().len() + 64);
        Renderer::of(call)?.single(&found, true, 0, &mut out);
        return Ok(respond::bytes_of(StatusCode::OK, out, accept.format.content_type()));
    }
    if matches!(accept.view, View::Table | View::PartialObjectMetadata) {
        let mut out = Vec::with_capacity(found.json().len().min(4096));
        Renderer::of(call)?.single(&found, true, crate::tls::unix_now(), &mut out);
        return Ok(respond::json(StatusCode::OK, out, accept));
    }
    let current = objects.decode(found)?;
    reply::object(call, StatusCode::OK, objects.answer_current(&current))
}
