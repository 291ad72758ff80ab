//! One stored object in the shape that a client asked for: as it is, as metadata, as a row of a Table.
//!
//! Lists and watches go through the same renderer. The common case, the stored version as JSON, copies bytes and
//! parses nothing.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use kuorum_cache::Object;
use kuorum_kinds::kind::Kind;
use kuorum_schema::codec;
use serde_json::Value;

use crate::app::Call;
use crate::object::{partial, protobuf, table};
use crate::request::negotiate::{Format, View};
use crate::status::ApiError;

/// Renders the objects of one kind for one request.
#[derive(Clone)]
pub struct Renderer {
    kind: Arc<Kind>,
    /// The stored version is another one.
    convert: bool,
    view: View,
    format: Format,
    /// `v1` or `v1beta1`, of the view.
    view_version: &'static str,
    include: table::Include,
    /// What an item of a list leaves out: `{"kind":"Pod","apiVersion":"v1",`. Empty: nothing.
    type_meta: Box<[u8]>,
}

impl Renderer {
    /// The renderer for a request. 400 for an unknown `includeObject` of a Table.
    pub fn of(call: &Call<'_>) -> Result<Self, ApiError> {
        let stored = call.app.kinds.load().registry.storage_of(call.kind).clone();
        let include = match call.accept.view {
            View::Table => table::Include::parse(call.query.text("includeObject"))?,
            _ => table::Include::Metadata,
        };
        let row = &call.kind.row;
        let type_meta = format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",", row.kind, call.kind.api_version);
        Ok(Renderer {
            convert: !Arc::ptr_eq(&stored, call.kind),
            kind: call.kind.clone(),
            view: call.accept.view,
            format: call.accept.format,
            view_version: call.accept.view_version,
            include,
            type_meta: type_meta.into_bytes().into(),
        })
    }

    pub fn view(&self) -> View {
        self.view
    }

    pub fn kind(&self) -> &Arc<Kind> {
        &self.kind
    }

    /// `v1` or `v1beta1`, of the view.
    pub fn view_version(&self) -> &'static str {
        self.view_version
    }

    /// `meta.k8s.io/v1`
    pub fn view_api_version(&self) -> String {
        partial::api_version(self.view_version)
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether objects are handed out as they are stored.
    pub fn is_verbatim(&self) -> bool {
        !self.convert && self.view == View::Object && self.format != Format::Protobuf
    }

    /// Equal for renderers that give equal bytes.
    pub fn id(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (Arc::as_ptr(&self.kind) as usize, self.view as u8, self.format as u8, self.view_version, self.include)
            .hash(&mut hasher);
        hasher.finish()
    }

    /// The object's JSON in the served version.
    pub fn json<'o>(&self, object: &'o Object) -> Cow<'o, [u8]> {
        if !self.convert {
            return Cow::Borrowed(object.json());
        }
        // What is stored was validated; what does not parse is shown as it is.
        let Ok(mut value) = serde_json::from_slice::<Value>(object.json()) else {
            return Cow::Borrowed(object.json());
        };
        self.kind.from_storage(&mut value);
        let mut out = Vec::with_capacity(object.json().len() + 64);
        codec::encode(&value, &self.kind.schema, &mut out);
        Cow::Owned(out)
    }

    /// The object's protobuf message in the served version, without its envelope. That of the stored version is made
    /// once and shared by every reader.
    pub fn message<'o>(&self, object: &'o Object) -> Cow<'o, [u8]> {
        let encode = |json: &[u8]| {
            let value: Value = serde_json::from_slice(json).unwrap_or_default();
            let mut out = Vec::with_capacity(json.len());
            kuorum_schema::protobuf::encode(&value, &self.kind.schema, &mut out);
            out
        };
        match (self.view, self.convert) {
            (View::PartialObjectMetadata | View::PartialObjectMetadataList, _) => {
                let mut out = Vec::with_capacity(256);
                protobuf::partial_of(object.json(), &mut out);
                Cow::Owned(out)
            }
            (_, false) => Cow::Borrowed(object.message(encode)),
            (_, true) => Cow::Owned(encode(&self.json(object))),
        }
    }

    /// `apiVersion` and `kind` of what is handed out for one object.
    pub fn type_meta(&self) -> (String, &str) {
        match self.view {
            View::PartialObjectMetadata | View::PartialObjectMetadataList => {
                (self.view_api_version(), "PartialObjectMetadata")
            }
            View::Object | View::Table => (self.kind.api_version.clone(), self.kind.row.kind),
        }
    }

    /// Where the stored JSON goes on behind `{` as an item of a list, if it can be sent as it is.
    pub fn verbatim_item(&self, object: &Object) -> Option<usize> {
        (self.is_verbatim() && object.json().starts_with(&self.type_meta)).then_some(self.type_meta.len())
    }

    /// Appends the object as an item of a list (a row, for a Table).
    ///
    /// Metadata alone is that of the stored version: a conversion's annotations are not shown there.
    pub fn item(&self, object: &Object, now_unix: i64, out: &mut Vec<u8>) {
        match self.view {
            View::Object => {
                let json = self.json(object);
                match json.strip_prefix(&*self.type_meta) {
                    Some(rest) => {
                        out.push(b'{');
                        out.extend_from_slice(rest);
                    }
                    None => out.extend_from_slice(&json),
                }
            }
            View::Table => self.row(&self.json(object), object.json(), now_unix, out),
            View::PartialObjectMetadata | View::PartialObjectMetadataList => {
                partial::encode(object.json(), self.view_version, out);
            }
        }
    }

    fn row(&self, json: &[u8], stored: &[u8], now_unix: i64, out: &mut Vec<u8>) {
        table::row_of_stored(&self.kind, json, stored, self.view_version, self.include, now_unix, out);
    }

    /// Appends the object by itself, as a GET or a watch event shows it. `columns`: whether a Table describes its
    /// columns (in a watch, only that of the first event does).
    pub fn single(&self, object: &Object, columns: bool, now_unix: i64, out: &mut Vec<u8>) {
        if self.format == Format::Protobuf {
            let (api_version, kind) = self.type_meta();
            return kuorum_schema::protobuf::seal(&api_version, kind, &self.message(object), out);
        }
        match self.view {
            View::PartialObjectMetadata | View::PartialObjectMetadataList => {
                partial::encode(object.json(), self.view_version, out);
            }
            View::Object | View::Table => self.shape(&self.json(object), object.json(), columns, now_unix, out),
        }
    }

    /// As [`Renderer::single`], for an object that is not stored (a bookmark).
    pub fn single_json(&self, json: &[u8], columns: bool, now_unix: i64, out: &mut Vec<u8>) {
        self.shape(json, json, columns, now_unix, out);
    }

    fn shape(&self, json: &[u8], stored: &[u8], columns: bool, now_unix: i64, out: &mut Vec<u8>) {
        if self.format == Format::Protobuf {
            let mut view = Vec::new();
            let json = match self.view {
                View::PartialObjectMetadata | View::PartialObjectMetadataList => {
                    partial::encode(stored, self.view_version, &mut view);
                    &view
                }
                View::Object | View::Table => json,
            };
            // The kind is one of the catalog's, or protobuf would not have been negotiated.
            protobuf::body(json, out);
            return;
        }
        match self.view {
            View::Object => out.extend_from_slice(json),
            View::Table => {
                let revision = partial::resource_version(stored);
                table::head(self.view_version, &revision, columns.then_some(&*self.kind), out);
                self.row(json, stored, now_unix, out);
                out.extend_from_slice(table::TAIL);
            }
            View::PartialObjectMetadata | View::PartialObjectMetadataList => {
                partial::encode(stored, self.view_version, out);
            }
        }
    }
}
