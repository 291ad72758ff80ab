//! gzip for large responses, as kube-apiserver does it: level 1, above 128 KiB, when the client asks.
//!
//! A body that is made on demand is compressed on demand, chunk by chunk: a slow client holds one chunk.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use http::{HeaderMap, HeaderValue};

use crate::body::Body;
use crate::verbs::Response;

/// Smaller bodies are not worth the CPU.
const COMPRESS_BYTES_MIN: u64 = 128 * 1024;
/// How much compressed data is collected before it is sent.
const CHUNK_BYTES: usize = 32 * 1024;

/// Compresses the response where that is wanted and worth it. Watches are left alone.
pub fn compress(request: &HeaderMap, response: &mut Response) {
    let headers = response.headers();
    let body = response.body();
    let small = http_body::Body::size_hint(body).upper().is_some_and(|n| n <= COMPRESS_BYTES_MIN);
    if small || body.is_open_ended() || headers.contains_key(CONTENT_ENCODING) || !accepts_gzip(request) {
        return;
    }
    let mut body = std::mem::replace(response.body_mut(), Body::empty());
    // A body made on demand does not know its length: it is read up to the threshold first.
    let mut head = Vec::new();
    let mut size = 0u64;
    while size <= COMPRESS_BYTES_MIN {
        let Some(part) = body.next_ready() else { break };
        size += part.len() as u64;
        head.push(part);
    }
    if size <= COMPRESS_BYTES_MIN {
        *response.body_mut() = Body::chunks(head);
        return;
    }
    *response.body_mut() = Body::pull(Gzip {
        input: head.into_iter(),
        rest: Some(body),
        encoder: Some(GzEncoder::new(Vec::with_capacity(CHUNK_BYTES * 2), Compression::new(1))),
    });
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let Some(text) = headers.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok()) else { return false };
    text.split(',').any(|part| {
        let mut pieces = part.split(';').map(str::trim);
        pieces.next() == Some("gzip") && !pieces.any(|q| matches!(q, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// Compresses as it is pulled.
struct Gzip {
    input: std::vec::IntoIter<Bytes>,
    rest: Option<Body>,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Iterator for Gzip {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            let part = self.input.next().or_else(|| self.rest.as_mut()?.next_ready());
            let encoder = self.encoder.as_mut()?;
            // Writing to memory does not fail.
            let done = match part {
                Some(part) => encoder.write_all(&part).is_err(),
                None => true,
            };
            if done {
                let last = self.encoder.take()?.finish().ok()?;
                return (!last.is_empty()).then(|| Bytes::from(last));
            }
            if encoder.get_ref().len() >= CHUNK_BYTES {
                let chunk = std::mem::replace(encoder.get_mut(), Vec::with_capacity(CHUNK_BYTES * 2));
                return Some(Bytes::from(chunk));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn ask(encoding: &'static str) -> HeaderMap {
        let mut h = HeaderMap::new();
        h.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
        h
    }

    #[test]
    fn only_large_bodies_for_those_who_ask() {
        let text = "0123456789".repeat(20_000);
        for (encoding, size, want) in [
            ("gzip", text.len(), true),
            ("gzip", 1000, false),
            ("br", text.len(), false),
            ("gzip;q=0", text.len(), false),
        ] {
            let body = Bytes::copy_from_slice(&text.as_bytes()[..size]);
            let mut response = http::Response::new(Body::pull(std::iter::once(body)));
            compress(&ask(encoding), &mut response);
            assert_eq!(response.headers().contains_key(CONTENT_ENCODING), want, "{encoding} {size}");
            let mut sent = Vec::new();
            while let Some(part) = response.body_mut().next_ready() {
                sent.extend_from_slice(&part);
            }
            let mut plain = Vec::new();
            if want {
                flate2::read::GzDecoder::new(&sent[..]).read_to_end(&mut plain).unwrap();
            } else {
                plain = sent;
            }
            assert_eq!(plain, &text.as_bytes()[..size]);
        }
    }
}
