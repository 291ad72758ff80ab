//! What a token says.

use serde::Deserialize;
use serde_json::{Value, json};

use super::names::user_name;
use crate::jwt::{numeric_date, one_or_many};

/// Claims of a service-account token of either kind. Absent texts are empty.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Claims {
    #[serde(rename = "iss", default)]
    pub issuer: String,
    #[serde(rename = "sub", default)]
    pub subject: String,
    #[serde(rename = "aud", default, deserialize_with = "one_or_many")]
    pub audiences: Vec<String>,
    #[serde(rename = "exp", default, deserialize_with = "numeric_date")]
    pub expires: Option<i64>,
    #[serde(rename = "nbf", default, deserialize_with = "numeric_date")]
    pub not_before: Option<i64>,
    #[serde(rename = "iat", default, deserialize_with = "numeric_date")]
    pub issued: Option<i64>,
    #[serde(rename = "jti", default)]
    pub id: String,
    #[serde(rename = "kubernetes.io", default)]
    pub kubernetes: Kubernetes,
    #[serde(rename = "kubernetes.io/serviceaccount/namespace", default)]
    pub legacy_namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name", default)]
    pub legacy_secret: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name", default)]
    pub legacy_name: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid", default)]
    pub legacy_uid: String,
}

/// The private claims of bound tokens.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Kubernetes {
    #[serde(default)]
    pub namespace: String,
    #[serde(rename = "serviceaccount", default)]
    pub service_account: Reference,
    pub pod: Option<Reference>,
    pub secret: Option<Reference>,
    pub node: Option<Reference>,
    #[serde(rename = "warnafter", default, deserialize_with = "numeric_date")]
    pub warn_after: Option<i64>,
}

/// An object, by name and UID.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Reference {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub uid: String,
}

impl Reference {
    fn to_json(&self) -> Value {
        match self.uid.as_str() {
            "" => json!({"name": self.name}),
            uid => json!({"name": self.name, "uid": uid}),
        }
    }
}

/// What a token is bound to, beside its service account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BoundTo {
    #[default]
    Nothing,
    /// A pod, and the node on which it runs if there is one.
    Pod(Reference, Option<Reference>),
    Secret(Reference),
    Node(Reference),
}

/// What a new token shall say.
#[derive(Clone, Debug, Default)]
pub struct TokenSpec {
    pub namespace: String,
    pub service_account: Reference,
    pub bound_to: BoundTo,
    pub audiences: Vec<String>,
    /// Seconds since 1970.
    pub now: i64,
    pub expiration_seconds: i64,
    /// Seconds from now, after which its use is counted as stale.
    pub warn_after_seconds: Option<i64>,
    /// Names the token in audit logs.
    pub id: String,
}

impl TokenSpec {
    /// The claims, in the order of the alphabet, as Go's maps are printed.
    pub fn claims(&self, issuer: &str) -> Value {
        let mut own = json!({"namespace": self.namespace, "serviceaccount": self.service_account.to_json()});
        match &self.bound_to {
            BoundTo::Nothing => {}
            BoundTo::Pod(pod, node) => {
                own["pod"] = pod.to_json();
                if let Some(node) = node {
                    own["node"] = node.to_json();
                }
            }
            BoundTo::Secret(secret) => own["secret"] = secret.to_json(),
            BoundTo::Node(node) => own["node"] = node.to_json(),
        }
        if let Some(seconds) = self.warn_after_seconds {
            own["warnafter"] = self.now.saturating_add(seconds).into();
        }
        json!({
            "aud": self.audiences, "exp": self.now.saturating_add(self.expiration_seconds), "iat": self.now,
            "iss": issuer, "jti": self.id, "kubernetes.io": own, "nbf": self.now,
            "sub": user_name(&self.namespace, &self.service_account.name),
        })
    }
}
