//! Writes a JSON value as block-style YAML, the way people expect to read a kubeconfig.

use serde_json::Value;
use std::fmt::Write;

/// The value as a YAML document, with a final line end.
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(&mut out, map, 0, false),
        Value::Array(items) if !items.is_empty() => sequence(&mut out, items, 0),
        other => {
            scalar(&mut out, other);
            out.push('\n');
        }
    }
    out
}

/// `first_inline`: the first key continues a line (behind `- `) that is already indented.
fn mapping(out: &mut String, map: &serde_json::Map<String, Value>, indent: usize, mut first_inline: bool) {
    for (key, value) in map {
        if !std::mem::take(&mut first_inline) {
            pad(out, indent);
        }
        text(out, key);
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                mapping(out, inner, indent + 2, false);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                sequence(out, items, indent);
            }
            other => {
                out.push(' ');
                scalar(out, other);
                out.push('\n');
            }
        }
    }
}

fn sequence(out: &mut String, items: &[Value], indent: usize) {
    for item in items {
        pad(out, indent);
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => mapping(out, map, indent + 2, true),
            other => {
                // A list directly in a list is written in flow style, which JSON is.
                scalar(out, other);
                out.push('\n');
            }
        }
    }
}

fn scalar(out: &mut String, value: &Value) {
    match value {
        Value::String(s) => text(out, s),
        // JSON is YAML: `{}`, `[]`, numbers, booleans, null and nested lists.
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

/// Plain where no reader could take it for anything but this string; otherwise quoted as JSON does, which YAML reads.
fn text(out: &mut String, s: &str) {
    let plain_char = |c: char| c.is_ascii_alphanumeric() || "-_./@+=".contains(c);
    let starts_plain = s.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    let reserved =
        ["null", "true", "false", "yes", "no", "on", "off", "y", "n"].iter().any(|word| s.eq_ignore_ascii_case(word));
    // A colon is harmless inside a URL, where no blank follows it.
    let plain = starts_plain && !reserved && s.chars().all(|c| plain_char(c) || c == ':') && !s.ends_with(':');
    if plain {
        out.push_str(s);
    } else {
        let _ = write!(out, "{}", Value::from(s));
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn writes_blocks_and_quotes_what_could_be_misread() {
        let value = json!({
            "kind": "Config", "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:6443"}}],
            "preferences": {}, "users": [], "token": "123", "flag": "yes", "on": true, "text": "a b: c",
        });
        let want = concat!(
            "clusters:\n- cluster:\n    server: https://127.0.0.1:6443\n  name: a\n",
            "flag: \"yes\"\nkind: Config\n\"on\": true\npreferences: {}\ntext: \"a b: c\"\ntoken: \"123\"\nusers: []\n"
        );
        assert_eq!(to_string(&value), want);
    }
}
