//! The events of a YAML text: the grammar over the scanner's tokens, as libyaml's state machine walks it.
//!
//! The states that are to come back to are kept on a stack, so nesting costs no recursion.

use std::borrow::Cow;
use std::collections::HashMap;

use super::error::{YamlError, parser_error};
use super::scanner::{Mark, Scanner, TokenKind};

/// A piece of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event<'t> {
    /// A document begins.
    DocumentStart,
    /// A document ends.
    DocumentEnd,
    /// Nothing is left.
    StreamEnd,
    /// A value that has been there under a name.
    Alias(&'t str),
    /// A scalar; `plain` if it may be read as something else than a text.
    Scalar { value: Cow<'t, str>, plain: bool, properties: Properties<'t> },
    /// A list begins.
    SequenceStart(Properties<'t>),
    /// A map begins.
    MappingStart(Properties<'t>),
    /// The innermost list or map ends.
    CollectionEnd,
}

/// What stands before a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties<'t> {
    /// `&anchor`
    pub anchor: Option<&'t str>,
    /// `!tag`, with its handle resolved.
    pub tag: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    ImplicitDocumentStart,
    DocumentStart,
    DocumentContent,
    DocumentEnd,
    BlockNode,
    BlockSequenceFirstEntry,
    BlockSequenceEntry,
    IndentlessSequenceEntry,
    BlockMappingFirstKey,
    BlockMappingKey,
    BlockMappingValue,
    FlowSequenceFirstEntry,
    FlowSequenceEntry,
    FlowSequenceEntryMappingKey,
    FlowSequenceEntryMappingValue,
    FlowSequenceEntryMappingEnd,
    FlowMappingFirstKey,
    FlowMappingKey,
    FlowMappingValue,
    FlowMappingEmptyValue,
    End,
}

/// An event and the line (from zero) on which it begins.
pub(super) type Located<'t> = (Event<'t>, usize);

pub(super) struct Parser<'t> {
    scanner: Scanner<'t>,
    state: State,
    states: Vec<State>,
    /// `%TAG` directives of the document, and the two handles that are always there.
    tag_prefixes: HashMap<Cow<'t, str>, Cow<'t, str>>,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Parser {
            scanner: Scanner::new(text),
            state: State::ImplicitDocumentStart,
            states: Vec::new(),
            tag_prefixes: HashMap::new(),
        }
    }

    /// The next event.
    pub(super) fn next(&mut self) -> Result<Located<'t>, YamlError> {
        match self.state {
            State::ImplicitDocumentStart => self.document_start(true),
            State::DocumentStart => self.document_start(false),
            State::DocumentContent => self.document_content(),
            State::DocumentEnd => self.document_end(),
            State::BlockNode => self.node(true, false),
            State::BlockSequenceFirstEntry | State::BlockSequenceEntry => self.block_sequence_entry(),
            State::IndentlessSequenceEntry => self.indentless_sequence_entry(),
            State::BlockMappingFirstKey | State::BlockMappingKey => self.block_mapping_key(),
            State::BlockMappingValue => self.block_mapping_value(),
            State::FlowSequenceFirstEntry => self.flow_sequence_entry(true),
            State::FlowSequenceEntry => self.flow_sequence_entry(false),
            State::FlowSequenceEntryMappingKey => self.flow_sequence_entry_mapping_key(),
            State::FlowSequenceEntryMappingValue => self.flow_sequence_entry_mapping_value(),
            State::FlowSequenceEntryMappingEnd => {
                self.state = State::FlowSequenceEntry;
                let (_, mark) = self.peek()?;
                Ok((Event::CollectionEnd, mark.line))
            }
            State::FlowMappingFirstKey => self.flow_mapping_key(true),
            State::FlowMappingKey => self.flow_mapping_key(false),
            State::FlowMappingValue => self.flow_mapping_value(),
            State::FlowMappingEmptyValue => {
                let (_, mark) = self.peek()?;
                Ok(self.empty(State::FlowMappingKey, mark))
            }
            State::End => Ok((Event::StreamEnd, 0)),
        }
    }

    fn document_start(&mut self, implicit: bool) -> Result<Located<'t>, YamlError> {
        if !implicit {
            while self.at(&TokenKind::DocumentEnd)? {
                self.skip()?;
            }
        }
        let (kind, mark) = self.peek()?;
        match kind {
            TokenKind::StreamEnd => {
                self.state = State::End;
                return Ok((Event::StreamEnd, mark.line));
            }
            TokenKind::VersionDirective { .. } | TokenKind::TagDirective { .. } | TokenKind::DocumentStart => {}
            _ if implicit => {
                self.directives()?;
                self.states.push(State::DocumentEnd);
                self.state = State::BlockNode;
                return Ok((Event::DocumentStart, mark.line));
            }
            _ => {}
        }
        self.directives()?;
        let (kind, at) = self.peek()?;
        if *kind != TokenKind::DocumentStart {
            return Err(parser_error(at.line, "did not find expected <document start>"));
        }
        self.skip()?;
        self.states.push(State::DocumentEnd);
        self.state = State::DocumentContent;
        Ok((Event::DocumentStart, mark.line))
    }

    /// Reads the directives before a document.
    fn directives(&mut self) -> Result<(), YamlError> {
        self.tag_prefixes.clear();
        let mut versioned = false;
        loop {
            let (kind, mark) = self.peek()?;
            match kind {
                TokenKind::VersionDirective { .. } if versioned => {
                    return Err(parser_error(mark.line, "found duplicate %YAML directive"));
                }
                TokenKind::VersionDirective { major: 1, minor: 1 | 2 } => versioned = true,
                TokenKind::VersionDirective { .. } => {
                    return Err(parser_error(mark.line, "found incompatible YAML document"));
                }
                TokenKind::TagDirective { handle, prefix } => {
                    let (handle, prefix) = (handle.clone(), prefix.clone());
                    if self.tag_prefixes.insert(handle, prefix).is_some() {
                        return Err(parser_error(mark.line, "found duplicate %TAG directive"));
                    }
                }
                _ => break,
            }
            self.skip()?;
        }
        for (handle, prefix) in [("!", "!"), ("!!", "tag:yaml.org,2002:")] {
            self.tag_prefixes.entry(handle.into()).or_insert(prefix.into());
        }
        Ok(())
    }

    fn document_content(&mut self) -> Result<Located<'t>, YamlError> {
        let (kind, mark) = self.peek()?;
        match kind {
            TokenKind::VersionDirective { .. }
            | TokenKind::TagDirective { .. }
            | TokenKind::DocumentStart
            | TokenKind::DocumentEnd
            | TokenKind::StreamEnd => {
                let state = self.pop();
                Ok(self.empty(state, mark))
            }
            _ => self.node(true, false),
        }
    }

    fn document_end(&mut self) -> Result<Located<'t>, YamlError> {
        let (kind, mark) = self.peek()?;
        if *kind == TokenKind::DocumentEnd {
            self.skip()?;
        }
        self.state = State::DocumentStart;
        Ok((Event::DocumentEnd, mark.line))
    }

    /// A value. `block`: it may be a block collection. `indentless`: also a list that is not indented.
    fn node(&mut self, block: bool, indentless: bool) -> Result<Located<'t>, YamlError> {
        let (kind, mark) = self.peek()?;
        if let TokenKind::Alias(name) = *kind {
            self.state = self.pop();
            self.skip()?;
            return Ok((Event::Alias(name), mark.line));
        }
        let start = mark.line;
        let properties = self.properties()?;
        let plain_tag = properties.tag.is_none();
        let (kind, mark) = self.peek()?;
        match kind {
            TokenKind::BlockEntry if indentless => {
                self.state = State::IndentlessSequenceEntry;
                Ok((Event::SequenceStart(properties), start))
            }
            TokenKind::Scalar { .. } => {
                self.state = self.pop();
                let token = self.scanner.next()?;
                let TokenKind::Scalar { value, plain } = token.kind else { return Ok((Event::StreamEnd, start)) };
                // The tag `!` says nothing but that there is no tag.
                let bare = properties.tag.as_deref() == Some("!");
                let properties = Properties { tag: properties.tag.filter(|_| !bare), ..properties };
                Ok((Event::Scalar { value, plain: (plain && plain_tag) || bare, properties }, start))
            }
            TokenKind::FlowSequenceStart => {
                self.state = State::FlowSequenceFirstEntry;
                Ok((Event::SequenceStart(properties), start))
            }
            TokenKind::FlowMappingStart => {
                self.state = State::FlowMappingFirstKey;
                Ok((Event::MappingStart(properties), start))
            }
            TokenKind::BlockSequenceStart if block => {
                self.state = State::BlockSequenceFirstEntry;
                Ok((Event::SequenceStart(properties), start))
            }
            TokenKind::BlockMappingStart if block => {
                self.state = State::BlockMappingFirstKey;
                Ok((Event::MappingStart(properties), start))
            }
            _ if properties != Properties::default() => {
                self.state = self.pop();
                Ok((Event::Scalar { value: "".into(), plain: plain_tag, properties }, start))
            }
            _ => Err(parser_error(mark.line, "did not find expected node content")),
        }
    }

    /// The anchor and the tag before a value, in either order.
    fn properties(&mut self) -> Result<Properties<'t>, YamlError> {
        let mut properties = Properties::default();
        let mut tagged = false;
        loop {
            let (kind, mark) = self.peek()?;
            match kind {
                TokenKind::Anchor(name) if properties.anchor.is_none() => properties.anchor = Some(*name),
                TokenKind::Tag { handle, suffix } if !tagged => {
                    tagged = true;
                    let prefix = if handle.is_empty() { Some("") } else { None };
                    let (handle, suffix) = (handle.clone(), suffix.clone());
                    let prefix = prefix.or_else(|| self.tag_prefixes.get(&handle).map(|prefix| &**prefix));
                    let prefix = prefix.ok_or_else(|| parser_error(mark.line, "found undefined tag handle"))?;
                    properties.tag = Some(format!("{prefix}{suffix}"));
                }
                _ => return Ok(properties),
            }
            self.skip()?;
        }
    }

    fn block_sequence_entry(&mut self) -> Result<Located<'t>, YamlError> {
        if self.state == State::BlockSequenceFirstEntry {
            self.skip()?;
        }
        let (kind, mark) = self.peek()?;
        match kind {
            TokenKind::BlockEntry => {
                self.skip()?;
                self.value_or_empty(State::BlockSequenceEntry, mark, true, false, |kind| {
                    matches!(kind, TokenKind::BlockEntry | TokenKind::BlockEnd)
                })
            }
            TokenKind::BlockEnd => self.end_collection(mark),
            _ => Err(parser_error(mark.line, "did not find expected '-' indicator")),
        }
    }

    fn indentless_sequence_entry(&mut self) -> Result<Located<'t>, YamlError> {
        let (kind, mark) = self.peek()?;
        if *kind == TokenKind::BlockEntry {
            self.skip()?;
            return self.value_or_empty(State::IndentlessSequenceEntry, mark, true, false, |kind| {
                matches!(kind, TokenKind::BlockEntry | TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd)
            });
        }
        self.state = self.pop();
        Ok((Event::CollectionEnd, mark.line))
    }

    fn block_mapping_key(&mut self) -> Result<Located<'t>, YamlError> {
        if self.state == State::BlockMappingFirstKey {
            self.skip()?;
        }
        let (kind, mark) = self.peek()?;
        match kind {
            TokenKind::Key => {
                self.skip()?;
                self.value_or_empty(State::BlockMappingValue, mark, true, true, ends_block_pair)
            }
            TokenKind::BlockEnd => self.end_collection(mark),
            _ => Err(parser_error(mark.line, "did not find expected key")),
        }
    }

    fn block_mapping_value(&mut self) -> Result<Located<'t>, YamlError> {
        let (kind, mark) = self.peek()?;
        if *kind != TokenKind::Value {
            return Ok(self.empty(State::BlockMappingKey, mark));
        }
        self.skip()?;
        self.value_or_empty(State::BlockMappingKey, mark, true, true, ends_block_pair)
    }

    fn flow_sequence_entry(&mut self, first: bool) -> Result<Located<'t>, YamlError> {
        if first {
            self.skip()?;
        }
        let (mut kind, mut mark) = self.peek()?;
        if *kind != TokenKind::FlowSequenceEnd && !first {
            if *kind != TokenKind::FlowEntry {
                return Err(parser_error(mark.line, "did not find expected ',' or ']'"));
            }
            self.skip()?;
            (kind, mark) = self.peek()?;
        }
        match kind {
            TokenKind::FlowSequenceEnd => self.end_collection(mark),
            TokenKind::Key => {
                self.skip()?;
                self.state = State::FlowSequenceEntryMappingKey;
                Ok((Event::MappingStart(Properties::default()), mark.line))
            }
            _ => {
                self.states.push(State::FlowSequenceEntry);
                self.node(false, false)
            }
        }
    }

    fn flow_sequence_entry_mapping_key(&mut self) -> Result<Located<'t>, YamlError> {
        let (kind, mark) = self.peek()?;
        if matches!(kind, TokenKind::Value | TokenKind::FlowEntry | TokenKind::FlowSequenceEnd) {
            // The original passes over this token, too.
            self.skip()?;
            return Ok(self.empty(State::FlowSequenceEntryMappingValue, mark));
        }
        self.states.push(State::FlowSequenceEntryMappingValue);
        self.node(false, false)
    }

    fn flow_sequence_entry_mapping_value(&mut self) -> Result<Located<'t>, YamlError> {
        let (kind, mark) = self.peek()?;
        if *kind != TokenKind::Value {
            return Ok(self.empty(State::FlowSequenceEntryMappingEnd, mark));
        }
        self.skip()?;
        self.value_or_empty(State::FlowSequenceEntryMappingEnd, mark, false, false, |kind| {
            matches!(kind, TokenKind::FlowEntry | TokenKind::FlowSequenceEnd)
        })
    }

    fn flow_mapping_key(&mut self, first: bool) -> Result<Located<'t>, YamlError> {
        if first {
            self.skip()?;
        }
        let (mut kind, mut mark) = self.peek()?;
        if *kind != TokenKind::FlowMappingEnd && !first {
            if *kind != TokenKind::FlowEntry {
                return Err(parser_error(mark.line, "did not find expected ',' or '}'"));
            }
            self.skip()?;
            (kind, mark) = self.peek()?;
        }
        match kind {
            TokenKind::FlowMappingEnd => self.end_collection(mark),
            TokenKind::Key => {
                self.skip()?;
                self.value_or_empty(State::FlowMappingValue, mark, false, false, |kind| {
                    matches!(kind, TokenKind::Value | TokenKind::FlowEntry | TokenKind::FlowMappingEnd)
                })
            }
            _ => {
                self.states.push(State::FlowMappingEmptyValue);
                self.node(false, false)
            }
        }
    }

    fn flow_mapping_value(&mut self) -> Result<Located<'t>, YamlError> {
        let (kind, mark) = self.peek()?;
        if *kind != TokenKind::Value {
            return Ok(self.empty(State::FlowMappingKey, mark));
        }
        self.skip()?;
        self.value_or_empty(State::FlowMappingKey, mark, false, false, |kind| {
            matches!(kind, TokenKind::FlowEntry | TokenKind::FlowMappingEnd)
        })
    }

    /// A value, unless a token follows that `ends` the place where it would be; then `state`.
    fn value_or_empty(
        &mut self,
        state: State,
        mark: Mark,
        block: bool,
        indentless: bool,
        ends: impl Fn(&TokenKind<'t>) -> bool,
    ) -> Result<Located<'t>, YamlError> {
        if ends(self.peek()?.0) {
            return Ok(self.empty(state, mark));
        }
        self.states.push(state);
        self.node(block, indentless)
    }

    /// A value that is not there, which reads as `null`.
    fn empty(&mut self, state: State, mark: Mark) -> Located<'t> {
        self.state = state;
        (Event::Scalar { value: "".into(), plain: true, properties: Properties::default() }, mark.line)
    }

    fn end_collection(&mut self, mark: Mark) -> Result<Located<'t>, YamlError> {
        self.skip()?;
        self.state = self.pop();
        Ok((Event::CollectionEnd, mark.line))
    }

    /// Every state that pops has been pushed for; the end is a safe answer to a mistake of ours.
    fn pop(&mut self) -> State {
        self.states.pop().unwrap_or(State::End)
    }

    fn peek(&mut self) -> Result<(&TokenKind<'t>, Mark), YamlError> {
        let token = self.scanner.peek()?;
        Ok((&token.kind, token.mark))
    }

    fn at(&mut self, kind: &TokenKind<'t>) -> Result<bool, YamlError> {
        Ok(self.peek()?.0 == kind)
    }

    fn skip(&mut self) -> Result<(), YamlError> {
        self.scanner.next().map(drop)
    }
}

fn ends_block_pair(kind: &TokenKind<'_>) -> bool {
    matches!(kind, TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd)
}
