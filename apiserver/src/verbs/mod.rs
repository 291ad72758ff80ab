//! The verbs: one file each, generic over a kind. Every handler has the shape
//! `async fn verb(call: &Call<'_>) -> Result<Response, ApiError>`; those that take a body get it as a second
//! argument.

use crate::body::Body;

/// What a handler answers.
pub type Response = http::Response<Body>;
