//! Authorization stage: asks the authorizer, answers 403 in Kubernetes' words.

use crate::auth::User;
use crate::auth::authorizer::{Authorizer, Decision, refusal};
use crate::request::info::RequestInfo;
use crate::status::ApiError;

/// Passes what is allowed.
pub fn check(authorizer: &dyn Authorizer, user: &User, info: &RequestInfo<'_>) -> Result<(), ApiError> {
    let reason = match authorizer.authorize(user, info) {
        Decision::Allow => return Ok(()),
        Decision::Deny(reason) | Decision::NoOpinion(reason) => reason,
    };
    let why = refusal(user, info, &reason);
    let resource = if info.is_resource { info.resource } else { "" };
    Err(ApiError::forbidden(info.group, resource, info.name, why))
}
