//! Conditions of the status: one of each type.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::path::Path;
use crate::value::{get, items, text};

pub fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let list = Path::new("status.conditions");
    let conditions = items(object, "status.conditions");
    for (i, condition) in conditions.iter().enumerate() {
        let kind = text(condition, "type");
        let path = list.index(i);
        let at = path.child("type");
        if conditions[..i].iter().any(|earlier| text(earlier, "type") == kind) {
            errors.push(FieldError::duplicate(at, get(condition, "type")));
        }
        if kind.is_empty() {
            errors.push(FieldError::required(at, "must not be empty"));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_of_each_type() {
        for (types, complaints) in [(&["A", "B"][..], 0), (&["A", "A"], 1), (&[""], 1)] {
            let conditions: Vec<Value> = types.iter().map(|kind| json!({"type": kind})).collect();
            assert_eq!(validate(&json!({"status": {"conditions": conditions}})).len(), complaints, "{types:?}");
        }
    }
}
