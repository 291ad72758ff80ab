//! Bootstrap tokens, with which a node joins: `<id>.<secret>`, kept in Secrets of kube-system.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kuorum_cache::Object;
use serde::Deserialize;
use std::collections::BTreeMap;

use super::objects::{Kind, Objects};
use super::{Authenticated, Outcome, same};
use crate::user::User;

const NAMESPACE: &str = "kube-system";
const SECRET_NAME_PREFIX: &str = "bootstrap-token-";
const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";
const GROUP: &str = "system:bootstrappers";
const USER_PREFIX: &str = "system:bootstrap:";
const ID_CHARS: usize = 6;
const SECRET_CHARS: usize = 16;

/// Looks bootstrap tokens up.
pub struct Bootstrap {
    pub objects: Arc<Objects>,
}

#[derive(Deserialize, Default)]
struct Secret {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

impl Secret {
    fn text(&self, key: &str) -> String {
        let bytes = self.data.get(key).and_then(|v| STANDARD.decode(v).ok()).unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    }
}

/// Id and secret of a well-formed token.
fn parse(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let good =
        |text: &str, chars| text.len() == chars && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (good(id, ID_CHARS) && good(secret, SECRET_CHARS)).then_some((id, secret))
}

impl Bootstrap {
    /// The user of a token. Whatever is wrong with it, it is simply not a bootstrap token.
    pub fn authenticate(&self, token: &str, now: i64) -> Outcome {
        let Some((id, given)) = parse(token) else { return Ok(None) };
        let name = format!("{SECRET_NAME_PREFIX}{id}");
        let found = self.objects.get(Kind::Secret, NAMESPACE, &name);
        Ok(found.and_then(|object| user(&object, id, given, now)))
    }
}

fn user(object: &Object, id: &str, given: &str, now: i64) -> Option<Authenticated> {
    let refuse = |why: &str| {
        tracing::debug!(secret = object.name(), why, "bootstrap token refused");
        None
    };
    if object.deleting() {
        return refuse("the secret is being deleted");
    }
    let secret: Secret = serde_json::from_slice(object.json()).ok()?;
    if secret.kind != SECRET_TYPE {
        return refuse("the secret has another type");
    }
    let kept = secret.text("token-secret");
    if kept.is_empty() || !same(kept.as_bytes(), given.as_bytes()) {
        return refuse("another token-secret");
    }
    if secret.text("token-id") != id {
        return refuse("another token-id");
    }
    let expiration = secret.text("expiration");
    let expires = match expiration.as_str() {
        "" => None,
        text => match kuorum_schema::time::Timestamp::parse(text) {
            Ok(at) if at.seconds >= now => Some(at.seconds),
            Ok(_) => return refuse("expired"),
            Err(_) => return refuse("malformed expiration"),
        },
    };
    if secret.text("usage-bootstrap-authentication") != "true" {
        return refuse("not for authentication");
    }
    let mut groups = vec![GROUP.to_owned()];
    for group in secret.text("auth-extra-groups").split(',').filter(|g| !g.is_empty()) {
        if !is_bootstrap_group(group) {
            return refuse("a malformed group");
        }
        if !groups.iter().any(|g| g == group) {
            groups.push(group.to_owned());
        }
    }
    groups.sort();
    let user = User { name: format!("{USER_PREFIX}{id}"), groups, ..User::default() };
    Some(Authenticated { expires, ..Authenticated::new(user.authenticated()) })
}

/// `system:bootstrappers:` and up to 255 of letters, digits, `:` and `-`, the last one neither of those two.
fn is_bootstrap_group(group: &str) -> bool {
    let Some(rest) = group.strip_prefix("system:bootstrappers:") else { return false };
    (1..=256).contains(&rest.len())
        && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b':' || b == b'-')
        && rest.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_a_shape() {
        assert_eq!(parse("abcdef.0123456789abcdef"), Some(("abcdef", "0123456789abcdef")));
        for bad in
            ["", "abcdef", "abcdef.", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdeF", "abcde.0123456789abcdef0"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn groups_have_a_shape() {
        for good in ["system:bootstrappers:a", "system:bootstrappers:kubeadm:default-node-token"] {
            assert!(is_bootstrap_group(good), "{good}");
        }
        for bad in ["system:masters", "system:bootstrappers:", "system:bootstrappers:A", "system:bootstrappers:a-"] {
            assert!(!is_bootstrap_group(bad), "{bad}");
        }
    }
}
