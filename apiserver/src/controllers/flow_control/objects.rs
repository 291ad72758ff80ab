//! The bootstrap objects: made where they are missing, set right where the server keeps them.
//!
//! An object is the server's as long as its annotation `apf.kubernetes.io/autoupdate-spec` says `true`, or says
//! nothing and nobody has changed its spec. Mandatory objects always are. Objects that say `true` and are not among
//! the bootstrap ones were so in an earlier version, and go.

use futures_util::future::join_all;
use kuorum_fairness::bootstrap::{AUTO_UPDATE, Bootstrap};
use kuorum_fairness::spec::EXEMPT;
use kuorum_kinds::value::{equal, get};
use serde_json::{Value, json};

use super::path;
use crate::loopback::{Client, Refused};

/// As kube-apiserver's, so that managed fields tell the same.
const MANAGER: &str = "api-priority-and-fairness-config-producer-v1";

/// Makes the objects of one kind as they should be.
pub async fn ensure(
    client: &Client,
    plural: &str,
    wanted: Vec<Bootstrap>,
    current: &[Value],
) -> Vec<Result<(), Refused>> {
    join_all(actions(&wanted, current).into_iter().map(|action| async move {
        match action {
            Action::Create(object) => client.post(&path(plural, "", "", MANAGER), &object).await.map(drop),
            Action::Update(name, object) => {
                client.put(&path(plural, &format!("/{name}"), "", MANAGER), &object).await.map(drop)
            }
            Action::Delete(name) => client.delete(&path(plural, &format!("/{name}"), "", MANAGER)).await.map(drop),
        }
    }))
    .await
}

#[derive(Debug, PartialEq)]
enum Action {
    Create(Value),
    Update(String, Value),
    Delete(String),
}

fn actions(wanted: &[Bootstrap], current: &[Value]) -> Vec<Action> {
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let mut actions = Vec::new();
    for own in wanted {
        match current.iter().find(|object| name(object) == own.name) {
            None => actions.push(Action::Create(own.object.clone())),
            Some(object) => {
                actions.extend(corrected(own, object).map(|object| Action::Update(own.name.to_owned(), object)))
            }
        }
    }
    let left_over = current
        .iter()
        .filter(|object| annotation(object) == Some(true) && !wanted.iter().any(|own| own.name == name(object)));
    actions.extend(left_over.map(|object| Action::Delete(name(object))));
    actions
}

/// What the annotation says; `None` where it is absent or no boolean.
fn annotation(object: &Value) -> Option<bool> {
    match object["metadata"]["annotations"][AUTO_UPDATE].as_str()? {
        "true" | "True" | "TRUE" | "t" | "T" | "1" => Some(true),
        "false" | "False" | "FALSE" | "f" | "F" | "0" => Some(false),
        _ => None,
    }
}

/// The object as it should be; `None` if it is.
fn corrected(own: &Bootstrap, object: &Value) -> Option<Value> {
    let said = annotation(object);
    let untouched = object["metadata"]["generation"] == 1;
    let ours = own.mandatory || said.unwrap_or(untouched);
    let spec = own.object["spec"].clone();
    let spec_differs = ours && !same_spec(own, object);
    if said == Some(ours) && !spec_differs {
        return None;
    }
    let mut object = object.clone();
    if !object["metadata"]["annotations"].is_object() {
        object["metadata"]["annotations"] = json!({});
    }
    object["metadata"]["annotations"][AUTO_UPDATE] = ours.to_string().into();
    if spec_differs {
        object["spec"] = spec;
    }
    Some(object)
}

/// What the exempt level lends and borrows is the administrator's to say.
fn same_spec(own: &Bootstrap, object: &Value) -> bool {
    let mut spec = own.object["spec"].clone();
    let exempt = get(object, "spec.exempt");
    if own.name == EXEMPT && spec["type"] == "Exempt" && exempt.is_object() {
        spec["exempt"] = exempt.clone();
    }
    equal(&spec, &object["spec"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuorum_fairness::bootstrap;

    /// A bootstrap object as it is stored.
    fn stored(name: &str, annotation: Option<&str>, generation: u64) -> Value {
        let all = bootstrap::priority_levels();
        let mut object = all.iter().find(|own| own.name == name).unwrap().object.clone();
        object["metadata"]["generation"] = generation.into();
        match annotation {
            Some(text) => object["metadata"]["annotations"][AUTO_UPDATE] = text.into(),
            None => object["metadata"]["annotations"] = Value::Null,
        }
        object
    }

    #[test]
    fn who_owns_an_object() {
        let wanted = bootstrap::priority_levels();
        let all: Vec<Value> = wanted.iter().map(|own| stored(own.name, Some("true"), 1)).collect();
        assert_eq!(actions(&wanted, &all), []);
        assert_eq!(actions(&wanted, &all[1..]), [Action::Create(wanted[0].object.clone())]);
        // Name, annotation, generation, whether somebody changed the shares: whether it is set right, the annotation.
        for (name, says, generation, changed, corrected_spec, then_says) in [
            ("system", Some("true"), 2, true, true, "true"),
            ("system", Some("false"), 2, true, false, "false"),
            ("system", None, 1, true, true, "true"),
            ("system", None, 2, true, false, "false"),
            ("system", Some("odd"), 2, false, false, "false"),
            ("catch-all", Some("false"), 7, true, true, "true"),
            ("catch-all", Some("false"), 7, false, false, "true"),
        ] {
            let own = wanted.iter().find(|own| own.name == name).unwrap();
            let mut object = stored(name, says, generation);
            if changed {
                object["spec"]["limited"]["nominalConcurrencyShares"] = 77.into();
            }
            let now = corrected(own, &object).unwrap_or_else(|| object.clone());
            let context = format!("{name} {says:?} {generation}");
            assert_eq!(now["metadata"]["annotations"][AUTO_UPDATE], then_says, "{context}");
            assert_eq!(now["spec"] == own.object["spec"], corrected_spec || !changed, "{context}");
            assert_eq!(corrected(own, &now), None, "{context}: once is enough");
        }
    }

    #[test]
    fn what_is_left_over_goes() {
        let mut old = stored("system", Some("true"), 1);
        old["metadata"]["name"] = "workload-leader-election".into();
        let mut kept = old.clone();
        kept["metadata"]["annotations"][AUTO_UPDATE] = "false".into();
        assert_eq!(actions(&[], &[old]), [Action::Delete("workload-leader-election".to_owned())]);
        assert_eq!(actions(&[], &[kept]), []);
    }

    #[test]
    fn what_the_exempt_level_lends_is_not_touched() {
        let wanted = bootstrap::priority_levels();
        let mut exempt = stored(EXEMPT, Some("true"), 4);
        exempt["spec"]["exempt"]["nominalConcurrencyShares"] = 10.into();
        assert_eq!(corrected(&wanted[0], &exempt), None);
        exempt["spec"].as_object_mut().unwrap().remove("exempt");
        assert!(corrected(&wanted[0], &exempt).is_some());
    }
}
