//! A part of a response body: one piece of bytes, or many that lie where they are until the connection encrypts them.
//!
//! A list of large objects is sent without a copy of them: each piece is a slice of an object that the part keeps
//! alive, and TLS gathers the slices.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use kuorum_cache::Object;

/// Objects of at least this size are sent from where they are; a smaller one is cheaper to copy than to gather.
const SHARED_BYTES_MIN: usize = 1024;

/// Data of one body frame.
pub enum Part {
    One(Bytes),
    Many(Pieces),
}

/// Pieces in order.
#[derive(Default)]
pub struct Pieces {
    pieces: VecDeque<Piece>,
    /// How much of the first piece has been consumed; always less than its length.
    consumed: usize,
    remaining: usize,
}

enum Piece {
    Bytes(Bytes),
    Static(&'static [u8]),
    /// The object's JSON from an offset on.
    Object(Arc<Object>, usize),
}

impl Piece {
    fn as_slice(&self) -> &[u8] {
        match self {
            Piece::Bytes(bytes) => bytes,
            Piece::Static(bytes) => bytes,
            Piece::Object(object, start) => object.json().get(*start..).unwrap_or_default(),
        }
    }
}

impl From<Bytes> for Part {
    fn from(bytes: Bytes) -> Self {
        Part::One(bytes)
    }
}

impl Part {
    /// All of it in one piece; copies where it is many.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Part::One(bytes) => bytes,
            Part::Many(mut pieces) => pieces.copy_to_bytes(pieces.remaining()),
        }
    }
}

impl Buf for Part {
    fn remaining(&self) -> usize {
        match self {
            Part::One(bytes) => bytes.len(),
            Part::Many(pieces) => pieces.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Part::One(bytes) => bytes,
            Part::Many(pieces) => pieces.chunk(),
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Part::One(bytes) => bytes.advance(count),
            Part::Many(pieces) => pieces.advance(count),
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        match self {
            Part::One(bytes) => bytes.chunks_vectored(slices),
            Part::Many(pieces) => pieces.chunks_vectored(slices),
        }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| &piece.as_slice()[self.consumed..])
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "advanced beyond the end");
        self.remaining -= count;
        while count > 0 {
            let Some(first) = self.pieces.front() else { return };
            let left = first.as_slice().len() - self.consumed;
            if count < left {
                self.consumed += count;
                return;
            }
            count -= left;
            self.consumed = 0;
            self.pieces.pop_front();
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut skip = self.consumed;
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(&piece.as_slice()[skip..]);
            skip = 0;
            count += 1;
        }
        count
    }
}

/// Collects a part.
#[derive(Default)]
pub struct PartBuilder {
    pieces: Pieces,
    /// What is copied, not yet among the pieces.
    copied: Vec<u8>,
}

impl PartBuilder {
    /// Bytes collected so far.
    pub fn bytes(&self) -> usize {
        self.pieces.remaining + self.copied.len()
    }

    /// Where to append what is copied.
    pub fn copied(&mut self) -> &mut Vec<u8> {
        &mut self.copied
    }

    /// Appends `head` and the object's JSON from `start` on.
    pub fn object(&mut self, head: &'static [u8], object: &Arc<Object>, start: usize) {
        let json = object.json().get(start..).unwrap_or_default();
        if json.len() < SHARED_BYTES_MIN {
            self.copied.extend_from_slice(head);
            self.copied.extend_from_slice(json);
            return;
        }
        if self.copied.is_empty() {
            self.push(Piece::Static(head));
        } else {
            self.copied.extend_from_slice(head);
            self.settle();
        }
        self.push(Piece::Object(object.clone(), start));
    }

    /// Moves what is copied to the pieces.
    fn settle(&mut self) {
        let copied = std::mem::take(&mut self.copied);
        self.push(Piece::Bytes(Bytes::from(copied)));
    }

    fn push(&mut self, piece: Piece) {
        let len = piece.as_slice().len();
        if len > 0 {
            self.pieces.remaining += len;
            self.pieces.pieces.push_back(piece);
        }
    }

    pub fn finish(mut self) -> Part {
        if self.pieces.pieces.is_empty() {
            return Part::One(Bytes::from(self.copied));
        }
        self.settle();
        Part::Many(self.pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> Part {
        let mut builder = PartBuilder::default();
        builder.copied().extend_from_slice(b"abc");
        builder.settle();
        builder.push(Piece::Static(b""));
        builder.push(Piece::Static(b"de"));
        builder.copied().extend_from_slice(b"fghi");
        builder.finish()
    }

    #[test]
    fn pieces_read_as_one_text_wherever_they_are_cut() {
        for step in 1..=9 {
            let (mut part, mut text) = (pieces(), Vec::new());
            while part.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 8];
                let count = part.chunks_vectored(&mut slices);
                let gathered: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                assert_eq!(gathered.len(), part.remaining());
                let taken = step.min(part.remaining());
                text.extend_from_slice(&gathered[..taken]);
                part.advance(taken);
            }
            assert_eq!(text, b"abcdefghi");
        }
        assert_eq!(pieces().into_bytes(), &b"abcdefghi"[..]);
    }

    #[test]
    fn a_part_of_copies_is_one_piece() {
        let mut builder = PartBuilder::default();
        builder.copied().extend_from_slice(b"abc");
        assert!(matches!(builder.finish(), Part::One(bytes) if bytes == "abc"));
    }
}
