//! Values as Go's `fmt` prints them, for the server's messages that contain a patch.

use std::fmt::Write;

use serde_json::{Map, Number, Value};

/// A JSON value as Go's `%v` prints the decoded `interface{}`: `map[a:1 b:[x y]]`.
pub fn value(json: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, json);
    text
}

/// A list of values as Go's `%v` prints it: `[a b]`.
pub fn list(items: &[Value]) -> String {
    let mut text = String::new();
    write_list(&mut text, items);
    text
}

/// An object as Go's `%v` prints the decoded map.
pub fn map(fields: &Map<String, Value>) -> String {
    let mut text = String::new();
    write_map(&mut text, fields);
    text
}

/// A value decoded from YAML as Go's `%#v` prints it: `[]interface {}{"a", 1}`.
pub fn syntax(json: &Value) -> String {
    let mut text = String::new();
    write_syntax(&mut text, json);
    text
}

/// A number as Go's `FormatFloat(f, 'g', -1, 32)` prints it.
pub fn float32(number: f32) -> String {
    let mut text = String::new();
    write_float(&mut text, f64::from(number), format!("{number}"), format!("{number:e}"));
    text
}

/// A string as Go's `%q` prints it: what can be seen stays, the rest is escaped.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            ' '..='~' => quoted.push(c),
            _ if is_printable(c) => quoted.push(c),
            // Writing to a string cannot fail.
            '\0'..='\u{7f}' => _ = write!(quoted, "\\x{:02x}", u32::from(c)),
            '\u{80}'..='\u{ffff}' => _ = write!(quoted, "\\u{:04x}", u32::from(c)),
            _ => _ = write!(quoted, "\\U{:08x}", u32::from(c)),
        }
    }
    quoted.push('"');
    quoted
}

/// The Go type that a JSON value decodes to, as `%s` of its `reflect.Type`.
pub fn type_name(json: &Value) -> &'static str {
    match json {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Rust's `Debug` of a string knows which characters have a glyph; one that stands behind a letter is not escaped
/// for being a combining mark.
fn is_printable(c: char) -> bool {
    let text: String = ['a', c].into_iter().collect();
    text.escape_debug().nth(1) == Some(c)
}

fn write_value(text: &mut String, json: &Value) {
    match json {
        Value::Null => text.push_str("<nil>"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => write_number(text, number),
        Value::String(string) => text.push_str(string),
        Value::Array(items) => write_list(text, items),
        Value::Object(fields) => write_map(text, fields),
    }
}

fn write_map(text: &mut String, fields: &Map<String, Value>) {
    text.push_str("map[");
    for (index, (name, field)) in fields.iter().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        text.push_str(name);
        text.push(':');
        write_value(text, field);
    }
    text.push(']');
}

fn write_list(text: &mut String, items: &[Value]) {
    text.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        write_value(text, item);
    }
    text.push(']');
}

fn write_syntax(text: &mut String, json: &Value) {
    match json {
        Value::Null => text.push_str("interface {}(nil)"),
        Value::String(string) => text.push_str(&quote(string)),
        Value::Array(items) => {
            text.push_str("[]interface {}{");
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                write_syntax(text, item);
            }
            text.push('}');
        }
        Value::Object(fields) => {
            text.push_str("map[interface {}]interface {}{");
            for (index, (name, field)) in fields.iter().enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                text.push_str(&quote(name));
                text.push(':');
                write_syntax(text, field);
            }
            text.push('}');
        }
        _ => write_value(text, json),
    }
}

/// Integers plainly, floats in the shortest form.
fn write_number(text: &mut String, number: &Number) {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) => write_float(text, float, format!("{float}"), format!("{float:e}")),
        None => _ = write!(text, "{number}"),
    }
}

/// Picks the plain or the scientific digits: an exponent below 10^-4 and from 10^21 on.
fn write_float(text: &mut String, float: f64, plain: String, scientific: String) {
    if float == 0.0 || (1e-4..1e21).contains(&float.abs()) {
        text.push_str(&plain);
        return;
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    _ = write!(text, "{mantissa}e{sign}{digits:0>2}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_as_go_prints_them() {
        for (json, text) in [
            (json!(null), "<nil>"),
            (json!({"b": [1, "x y", null], "a": {"c": true}}), "map[a:map[c:true] b:[1 x y <nil>]]"),
            (json!([]), "[]"),
            (json!({}), "map[]"),
            (json!(1.5), "1.5"),
            (json!(1.0), "1"),
            (json!(1e21), "1e+21"),
            (json!(1e-7), "1e-07"),
            (json!(-12.5e30), "-1.25e+31"),
            (json!(9_007_199_254_740_993_i64), "9007199254740993"),
        ] {
            assert_eq!(value(&json), text);
        }
    }

    #[test]
    fn strings_as_go_quotes_them() {
        for (text, quoted) in [
            ("a", r#""a""#),
            ("a\"\\\n\0", r#""a\"\\\n\x00""#),
            ("été e\u{301} 日本", "\"été e\u{301} 日本\""),
            ("\u{a0}\u{2028}\u{feff}", r#""\u00a0\u2028\ufeff""#),
            ("\u{10ffff}", r#""\U0010ffff""#),
            ("\u{7f}", r#""\x7f""#),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }
}
