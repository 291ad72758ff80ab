//! Scalars in their three forms: plain, quoted, and blocks behind `|` or `>`.

use std::borrow::Cow;

use super::{Scanner, YamlError};

/// Line breaks between two pieces of a scalar that is folded.
#[derive(Default)]
struct Breaks {
    /// The first one; empty if there was none.
    first: String,
    /// Those behind it, each of which is an empty line.
    more: String,
}

impl Breaks {
    /// What stands for the breaks when lines are joined: a space for one, line feeds for more.
    fn fold_into(&mut self, out: &mut String) {
        if !self.first.starts_with('\n') {
            out.push_str(&self.first);
            out.push_str(&self.more);
        } else if self.more.is_empty() {
            out.push(' ');
        } else {
            out.push_str(&self.more);
        }
        self.first.clear();
        self.more.clear();
    }
}

/// What happens to the line breaks at the end of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chomping {
    /// `-`: all go.
    Strip,
    /// One stays.
    Clip,
    /// `+`: all stay.
    Keep,
}

impl<'t> Scanner<'t> {
    /// A block scalar: literal behind `|`, folded behind `>`.
    pub(super) fn scan_block_scalar(&mut self) -> Result<String, YamlError> {
        let literal = self.byte(0) == b'|';
        self.skip();
        let (chomping, increment) = self.scan_block_header()?;
        let mut indent = match increment {
            0 => 0,
            increment => self.indent.max(0) as usize + increment,
        };
        let mut text = String::new();
        let mut breaks = Breaks::default();
        self.scan_block_breaks(&mut indent, &mut breaks.more)?;
        // Whether the line before began with a blank: such lines are never folded.
        let mut was_blank = false;
        while self.mark.column == indent && self.byte(0) != 0 {
            let blank = self.is_blank(0);
            if !literal && breaks.first.starts_with('\n') && !was_blank && !blank {
                if breaks.more.is_empty() {
                    text.push(' ');
                }
            } else {
                text.push_str(&breaks.first);
            }
            text.push_str(&breaks.more);
            breaks = Breaks::default();
            was_blank = blank;
            let start = self.at;
            self.skip_line_rest();
            text.push_str(&self.text[start..self.at]);
            if self.byte(0) != 0 {
                self.read_break(&mut breaks.first);
            }
            self.scan_block_breaks(&mut indent, &mut breaks.more)?;
        }
        if chomping != Chomping::Strip {
            text.push_str(&breaks.first);
        }
        if chomping == Chomping::Keep {
            text.push_str(&breaks.more);
        }
        Ok(text)
    }

    /// What stands behind `|` or `>` on its line.
    fn scan_block_header(&mut self) -> Result<(Chomping, usize), YamlError> {
        let (mut chomping, mut increment) = (Chomping::Clip, 0);
        let mut seen = (false, false);
        loop {
            match self.byte(0) {
                sign @ (b'+' | b'-') if !seen.0 => {
                    seen.0 = true;
                    chomping = if sign == b'+' { Chomping::Keep } else { Chomping::Strip };
                }
                b'0' if !seen.1 => return Err(self.error("found an indentation indicator equal to 0")),
                digit @ b'1'..=b'9' if !seen.1 => {
                    seen.1 = true;
                    increment = usize::from(digit - b'0');
                }
                _ => break,
            }
            self.skip();
        }
        self.skip_blanks();
        if self.byte(0) == b'#' {
            self.skip_line_rest();
        }
        if !self.is_blank_or_end(0) {
            return Err(self.error("did not find expected comment or line break"));
        }
        if self.break_bytes(0) > 0 {
            self.skip_break();
        }
        Ok((chomping, increment))
    }

    /// Passes indentation and empty lines. An `indent` of 0 is not known yet and becomes that of the first line.
    fn scan_block_breaks(&mut self, indent: &mut usize, breaks: &mut String) -> Result<(), YamlError> {
        let mut widest = 0;
        loop {
            while (*indent == 0 || self.mark.column < *indent) && self.byte(0) == b' ' {
                self.skip();
            }
            widest = widest.max(self.mark.column);
            if (*indent == 0 || self.mark.column < *indent) && self.byte(0) == b'\t' {
                return Err(self.error("found a tab character where an indentation space is expected"));
            }
            if self.break_bytes(0) == 0 {
                break;
            }
            self.read_break(breaks);
        }
        if *indent == 0 {
            *indent = widest.max((self.indent + 1).max(1) as usize);
        }
        Ok(())
    }

    /// A scalar in single or double quotes.
    pub(super) fn scan_quoted_scalar(&mut self) -> Result<Cow<'t, str>, YamlError> {
        let quote = self.byte(0);
        self.skip();
        if let Some(text) = self.scan_quoted_line(quote) {
            return Ok(Cow::Borrowed(text));
        }
        let mut text = String::new();
        loop {
            if self.is_document_indicator() {
                return Err(self.error("found unexpected document indicator"));
            }
            if self.byte(0) == 0 {
                return Err(self.error("found unexpected end of stream"));
            }
            let mut broken = false;
            while !self.is_blank_or_end(0) {
                match self.byte(0) {
                    b'\'' if quote == b'\'' && self.byte(1) == b'\'' => {
                        text.push('\'');
                        self.skip();
                        self.skip();
                    }
                    byte if byte == quote => break,
                    b'\\' if quote == b'"' && self.break_bytes(1) > 0 => {
                        self.skip();
                        self.skip_break();
                        broken = true;
                        break;
                    }
                    b'\\' if quote == b'"' => text.push(self.scan_escape()?),
                    _ => self.read(&mut text),
                }
            }
            if self.byte(0) == quote {
                self.skip();
                return Ok(Cow::Owned(text));
            }
            self.scan_gap(broken, &mut text);
        }
    }

    /// The common case: a scalar that ends on its line and says nothing but itself.
    fn scan_quoted_line(&mut self, quote: u8) -> Option<&'t str> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().position(|b| b == quote || !(b' '..=b'~').contains(&b) || b == b'\\')?;
        let bytes = rest.as_bytes();
        if bytes[length] != quote || (quote == b'\'' && bytes.get(length + 1) == Some(&quote)) {
            return None;
        }
        // All of it is ASCII, the quote included.
        self.at += length + 1;
        self.mark.index += length + 1;
        self.mark.column += length + 1;
        Some(&rest[..length])
    }

    /// The blanks and line breaks inside a quoted scalar. `broken`: an escaped line break came before.
    fn scan_gap(&mut self, mut broken: bool, text: &mut String) {
        let mut blanks = String::new();
        let mut breaks = Breaks::default();
        loop {
            if self.is_blank(0) {
                if broken {
                    self.skip();
                } else {
                    self.read(&mut blanks);
                }
            } else if self.break_bytes(0) > 0 {
                if broken {
                    self.read_break(&mut breaks.more);
                } else {
                    self.read_break(&mut breaks.first);
                    broken = true;
                }
            } else {
                break;
            }
        }
        if broken {
            breaks.fold_into(text);
        } else {
            text.push_str(&blanks);
        }
    }

    /// An escape sequence in double quotes.
    fn scan_escape(&mut self) -> Result<char, YamlError> {
        let (plain, digits) = match self.byte(1) {
            b'0' => ('\0', 0),
            b'a' => ('\u{7}', 0),
            b'b' => ('\u{8}', 0),
            b't' | b'\t' => ('\t', 0),
            b'n' => ('\n', 0),
            b'v' => ('\u{b}', 0),
            b'f' => ('\u{c}', 0),
            b'r' => ('\r', 0),
            b'e' => ('\u{1b}', 0),
            b' ' => (' ', 0),
            b'"' => ('"', 0),
            b'\'' => ('\'', 0),
            b'\\' => ('\\', 0),
            // Not in YAML 1.1, but in JSON.
            b'/' => ('/', 0),
            b'N' => ('\u{85}', 0),
            b'_' => ('\u{a0}', 0),
            b'L' => ('\u{2028}', 0),
            b'P' => ('\u{2029}', 0),
            b'x' => ('\0', 2),
            b'u' => ('\0', 4),
            b'U' => ('\0', 8),
            _ => return Err(self.error("found unknown escape character")),
        };
        self.skip();
        self.skip();
        if digits == 0 {
            return Ok(plain);
        }
        let code = (0..digits).try_fold(0u32, |code, ahead| {
            let digit = char::from(self.byte(ahead)).to_digit(16)?;
            Some(code.wrapping_mul(16).wrapping_add(digit))
        });
        let code = code.ok_or_else(|| self.error("did not find expected hexdecimal number"))?;
        let character =
            char::from_u32(code).ok_or_else(|| self.error("found invalid Unicode character escape code"))?;
        (0..digits).for_each(|_| self.skip());
        Ok(character)
    }

    /// A scalar without quotes.
    pub(super) fn scan_plain_scalar(&mut self) -> Result<Cow<'t, str>, YamlError> {
        let indent = self.indent + 1;
        let mut text: Cow<'t, str> = Cow::Borrowed("");
        let mut blanks: &'t str = "";
        let mut breaks = Breaks::default();
        let mut broken = false;
        loop {
            if self.is_document_indicator() || self.byte(0) == b'#' {
                break;
            }
            let start = self.at;
            while !self.is_blank_or_end(0) && !self.ends_plain_scalar() {
                self.skip();
            }
            if self.at > start {
                let piece = &self.text[start..self.at];
                if text.is_empty() && !broken {
                    text = Cow::Borrowed(piece);
                } else {
                    let text = text.to_mut();
                    if broken {
                        breaks.fold_into(text);
                    } else {
                        text.push_str(blanks);
                    }
                    text.push_str(piece);
                }
                broken = false;
                blanks = "";
            }
            if !self.is_blank(0) && self.break_bytes(0) == 0 {
                break;
            }
            let start = self.at;
            loop {
                if self.is_blank(0) {
                    if broken && (self.mark.column as isize) < indent && self.byte(0) == b'\t' {
                        return Err(self.error("found a tab character that violates indentation"));
                    }
                    self.skip();
                    if !broken {
                        blanks = &self.text[start..self.at];
                    }
                } else if self.break_bytes(0) > 0 {
                    if broken {
                        self.read_break(&mut breaks.more);
                    } else {
                        self.read_break(&mut breaks.first);
                        broken = true;
                    }
                } else {
                    break;
                }
            }
            if self.flow_level == 0 && (self.mark.column as isize) < indent {
                break;
            }
        }
        if broken {
            self.simple_key_allowed = true;
        }
        Ok(text)
    }

    fn ends_plain_scalar(&self) -> bool {
        match self.byte(0) {
            b':' => self.is_blank_or_end(1),
            b',' | b'?' | b'[' | b']' | b'{' | b'}' => self.flow_level > 0,
            _ => false,
        }
    }
}
