//! StorageClass.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Hooks, TablePrinter};
use crate::metadata::Pass;
use crate::path::Path;
use crate::table::{self, AGE, NAME};
use crate::value::{flag, get, items, set_default, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    validate_create: Some(|class, _| validate(class)),
    validate_update: Some(|new, old, _| validate_change(new, old)),
    table: Some(TABLE),
    update_metadata: &[Pass::Create, Pass::Update],
    ..Hooks::NONE
};

/// Marks the class that claims without one get; the second is the name of beta days.
pub const DEFAULT_ANNOTATIONS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

const CLASS: &str = "io.k8s.api.storage.v1.StorageClass";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field("Provisioner", "string", CLASS, "provisioner"),
        table::field("ReclaimPolicy", "string", CLASS, "reclaimPolicy"),
        table::field("VolumeBindingMode", "string", CLASS, "volumeBindingMode"),
        table::field("AllowVolumeExpansion", "string", CLASS, "allowVolumeExpansion"),
        AGE,
    ],
    |class, now| {
        let or = |path: &str, default: &'static str| match text(class, path) {
            "" => Value::from(default),
            value => value.into(),
        };
        let name = text(class, "metadata.name");
        let name = if is_default(class) { format!("{name} (default)") } else { name.to_owned() };
        vec![
            name.into(),
            text(class, "provisioner").into(),
            or("reclaimPolicy", "Delete"),
            or("volumeBindingMode", "Immediate"),
            flag(class, "allowVolumeExpansion").into(),
            table::age(class, now),
        ]
    },
);

/// Whether claims without a class get this one.
pub fn is_default(class: &Value) -> bool {
    let annotations = get(class, "metadata.annotations");
    DEFAULT_ANNOTATIONS.iter().any(|key| annotations.get(key).is_some_and(|value| value == "true"))
}

fn default(class: &mut Value) {
    set_default(class, "reclaimPolicy", "Delete");
    set_default(class, "volumeBindingMode", "Immediate");
}

fn validate(class: &Value) -> Errors {
    let mut errors = Errors::new();
    let root = Path::new("provisioner");
    if text(class, "provisioner").is_empty() {
        errors.push(FieldError::required(root, ""));
    } else {
        let name = text(class, "provisioner");
        let complaints = kuorum_schema::names::qualified_name(&name.to_lowercase());
        crate::rules::invalid_each(root, name, complaints, &mut errors);
    }
    super::parameters(class, &mut errors);
    for (key, known) in
        [("reclaimPolicy", ["Delete", "Retain"]), ("volumeBindingMode", ["Immediate", "WaitForFirstConsumer"])]
    {
        let value = text(class, key);
        if !value.is_empty() && !known.contains(&value) {
            errors.push(FieldError::not_supported(key, &value.into(), &known));
        }
    }
    topologies(class, &mut errors);
    errors
}

/// Where volumes may be: terms that say something each, with the values of each label once.
fn topologies(class: &Value, errors: &mut Errors) {
    let list = Path::new("allowedTopologies");
    let terms = items(class, "allowedTopologies");
    let normal = |term: &Value| {
        let mut labels: Vec<(String, Vec<String>)> = items(term, "matchLabelExpressions")
            .iter()
            .map(|requirement| {
                let values = items(requirement, "values").iter().filter_map(Value::as_str).map(str::to_owned);
                let mut values: Vec<String> = values.collect();
                values.sort();
                values.dedup();
                (text(requirement, "key").to_owned(), values)
            })
            .collect();
        labels.sort();
        labels
    };
    for (i, term) in terms.iter().enumerate() {
        let path = list.index(i);
        let of_term = path.child("matchLabelExpressions");
        let requirements = items(term, "matchLabelExpressions");
        for (j, requirement) in requirements.iter().enumerate() {
            let path = of_term.index(j);
            let values = items(requirement, "values");
            let of_values = path.child("values");
            if values.is_empty() {
                errors.push(FieldError::required(of_values, ""));
            }
            for (k, value) in values.iter().enumerate().filter(|(k, value)| values[..*k].contains(value)) {
                errors.push(FieldError::duplicate(of_values.index(k), value));
            }
            let key = text(requirement, "key");
            crate::metadata::validate_label_name(key, &path.child("key"), errors);
            if requirements[..j].iter().any(|earlier| text(earlier, "key") == key) {
                errors.push(FieldError::duplicate(path.child("key"), &key.into()));
            }
        }
        for _ in terms[..i].iter().filter(|earlier| normal(earlier) == normal(term)) {
            errors.push(FieldError::duplicate(of_term, &"".into()));
        }
    }
}

fn validate_change(new: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    for key in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
        if !crate::value::equal(get(new, key), get(old, key)) {
            errors.push(FieldError::invalid(key, get(new, key), "field is immutable"));
        }
    }
    errors.append(&mut validate(new));
    errors
}
