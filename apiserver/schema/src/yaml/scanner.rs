//! The tokens of a YAML text, as libyaml (and go-yaml, its translation) finds them.
//!
//! YAML's grammar depends on indentation and on keys that are only recognised at their `:`. So tokens wait in a queue
//! while one of them may still turn out to be a key, before which a `Key` token is then slipped in. What is accepted,
//! and the words in which the rest is refused, follow the original rule for rule: manifests in the wild rely on it.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::DEPTH_MAX;
use super::error::{YamlError, scanner_error};

mod cursor;
mod scalars;
mod tags;

/// Longest implicit key in characters: a `:` further on the same line belongs to none.
const SIMPLE_KEY_CHARS_MAX: usize = 1024;

/// A place in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Characters before it.
    index: usize,
    /// Lines before it.
    pub line: usize,
    /// Characters before it in its line.
    column: usize,
}

/// A token and where it begins.
#[derive(Debug)]
pub(super) struct Token<'t> {
    pub kind: TokenKind<'t>,
    pub mark: Mark,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind<'t> {
    StreamEnd,
    VersionDirective { major: u32, minor: u32 },
    TagDirective { handle: Cow<'t, str>, prefix: Cow<'t, str> },
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(&'t str),
    Anchor(&'t str),
    Tag { handle: Cow<'t, str>, suffix: Cow<'t, str> },
    Scalar { value: Cow<'t, str>, plain: bool },
}

/// A token that may be a key, if a `:` follows in time.
#[derive(Clone, Copy, Debug, Default)]
struct SimpleKey {
    possible: bool,
    /// Nothing else may stand here, so it is a mistake if it is none.
    required: bool,
    /// Its place in the whole sequence of tokens.
    token_number: usize,
    mark: Mark,
}

pub(super) struct Scanner<'t> {
    text: &'t str,
    /// The byte that is read next; always at the start of a character.
    at: usize,
    mark: Mark,
    ended: bool,
    flow_level: usize,
    tokens: VecDeque<Token<'t>>,
    /// Tokens that have been handed out.
    tokens_taken: usize,
    /// Column of the block collection we are in; -1 outside of all.
    indent: isize,
    indents: Vec<isize>,
    simple_key_allowed: bool,
    /// One for the block context and one for each flow collection that is open.
    simple_keys: Vec<SimpleKey>,
    /// The possible ones among `simple_keys`: the number of the token and the place, both growing.
    possible_keys: Vec<(usize, usize)>,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Scanner {
            text,
            at: 0,
            mark: Mark::default(),
            ended: false,
            flow_level: 0,
            tokens: VecDeque::new(),
            tokens_taken: 0,
            indent: -1,
            indents: Vec::new(),
            simple_key_allowed: true,
            simple_keys: vec![SimpleKey::default()],
            possible_keys: Vec::new(),
        }
    }

    /// The next token, which stays where it is. After the last one comes [`TokenKind::StreamEnd`], forever.
    pub(super) fn peek(&mut self) -> Result<&Token<'t>, YamlError> {
        loop {
            if !self.tokens.is_empty() {
                // The head may still become a key, before which other tokens belong.
                let Some(&(token, key)) = self.possible_keys.first() else { break };
                if token != self.tokens_taken || !self.is_valid(key)? {
                    break;
                }
            }
            if self.ended {
                if self.tokens.is_empty() {
                    self.push(TokenKind::StreamEnd);
                }
                break;
            }
            self.fetch()?;
        }
        Ok(&self.tokens[0])
    }

    /// Takes the next token.
    pub(super) fn next(&mut self) -> Result<Token<'t>, YamlError> {
        self.peek()?;
        self.tokens_taken += 1;
        Ok(self.tokens.pop_front().unwrap_or(Token { kind: TokenKind::StreamEnd, mark: self.mark }))
    }

    /// Reads at least one more token from the text.
    fn fetch(&mut self) -> Result<(), YamlError> {
        self.skip_to_token();
        self.unroll_indent(self.mark.column as isize);
        let blank_follows = self.is_blank_or_end(1);
        match self.byte(0) {
            0 => self.fetch_stream_end(),
            b'%' if self.mark.column == 0 => self.fetch_directive(),
            b'-' | b'.' if self.is_document_indicator() => self.fetch_document_indicator(),
            b'[' => self.fetch_flow_start(TokenKind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(TokenKind::FlowMappingStart),
            b']' => self.fetch_flow_end(TokenKind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(TokenKind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if blank_follows => self.fetch_block_entry(),
            b'?' if self.flow_level > 0 || blank_follows => self.fetch_key(),
            b':' if self.flow_level > 0 || blank_follows => self.fetch_value(),
            b'*' | b'&' => self.fetch_anchor(),
            b'!' => self.fetch_tag(),
            b'|' | b'>' if self.flow_level == 0 => self.fetch_block_scalar(),
            b'\'' | b'"' => self.fetch_quoted_scalar(),
            b'-' if !self.is_blank(1) => self.fetch_plain_scalar(),
            b'?' | b':' if self.flow_level == 0 && !blank_follows => self.fetch_plain_scalar(),
            b'-' | b'?' | b':' | b'#' | b'|' | b'>' | b'%' | b'@' | b'`' => self.cannot_start(),
            _ if self.is_blank_or_end(0) => self.cannot_start(),
            _ => self.fetch_plain_scalar(),
        }
    }

    fn cannot_start(&self) -> Result<(), YamlError> {
        Err(self.error("found character that cannot start any token"))
    }

    /// Passes white space and comments.
    fn skip_to_token(&mut self) {
        loop {
            // A tab is no indentation, so it may not stand where a key could.
            while self.byte(0) == b' ' || ((self.flow_level > 0 || !self.simple_key_allowed) && self.byte(0) == b'\t') {
                self.skip();
            }
            if self.byte(0) == b'#' {
                self.skip_line_rest();
            }
            if self.break_bytes(0) == 0 {
                return;
            }
            self.skip_break();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    fn fetch_stream_end(&mut self) -> Result<(), YamlError> {
        // The end is a line of its own.
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.ended = true;
        self.push(TokenKind::StreamEnd);
        Ok(())
    }

    fn fetch_directive(&mut self) -> Result<(), YamlError> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let mark = self.mark;
        let kind = self.scan_directive()?;
        self.tokens.push_back(Token { kind, mark });
        Ok(())
    }

    fn fetch_document_indicator(&mut self) -> Result<(), YamlError> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.push(if self.byte(0) == b'-' { TokenKind::DocumentStart } else { TokenKind::DocumentEnd });
        (0..3).for_each(|_| self.skip());
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: TokenKind<'t>) -> Result<(), YamlError> {
        self.save_simple_key()?;
        self.simple_keys.push(SimpleKey::default());
        self.flow_level += 1;
        if self.flow_level > DEPTH_MAX {
            return Err(self.too_deep());
        }
        self.simple_key_allowed = true;
        self.push(kind);
        self.skip();
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: TokenKind<'t>) -> Result<(), YamlError> {
        self.remove_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            self.simple_keys.pop();
        }
        self.simple_key_allowed = false;
        self.push(kind);
        self.skip();
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Result<(), YamlError> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push(TokenKind::FlowEntry);
        self.skip();
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Result<(), YamlError> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.error("block sequence entries are not allowed in this context"));
            }
            self.roll_indent(self.mark, None, TokenKind::BlockSequenceStart)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push(TokenKind::BlockEntry);
        self.skip();
        Ok(())
    }

    fn fetch_key(&mut self) -> Result<(), YamlError> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.error("mapping keys are not allowed in this context"));
            }
            self.roll_indent(self.mark, None, TokenKind::BlockMappingStart)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.push(TokenKind::Key);
        self.skip();
        Ok(())
    }

    fn fetch_value(&mut self) -> Result<(), YamlError> {
        let innermost = self.simple_keys.len() - 1;
        if self.is_valid(innermost)? {
            // What we read before was a key.
            let key = self.simple_keys[innermost];
            let place = key.token_number - self.tokens_taken;
            self.tokens.insert(place, Token { kind: TokenKind::Key, mark: key.mark });
            self.roll_indent(key.mark, Some(place), TokenKind::BlockMappingStart)?;
            self.forget_key(innermost);
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return Err(self.error("mapping values are not allowed in this context"));
                }
                self.roll_indent(self.mark, None, TokenKind::BlockMappingStart)?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.push(TokenKind::Value);
        self.skip();
        Ok(())
    }

    /// `&name` or `*name`.
    fn fetch_anchor(&mut self) -> Result<(), YamlError> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let mark = self.mark;
        let is_alias = self.byte(0) == b'*';
        self.skip();
        let name = self.word();
        let ends = self.is_blank_or_end(0) || b"?:,]}%@`".contains(&self.byte(0));
        if name.is_empty() || !ends {
            return Err(self.error("did not find expected alphabetic or numeric character"));
        }
        let kind = if is_alias { TokenKind::Alias(name) } else { TokenKind::Anchor(name) };
        self.tokens.push_back(Token { kind, mark });
        Ok(())
    }

    fn fetch_tag(&mut self) -> Result<(), YamlError> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let mark = self.mark;
        let kind = self.scan_tag()?;
        self.tokens.push_back(Token { kind, mark });
        Ok(())
    }

    fn fetch_block_scalar(&mut self) -> Result<(), YamlError> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        let mark = self.mark;
        let value = Cow::Owned(self.scan_block_scalar()?);
        self.tokens.push_back(Token { kind: TokenKind::Scalar { value, plain: false }, mark });
        Ok(())
    }

    fn fetch_quoted_scalar(&mut self) -> Result<(), YamlError> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let mark = self.mark;
        let value = self.scan_quoted_scalar()?;
        self.tokens.push_back(Token { kind: TokenKind::Scalar { value, plain: false }, mark });
        Ok(())
    }

    fn fetch_plain_scalar(&mut self) -> Result<(), YamlError> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let mark = self.mark;
        let value = self.scan_plain_scalar()?;
        self.tokens.push_back(Token { kind: TokenKind::Scalar { value, plain: true }, mark });
        Ok(())
    }

    /// Notes that the next token may be a key.
    fn save_simple_key(&mut self) -> Result<(), YamlError> {
        if !self.simple_key_allowed {
            return Ok(());
        }
        self.remove_simple_key()?;
        let token_number = self.tokens_taken + self.tokens.len();
        let required = self.flow_level == 0 && self.indent == self.mark.column as isize;
        let innermost = self.simple_keys.len() - 1;
        self.simple_keys[innermost] = SimpleKey { possible: true, required, token_number, mark: self.mark };
        self.possible_keys.push((token_number, innermost));
        Ok(())
    }

    /// The token that might have been a key is none.
    fn remove_simple_key(&mut self) -> Result<(), YamlError> {
        let innermost = self.simple_keys.len() - 1;
        let key = self.simple_keys[innermost];
        if !key.possible {
            return Ok(());
        }
        if key.required {
            return Err(self.error("could not find expected ':'"));
        }
        self.forget_key(innermost);
        Ok(())
    }

    fn forget_key(&mut self, key: usize) {
        self.simple_keys[key].possible = false;
        self.possible_keys.retain(|&(_, possible)| possible != key);
    }

    /// Whether a possible key still is one: on this line, and not too long ago.
    fn is_valid(&mut self, key: usize) -> Result<bool, YamlError> {
        let SimpleKey { possible, required, mark, .. } = self.simple_keys[key];
        if !possible {
            return Ok(false);
        }
        if mark.line == self.mark.line && mark.index + SIMPLE_KEY_CHARS_MAX >= self.mark.index {
            return Ok(true);
        }
        if required {
            return Err(self.error("could not find expected ':'"));
        }
        self.forget_key(key);
        Ok(false)
    }

    /// Opens a block collection at the column of `mark`, if that is further in. Its first token goes to `place` in the
    /// queue, or to the end.
    fn roll_indent(&mut self, mark: Mark, place: Option<usize>, kind: TokenKind<'t>) -> Result<(), YamlError> {
        let column = mark.column as isize;
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        if self.indents.len() > DEPTH_MAX {
            return Err(self.too_deep());
        }
        self.tokens.insert(place.unwrap_or(self.tokens.len()), Token { kind, mark });
        Ok(())
    }

    /// Closes the block collections that are further in than `column`.
    fn unroll_indent(&mut self, column: isize) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            self.push(TokenKind::BlockEnd);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn push(&mut self, kind: TokenKind<'t>) {
        self.tokens.push_back(Token { kind, mark: self.mark });
    }

    fn error(&self, message: &str) -> YamlError {
        scanner_error(self.mark.line, message)
    }

    /// The real server's limit is named, since clients know that sentence; ours is lower.
    fn too_deep(&self) -> YamlError {
        self.error("exceeded max depth of 10000")
    }
}
