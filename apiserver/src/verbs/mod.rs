//! The verbs: one file each, generic over a kind. Every handler has the shape
//! `async fn verb(call: &Call<'_>) -> Result<Response, ApiError>`; those that take a body get it as a second
//! argument.

pub mod actions;
pub mod apply;
pub mod component_status;
pub mod connect;
pub mod create;
pub mod decode;
pub mod delete;
pub mod delete_collection;
pub mod delete_options;
pub mod get;
pub mod grants;
pub mod list;
pub mod ownership;
pub mod patch;
pub mod reply;
pub mod reviews;
pub mod scale;
pub mod selection;
pub mod store;
pub mod subresource;
pub mod token_request;
pub mod update;
pub mod version;
pub mod watch;

use crate::body::Body;

/// What a handler answers.
pub type Response = http::Response<Body>;
