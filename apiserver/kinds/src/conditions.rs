//! Complaints about `metav1.Condition`s, in the statuses that have them.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::metadata::validate_label_name;
use crate::path::Path;
use crate::rules::one_of;
use crate::value::{int, is_set, text};

const REASON_MAX: usize = 1024;
const MESSAGE_MAX: usize = 32 * 1024;
const REASON: &str = "a condition reason must start with alphabetic character, optionally followed by a string of \
                      alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. \
                      'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex \
                      used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";

/// Complaints about the conditions at `path`.
pub fn validate(conditions: &[Value], path: &Path, errors: &mut Errors) {
    for (i, condition) in conditions.iter().enumerate() {
        let path = path.index(i);
        let kind = text(condition, "type");
        if conditions[..i].iter().any(|earlier| text(earlier, "type") == kind) {
            errors.push(FieldError::duplicate(path.child("type"), &kind.into()));
        }
        validate_label_name(kind, &path.child("type"), errors);
        one_of(condition, "status", &["False", "True", "Unknown"], &path, errors);
        if let Some(generation) = int(condition, "observedGeneration").filter(|generation| *generation < 0) {
            let detail = "must be greater than or equal to zero";
            errors.push(FieldError::invalid(path.child("observedGeneration"), &generation.into(), detail));
        }
        if !is_set(condition, "lastTransitionTime") {
            errors.push(FieldError::required(path.child("lastTransitionTime"), ""));
        }
        reason(text(condition, "reason"), &path.child("reason"), errors);
        if text(condition, "message").len() > MESSAGE_MAX {
            errors.push(FieldError::too_long(path.child("message"), MESSAGE_MAX));
        }
    }
}

fn reason(reason: &str, path: &Path, errors: &mut Errors) {
    if reason.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let well_formed = reason.starts_with(|c: char| c.is_ascii_alphabetic())
        && reason.bytes().all(|b| word(b) || b == b',' || b == b':')
        && reason.bytes().last().is_some_and(word);
    if !well_formed {
        errors.push(FieldError::invalid(path, &reason.into(), REASON));
    }
    if reason.len() > REASON_MAX {
        errors.push(FieldError::too_long(path, REASON_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions() {
        let good = json!({"type": "a.b/Ready", "status": "True", "lastTransitionTime": "t", "reason": "R:a_"});
        for (change, fields) in [
            (json!({}), vec![]),
            (json!({"type": ""}), vec!["c[0].type"; 2]),
            (json!({"status": "No"}), vec!["c[0].status"]),
            (json!({"reason": "1"}), vec!["c[0].reason"]),
            (json!({"reason": "a,"}), vec!["c[0].reason"]),
            (json!({"reason": "a".repeat(1025)}), vec!["c[0].reason"]),
            (json!({"reason": "", "lastTransitionTime": null}), vec!["c[0].lastTransitionTime", "c[0].reason"]),
            (json!({"observedGeneration": -1}), vec!["c[0].observedGeneration"]),
            (json!({"message": "m".repeat(32769)}), vec!["c[0].message"]),
        ] {
            let mut condition = good.clone();
            for (key, value) in change.as_object().into_iter().flatten() {
                condition[key] = value.clone();
            }
            let mut errors = Errors::new();
            validate(&[condition], &Path::new("c"), &mut errors);
            assert_eq!(errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), fields, "{change}");
        }
        let mut errors = Errors::new();
        validate(&[good.clone(), good], &Path::new("c"), &mut errors);
        assert_eq!(
            errors.iter().map(FieldError::full).collect::<Vec<_>>(),
            ["c[1].type: Duplicate value: \"a.b/Ready\""]
        );
    }
}
