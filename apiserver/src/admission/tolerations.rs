//! Tolerations: which imply others.

use kuorum_kinds::value as json;
use serde_json::Value;

/// The tolerations of both lists, without those that another one implies; of two that are equal the first stays.
pub fn merge(own: &[Value], added: &[Value]) -> Vec<Value> {
    let all: Vec<&Value> = own.iter().chain(added).collect();
    let mut merged: Vec<Value> = Vec::with_capacity(all.len());
    for (at, toleration) in all.iter().enumerate() {
        let implied_before = merged.iter().any(|other| implies(other, toleration));
        let implied_later =
            all[at + 1..].iter().any(|other| !json::equal(other, toleration) && implies(other, toleration));
        if !implied_before && !implied_later {
            merged.push((*toleration).clone());
        }
    }
    merged
}

/// Whether every taint that `narrow` tolerates is tolerated, for as long, by `wide`.
pub fn implies(wide: &Value, narrow: &Value) -> bool {
    if json::equal(wide, narrow) {
        return true;
    }
    let (wide_key, operator) = (json::text(wide, "key"), json::text(wide, "operator"));
    if json::text(narrow, "key") != wide_key && !(wide_key.is_empty() && operator == "Exists") {
        return false;
    }
    let wide_effect = json::text(wide, "effect");
    if !wide_effect.is_empty() && json::text(narrow, "effect") != wide_effect {
        return false;
    }
    if wide_effect == "NoExecute"
        && let Some(seconds) = json::int(wide, "tolerationSeconds")
        && json::int(narrow, "tolerationSeconds").is_none_or(|s| s > seconds)
    {
        return false;
    }
    match operator {
        "Exists" => true,
        "" | "Equal" => {
            json::text(narrow, "operator") == "Equal" && json::text(narrow, "value") == json::text(wide, "value")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merged_tolerations_are_not_redundant() {
        let all = json!({"operator": "Exists"});
        let a = json!({"key": "a", "operator": "Equal", "value": "1", "effect": "NoSchedule"});
        let any_a = json!({"key": "a", "operator": "Exists"});
        let brief = json!({"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5});
        let long = json!({"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9});
        let rows = [
            (vec![&a], vec![&a], vec![&a]),
            (vec![&a], vec![&any_a], vec![&any_a]),
            (vec![&any_a], vec![&a], vec![&any_a]),
            (vec![&a, &brief], vec![&all], vec![&all]),
            (vec![&brief], vec![&long], vec![&long]),
            (vec![&long], vec![&brief], vec![&long]),
            (vec![&a], vec![&brief], vec![&a, &brief]),
        ];
        for (own, added, expected) in rows {
            let owned = |list: Vec<&Value>| list.into_iter().cloned().collect::<Vec<_>>();
            assert_eq!(merge(&owned(own), &owned(added)), owned(expected));
        }
    }
}
