//! Event: the stored form of both event APIs, and the table that both show.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Column, Doc, Hooks, TablePrinter};
use crate::row::SelectableField;
use crate::table::{self, NAME};
use crate::value::{get, int, is_set, text};

pub const HOOKS: Hooks = Hooks {
    validate_create: Some(|event, _| {
        let mut errors = Errors::new();
        namespace(event, &mut errors);
        errors
    }),
    table: Some(TABLE),
    ..Hooks::NONE
};

const EVENT: &str = "io.k8s.api.core.v1.Event";

pub const COLUMNS: &[Column] = &[
    table::field("Last Seen", "string", EVENT, "lastTimestamp"),
    table::field("Type", "string", EVENT, "type"),
    table::field("Reason", "string", EVENT, "reason"),
    table::field("Object", "string", EVENT, "involvedObject"),
    table::field("Subobject", "string", "io.k8s.api.core.v1.ObjectReference", "fieldPath").wide(),
    table::field("Source", "string", EVENT, "source").wide(),
    table::field("Message", "string", EVENT, "message"),
    table::field("First Seen", "string", EVENT, "firstTimestamp").wide(),
    table::field("Count", "string", EVENT, "count").wide(),
    Column { name: "Name", kind: "string", format: "name", doc: NAME_DOC, priority: 1 },
];
const NAME_DOC: Doc = NAME.doc;

const TABLE: TablePrinter = TablePrinter::new(COLUMNS, cells);

/// The cells of an Event in the core form.
pub fn cells(event: &Value, now: i64) -> Vec<Value> {
    let first = if is_set(event, "firstTimestamp") { text(event, "firstTimestamp") } else { text(event, "eventTime") };
    let first = table::since(first, now);
    let mut last =
        if is_set(event, "lastTimestamp") { table::since(text(event, "lastTimestamp"), now) } else { first.clone() };
    let mut count = int(event, "count").unwrap_or(0);
    if event.get("series").is_some_and(Value::is_object) {
        last = table::since(text(event, "series.lastObservedTime"), now);
        count = int(event, "series.count").unwrap_or(0);
    } else if count == 0 {
        count = 1;
    }
    let kind = text(event, "involvedObject.kind").to_lowercase();
    let target = match text(event, "involvedObject.name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    vec![
        last.into(),
        text(event, "type").into(),
        text(event, "reason").into(),
        target.into(),
        text(event, "involvedObject.fieldPath").into(),
        source(event).into(),
        text(event, "message").trim().into(),
        first.into(),
        count.into(),
        table::name(event),
    ]
}

fn source(event: &Value) -> String {
    let or = |path, other| if is_set(event, path) { text(event, path) } else { text(event, other) };
    match (or("source.component", "reportingComponent"), or("source.host", "reportingInstance")) {
        (component, "") => component.to_owned(),
        ("", instance) => instance.to_owned(),
        (component, instance) => format!("{component}, {instance}"),
    }
}

/// The object an event is about, in either form (the cache holds the stored one).
fn about(event: &Value) -> &Value {
    match event.get("regarding") {
        Some(object) => object,
        None => get(event, "involvedObject"),
    }
}

fn reporter(event: &Value) -> String {
    let name = text(event, "reportingController");
    if name.is_empty() { text(event, "reportingComponent").to_owned() } else { name.to_owned() }
}

fn source_component(event: &Value) -> String {
    let component = text(event, "source.component");
    if component.is_empty() { reporter(event) } else { component.to_owned() }
}

macro_rules! about_fields {
    ($($prefix:literal),* => $more:expr) => {
        &[
            $(
                SelectableField { name: concat!($prefix, ".kind"), value: |e| text(about(e), "kind").to_owned() },
                SelectableField { name: concat!($prefix, ".namespace"), value: |e| text(about(e), "namespace").to_owned() },
                SelectableField { name: concat!($prefix, ".name"), value: |e| text(about(e), "name").to_owned() },
                SelectableField { name: concat!($prefix, ".uid"), value: |e| text(about(e), "uid").to_owned() },
                SelectableField { name: concat!($prefix, ".apiVersion"), value: |e| text(about(e), "apiVersion").to_owned() },
                SelectableField {
                    name: concat!($prefix, ".resourceVersion"),
                    value: |e| text(about(e), "resourceVersion").to_owned(),
                },
                SelectableField { name: concat!($prefix, ".fieldPath"), value: |e| text(about(e), "fieldPath").to_owned() },
            )*
            SelectableField { name: "reason", value: |e| text(e, "reason").to_owned() },
            SelectableField { name: "type", value: |e| text(e, "type").to_owned() },
            $more[0],
            $more[1],
        ]
    };
}

const REPORTERS: [SelectableField; 2] = [
    SelectableField { name: "reportingComponent", value: reporter },
    SelectableField { name: "source", value: source_component },
];
const NEW_REPORTERS: [SelectableField; 2] = [
    SelectableField { name: "reportingController", value: reporter },
    SelectableField { name: "reportingComponent", value: reporter },
];

pub const FIELDS: &[SelectableField] = about_fields!("involvedObject" => REPORTERS);
/// Those of events.k8s.io.
pub const NEW_FIELDS: &[SelectableField] = about_fields!("regarding" => NEW_REPORTERS);

/// An event lives where its object lives; events about cluster-scoped objects in `default` or `kube-system`.
pub fn namespace(event: &Value, errors: &mut Errors) {
    let (own, about) = (text(event, "metadata.namespace"), text(event, "involvedObject.namespace"));
    let good = if about.is_empty() { matches!(own, "default" | "kube-system") } else { own == about };
    if !good {
        let detail = "does not match event.namespace";
        errors.push(FieldError::invalid("involvedObject.namespace", &about.into(), detail));
    }
}

/// Longest name of a reporting instance, action and reason, and longest note, in bytes.
const NAME_BYTES_MAX: usize = 128;
const NOTE_BYTES_MAX: usize = 1024;

/// The stricter rules of events.k8s.io, on the core form, whose names the complaints use.
pub fn validate_new_style(event: &Value) -> Errors {
    let mut errors = Errors::new();
    namespace(event, &mut errors);
    let mut complain = |field: &str, detail: &str| {
        errors.push(FieldError::invalid(field, &"".into(), detail));
    };
    if int(event, "series.count").is_some_and(|n| n < 2) {
        complain("series.count", "should be at least 2");
    }
    let series = event.get("series").is_some_and(Value::is_object);
    if series && !is_set(event, "series.lastObservedTime") {
        errors.push(FieldError::required("series.lastObservedTime", ""));
    }
    if !is_set(event, "eventTime") {
        errors.push(FieldError::required("eventTime", ""));
    }
    let controller = text(event, "reportingComponent");
    if controller.is_empty() {
        errors.push(FieldError::required("reportingController", ""));
    }
    let complaints = kuorum_schema::names::qualified_name(controller);
    crate::rules::invalid_each(crate::path::Path::new("reportingController"), controller, complaints, &mut errors);
    for key in ["reportingInstance", "action", "reason"] {
        let value = text(event, key);
        if value.is_empty() {
            errors.push(FieldError::required(key, ""));
        } else if value.len() > NAME_BYTES_MAX {
            let detail = format!("can have at most {NAME_BYTES_MAX} characters");
            errors.push(FieldError::invalid(key, &"".into(), &detail));
        }
    }
    if !matches!(text(event, "type"), "Normal" | "Warning") {
        let detail = format!("has invalid value: {}", text(event, "type"));
        errors.push(FieldError::invalid("type", &"".into(), &detail));
    }
    if text(event, "message").len() > NOTE_BYTES_MAX {
        let detail = format!("can have at most {NOTE_BYTES_MAX} characters");
        errors.push(FieldError::invalid("message", &"".into(), &detail));
    }
    for key in ["firstTimestamp", "lastTimestamp", "count"] {
        if is_set(event, key) && int(event, key) != Some(0) {
            errors.push(FieldError::invalid(key, &"".into(), "needs to be unset"));
        }
    }
    errors
}
