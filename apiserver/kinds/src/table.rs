//! What the printers of all kinds share: common columns, ages, label lists.

use kuorum_schema::time::{Timestamp, human_duration};
use serde_json::Value;

use crate::hooks::{Column, Doc, TablePrinter};
use crate::value::{entries, get, items, text};

/// Where the descriptions of the common columns live.
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

pub const NAME: Column =
    Column { name: "Name", kind: "string", format: "name", doc: Doc::Field(OBJECT_META, "name"), priority: 0 };
pub const AGE: Column =
    Column { name: "Age", kind: "string", format: "", doc: Doc::Field(OBJECT_META, "creationTimestamp"), priority: 0 };
const CREATED_AT: Column = Column {
    name: "Created At",
    kind: "date",
    format: "",
    doc: Doc::Field(OBJECT_META, "creationTimestamp"),
    priority: 0,
};

/// For kinds without columns of their own.
pub const DEFAULT: TablePrinter = TablePrinter::new(&[NAME, CREATED_AT], |object, _| {
    vec![name(object), text(object, "metadata.creationTimestamp").into()]
});

/// For kinds whose only columns are their name and age.
pub const NAME_AND_AGE: TablePrinter =
    TablePrinter::new(&[NAME, AGE], |object, now| vec![name(object), age(object, now)]);

/// A column that is described by a field of a published type.
pub const fn field(name: &'static str, kind: &'static str, definition: &'static str, field: &'static str) -> Column {
    Column { name, kind, format: "", doc: Doc::Field(definition, field), priority: 0 }
}

/// A column with a description of its own.
pub const fn own(name: &'static str, kind: &'static str, description: &'static str) -> Column {
    Column { name, kind, format: "", doc: Doc::Text(description), priority: 0 }
}

impl Column {
    /// The same, only shown with `-o wide`.
    pub const fn wide(self) -> Column {
        Column { priority: 1, ..self }
    }
}

/// The columns that all workloads show with `-o wide`.
pub const CONTAINERS: Column = own("Containers", "string", "Names of each container in the template.").wide();
pub const IMAGES: Column = own("Images", "string", "Images referenced by each container in the template.").wide();

pub fn name(object: &Value) -> Value {
    text(object, "metadata.name").into()
}

/// The time since the object's creation.
pub fn age(object: &Value, now_unix: i64) -> Value {
    since(text(object, "metadata.creationTimestamp"), now_unix).into()
}

/// The time since an RFC 3339 timestamp, for people.
pub fn since(timestamp: &str, now_unix: i64) -> String {
    match unix_seconds(timestamp) {
        Some(then) => human_duration(now_unix - then),
        None => "<unknown>".to_owned(),
    }
}

/// Seconds since 1970 of an RFC 3339 timestamp; `None` where it is unset.
pub fn unix_seconds(timestamp: &str) -> Option<i64> {
    if timestamp.is_empty() { None } else { Timestamp::parse(timestamp).ok().map(|t| t.seconds) }
}

/// `a=1,b=2`, or `<none>`.
pub fn labels(object: &Value, path: &str) -> String {
    let list: Vec<String> = entries(object, path).map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or(""))).collect();
    if list.is_empty() { "<none>".to_owned() } else { list.join(",") }
}

/// Names and images of the containers of the pod spec at `path`.
pub fn containers(object: &Value, path: &str) -> [Value; 2] {
    let list = items(get(object, path), "containers");
    ["name", "image"].map(|field| join(list.iter().map(|c| text(c, field))).into())
}

/// Comma-separated.
pub fn join<'a>(list: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for (i, item) in list.enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(item);
    }
    out
}

/// A label selector in kubectl's notation, `<none>` if it selects all or is unset.
pub fn label_selector(object: &Value, path: &str) -> String {
    let selector = crate::label_selector::to_string(get(object, path));
    if selector.is_empty() { "<none>".to_owned() } else { selector }
}

/// An int-or-string (or any scalar) as text.
pub fn scalar(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The value itself, `<none>` if it is empty.
pub fn or_none(value: &str) -> Value {
    if value.is_empty() { "<none>".into() } else { value.into() }
}

/// The value itself, `<unset>` if it is empty.
pub fn or_unset(value: &str) -> Value {
    if value.is_empty() { "<unset>".into() } else { value.into() }
}

/// An integer that Go holds without a pointer: 0 where it is unset.
pub fn count(object: &Value, path: &str) -> Value {
    crate::value::int(object, path).unwrap_or(0).into()
}

/// `a,b,c + 2 more...`: at most `max` items.
pub fn abbreviated<'a>(list: impl Iterator<Item = &'a str>, max: usize) -> String {
    let all: Vec<&str> = list.collect();
    let shown = all[..all.len().min(max)].join(",");
    if all.len() > max { format!("{shown} + {} more...", all.len() - max) } else { shown }
}

/// A boolean pointer in words.
pub fn bool_word(value: &Value) -> Value {
    match value {
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        _ => "<unset>".into(),
    }
}

/// The canonical text of a quantity.
pub fn quantity(value: &Value) -> String {
    crate::pod_template::resources::quantity(value).map_or_else(|| "0".to_owned(), |q| q.canonical())
}

/// A text that may be unset.
pub fn text_cell(object: &Value, path: &str) -> Value {
    text(object, path).into()
}
