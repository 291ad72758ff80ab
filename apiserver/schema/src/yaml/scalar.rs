//! What a YAML scalar means: go-yaml v2's resolution, close to YAML 1.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value};

use crate::patch::gofmt;

/// A resolved scalar.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX`.
    Uint(u64),
    Float(f64),
    Text(String),
}

/// The core tags that say how to read a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CoreTag {
    Null,
    Bool,
    Int,
    Float,
    Text,
    Binary,
    Timestamp,
}

/// Whether a key is `<<`, the merge key.
pub(super) fn is_merge(text: &str, plain: bool, tag: Option<&str>) -> bool {
    text == "<<" && tag.map_or(plain, |tag| tag == "tag:yaml.org,2002:merge")
}

/// Reads a scalar. The error is go-yaml's text without `yaml: `.
pub(super) fn resolve(text: &str, plain: bool, tag: Option<&str>) -> Result<Scalar, String> {
    let tag = match tag {
        None if plain => return Ok(resolve_plain(text)),
        None => return Ok(Scalar::Text(text.to_owned())),
        Some(tag) => tag,
    };
    let tag = match tag.strip_prefix("tag:yaml.org,2002:") {
        Some("str") => CoreTag::Text,
        Some("binary") => CoreTag::Binary,
        Some("null") => CoreTag::Null,
        Some("bool") => CoreTag::Bool,
        Some("int") => CoreTag::Int,
        Some("float") => CoreTag::Float,
        Some("timestamp") => CoreTag::Timestamp,
        // Tags of others say nothing about JSON.
        _ => return Ok(Scalar::Text(text.to_owned())),
    };
    match (tag, resolve_plain(text)) {
        (CoreTag::Text, _) => Ok(Scalar::Text(text.to_owned())),
        (CoreTag::Binary, _) => {
            // Go's decoder passes over line ends.
            let text: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
            let bytes = STANDARD.decode(text).map_err(|_| "!!binary value contains invalid base64 data".to_owned())?;
            Ok(Scalar::Text(String::from_utf8_lossy(&bytes).into_owned()))
        }
        (CoreTag::Float, Scalar::Int(int)) => Ok(Scalar::Float(int as f64)),
        (CoreTag::Float, Scalar::Uint(int)) => Ok(Scalar::Float(int as f64)),
        (CoreTag::Null, scalar @ Scalar::Null)
        | (CoreTag::Bool, scalar @ Scalar::Bool(_))
        | (CoreTag::Int, scalar @ (Scalar::Int(_) | Scalar::Uint(_)))
        | (CoreTag::Float, scalar @ Scalar::Float(_))
        | (CoreTag::Timestamp, scalar @ Scalar::Text(_)) => Ok(scalar),
        (wanted, found) => Err(format!("cannot decode {} `{text}` as a {}", found.short_tag(), wanted.short())),
    }
}

impl CoreTag {
    fn short(self) -> &'static str {
        match self {
            CoreTag::Null => "!!null",
            CoreTag::Bool => "!!bool",
            CoreTag::Int => "!!int",
            CoreTag::Float => "!!float",
            CoreTag::Text => "!!str",
            CoreTag::Binary => "!!binary",
            CoreTag::Timestamp => "!!timestamp",
        }
    }
}

impl Scalar {
    /// The JSON value. Whole floats are printed without a fraction by Go, and read again as integers.
    pub(super) fn into_json(self) -> Result<Value, String> {
        Ok(match self {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Int(value) => Value::from(value),
            Scalar::Uint(value) => Value::from(value),
            Scalar::Text(value) => Value::String(value),
            Scalar::Float(value) if value.fract() == 0.0 && value.abs() < 9.0e18 => Value::from(value as i64),
            Scalar::Float(value) => match Number::from_f64(value) {
                Some(number) => Value::Number(number),
                None => return Err(format!("json: unsupported value: {}", go_float(value))),
            },
        })
    }

    /// The text that stands for a key in JSON, and the key as Go's `%#v` prints it.
    pub(super) fn into_key(self) -> Result<(String, String), String> {
        Ok(match self {
            Scalar::Text(text) => {
                let shown = gofmt::quote(&text);
                (text, shown)
            }
            Scalar::Bool(value) => (value.to_string(), value.to_string()),
            Scalar::Int(value) => (value.to_string(), value.to_string()),
            Scalar::Float(value) => {
                let name = match go_float(value) {
                    "" => gofmt::float32(value as f32),
                    "+Inf" => ".inf".to_owned(),
                    "-Inf" => "-.inf".to_owned(),
                    _ => ".nan".to_owned(),
                };
                (name, gofmt::value(&Number::from_f64(value).map_or(Value::Null, Value::Number)))
            }
            Scalar::Uint(value) => return Err(format!("unsupported map key of type: uint64, key: {value:#x}")),
            Scalar::Null => return Err("unsupported map key of type: %!s(<nil>), key: <nil>".to_owned()),
        })
    }

    fn short_tag(&self) -> &'static str {
        match self {
            Scalar::Null => "!!null",
            Scalar::Bool(_) => "!!bool",
            Scalar::Int(_) | Scalar::Uint(_) => "!!int",
            Scalar::Float(_) => "!!float",
            Scalar::Text(_) => "!!str",
        }
    }
}

/// Go's name of a float that JSON does not have, empty for all others.
fn go_float(value: f64) -> &'static str {
    match value {
        _ if value.is_nan() => "NaN",
        _ if value == f64::INFINITY => "+Inf",
        _ if value == f64::NEG_INFINITY => "-Inf",
        _ => "",
    }
}

/// A plain scalar without a tag.
fn resolve_plain(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let number = match text.as_bytes()[0] {
        b'0'..=b'9' | b'+' | b'-' => resolve_number(text),
        b'.' => resolve_float(text),
        _ => None,
    };
    number.unwrap_or_else(|| Scalar::Text(text.to_owned()))
}

fn resolve_number(text: &str) -> Option<Scalar> {
    let plain: String = text.chars().filter(|&c| c != '_').collect();
    resolve_int(&plain).or_else(|| resolve_float(&plain))
}

/// An integer with the prefix of its base, as Go's `ParseInt(…, 0, 64)`: `0x1f`, `0o17`, `017`, `0b1`.
fn resolve_int(text: &str) -> Option<Scalar> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // `from_str_radix` would take a second sign.
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0i64.checked_sub_unsigned(magnitude).map(Scalar::Int);
    }
    Some(i64::try_from(magnitude).map_or(Scalar::Uint(magnitude), Scalar::Int))
}

/// A decimal number with an optional fraction and exponent, and nothing else that Rust would call a float.
fn resolve_float(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(unsigned);
    let mut rest = &unsigned[whole..];
    let mut fraction = 0;
    if let Some(tail) = rest.strip_prefix('.') {
        fraction = digits(tail);
        rest = &tail[fraction..];
    }
    if whole + fraction == 0 {
        return None;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if exponent.is_empty() || digits(exponent) != exponent.len() {
            return None;
        }
    } else if !rest.is_empty() {
        return None;
    }
    // Go refuses what overflows; the scalar then stays a text.
    text.parse().ok().filter(|float: &f64| float.is_finite()).map(Scalar::Float)
}
