//! Reads the tokens of a JSON text. Says only that something is wrong; [`super::scan`] then says what.

use std::borrow::Cow;

use super::scan::DEPTH_MAX;

/// The text is not JSON.
#[derive(Debug)]
pub(super) struct NotJson;

/// A position in a JSON text.
pub(super) struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Reader { text, at: 0 }
    }

    /// The next byte that is not white space; 0 at the end.
    #[inline]
    pub(super) fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return byte;
            }
            self.at += 1;
        }
        0
    }

    /// Passes the byte that [`Reader::peek`] returned.
    #[inline]
    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    #[inline]
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The text from an earlier position to here.
    pub(super) fn since(&self, start: usize) -> &'t str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), NotJson> {
        self.peek();
        if self.at == self.text.len() { Ok(()) } else { Err(NotJson) }
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.peek() != byte {
            return Err(NotJson);
        }
        self.at += 1;
        Ok(())
    }

    /// A key and the colon behind it.
    #[inline]
    pub(super) fn key(&mut self) -> Result<Cow<'t, str>, NotJson> {
        if self.peek() != b'"' {
            return Err(NotJson);
        }
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    /// Steps to the next member or item: true if there is one, false past the closing byte.
    #[inline]
    pub(super) fn next_in(&mut self, close: u8, first: bool) -> Result<bool, NotJson> {
        let byte = self.peek();
        if byte == close {
            self.at += 1;
            return Ok(false);
        }
        if !first {
            if byte != b',' {
                return Err(NotJson);
            }
            self.at += 1;
            if self.peek() == close {
                return Err(NotJson);
            }
        }
        Ok(true)
    }

    /// The string that starts here.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Cow<'t, str>, NotJson> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let ends = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
        let mut at = start + super::plain_blocks(bytes.get(start..).unwrap_or_default(), ends);
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    self.at = at + 1;
                    return Ok(Cow::Borrowed(&self.text[start..at]));
                }
                b'\\' => return self.escaped_string(start, at),
                0..0x20 => return Err(NotJson),
                _ => at += 1,
            }
        }
        Err(NotJson)
    }

    #[cold]
    fn escaped_string(&mut self, start: usize, first_escape: usize) -> Result<Cow<'t, str>, NotJson> {
        let bytes = self.text.as_bytes();
        let mut out = String::with_capacity(first_escape - start + 32);
        let (mut copied, mut at) = (start, first_escape);
        loop {
            match bytes.get(at) {
                Some(b'"') => {
                    out.push_str(&self.text[copied..at]);
                    self.at = at + 1;
                    return Ok(Cow::Owned(out));
                }
                Some(b'\\') => {
                    out.push_str(&self.text[copied..at]);
                    let plain = match bytes.get(at + 1) {
                        Some(b'"') => '"',
                        Some(b'\\') => '\\',
                        Some(b'/') => '/',
                        Some(b'b') => '\u{8}',
                        Some(b'f') => '\u{c}',
                        Some(b'n') => '\n',
                        Some(b'r') => '\r',
                        Some(b't') => '\t',
                        Some(b'u') => {
                            let (character, length) = self.unicode_escape(at)?;
                            out.push(character);
                            at += length;
                            copied = at;
                            continue;
                        }
                        _ => return Err(NotJson),
                    };
                    out.push(plain);
                    at += 2;
                    copied = at;
                }
                Some(0..0x20) | None => return Err(NotJson),
                Some(_) => at += 1,
            }
        }
    }

    /// The character that `\uXXXX` (or a surrogate pair of them) stands for, and the length of the escape.
    fn unicode_escape(&self, at: usize) -> Result<(char, usize), NotJson> {
        let unit = |at: usize| -> Option<u32> {
            let escape = self.text.as_bytes().get(at..at + 6)?;
            let digits = escape.strip_prefix(b"\\u")?;
            digits.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
        };
        let first = unit(at).ok_or(NotJson)?;
        if let Some(character) = char::from_u32(first) {
            return Ok((character, 6));
        }
        if let (0xd800..0xdc00, Some(second @ 0xdc00..0xe000)) = (first, unit(at + 6)) {
            let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return char::from_u32(code).map(|character| (character, 12)).ok_or(NotJson);
        }
        // Half a pair: Go puts the replacement character.
        Ok((char::REPLACEMENT_CHARACTER, 6))
    }

    /// The text of the number that starts here.
    #[inline]
    pub(super) fn number(&mut self) -> Result<&'t str, NotJson> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let digits = |mut at: usize| {
            let from = at;
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            (at > from).then_some(at).ok_or(NotJson)
        };
        let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
        at = if bytes.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
        if bytes.get(at) == Some(&b'.') {
            at = digits(at + 1)?;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at = digits(at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-'))))?;
        }
        self.at = at;
        Ok(&self.text[start..at])
    }

    /// Passes `true`, `false` or `null`.
    #[inline]
    pub(super) fn literal(&mut self, word: &str) -> Result<(), NotJson> {
        let found = self.text.as_bytes().get(self.at..self.at + word.len());
        if found != Some(word.as_bytes()) {
            return Err(NotJson);
        }
        self.at += word.len();
        Ok(())
    }

    /// Passes a whole value, `depth` containers deep, without recursion.
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), NotJson> {
        // The closing bytes of the containers that are open.
        let mut open: Vec<u8> = Vec::new();
        loop {
            let mut opened = false;
            match self.peek() {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    if depth + open.len() >= DEPTH_MAX {
                        return Err(NotJson);
                    }
                    open.push(if self.peek() == b'{' { b'}' } else { b']' });
                    self.at += 1;
                    opened = true;
                }
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                b'-' | b'0'..=b'9' => drop(self.number()?),
                _ => return Err(NotJson),
            }
            loop {
                let Some(&close) = open.last() else { return Ok(()) };
                if self.next_in(close, opened)? {
                    if close == b'}' {
                        self.key()?;
                    }
                    break;
                }
                open.pop();
                opened = false;
            }
        }
    }
}
