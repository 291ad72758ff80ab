//! SelfSubjectReview: who am I?

use kuorum_kinds::value as json;
use serde_json::{Value, json};

use crate::app::Call;
use crate::auth::User;

/// The status: the requesting user.
pub fn status(call: &Call<'_>) -> Value {
    json!({"userInfo": user_info(call.user)})
}

/// A `UserInfo`, without what is empty.
pub fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name});
    if !user.uid.is_empty() {
        json::set(&mut info, "uid", user.uid.as_str());
    }
    if !user.groups.is_empty() {
        json::set(&mut info, "groups", user.groups.as_slice());
    }
    if !user.extra.is_empty() {
        json::set(&mut info, "extra", json!(user.extra));
    }
    info
}
