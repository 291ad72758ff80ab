//! Response bodies: bytes that are ready, chunks made on demand, or a stream that goes on (watch).
//!
//! No variant copies: `Bytes` that many readers share are handed on as they are.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Frame, SizeHint};

/// A response body. Errors cannot occur in it: what fails before the first byte is a `Status`, what fails later
/// ends the stream.
pub struct Body(Inner);

enum Inner {
    Empty,
    Full(Bytes),
    /// Known parts, sent one after the other. `u64`: bytes left.
    Chunks(VecDeque<Bytes>, u64),
    /// Parts that are made when the client is ready for them (a LIST walks its snapshot).
    Pull(Box<dyn Iterator<Item = Bytes> + Send>),
    /// Parts that arrive over time (a watch).
    Stream(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl Body {
    pub fn empty() -> Self {
        Body(Inner::Empty)
    }

    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Body(if bytes.is_empty() { Inner::Empty } else { Inner::Full(bytes) })
    }

    pub fn chunks(parts: impl IntoIterator<Item = Bytes>) -> Self {
        let parts: VecDeque<Bytes> = parts.into_iter().filter(|p| !p.is_empty()).collect();
        let total = parts.iter().map(|p| p.len() as u64).sum();
        Body(Inner::Chunks(parts, total))
    }

    /// Made on demand, one part per poll; parts of some 64 KiB keep framing and TLS cheap.
    pub fn pull(parts: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        Body(Inner::Pull(Box::new(parts)))
    }

    pub fn stream(parts: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Body(Inner::Stream(Box::pin(parts)))
    }

    /// The whole body where it is one ready piece.
    pub fn as_full(&self) -> Option<&Bytes> {
        match &self.0 {
            Inner::Full(b) => Some(b),
            _ => None,
        }
    }

    /// Whether the body goes on for as long as its client wants (a watch).
    pub fn is_open_ended(&self) -> bool {
        matches!(self.0, Inner::Stream(_))
    }

    /// The next part where it is made without waiting; `None` at the end. A stream is never asked.
    pub fn next_ready(&mut self) -> Option<Bytes> {
        match &mut self.0 {
            Inner::Empty | Inner::Stream(_) => None,
            Inner::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Inner::Empty;
                Some(bytes)
            }
            Inner::Chunks(parts, left) => {
                let part = parts.pop_front();
                *left -= part.as_ref().map_or(0, |p| p.len() as u64);
                part
            }
            Inner::Pull(parts) => parts.next(),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Inner::Stream(stream) = &mut self.0 {
            return stream.as_mut().poll_next(cx).map(|next| next.map(|b| Ok(Frame::data(b))));
        }
        Poll::Ready(self.next_ready().map(|b| Ok(Frame::data(b))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Chunks(parts, _) => parts.is_empty(),
            _ => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Full(b) => SizeHint::with_exact(b.len() as u64),
            Inner::Chunks(_, left) => SizeHint::with_exact(*left),
            Inner::Pull(_) | Inner::Stream(_) => SizeHint::default(),
        }
    }
}
