//! JSON text as Go's `encoding/json` writes it, without a schema: escapes, floats, indentation.

use serde_json::{Number, Value};

/// Appends `value` as compact JSON, objects in the order of their keys.
pub fn print(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => print_number(number, out),
        Value::String(text) => print_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                print(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (at, (key, value)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                print_string(key, out);
                out.push(b':');
                print(value, out);
            }
            out.push(b'}');
        }
    }
}

pub(super) fn print_number(number: &Number, out: &mut Vec<u8>) {
    if let Some(integer) = number.as_i64() {
        out.extend_from_slice(itoa::Buffer::new().format(integer).as_bytes());
    } else if let Some(integer) = number.as_u64() {
        out.extend_from_slice(itoa::Buffer::new().format(integer).as_bytes());
    } else {
        print_float(number.as_f64().unwrap_or_default(), out);
    }
}

/// The shortest text that reads back the same, in exponent form outside 1e-6..1e21, as Go chooses.
fn print_float(value: f64, out: &mut Vec<u8>) {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                out.extend_from_slice(digits.as_bytes());
                out.extend_from_slice(b"e+");
                out.extend_from_slice(exponent.as_bytes());
            }
            _ => out.extend_from_slice(text.as_bytes()),
        }
        return;
    }
    out.extend_from_slice(format!("{value}").as_bytes());
}

/// A string with Go's escapes: `<`, `>` and `&` too, so that JSON can stand in HTML.
pub(crate) fn print_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let special = |byte: u8| byte < 0x20 || matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2);
    let plain = super::plain_blocks(bytes, special);
    let mut copied = 0;
    for (at, &byte) in bytes.iter().enumerate().skip(plain) {
        if !NEEDS_CARE[usize::from(byte)] {
            continue;
        }
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0x08 => b"\\b",
            0x0c => b"\\f",
            // U+2028 and U+2029 are line ends in JavaScript.
            0xe2 => match bytes.get(at + 1..at + 3) {
                Some([0x80, 0xa8]) => b"\\u2028",
                Some([0x80, 0xa9]) => b"\\u2029",
                _ => continue,
            },
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(&bytes[copied..at]);
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                copied = at + 1;
                continue;
            }
        };
        out.extend_from_slice(&bytes[copied..at]);
        out.extend_from_slice(escape);
        copied = at + if byte == 0xe2 { 3 } else { 1 };
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

/// The bytes at which [`print_string`] may have to stop.
const NEEDS_CARE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[b'<' as usize] = true;
    table[b'>' as usize] = true;
    table[b'&' as usize] = true;
    table[0xe2] = true;
    table
};

/// Appends `json`, which is compact and valid, indented by two spaces as Go's `json.MarshalIndent` prints it.
pub fn pretty(json: &[u8], out: &mut Vec<u8>) {
    out.reserve(json.len() + json.len() / 2);
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let start = at - 1;
                while let Some(&byte) = json.get(at) {
                    at += if byte == b'\\' { 2 } else { 1 };
                    if byte == b'"' {
                        break;
                    }
                }
                at = at.min(json.len());
                out.extend_from_slice(&json[start..at]);
            }
            b'{' | b'[' => {
                out.push(byte);
                if matches!(json.get(at), Some(b'}' | b']')) {
                    out.push(json[at]);
                    at += 1;
                } else {
                    depth += 1;
                    new_line(depth, out);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                new_line(depth, out);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(depth, out);
            }
            b':' => out.extend_from_slice(b": "),
            _ => out.push(byte),
        }
    }
}

fn new_line(depth: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth, b' ');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn printed(value: &Value) -> String {
        let mut out = Vec::new();
        print(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_and_floats_are_gos() {
        let text = json!("a<b>&\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}\u{2028}\u{2029}é…");
        let expected = r#""a\u003cb\u003e\u0026\"\\\n\r\t\b\f\u0001"#.to_owned() + "\u{7f}" + r#"\u2028\u2029é…""#;
        assert_eq!(printed(&text), expected);
        for (value, expected) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-7"),
            (0.000001, "0.000001"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(printed(&json!(value)), expected);
        }
    }

    #[test]
    fn pretty_is_marshal_indent() {
        let mut out = Vec::new();
        pretty(br#"{"a":{},"b":[],"c":[1,{"d":"x{,:\"}"}]}"#, &mut out);
        let expected =
            "{\n  \"a\": {},\n  \"b\": [],\n  \"c\": [\n    1,\n    {\n      \"d\": \"x{,:\\\"}\"\n    }\n  ]\n}";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
