//! Objects as YAML, written as `sigs.k8s.io/yaml` writes them: keys in natural order, lists at the indentation of
//! their key, strings plain where they read back as strings, multi-line ones as blocks.

use std::cmp::Ordering;

use serde_json::{Map, Value};

/// The document, with a final newline.
pub fn write(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(&mut out, map, 0),
        Value::Array(items) if !items.is_empty() => sequence(&mut out, items, 0),
        other => {
            scalar(&mut out, other, 0);
            out.push('\n');
        }
    }
    out
}

fn indent(out: &mut String, level: usize) {
    out.extend(std::iter::repeat_n("  ", level));
}

/// Recursion is bounded by the depth that the decoder keeps of an object.
fn mapping(out: &mut String, map: &Map<String, Value>, level: usize) {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by(|a, b| natural(a.0, b.0));
    for (at, (key, value)) in entries.into_iter().enumerate() {
        // The first key of an item stands behind its dash.
        if at > 0 || !out.ends_with("- ") {
            indent(out, level);
        }
        text(out, key, level, true);
        out.push(':');
        entry(out, value, level);
    }
}

fn entry(out: &mut String, value: &Value, level: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            mapping(out, map, level + 1);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            sequence(out, items, level);
        }
        other => {
            out.push(' ');
            scalar(out, other, level + 1);
            out.push('\n');
        }
    }
}

fn sequence(out: &mut String, items: &[Value], level: usize) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 || !out.ends_with("- ") {
            indent(out, level);
        }
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => mapping(out, map, level + 1),
            Value::Array(items) if !items.is_empty() => sequence(out, items, level + 1),
            other => {
                scalar(out, other, level + 1);
                out.push('\n');
            }
        }
    }
}

fn scalar(out: &mut String, value: &Value, level: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => out.push_str(&n.to_string()),
        Value::String(s) => text(out, s, level, false),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

fn text(out: &mut String, s: &str, level: usize, key: bool) {
    if reads_as_other(s) {
        return double_quoted(out, s);
    }
    let printable = s
        .chars()
        .all(|c| c == '\n' || !c.is_control() && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{85}'));
    if !printable {
        return double_quoted(out, s);
    }
    if s.contains('\n') {
        let block = !key && !s.starts_with([' ', '\n']) && !s.contains(" \n") && !s.ends_with(' ');
        return if block { literal(out, s, level) } else { double_quoted(out, s) };
    }
    if plain(s) {
        out.push_str(s);
    } else {
        out.push('\'');
        out.push_str(&s.replace('\'', "''"));
        out.push('\'');
    }
}

fn literal(out: &mut String, s: &str, level: usize) {
    let body = s.trim_end_matches('\n');
    out.push_str(match s.len() - body.len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in s.strip_suffix('\n').unwrap_or(s).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(out, level);
            out.push_str(line);
        }
    }
}

fn double_quoted(out: &mut String, s: &str) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            c if c.is_control() && (c as u32) < 0x100 => out.push_str(&format!("\\x{:02X}", c as u32)),
            '\u{feff}' => out.push_str("\\uFEFF"),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Whether the emitter writes it without quotes.
fn plain(s: &str) -> bool {
    let mut chars = s.chars();
    let Some(first) = chars.next() else { return false };
    let second = chars.next();
    if s.starts_with("---") || s.starts_with("...") || s.ends_with([' ', ':']) || first == ' ' {
        return false;
    }
    let starts_badly = match first {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => true,
        '?' | ':' | '-' => second.is_none_or(|c| c == ' '),
        _ => false,
    };
    !starts_badly && !s.contains(": ") && !s.contains(" #")
}

/// Whether a YAML 1.1 reader would take the plain text for something other than a string.
fn reads_as_other(s: &str) -> bool {
    if s.is_empty() {
        return true;
    }
    let words = [
        "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF", "true",
        "True", "TRUE", "false", "False", "FALSE", "~", "null", "Null", "NULL", ".nan", ".NaN", ".NAN", ".inf", ".Inf",
        ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", "<<", "=",
    ];
    words.contains(&s) || is_number(s) || is_base60(s) || is_timestamp(s)
}

fn is_number(s: &str) -> bool {
    let s: String = s.chars().filter(|c| *c != '_').collect();
    let unsigned = s.strip_prefix(['+', '-']).unwrap_or(&s);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return false;
    }
    for (prefix, radix) in [("0x", 16), ("0b", 2), ("0o", 8)] {
        if let Some(digits) = unsigned.strip_prefix(prefix) {
            return !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        }
    }
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let mantissa_ok = match mantissa.split_once('.') {
        Some((whole, part)) => {
            (digits(whole) || whole.is_empty()) && (digits(part) || part.is_empty()) && mantissa != "."
        }
        None => digits(mantissa),
    };
    mantissa_ok && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

/// `190:20:30`: a number in base 60 to YAML 1.1 readers, so it is quoted for their sake.
fn is_base60(s: &str) -> bool {
    let unsigned = s.strip_prefix(['+', '-']).unwrap_or(s);
    let (body, part) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut parts = body.split(':');
    let first = parts.next().unwrap_or("");
    let rest: Vec<&str> = parts.collect();
    !rest.is_empty()
        && first.starts_with(|c: char| c.is_ascii_digit())
        && first.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        && rest.iter().all(|p| matches!(p.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']))
        && part.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

fn is_timestamp(s: &str) -> bool {
    let bytes = s.as_bytes();
    let digits = |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|d| d.iter().all(u8::is_ascii_digit));
    if !digits(0..4) || bytes.get(4) != Some(&b'-') {
        return false;
    }
    let mut at = 5;
    let mut number = |most: usize| {
        let length = bytes[at.min(bytes.len())..].iter().take(most).take_while(|b| b.is_ascii_digit()).count();
        at += length;
        (length > 0, at)
    };
    let (month, after) = number(2);
    if !month || bytes.get(after) != Some(&b'-') {
        return false;
    }
    at = after + 1;
    let day = bytes[at..].iter().take(2).take_while(|b| b.is_ascii_digit()).count();
    let rest = &s[at + day..];
    day > 0 && (rest.is_empty() || rest.starts_with(['T', 't', ' ']) && rest[1..].contains(':'))
}

/// go-yaml's order of keys: letters before others, and digits by their value.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut digits = false;
    for i in 0..a.len().min(b.len()) {
        if a[i] == b[i] {
            digits = a[i].is_ascii_digit();
            continue;
        }
        let (al, bl) = (a[i].is_alphabetic(), b[i].is_alphabetic());
        if al && bl {
            return a[i].cmp(&b[i]);
        }
        if al || bl {
            // Within digits a letter comes first, elsewhere last.
            return if digits == al { Ordering::Less } else { Ordering::Greater };
        }
        let number = |chars: &[char]| {
            let run: String = chars[i..].iter().take_while(|c| c.is_ascii_digit()).collect();
            (run.len(), run.parse::<u64>().unwrap_or(0))
        };
        let ((alen, an), (blen, bn)) = (number(&a), number(&b));
        if an != bn && alen > 0 && blen > 0 {
            return an.cmp(&bn);
        }
        if alen != blen {
            return alen.cmp(&blen);
        }
        return a[i].cmp(&b[i]);
    }
    a.len().cmp(&b.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_read_as_the_real_ones() {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "data": {"a": "1\n", "b": "<2> & \"x\"", "yes": "no", "time": "2024-05-01T10:00:00Z", "empty": ""},
            "metadata": {"name": "a", "finalizers": ["x", "y"], "owners": [{"uid": "u", "name": "n"}], "labels": {}},
            "n": 1, "t": true,
        });
        let want = concat!(
            "apiVersion: v1\ndata:\n  a: |\n    1\n  b: <2> & \"x\"\n  empty: \"\"\n  time: \"2024-05-01T10:00:00Z\"\n",
            "  \"yes\": \"no\"\nkind: ConfigMap\nmetadata:\n  finalizers:\n  - x\n  - \"y\"\n  labels: {}\n  name: a\n",
            "  owners:\n  - name: \"n\"\n    uid: u\n\"n\": 1\nt: true\n"
        );
        assert_eq!(write(&object), want);
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "",
            " a",
            "a ",
            "a: b",
            "a #b",
            "- a",
            "-a",
            "?",
            "*x",
            "0x1F",
            "1e3",
            "1_000",
            "0o14",
            "12:30",
            "~",
            "null",
            "a\nb",
            "a\n",
            "a\n\n",
            "\na",
            " a\nb",
            "tab\there",
            "it's",
            "\"q\"",
            "{a}",
            "[a]",
            "%x",
            "@x",
            "`x`",
            "!x",
            "2024-05-01",
            "é",
            "\u{1}",
            "a\\b",
            "a:",
            ":a",
            "...",
            "---",
            "y",
            "1.2.3",
            "123",
            "1.5",
            ".5",
            "+1",
            "0b11",
        ] {
            let document = write(&json!({"k": text, "list": [text], "nested": [{"k": text}]}));
            let read = kuorum_schema::yaml::to_json(document.as_bytes()).unwrap().value;
            assert_eq!(read, json!({"k": text, "list": [text], "nested": [{"k": text}]}), "{text:?}:\n{document}");
        }
    }
}
