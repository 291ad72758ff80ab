//! The body of a list in protobuf: the length goes first, so the items' messages are measured before the first is sent.

use std::sync::Arc;

use bytes::Bytes;
use kuorum_cache::Object;
use kuorum_schema::protobuf as wire;

use super::body::ListMeta;
use crate::body::Body;
use crate::object::protobuf;
use crate::object::render::Renderer;
use crate::request::negotiate::View;

/// A part of a long list, one body frame.
const CHUNK_BYTES: usize = 64 << 10;
/// The number of `items` in every list.
const ITEMS: u32 = 2;

/// A list that is ready to be sent.
pub struct ProtobufList {
    renderer: Renderer,
    /// Magic, envelope and metadata.
    head: Vec<u8>,
    items: std::vec::IntoIter<Item>,
    bytes: usize,
}

enum Item {
    /// Its message is shared by all readers.
    Shared(Arc<Object>),
    /// Made for this list: another version, or metadata alone.
    Own(Vec<u8>),
}

impl ProtobufList {
    pub fn new(renderer: Renderer, objects: Vec<Arc<Object>>, meta: &ListMeta) -> Self {
        let mut metadata = Vec::with_capacity(64);
        protobuf::list_meta(&serde_json::to_value(meta).unwrap_or_default(), &mut metadata);
        let mut len = metadata.len();
        let items: Vec<Item> = objects
            .into_iter()
            .map(|object| {
                let message = renderer.message(&object);
                len += 1 + varint_len(message.len()) + message.len();
                match message {
                    std::borrow::Cow::Owned(message) => Item::Own(message),
                    std::borrow::Cow::Borrowed(_) => Item::Shared(object),
                }
            })
            .collect();
        let (api_version, kind) = match renderer.view() {
            View::PartialObjectMetadata | View::PartialObjectMetadataList => {
                (renderer.view_api_version(), "PartialObjectMetadataList".to_owned())
            }
            View::Object | View::Table => (renderer.kind().api_version.clone(), renderer.kind().row.list_kind()),
        };
        let mut head = Vec::with_capacity(128);
        wire::envelope(&api_version, &kind, len, &mut head, |out| out.extend_from_slice(&metadata));
        // The end belongs behind the items.
        head.truncate(head.len() - wire::ENVELOPE_END.len());
        let bytes = head.len() - metadata.len() + len + wire::ENVELOPE_END.len();
        ProtobufList { renderer, head, items: items.into_iter(), bytes }
    }

    /// The body: in one piece where it is small, else in parts made while it is sent.
    pub fn into_body(mut self) -> Body {
        if self.bytes <= CHUNK_BYTES * 2 {
            let bytes = self.bytes;
            return Body::full(self.part(bytes).unwrap_or_default());
        }
        Body::pull(std::iter::from_fn(move || self.part(CHUNK_BYTES)))
    }

    /// The next `limit` bytes or a little more; `None` behind the end.
    fn part(&mut self, limit: usize) -> Option<Bytes> {
        if self.bytes == 0 {
            return None;
        }
        let mut out = std::mem::take(&mut self.head);
        out.reserve(limit.min(self.bytes));
        while out.len() < limit {
            match self.items.next() {
                Some(Item::Shared(object)) => wire::bytes(ITEMS, &self.renderer.message(&object), &mut out),
                Some(Item::Own(message)) => wire::bytes(ITEMS, &message, &mut out),
                None => {
                    out.extend_from_slice(wire::ENVELOPE_END);
                    self.bytes = out.len();
                    break;
                }
            }
        }
        self.bytes = self.bytes.saturating_sub(out.len());
        Some(Bytes::from(out))
    }
}

fn varint_len(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_varints() {
        for (value, len) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (1 << 21, 4)] {
            assert_eq!(varint_len(value), len, "{value}");
        }
    }
}
