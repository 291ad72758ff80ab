//! `Warning:` headers: RFC 7234 texts from everything that had something to say about a request.

use http::{HeaderMap, HeaderName, HeaderValue};

static WARNING: HeaderName = HeaderName::from_static("warning");

/// Beyond this many bytes in all, each text is cut at `TEXT_CHARS_MAX`; what still does not fit is left out.
const TOTAL_BYTES_MAX: usize = 4096;
const TEXT_CHARS_MAX: usize = 256;

/// Appends one header per text.
pub fn append(headers: &mut HeaderMap, texts: &[String]) {
    let total: usize = texts.iter().map(|t| t.len()).sum();
    let mut written = 0;
    for text in texts {
        let cut: String =
            if total > TOTAL_BYTES_MAX { text.chars().take(TEXT_CHARS_MAX).collect() } else { text.clone() };
        let Ok(value) = HeaderValue::from_bytes(format!("299 - {}", quoted(&cut)).as_bytes()) else { continue };
        written += value.len();
        if written > TOTAL_BYTES_MAX && total > TOTAL_BYTES_MAX {
            return;
        }
        headers.append(&WARNING, value);
    }
}

/// A quoted-string: `"` and `\` escaped, controls replaced by blanks.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted() {
        let mut headers = HeaderMap::new();
        append(&mut headers, &[r#"unknown field "x\""#.to_owned(), "two\nlines".to_owned()]);
        let got: Vec<_> = headers.get_all(&WARNING).iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(got, [r#"299 - "unknown field \"x\\\"""#, r#"299 - "two lines""#]);
    }

    #[test]
    fn floods_are_cut() {
        let mut headers = HeaderMap::new();
        append(&mut headers, &vec!["y".repeat(1000); 50]);
        assert!(headers.get_all(&WARNING).iter().count() < 17);
    }
}
