//! Whether a document is JSON, with the error texts of Go's scanner. Runs only when the fast reader gave up.
//!
//! Go checks the whole document before it decodes any of it, so a syntax error anywhere hides every other error.

use std::fmt::Write;

/// The deepest nesting of objects and arrays that Go accepts.
pub(super) const DEPTH_MAX: usize = 10_000;

const UNEXPECTED_END: &str = "unexpected end of JSON input";

/// Checks that `json` is one JSON value; the error is Go's text.
pub(super) fn check(json: &[u8]) -> Result<(), String> {
    let mut scanner = Scanner { json, at: 0 };
    scanner.document()
}

#[derive(Clone, Copy, PartialEq)]
enum Container {
    Object,
    Array,
}

struct Scanner<'a> {
    json: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), String> {
        let mut open: Vec<Container> = Vec::new();
        'value: loop {
            self.space();
            match self.peek()? {
                b'{' => {
                    self.push(&mut open, Container::Object)?;
                    self.space();
                    if self.peek()? == b'}' {
                        self.at += 1;
                        open.pop();
                    } else {
                        self.key()?;
                        continue 'value;
                    }
                }
                b'[' => {
                    self.push(&mut open, Container::Array)?;
                    self.space();
                    if self.peek()? == b']' {
                        self.at += 1;
                        open.pop();
                    } else {
                        continue 'value;
                    }
                }
                _ => self.scalar()?,
            }
            // A value has ended: what may follow depends on what it was in.
            loop {
                self.space();
                match open.last() {
                    None if self.at == self.json.len() => return Ok(()),
                    None => return self.unexpected("after top-level value"),
                    Some(Container::Object) => match self.peek()? {
                        b',' => {
                            self.at += 1;
                            self.space();
                            self.key()?;
                            continue 'value;
                        }
                        b'}' => {
                            self.at += 1;
                            open.pop();
                        }
                        _ => return self.unexpected("after object key:value pair"),
                    },
                    Some(Container::Array) => match self.peek()? {
                        b',' => {
                            self.at += 1;
                            continue 'value;
                        }
                        b']' => {
                            self.at += 1;
                            open.pop();
                        }
                        _ => return self.unexpected("after array element"),
                    },
                }
            }
        }
    }

    fn push(&mut self, open: &mut Vec<Container>, container: Container) -> Result<(), String> {
        if open.len() == DEPTH_MAX {
            return self.unexpected("exceeded max depth");
        }
        open.push(container);
        self.at += 1;
        Ok(())
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<(), String> {
        if self.peek()? != b'"' {
            return self.unexpected("looking for beginning of object key string");
        }
        self.string()?;
        self.space();
        if self.peek()? != b':' {
            return self.unexpected("after object key");
        }
        self.at += 1;
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), String> {
        match self.peek()? {
            b'"' => self.string(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.unexpected("looking for beginning of value"),
        }
    }

    fn string(&mut self) -> Result<(), String> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    match self.peek()? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                        b'u' => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !self.peek()?.is_ascii_hexdigit() {
                                    return self.unexpected("in \\u hexadecimal character escape");
                                }
                                self.at += 1;
                            }
                        }
                        _ => return self.unexpected("in string escape code"),
                    }
                }
                0..0x20 => return self.unexpected("in string literal"),
                _ => self.at += 1,
            }
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        for expected in word.bytes() {
            if self.peek()? != expected {
                return self.unexpected(&format!("in literal {word} (expecting '{}')", char::from(expected)));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), String> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        match self.peek()? {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits(),
            _ => return self.unexpected("in numeric literal"),
        }
        if self.json.get(self.at) == Some(&b'.') {
            self.at += 1;
            if !self.peek()?.is_ascii_digit() {
                return self.unexpected("after decimal point in numeric literal");
            }
            self.digits();
        }
        if matches!(self.json.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek()?, b'+' | b'-') {
                self.at += 1;
            }
            if !self.peek()?.is_ascii_digit() {
                return self.unexpected("in exponent of numeric literal");
            }
            self.digits();
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.json.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn space(&mut self) {
        while matches!(self.json.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Result<u8, String> {
        self.json.get(self.at).copied().ok_or_else(|| UNEXPECTED_END.to_owned())
    }

    fn unexpected(&self, context: &str) -> Result<(), String> {
        let byte = self.peek()?;
        Err(format!("invalid character {} {context}", quote_byte(byte)))
    }
}

/// A byte as Go's scanner quotes it: taken as a Latin-1 character.
fn quote_byte(byte: u8) -> String {
    let mut quoted = String::from("'");
    match byte {
        b'\'' => quoted.push_str("\\'"),
        b'\\' => quoted.push_str("\\\\"),
        0x07 => quoted.push_str("\\a"),
        0x08 => quoted.push_str("\\b"),
        0x0c => quoted.push_str("\\f"),
        b'\n' => quoted.push_str("\\n"),
        b'\r' => quoted.push_str("\\r"),
        b'\t' => quoted.push_str("\\t"),
        0x0b => quoted.push_str("\\v"),
        // Writing to a String cannot fail.
        0..0x20 | 0x7f => {
            let _ = write!(quoted, "\\x{byte:02x}");
        }
        0x80..=0xa0 | 0xad => {
            let _ = write!(quoted, "\\u{byte:04x}");
        }
        _ => quoted.push(char::from(byte)),
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_gos() {
        for (json, expected) in [
            ("", "unexpected end of JSON input"),
            ("{", "unexpected end of JSON input"),
            ("{not", "invalid character 'n' looking for beginning of object key string"),
            (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            (r#"{"a":1 "b"}"#, "invalid character '\"' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{} x", "invalid character 'x' after top-level value"),
            (r#""\x""#, "invalid character 'x' in string escape code"),
            (r#""\u12g4""#, "invalid character 'g' in \\u hexadecimal character escape"),
            ("\"a\tb\"", "invalid character '\\t' in string literal"),
            ("tru]", "invalid character ']' in literal true (expecting 'e')"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("01", "invalid character '1' after top-level value"),
            ("\u{feff}{}", "invalid character 'ï' looking for beginning of value"),
            ("\0", "invalid character '\\x00' looking for beginning of value"),
            ("'", "invalid character '\\'' looking for beginning of value"),
        ] {
            assert_eq!(check(json.as_bytes()).unwrap_err(), expected, "{json}");
        }
    }

    #[test]
    fn depth_is_limited_as_in_go() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check(nested(DEPTH_MAX).as_bytes()), Ok(()));
        let error = check(nested(DEPTH_MAX + 1).as_bytes()).unwrap_err();
        assert_eq!(error, "invalid character '[' exceeded max depth");
    }
}
