//! ServiceCIDR.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::path::Path;
use crate::rules::invalid_each;
use crate::table::{self, AGE, NAME};
use crate::value::{get, items};

pub const HOOKS: Hooks = Hooks {
    prepare_update: Some(prepare_update),
    validate_create: Some(|cidr, _| validate(cidr)),
    validate_update: Some(validate_change),
    table: Some(TABLE),
    ..Hooks::NONE
};

const TABLE: TablePrinter = TablePrinter::new(
    &[NAME, table::field("CIDRs", "string", "io.k8s.api.networking.v1.ServiceCIDRSpec", "cidrs"), AGE],
    |cidr, now| {
        let list = table::join(items(cidr, "spec.cidrs").iter().filter_map(Value::as_str));
        vec![table::name(cidr), list.into(), table::age(cidr, now)]
    },
);

fn prepare_update(new: &mut Value, old: &Value, context: &Context) {
    if context.subresource == "status" {
        crate::metadata::keep_for_status(new, old);
    }
}

fn validate(cidr: &Value) -> Errors {
    let mut errors = Errors::new();
    let list = items(cidr, "spec.cidrs");
    let path = Path::new("spec.cidrs");
    let all = get(cidr, "spec.cidrs");
    match list.len() {
        0 => errors.push(FieldError::required(path, "at least one CIDR required")),
        1 => {}
        2 => {
            let is_v6 = |value: &Value| value.as_str().is_some_and(|text| text.contains(':'));
            if is_v6(&list[0]) == is_v6(&list[1]) {
                let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
                errors.push(FieldError::invalid(path, all, detail));
            }
        }
        _ => {
            let shown = format!("{{\"CIDRs\":{all}}}");
            errors.push(FieldError::invalid_shown(path, &shown, "may only hold up to 2 values"));
            return errors;
        }
    }
    for (i, item) in list.iter().enumerate() {
        let text = item.as_str().unwrap_or("");
        invalid_each(path.index(i), text, kuorum_schema::names::cidr_strict(text), &mut errors);
    }
    errors
}

/// A second family can be added; what is there stays.
fn validate_change(new: &Value, old: &Value, context: &Context) -> Errors {
    let mut errors = Errors::new();
    if context.subresource == "status" {
        return errors;
    }
    let (after, before) = (items(new, "spec.cidrs"), items(old, "spec.cidrs"));
    let path = Path::new("spec.cidrs");
    if after.len() < before.len() {
        let shown = get(new, "spec.cidrs");
        errors.push(FieldError::invalid(path, shown, "field is immutable"));
        return errors;
    }
    for (i, (new, old)) in after.iter().zip(before).enumerate() {
        if new != old {
            errors.push(FieldError::invalid(path.index(i), new, "field is immutable"));
        }
    }
    errors
}
