//! A ResourceQuota as admission sees it: scopes, what is allowed and what is used.

use std::fmt;

use kuorum_kinds::value as json;
use serde::Deserialize;
use serde_json::Value;

use crate::admission::amounts::{self, Amounts};

/// One condition on which objects are counted.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, rename_all = "camelCase")]
pub struct Scope {
    #[serde(rename = "scopeName")]
    pub name: String,
    pub operator: String,
    pub values: Vec<String>,
}

impl Scope {
    /// Whether the condition holds for an object that has `values` (of a class, say). An object without any is matched
    /// by the negative operators only.
    pub fn matches(&self, values: &[&str]) -> bool {
        let listed = |value: &&&str| self.values.iter().any(|v| v == **value);
        match self.operator.as_str() {
            "Exists" => !values.is_empty(),
            "DoesNotExist" => values.is_empty(),
            "In" => values.iter().any(|value| listed(&value)),
            "NotIn" => values.is_empty() || values.iter().any(|value| !listed(&value)),
            _ => false,
        }
    }
}

/// As Go prints the struct.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{} {} [{}]}}", self.name, self.operator, self.values.join(" "))
    }
}

/// What of a ResourceQuota counts.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    pub name: String,
    pub scopes: Vec<Scope>,
    /// What is in force: `status.hard`, not yet what the spec asks for.
    pub hard: Amounts,
    pub used: Amounts,
}

impl Quota {
    pub fn read(object: &Value) -> Self {
        Quota {
            name: json::text(object, "metadata.name").to_owned(),
            scopes: scopes(object),
            hard: amounts::read(json::get(object, "status.hard")),
            used: amounts::read(json::get(object, "status.used")),
        }
    }
}

/// Every scope of a quota: the plain ones, which hold where they exist, and those of the selector.
pub fn scopes(quota: &Value) -> Vec<Scope> {
    let plain = json::items(quota, "spec.scopes").iter().filter_map(Value::as_str);
    let plain = plain.map(|name| Scope { name: name.to_owned(), operator: "Exists".to_owned(), values: Vec::new() });
    let selected = json::items(quota, "spec.scopeSelector.matchExpressions").iter();
    plain.chain(selected.filter_map(|s| serde_json::from_value(without_nulls(s)).ok())).collect()
}

fn without_nulls(requirement: &Value) -> Value {
    let mut requirement = requirement.clone();
    if let Some(fields) = requirement.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    requirement
}
