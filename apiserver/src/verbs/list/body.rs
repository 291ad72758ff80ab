//! The body of a list: a header, the items' bytes, a trailer. Made while it is sent: large items are not copied, and
//! a client that reads slowly holds a snapshot and a few parts.

use std::sync::Arc;

use bytes::Bytes;
use kuorum_cache::{Object, Walk};
use serde::Serialize;

use super::super::selection::Selection;
use super::message::ProtobufList;
use crate::body::Body;
use crate::object::render::Renderer;
use crate::object::table;
use crate::part::{Part, PartBuilder};
use crate::request::negotiate::View;

/// A part of a long list, one body frame: large enough that framing costs little.
const CHUNK_BYTES: usize = 64 << 10;
/// A list up to this size is one piece with a Content-Length.
const WHOLE_BYTES_MAX: usize = 128 << 10;

/// `metadata` of a list, fields in the order of the Go type.
#[derive(Default, Serialize)]
pub struct ListMeta {
    #[serde(rename = "resourceVersion", skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    #[serde(rename = "continue", skip_serializing_if = "String::is_empty")]
    pub continue_token: String,
    #[serde(rename = "remainingItemCount", skip_serializing_if = "Option::is_none")]
    pub remaining_item_count: Option<usize>,
}

/// The objects of a list.
pub enum Items {
    /// A part of a snapshot, to be filtered on the way.
    Walk(Walk, Selection),
    /// Chosen already.
    Chosen(std::vec::IntoIter<Arc<Object>>),
}

impl Items {
    fn next(&mut self, visit: impl FnOnce(&Arc<Object>)) -> bool {
        match self {
            Items::Walk(walk, selection) => loop {
                match walk.next_object() {
                    Some(object) if selection.matches(object) => {
                        visit(object);
                        return true;
                    }
                    Some(_) => {}
                    None => return false,
                }
            },
            Items::Chosen(objects) => match objects.next() {
                Some(object) => {
                    visit(&object);
                    true
                }
                None => false,
            },
        }
    }
}

/// Writes a list piece by piece.
pub struct ListEncoder {
    renderer: Renderer,
    items: Items,
    meta: ListMeta,
    now_unix: i64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    First,
    Later,
    Done,
}

impl ListEncoder {
    pub fn new(renderer: Renderer, items: Items, meta: ListMeta) -> Self {
        ListEncoder { renderer, items, meta, now_unix: crate::tls::unix_now(), state: State::Begin }
    }

    /// The same list in protobuf.
    pub fn into_protobuf(mut self) -> ProtobufList {
        let mut items = Vec::new();
        while self.items.next(|object| items.push(object.clone())) {}
        ProtobufList::new(self.renderer, items, &self.meta)
    }

    /// The whole list as compact JSON, without a final newline.
    pub fn whole(mut self) -> Vec<u8> {
        let mut out = PartBuilder::default();
        self.fill(&mut out, usize::MAX);
        out.finish().into_bytes().into()
    }

    /// A body in JSON with a final newline: in one piece where it is small.
    pub fn into_body(mut self) -> Body {
        let first = self.next_part(WHOLE_BYTES_MAX);
        if self.state == State::Done {
            return Body::full(first.map_or_else(Bytes::new, Part::into_bytes));
        }
        let (mut first, verbatim) = (first, self.renderer.is_verbatim());
        let parts = std::iter::from_fn(move || first.take().or_else(|| self.next_part(CHUNK_BYTES)));
        // What is rendered is one piece per part; it also counts against the request's seats while it is sent.
        if verbatim { Body::parts(parts) } else { Body::pull(parts.map(Part::into_bytes)) }
    }

    /// The next `limit` bytes or a little more; `None` at the end.
    fn next_part(&mut self, limit: usize) -> Option<Part> {
        if self.state == State::Done {
            return None;
        }
        let mut out = PartBuilder::default();
        self.fill(&mut out, limit);
        if self.state == State::Done {
            out.copied().push(b'\n');
        }
        Some(out.finish())
    }

    /// Appends items until there are `limit` bytes, or to the end.
    fn fill(&mut self, out: &mut PartBuilder, limit: usize) {
        if self.state == State::Begin {
            self.header(out.copied());
            self.state = State::First;
        }
        while self.state != State::Done && out.bytes() < limit {
            let first = self.state == State::First;
            let (renderer, now_unix) = (&self.renderer, self.now_unix);
            let found = self.items.next(|object| {
                if let Some(start) = renderer.verbatim_item(object) {
                    return out.object(if first { b"{" } else { b",{" }, object, start);
                }
                let separator: &[u8] = match (first, renderer.view()) {
                    (false, _) => b",",
                    // An empty list of metadata is null, as a Go slice that was never made.
                    (true, View::PartialObjectMetadata | View::PartialObjectMetadataList) => b"[",
                    (true, _) => b"",
                };
                out.copied().extend_from_slice(separator);
                renderer.item(object, now_unix, out.copied());
            });
            self.state = match (found, first) {
                (true, _) => State::Later,
                (false, first) => {
                    self.trailer(first, out.copied());
                    State::Done
                }
            };
        }
    }

    fn header(&self, out: &mut Vec<u8>) {
        // Strings and numbers always serialise.
        let meta = serde_json::to_vec(&self.meta).unwrap_or_default();
        let (kind, api_version) = match self.renderer.view() {
            View::Table => {
                let kind = Some(&**self.renderer.kind());
                return table::head_with(self.renderer.view_version(), &meta, kind, out);
            }
            View::Object => (self.renderer.kind().row.list_kind(), self.renderer.kind().api_version.clone()),
            View::PartialObjectMetadata | View::PartialObjectMetadataList => {
                ("PartialObjectMetadataList".to_owned(), self.renderer.view_api_version())
            }
        };
        for part in [
            b"{\"kind\":\"",
            kind.as_bytes(),
            b"\",\"apiVersion\":\"",
            api_version.as_bytes(),
            b"\",\"metadata\":",
            &meta,
        ] {
            out.extend_from_slice(part);
        }
        out.extend_from_slice(b",\"items\":");
        if self.renderer.view() == View::Object {
            out.push(b'[');
        }
    }

    fn trailer(&self, empty: bool, out: &mut Vec<u8>) {
        let partial = matches!(self.renderer.view(), View::PartialObjectMetadata | View::PartialObjectMetadataList);
        out.extend_from_slice(if partial && empty { b"null}" } else { b"]}" });
    }
}
