//! DELETE of a collection: every object that the selectors match, each by the rules of a single deletion.

use std::sync::Arc;

use kuorum_cache::Object;

use super::delete_options::DeleteOptions;
use super::selection::Selection;
use super::store::Objects;
use super::{Response, delete, list};
use crate::app::Call;
use crate::body::Payload;
use crate::request::options::ListOptions;
use crate::status::ApiError;

/// Deletes the objects of a list; answers with the list as it was.
pub async fn delete_collection(call: &Call<'_>, payload: Payload) -> Result<Response, ApiError> {
    let body = payload.read().await?;
    let mut list_options = ListOptions::parse(call.query)?;
    let options = DeleteOptions::read(call, &body)?;
    list::check_view(call)?;
    let objects = Objects::of(call)?;
    let selection = Selection::parse(call, &objects.resource, &list_options)?;
    // A version in the query is a precondition of each deletion, not of the list.
    list_options.resource_version.clear();
    list_options.validate(false)?;
    let page = list::find(call, &objects.resource, &selection, &list_options).await?;
    let meta = page.meta();
    let mut walk = page.walk;
    let mut chosen: Vec<Arc<Object>> = Vec::new();
    while let Some(object) = walk.next_object() {
        if selection.matches(object) {
            chosen.push(object.clone());
        }
    }
    for object in &chosen {
        match delete::remove_of(&objects, object.namespace(), object.name(), &options).await {
            Ok(_) => {}
            // Gone meanwhile: that is what was wanted.
            Err(error) if error.code() == http::StatusCode::NOT_FOUND => {}
            Err(error) => return Err(error),
        }
    }
    list::chosen(call, chosen, meta)
}
