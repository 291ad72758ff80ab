//! Directives and tags: `%YAML 1.1`, `%TAG ! x`, `!!str`, `!<tag:…>`.

use std::borrow::Cow;

use super::{Scanner, TokenKind, YamlError};

/// Digits of a version number, of which none has more than three in practice.
const VERSION_DIGITS_MAX: usize = 9;

impl<'t> Scanner<'t> {
    /// A line that begins with `%`.
    pub(super) fn scan_directive(&mut self) -> Result<TokenKind<'t>, YamlError> {
        self.skip();
        let name = self.word();
        if name.is_empty() {
            return Err(self.error("could not find expected directive name"));
        }
        if !self.is_blank_or_end(0) {
            return Err(self.error("found unexpected non-alphabetical character"));
        }
        let kind = match name {
            "YAML" => {
                self.skip_blanks();
                let major = self.scan_version_number()?;
                if self.byte(0) != b'.' {
                    return Err(self.error("did not find expected digit or '.' character"));
                }
                self.skip();
                TokenKind::VersionDirective { major, minor: self.scan_version_number()? }
            }
            "TAG" => {
                self.skip_blanks();
                let handle = self.scan_tag_handle(true)?;
                if !self.is_blank(0) {
                    return Err(self.error("did not find expected whitespace"));
                }
                self.skip_blanks();
                let prefix = self.scan_tag_uri("")?;
                if !self.is_blank_or_end(0) {
                    return Err(self.error("did not find expected whitespace or line break"));
                }
                TokenKind::TagDirective { handle: handle.into(), prefix: prefix.into() }
            }
            _ => return Err(self.error("found unknown directive name")),
        };
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
        Ok(kind)
    }

    fn scan_version_number(&mut self) -> Result<u32, YamlError> {
        let start = self.at;
        while self.byte(0).is_ascii_digit() {
            if self.at - start == VERSION_DIGITS_MAX {
                return Err(self.error("found extremely long version number"));
            }
            self.skip();
        }
        self.text[start..self.at].parse().map_err(|_| self.error("did not find expected version number"))
    }

    /// `!suffix`, `!handle!suffix` or `!<uri>`.
    pub(super) fn scan_tag(&mut self) -> Result<TokenKind<'t>, YamlError> {
        let (handle, suffix): (Cow<'t, str>, String);
        if self.byte(1) == b'<' {
            self.skip();
            self.skip();
            (handle, suffix) = ("".into(), self.scan_tag_uri("")?);
            if self.byte(0) != b'>' {
                return Err(self.error("did not find the expected '>'"));
            }
            self.skip();
        } else {
            let start = self.scan_tag_handle(false)?;
            if start.len() > 1 && start.ends_with('!') {
                (handle, suffix) = (start.into(), self.scan_tag_uri("")?);
            } else {
                let rest = self.scan_tag_uri(start)?;
                // A lone `!` is a tag without a handle.
                (handle, suffix) = if rest.is_empty() { ("".into(), "!".to_owned()) } else { ("!".into(), rest) };
            }
        }
        if !self.is_blank_or_end(0) {
            return Err(self.error("did not find expected whitespace or line break"));
        }
        Ok(TokenKind::Tag { handle, suffix: suffix.into() })
    }

    /// `!`, `!word` or `!word!`; in a directive only the first and the last.
    fn scan_tag_handle(&mut self, directive: bool) -> Result<&'t str, YamlError> {
        if self.byte(0) != b'!' {
            return Err(self.error("did not find expected '!'"));
        }
        let start = self.at;
        self.skip();
        self.word();
        if self.byte(0) == b'!' {
            self.skip();
        } else if directive && self.at - start > 1 {
            return Err(self.error("did not find expected '!'"));
        }
        Ok(&self.text[start..self.at])
    }

    /// The rest of a tag, of which `head` (with its `!`) has been read as a handle.
    fn scan_tag_uri(&mut self, head: &str) -> Result<String, YamlError> {
        let mut bytes = head.as_bytes().get(1..).unwrap_or_default().to_vec();
        let start = self.at;
        while self.byte(0).is_ascii_alphanumeric() || b"-_;/?:@&=+$,.!~*'()[]%".contains(&self.byte(0)) {
            if self.byte(0) == b'%' {
                bytes.push(self.scan_uri_escape()?);
            } else {
                bytes.push(self.byte(0));
                self.skip();
            }
        }
        if head.is_empty() && self.at == start {
            return Err(self.error("did not find expected tag URI"));
        }
        String::from_utf8(bytes).map_err(|_| self.error("found an incorrect leading UTF-8 octet"))
    }

    fn scan_uri_escape(&mut self) -> Result<u8, YamlError> {
        let digits = (char::from(self.byte(1)).to_digit(16), char::from(self.byte(2)).to_digit(16));
        let (Some(high), Some(low)) = digits else {
            return Err(self.error("did not find URI escaped octet"));
        };
        (0..3).for_each(|_| self.skip());
        Ok((high * 16 + low) as u8)
    }
}
