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
pub const DEFAULT: TablePrinter = TablePrinter {
    columns: &[NAME, CREATED_AT],
    cells: |object, _| vec![name(object), text(object, "metadata.creationTimestamp").into()],
};

/// A column that is always shown.
pub const fn column(name: &'static str, kind: &'static str, doc: Doc) -> Column {
    Column { name, kind, format: "", doc, priority: 0 }
}

/// A column of `-o wide`.
pub const fn wide(name: &'static str, kind: &'static str, doc: Doc) -> Column {
    Column { name, kind, format: "", doc, priority: 1 }
}

/// The columns that all workloads show with `-o wide`.
pub const CONTAINERS: Column = wide("Containers", "string", Doc::Text("Names of each container in the template."));
pub const IMAGES: Column = wide("Images", "string", Doc::Text("Images referenced by each container in the template."));

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
