//! Tables: the columns and cells that kubectl prints, from the kind's printer.

use bytes::Bytes;
use http::StatusCode;
use kuorum_kinds::kind::Kind;
use serde::Serialize;
use serde_json::Value;

use super::partial;
use crate::app::Call;
use crate::layers::respond;
use crate::status::ApiError;
use crate::verbs::Response;

/// What a row carries of its object (`includeObject`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Include {
    #[default]
    Metadata,
    Object,
    None,
}

impl Include {
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        match text {
            "" | "Metadata" => Ok(Include::Metadata),
            "Object" => Ok(Include::Object),
            "None" => Ok(Include::None),
            other => Err(ApiError::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty"
            ))),
        }
    }
}

/// What closes a Table behind its rows.
pub const TAIL: &[u8] = b"]}";

/// One object, given as compact JSON, answered as a Table of one row.
pub fn object(call: &Call<'_>, kind: &Kind, code: StatusCode, json: &Bytes) -> Result<Response, ApiError> {
    let include = Include::parse(call.query.text("includeObject"))?;
    let version = call.accept.view_version;
    let mut out = Vec::with_capacity(2048);
    head(version, &partial::resource_version(json), Some(kind), &mut out);
    row(kind, json, version, include, crate::tls::unix_now(), &mut out);
    out.extend_from_slice(TAIL);
    Ok(respond::json(code, out, &call.accept))
}

/// Appends the beginning of a Table, up to its first row. `meta`: its resourceVersion. `columns`: the kind whose
/// columns are described (`None`: they are known from an earlier event).
pub fn head(view_version: &str, resource_version: &str, columns: Option<&Kind>, out: &mut Vec<u8>) {
    let meta = if resource_version.is_empty() {
        "{}".to_owned()
    } else {
        format!("{{\"resourceVersion\":\"{resource_version}\"}}")
    };
    head_with(view_version, meta.as_bytes(), columns, out);
}

/// As [`head`], with the list's whole metadata as JSON.
pub fn head_with(view_version: &str, meta: &[u8], columns: Option<&Kind>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"kind\":\"Table\",\"apiVersion\":\"");
    out.extend_from_slice(partial::api_version(view_version).as_bytes());
    out.extend_from_slice(b"\",\"metadata\":");
    out.extend_from_slice(meta);
    out.extend_from_slice(b",\"columnDefinitions\":");
    match columns {
        None => out.extend_from_slice(b"null"),
        Some(kind) => {
            let columns: Vec<Column> = kind.table().columns.iter().map(Column::of).collect();
            write_json(&columns, out);
        }
    }
    out.extend_from_slice(b",\"rows\":[");
}

/// A column, fields in the order of the Go type.
#[derive(Serialize)]
struct Column {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    format: &'static str,
    description: std::borrow::Cow<'static, str>,
    priority: i32,
}

impl Column {
    fn of(column: &kuorum_kinds::hooks::Column) -> Self {
        Column {
            name: column.name,
            kind: column.kind,
            format: column.format,
            description: column.description(),
            priority: column.priority,
        }
    }
}

/// Appends one row of an object. `now_unix`: seconds, for ages.
pub fn row(kind: &Kind, json: &[u8], view_version: &str, include: Include, now_unix: i64, out: &mut Vec<u8>) {
    row_of_stored(kind, json, json, view_version, include, now_unix, out);
}

/// As [`row`]. `stored`: its stored version, whose metadata the row carries.
pub fn row_of_stored(
    kind: &Kind,
    json: &[u8],
    stored: &[u8],
    view_version: &str,
    include: Include,
    now_unix: i64,
    out: &mut Vec<u8>,
) {
    let printer = kind.table();
    let object: Value = serde_json::from_slice(json).unwrap_or_default();
    out.extend_from_slice(b"{\"cells\":");
    write_json(&(printer.cells)(&object, now_unix), out);
    if let Some(conditions) = printer.conditions.and_then(|conditions| conditions(&object)) {
        out.extend_from_slice(b",\"conditions\":");
        write_json(&conditions, out);
    }
    out.extend_from_slice(b",\"object\":");
    match include {
        Include::Metadata => partial::encode(stored, view_version, out),
        Include::Object => out.extend_from_slice(json),
        Include::None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

fn write_json(value: &impl Serialize, out: &mut Vec<u8>) {
    let start = out.len();
    // Values and strings always serialise; a half-written one would not.
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}
