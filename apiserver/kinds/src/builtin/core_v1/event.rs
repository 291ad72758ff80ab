//! Event: the stored form of both event APIs, and the table that both show.

use serde_json::Value;

use crate::field::{Errors, FieldError};
use crate::hooks::{Column, Doc, Hooks, TablePrinter};
use crate::internal;
use crate::row::SelectableField;
use crate::table::{self, NAME};
use crate::value::{equal, get, int, is_set, text};

pub const HOOKS: Hooks = Hooks {
    validate_create: Some(|event, _| validate(event, "reportingComponent")),
    validate_update: Some(|new, _, _| validate(new, "reportingComponent")),
    table: Some(TABLE),
    // This API has always been lenient: only what a URL can hold is asked of the name.
    name: |name, _| kuorum_schema::names::path_segment_name(name),
    update_metadata: &[],
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

/// Longest name of a reporting instance, action and reason, and longest note, in bytes.
const NAME_BYTES_MAX: usize = 128;
const NOTE_BYTES_MAX: usize = 1024;

/// The rules for both event APIs, on the core form. An event with a time of its own is of the new style, and must tell
/// more of itself. `reporter` is what this API calls the reporting controller.
pub fn validate(event: &Value, reporter: &'static str) -> Errors {
    let mut errors = Errors::new();
    // An event lives where its object lives; one about a cluster-scoped object in a namespace of the system.
    let (own, about) = (text(event, "metadata.namespace"), text(event, "involvedObject.namespace"));
    let new_style = is_set(event, "eventTime");
    let good = match (about.is_empty(), new_style) {
        (true, true) => matches!(own, "default" | "kube-system"),
        (true, false) => matches!(own, "" | "default"),
        (false, true) => true,
        (false, false) => own == about,
    };
    if !good {
        let detail = "does not match event.namespace";
        errors.push(FieldError::invalid("involvedObject.namespace", &about.into(), detail));
    }
    if new_style {
        self_description(event, reporter, &mut errors);
    }
    errors
}

fn self_description(event: &Value, reporter: &'static str, errors: &mut Errors) {
    let controller = text(event, "reportingComponent");
    if controller.is_empty() {
        errors.push(FieldError::required(reporter, ""));
    }
    let complaints = kuorum_schema::names::qualified_name(controller);
    crate::rules::invalid_each(crate::path::Path::new(reporter), controller, complaints, errors);
    for key in ["reportingInstance", "action", "reason"] {
        let value = text(event, key);
        if value.is_empty() {
            errors.push(FieldError::required(key, ""));
        } else if value.len() > NAME_BYTES_MAX {
            errors.push(too_many_characters(key, NAME_BYTES_MAX));
        }
    }
    if text(event, "message").len() > NOTE_BYTES_MAX {
        errors.push(too_many_characters("message", NOTE_BYTES_MAX));
    }
}

fn too_many_characters(field: &str, max: usize) -> FieldError {
    FieldError::invalid(field, &"".into(), &format!("can have at most {max} characters"))
}

/// The further rules of events.k8s.io for new events, on the core form, whose names the complaints use.
pub fn validate_new_style(event: &Value) -> Errors {
    let mut errors = validate(event, "reportingController");
    series(event, &mut errors);
    if !is_set(event, "eventTime") {
        errors.push(FieldError::required("eventTime", ""));
    }
    if !matches!(text(event, "type"), "Normal" | "Warning") {
        let detail = format!("has invalid value: {}", text(event, "type"));
        errors.push(FieldError::invalid("type", &"".into(), &detail));
    }
    for key in ["firstTimestamp", "lastTimestamp", "count", "source"] {
        if is_set(event, key) && int(event, key) != Some(0) {
            errors.push(FieldError::invalid(key, &"".into(), "needs to be unset"));
        }
    }
    errors
}

fn series(event: &Value, errors: &mut Errors) {
    if !get(event, "series").is_object() {
        return;
    }
    if int(event, "series.count").unwrap_or(0) < 2 {
        errors.push(FieldError::invalid("series.count", &"".into(), "should be at least 2"));
    }
    if !is_set(event, "series.lastObservedTime") {
        errors.push(FieldError::required("series.lastObservedTime", ""));
    }
}

/// What an update through events.k8s.io may not change: all but the series and the metadata.
const FIXED: [&str; 13] = [
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
];

/// The rules of events.k8s.io for changed events, on the core form.
pub fn validate_new_style_update(new: &Value, old: &Value) -> Errors {
    let mut errors = validate(new, "reportingController");
    if !equal(get(new, "series"), get(old, "series")) {
        series(new, &mut errors);
    }
    for key in FIXED {
        let (after, before) = (get(new, key), get(old, key));
        if equal(after, before) {
            continue;
        }
        let shown = if key == "reportingComponent" { "reportingController" } else { key };
        errors.push(match key {
            "involvedObject" | "related" => {
                let object = internal::show("ObjectReference", after);
                FieldError::invalid_shown(shown, &object, "field is immutable")
            }
            "source" => {
                let source = internal::show("EventSource", after);
                FieldError::invalid_shown(shown, &source, "field is immutable")
            }
            "count" => FieldError::invalid(shown, &int(new, key).unwrap_or(0).into(), "field is immutable"),
            _ => FieldError::invalid(shown, after, "field is immutable"),
        });
    }
    errors
}
