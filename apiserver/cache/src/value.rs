//! The stored format: `0x01`, little-endian `u32` offset, JSON without `metadata.resourceVersion`.
//!
//! The offset, from the start of the JSON, is where `"resourceVersion":"<mod revision>",` belongs. The front-end
//! splices it in once, when the object arrives.

use bytes::Bytes;

const FORMAT: u8 = 1;
const HEADER_LEN: usize = 5;
const BEFORE_REVISION: &[u8] = b"\"resourceVersion\":\"";
const AFTER_REVISION: &[u8] = b"\",";

/// The value is not in the stored format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    #[error("value of {0} bytes is too short")]
    Short(usize),
    #[error("value has the unknown format {0}")]
    Format(u8),
    #[error("offset {offset} is beyond the value's {len} bytes")]
    Offset { offset: u32, len: usize },
}

/// Makes the stored value of `json` (without `metadata.resourceVersion`), whose revision belongs at `offset`.
pub fn pack(json: &[u8], offset: u32) -> Bytes {
    let mut value = Vec::with_capacity(HEADER_LEN + json.len());
    value.push(FORMAT);
    value.extend_from_slice(&offset.to_le_bytes());
    value.extend_from_slice(json);
    Bytes::from(value)
}

/// Takes a stored value apart: the offset of the revision, and the JSON.
pub fn unpack(value: &[u8]) -> Result<(u32, &[u8]), ValueError> {
    let Some((header, json)) = value.split_at_checked(HEADER_LEN) else {
        return Err(ValueError::Short(value.len()));
    };
    if header[0] != FORMAT {
        return Err(ValueError::Format(header[0]));
    }
    let offset = u32::from_le_bytes([header[1], header[2], header[3], header[4]]);
    if offset as usize > json.len() {
        return Err(ValueError::Offset { offset, len: json.len() });
    }
    Ok((offset, json))
}

/// The JSON of an object with its resourceVersion in place. `offset` is clamped to the text.
pub fn splice(json: &[u8], offset: u32, revision: u64) -> Bytes {
    Bytes::from(spliced(json, offset, revision, b""))
}

/// As [`splice`], with a final newline: the body of a response.
pub fn splice_line(json: &[u8], offset: u32, revision: u64) -> Bytes {
    Bytes::from(spliced(json, offset, revision, b"\n"))
}

fn spliced(json: &[u8], offset: u32, revision: u64, end: &[u8]) -> Vec<u8> {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(revision).as_bytes();
    let (head, tail) = json.split_at((offset as usize).min(json.len()));
    let revision = [BEFORE_REVISION, digits, AFTER_REVISION];
    let len = json.len() + revision.iter().map(|part| part.len()).sum::<usize>() + end.len();
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(head);
    revision.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(tail);
    out.extend_from_slice(end);
    out
}

/// The same object under another revision: `json` has `old` spliced in at `offset`, the result has `new`.
pub fn resplice(json: &[u8], offset: u32, old: u64, new: u64) -> Bytes {
    let spliced = spliced_len(old);
    let start = offset as usize;
    if start + spliced > json.len() {
        return Bytes::copy_from_slice(json);
    }
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(new).as_bytes();
    let mut out = Vec::with_capacity(json.len() - spliced + spliced_len(new));
    out.extend_from_slice(&json[..start]);
    out.extend_from_slice(BEFORE_REVISION);
    out.extend_from_slice(digits);
    out.extend_from_slice(AFTER_REVISION);
    out.extend_from_slice(&json[start + spliced..]);
    Bytes::from(out)
}

/// The stored form of an object again, without its revision.
pub fn unsplice(json: &[u8], offset: u32, revision: u64) -> Bytes {
    let start = (offset as usize).min(json.len());
    let end = (start + spliced_len(revision)).min(json.len());
    let mut value = Vec::with_capacity(HEADER_LEN + json.len() - (end - start));
    value.push(FORMAT);
    value.extend_from_slice(&offset.to_le_bytes());
    value.extend_from_slice(&json[..start]);
    value.extend_from_slice(&json[end..]);
    Bytes::from(value)
}

/// Length of the text that [`splice`] inserts.
fn spliced_len(revision: u64) -> usize {
    BEFORE_REVISION.len() + revision.checked_ilog10().map_or(1, |log| log as usize + 1) + AFTER_REVISION.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &[u8] = br#"{"kind":"Pod","metadata":{"name":"a","uid":"u"}}"#;
    const OFFSET: u32 = 37;

    #[test]
    fn pack_then_unpack_gives_the_parts() {
        let value = pack(JSON, OFFSET);
        assert_eq!(unpack(&value), Ok((OFFSET, JSON)));
    }

    #[test]
    fn splice_puts_the_revision_where_the_offset_says() {
        let spliced = splice(JSON, OFFSET, 120);
        assert_eq!(spliced, &br#"{"kind":"Pod","metadata":{"name":"a","resourceVersion":"120","uid":"u"}}"#[..]);
    }

    #[test]
    fn resplice_and_unsplice_reverse_splice() {
        for old in [0, 9, 10, 99, 100, u64::MAX] {
            let spliced = splice(JSON, OFFSET, old);
            assert_eq!(resplice(&spliced, OFFSET, old, 12345), splice(JSON, OFFSET, 12345));
            assert_eq!(unsplice(&spliced, OFFSET, old), pack(JSON, OFFSET));
        }
    }

    #[test]
    fn malformed_values_are_refused() {
        assert_eq!(unpack(&[1, 0]), Err(ValueError::Short(2)));
        assert_eq!(unpack(&[7, 0, 0, 0, 0, b'{']), Err(ValueError::Format(7)));
        assert_eq!(unpack(&[1, 9, 0, 0, 0, b'{']), Err(ValueError::Offset { offset: 9, len: 1 }));
    }
}
