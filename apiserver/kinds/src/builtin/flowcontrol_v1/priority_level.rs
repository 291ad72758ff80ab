//! PriorityLevelConfiguration.

use serde_json::Value;

use super::{conditions, fixed};
use crate::field::{Errors, FieldError};
use crate::hooks::{Context, Hooks, TablePrinter};
use crate::path::Path;
use crate::rules::one_of;
use crate::table::{self, AGE, NAME};
use crate::value::{child, existing, get, int, set_default, set_default_int, text};

pub const HOOKS: Hooks = Hooks {
    default: Some(default),
    prepare_update: Some(prepare_update),
    validate_create: Some(|level, _| validate(level)),
    validate_update: Some(|new, _, context| match context.subresource {
        "" => validate(new),
        _ => conditions::validate(new),
    }),
    table: Some(TABLE),
    ..Hooks::NONE
};

const QUEUING: &str = "io.k8s.api.flowcontrol.v1.QueuingConfiguration";

const TABLE: TablePrinter = TablePrinter::new(
    &[
        NAME,
        table::field("Type", "string", "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec", "type"),
        table::field(
            "NominalConcurrencyShares",
            "string",
            "io.k8s.api.flowcontrol.v1.LimitedPriorityLevelConfiguration",
            "nominalConcurrencyShares",
        ),
        table::field("Queues", "string", QUEUING, "queues"),
        table::field("HandSize", "string", QUEUING, "handSize"),
        table::field("QueueLengthLimit", "string", QUEUING, "queueLengthLimit"),
        AGE,
    ],
    |level, now| {
        let or_none = |path: &str| match get(level, path) {
            Value::Null => "<none>".into(),
            value => value.clone(),
        };
        vec![
            table::name(level),
            text(level, "spec.type").into(),
            or_none("spec.limited.nominalConcurrencyShares"),
            or_none("spec.limited.limitResponse.queuing.queues"),
            or_none("spec.limited.limitResponse.queuing.handSize"),
            or_none("spec.limited.limitResponse.queuing.queueLengthLimit"),
            table::age(level, now),
        ]
    },
);

fn default(level: &mut Value) {
    let Some(spec) = child(level, "spec") else { return };
    if let Some(exempt) = existing(spec, "exempt") {
        set_default(exempt, "nominalConcurrencyShares", 0);
        set_default(exempt, "lendablePercent", 0);
    }
    if let Some(limited) = existing(spec, "limited") {
        set_default(limited, "nominalConcurrencyShares", 30);
        set_default(limited, "lendablePercent", 0);
        if let Some(queuing) = existing(limited, "limitResponse").and_then(|response| existing(response, "queuing")) {
            set_default_int(queuing, "queues", 64);
            set_default_int(queuing, "handSize", 8);
            set_default_int(queuing, "queueLengthLimit", 50);
        }
    }
}

fn prepare_update(new: &mut Value, old: &Value, context: &Context) {
    if context.subresource == "status" {
        crate::metadata::keep_for_status(new, old);
    }
}

fn validate(level: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = get(level, "spec");
    let path = Path::new("spec");
    let kind = text(spec, "type");
    if (text(level, "metadata.name") == "exempt") != (kind == "Exempt") {
        let detail = "must be 'Exempt' if and only if `name` is 'exempt'";
        if matches!(kind, "Exempt" | "Limited") {
            errors.push(FieldError::invalid(path.child("type"), &kind.into(), detail));
        }
    }
    let limited = get(spec, "limited");
    match kind {
        "Exempt" => {
            if limited.is_object() {
                let detail = "must be nil if the type is not Limited";
                errors.push(FieldError::forbidden(path.child("limited"), detail));
            }
            shares(get(spec, "exempt"), &path.child("exempt"), &mut errors);
        }
        "Limited" => {
            if get(spec, "exempt").is_object() {
                errors.push(FieldError::forbidden(path.child("exempt"), "must be nil if the type is Limited"));
            }
            if limited.is_object() {
                limits(limited, &path.child("limited"), &mut errors);
            } else {
                let detail = "must not be empty when type is Limited";
                errors.push(FieldError::required(path.child("limited"), detail));
            }
        }
        _ => one_of(spec, "type", &["Exempt", "Limited"], &path, &mut errors),
    }
    fixed::level(level, &mut errors);
    errors
}

fn limits(limited: &Value, path: &Path, errors: &mut Errors) {
    nominal_shares(limited, path, errors);
    response(get(limited, "limitResponse"), &path.child("limitResponse"), errors);
    lendable_percent(limited, path, errors);
    if let Some(percent) = int(limited, "borrowingLimitPercent")
        && percent < 0
    {
        let detail = "if specified, must be a non-negative integer";
        errors.push(FieldError::invalid(path.child("borrowingLimitPercent"), &percent.into(), detail));
    }
}

/// What an exempt level has and lends.
fn shares(exempt: &Value, path: &Path, errors: &mut Errors) {
    nominal_shares(exempt, path, errors);
    lendable_percent(exempt, path, errors);
}

fn nominal_shares(level: &Value, path: &Path, errors: &mut Errors) {
    let shares = int(level, "nominalConcurrencyShares").unwrap_or(0);
    if shares < 0 {
        let detail = "must be a non-negative integer";
        errors.push(FieldError::invalid(path.child("nominalConcurrencyShares"), &shares.into(), detail));
    }
}

fn lendable_percent(level: &Value, path: &Path, errors: &mut Errors) {
    if let Some(percent) = int(level, "lendablePercent")
        && !(0..=100).contains(&percent)
    {
        let detail = "must be between 0 and 100, inclusive";
        errors.push(FieldError::invalid(path.child("lendablePercent"), &percent.into(), detail));
    }
}

/// Most queues of a level.
const QUEUES_MAX: i64 = 10_000_000;
/// How much entropy the hash of a flow has for dealing queues.
const HASH_BITS_MAX: i64 = 60;

fn response(response: &Value, path: &Path, errors: &mut Errors) {
    let queuing = get(response, "queuing");
    let at = path.child("queuing");
    match text(response, "type") {
        "Reject" => {
            if queuing.is_object() {
                errors.push(FieldError::forbidden(at, "must be nil if limited.limitResponse.type is not Limited"));
            }
        }
        "Queue" => {
            if !queuing.is_object() {
                errors.push(FieldError::required(at, "must not be empty if limited.limitResponse.type is Limited"));
                return;
            }
            let of = |key: &str| int(queuing, key).unwrap_or(0);
            for key in ["queueLengthLimit", "queues"] {
                if of(key) <= 0 {
                    errors.push(FieldError::invalid(at.child(key), &of(key).into(), "must be positive"));
                }
            }
            let (queues, hand) = (of("queues"), of("handSize"));
            if queues > QUEUES_MAX {
                let detail = format!("must not be greater than {QUEUES_MAX}");
                errors.push(FieldError::invalid(at.child("queues"), &queues.into(), &detail));
            }
            let bits = ((queues as f64).log2() * hand as f64).ceil();
            if hand <= 0 {
                errors.push(FieldError::invalid(at.child("handSize"), &hand.into(), "must be positive"));
            } else if hand > queues {
                let detail = format!("should not be greater than queues ({queues})");
                errors.push(FieldError::invalid(at.child("handSize"), &hand.into(), &detail));
            } else if bits > HASH_BITS_MAX as f64 {
                let detail = format!(
                    "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS_MAX}"
                );
                errors.push(FieldError::invalid(at.child("handSize"), &hand.into(), &detail));
            }
        }
        _ => one_of(response, "type", &["Queue", "Reject"], path, errors),
    }
}
