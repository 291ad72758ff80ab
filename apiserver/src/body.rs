//! Bodies. Of responses: bytes that are ready, chunks made on demand, or a stream that goes on (watch).
//!
//! No variant copies: `Bytes` that many readers share are handed on as they are.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use crate::part::Part;
use crate::status::ApiError;

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
    /// The same, in parts of many pieces that are not copied.
    Parts(Box<dyn Iterator<Item = Part> + Send>),
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

    /// As [`Body::pull`], for parts of many pieces.
    pub fn parts(parts: impl Iterator<Item = Part> + Send + 'static) -> Self {
        Body(Inner::Parts(Box::new(parts)))
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

    /// Whether the body is still to be made, when the client is ready for it, from more than shared bytes.
    pub fn is_made_while_sent(&self) -> bool {
        matches!(self.0, Inner::Pull(_))
    }

    /// Keeps `guard` until the last part of the body has been made, or the body is dropped.
    pub fn hold(&mut self, guard: impl Send + 'static) {
        match std::mem::replace(&mut self.0, Inner::Empty) {
            Inner::Pull(parts) => self.0 = Inner::Pull(Box::new(Held { parts, guard: Some(guard) })),
            other => self.0 = other,
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
            Inner::Parts(parts) => parts.next().map(Part::into_bytes),
        }
    }
}

/// Parts with what is to be dropped behind the last one.
struct Held<G> {
    guard: Option<G>,
    parts: Box<dyn Iterator<Item = Bytes> + Send>,
}

impl<G> Iterator for Held<G> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let part = self.parts.next();
        if part.is_none() {
            self.guard = None;
        }
        part
    }
}

impl http_body::Body for Body {
    type Data = Part;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Part>, Infallible>>> {
        if let Inner::Stream(stream) = &mut self.0 {
            return stream.as_mut().poll_next(cx).map(|next| next.map(|b| Ok(Frame::data(b.into()))));
        }
        if let Inner::Parts(parts) = &mut self.0 {
            return Poll::Ready(parts.next().map(|part| Ok(Frame::data(part))));
        }
        Poll::Ready(self.next_ready().map(|b| Ok(Frame::data(b.into()))))
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
            Inner::Pull(_) | Inner::Parts(_) | Inner::Stream(_) => SizeHint::default(),
        }
    }
}

/// A request body: from the network, or from inside the process.
pub enum Payload {
    Incoming(hyper::body::Incoming),
    Bytes(Bytes),
}

/// The largest request body, in bytes: what the real server takes.
pub const REQUEST_BYTES_MAX: usize = 3 * 1024 * 1024;

impl Payload {
    /// Reads the whole body; 413 as soon as it is known to be too large.
    pub async fn read(self) -> Result<Bytes, ApiError> {
        let too_large = || ApiError::too_large(format!("Request entity too large: limit is {REQUEST_BYTES_MAX}"));
        let mut incoming = match self {
            Payload::Bytes(bytes) if bytes.len() > REQUEST_BYTES_MAX => return Err(too_large()),
            Payload::Bytes(bytes) => return Ok(bytes),
            Payload::Incoming(incoming) => incoming,
        };
        let announced = http_body::Body::size_hint(&incoming);
        if announced.lower() > REQUEST_BYTES_MAX as u64 {
            discard(&mut incoming, REQUEST_BYTES_MAX).await;
            return Err(too_large());
        }
        let mut first: Option<Bytes> = None;
        let mut all = Vec::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|e| ApiError::bad_request(format!("cannot read the request body: {e}")))?;
            let Ok(data) = frame.into_data() else { continue };
            // Most bodies are one frame, which needs no copy.
            match first.take() {
                None if all.is_empty() => first = Some(data),
                None => all.extend_from_slice(&data),
                Some(head) => {
                    all.reserve(head.len() + data.len());
                    all.extend_from_slice(&head);
                    all.extend_from_slice(&data);
                }
            }
            if all.len().max(first.as_ref().map_or(0, |b| b.len())) > REQUEST_BYTES_MAX {
                discard(&mut incoming, REQUEST_BYTES_MAX).await;
                return Err(too_large());
            }
        }
        Ok(first.unwrap_or_else(|| Bytes::from(all)))
    }
}

/// Most bytes that are read of a body that is refused, beyond its limit.
const DISCARD_BYTES_MAX: usize = 1024 * 1024;

/// Reads on for a moment: an HTTP/1.1 client that is still sending when the connection closes does not see the answer.
/// Bounded in bytes here, and in time by the request's deadline.
async fn discard(incoming: &mut hyper::body::Incoming, limit: usize) {
    let mut left = limit + DISCARD_BYTES_MAX;
    while let Some(Ok(frame)) = incoming.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, |d| d.len()));
        if left == 0 {
            return;
        }
    }
}
