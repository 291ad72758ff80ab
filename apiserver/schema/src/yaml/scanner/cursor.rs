//! The place in the text: what stands there, and moving on. Counts characters, lines and columns along the way.

use super::Scanner;

impl<'t> Scanner<'t> {
    /// The byte at a distance; 0 past the end (the text itself has none).
    pub(super) fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    /// How many bytes the line break at a distance has; 0 if there is none.
    pub(super) fn break_bytes(&self, ahead: usize) -> usize {
        match self.byte(ahead) {
            b'\r' if self.byte(ahead + 1) == b'\n' => 2,
            b'\r' | b'\n' => 1,
            0xC2 if self.byte(ahead + 1) == 0x85 => 2,
            0xE2 if self.byte(ahead + 1) == 0x80 && matches!(self.byte(ahead + 2), 0xA8 | 0xA9) => 3,
            _ => 0,
        }
    }

    pub(super) fn is_blank(&self, ahead: usize) -> bool {
        matches!(self.byte(ahead), b' ' | b'\t')
    }

    /// A blank, a line break or the end.
    pub(super) fn is_blank_or_end(&self, ahead: usize) -> bool {
        match self.byte(ahead) {
            b' ' | b'\t' | 0 => true,
            _ => self.break_bytes(ahead) > 0,
        }
    }

    /// `---` or `...` at the beginning of a line, with nothing right behind it.
    pub(super) fn is_document_indicator(&self) -> bool {
        let first = self.byte(0);
        self.mark.column == 0
            && matches!(first, b'-' | b'.')
            && self.byte(1) == first
            && self.byte(2) == first
            && self.is_blank_or_end(3)
    }

    /// Passes one character, which is no line break.
    pub(super) fn skip(&mut self) {
        let width = match self.byte(0) {
            0 => 0,
            0x01..=0x7F => 1,
            0x80..=0xDF => 2,
            0xE0..=0xEF => 3,
            _ => 4,
        };
        self.at += width;
        self.mark.index += 1;
        self.mark.column += 1;
    }

    /// Passes a line break.
    pub(super) fn skip_break(&mut self) {
        let bytes = self.break_bytes(0);
        self.at += bytes;
        self.mark.index += 1;
        self.mark.line += 1;
        self.mark.column = 0;
    }

    /// Passes what is left of the line.
    pub(super) fn skip_line_rest(&mut self) {
        while self.byte(0) != 0 && self.break_bytes(0) == 0 {
            self.skip();
        }
    }

    pub(super) fn skip_blanks(&mut self) {
        while self.is_blank(0) {
            self.skip();
        }
    }

    /// The letters, digits, dashes and underscores that stand here.
    pub(super) fn word(&mut self) -> &'t str {
        let start = self.at;
        while self.byte(0).is_ascii_alphanumeric() || matches!(self.byte(0), b'-' | b'_') {
            self.skip();
        }
        &self.text[start..self.at]
    }

    /// Appends the line break that stands here: a line feed for all but Unicode's own.
    pub(super) fn read_break(&mut self, out: &mut String) {
        let bytes = self.break_bytes(0);
        if bytes == 3 {
            out.push_str(&self.text[self.at..self.at + bytes]);
        } else {
            out.push('\n');
        }
        self.skip_break();
    }

    /// Appends the character that stands here.
    pub(super) fn read(&mut self, out: &mut String) {
        let start = self.at;
        self.skip();
        out.push_str(&self.text[start..self.at]);
    }
}
