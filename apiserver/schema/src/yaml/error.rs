//! YAML errors in go-yaml's words: the line it would name, the sentence it would say.
//!
//! The two parsers find the same mistakes but describe them differently. Where ours knows a mistake that go-yaml
//! reports otherwise, the nearest of go-yaml's sentences is used.

use saphyr_parser::{Marker, ScanError};

/// Why a text is not the YAML of a JSON value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    /// The text is not YAML; the message contains the line, if it is not the first.
    #[error("yaml: {0}")]
    Syntax(String),
    /// The text is YAML that go-yaml cannot decode.
    #[error("yaml: {0}")]
    Decode(String),
    /// The value has no form in JSON (a `null` key, an infinite number).
    #[error("{0}")]
    Convert(String),
}

/// The text of `yaml`, if it is UTF-8 (a byte order mark is dropped) without control characters.
pub(super) fn check_characters(yaml: &[u8]) -> Result<&str, YamlError> {
    let text = std::str::from_utf8(yaml).map_err(|error| {
        let message = match yaml.get(error.valid_up_to()) {
            _ if error.error_len().is_none() => "incomplete UTF-8 octet sequence",
            Some(0xC2..=0xF4) => "invalid trailing UTF-8 octet",
            _ => "invalid leading UTF-8 octet",
        };
        YamlError::Syntax(message.to_owned())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let forbidden = |c: char| {
        (c < ' ' && !matches!(c, '\t' | '\n' | '\r'))
            || matches!(c, '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')
    };
    if text.contains(forbidden) {
        return Err(YamlError::Syntax("control characters are not allowed".to_owned()));
    }
    Ok(text)
}

/// Nested too deeply. The real server's limit is named, since clients know that sentence; ours is lower.
pub(super) fn too_deep(at: Marker) -> YamlError {
    scanner_error(at, "exceeded max depth of 10000")
}

/// Something stands where nothing can begin with it.
pub(super) fn cannot_start(at: Marker) -> YamlError {
    scanner_error(at, CANNOT_START)
}

const CANNOT_START: &str = "found character that cannot start any token";

/// Whether a node in block style has a tab in its indentation, which our parser forgives and go-yaml does not.
pub(super) fn is_indented_by_tab(lines: &[&str], at: Marker) -> bool {
    let line = lines.get(at.line().saturating_sub(1)).copied().unwrap_or_default();
    let mut before = line.chars().take(at.col());
    let indentation = |c: char| matches!(c, ' ' | '\t' | '-' | '?');
    before.clone().all(indentation) && before.any(|c| c == '\t')
}

/// Whether a collection begins with a bracket or a brace here.
pub(super) fn is_bracket(lines: &[&str], at: Marker) -> bool {
    let line = lines.get(at.line().saturating_sub(1)).copied().unwrap_or_default();
    matches!(line.chars().nth(at.col()), Some('[' | '{'))
}

/// An alias without its anchor, which go-yaml reports without a line.
pub(super) fn unknown_anchor(text: &str, error: &ScanError) -> Option<YamlError> {
    error
        .info()
        .contains("unknown anchor")
        .then(|| YamlError::Syntax(format!("unknown anchor '{}' referenced", name_at(text, *error.marker()))))
}

/// The name of the alias or anchor that stands at (or just before) a position.
pub(super) fn name_at(text: &str, at: Marker) -> String {
    let line = text.split('\n').nth(at.line().saturating_sub(1)).unwrap_or_default();
    let from = line.char_indices().nth(at.col()).map_or(line.len(), |(byte, _)| byte);
    let start = line[from..].find(['*', '&']).map(|offset| from + offset).filter(|&start| start == from);
    let start = start.or_else(|| line[..from].rfind(['*', '&'])).map_or(from, |start| start + 1);
    line[start..].chars().take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

/// A mistake that the parser found.
pub(super) fn go_scan_error(text: &str, error: &ScanError) -> YamlError {
    const SCANNER: bool = true;
    const PARSER: bool = false;
    // The first fragment found in our parser's message decides. go-yaml counts lines differently in its two stages.
    let table: &[(&str, bool, &str)] = &[
        ("mapping values are not allowed", SCANNER, "mapping values are not allowed in this context"),
        ("mapping keys are not allowed", SCANNER, "mapping keys are not allowed in this context"),
        ("block sequence entries are not allowed", SCANNER, "block sequence entries are not allowed in this context"),
        ("valid inside a block", SCANNER, "block sequence entries are not allowed in this context"),
        ("only valid inside a block", SCANNER, "block sequence entries are not allowed in this context"),
        ("simple key expect", SCANNER, "could not find expected ':'"),
        ("recursion limit", SCANNER, "exceeded max depth of 10000"),
        ("expected ',' or ']'", PARSER, "did not find expected ',' or ']'"),
        ("expected ',' or '}'", PARSER, "did not find expected ',' or '}'"),
        ("expected node content", PARSER, "did not find expected node content"),
        ("did not find expected key", PARSER, "did not find expected key"),
        ("expected '-' indicator", PARSER, "did not find expected '-' indicator"),
        ("misplaced bracket", PARSER, "did not find expected node content"),
        ("expected <document start>", PARSER, "did not find expected <document start>"),
        ("explicit document end marker", PARSER, "did not find expected <document start>"),
        ("content after document end", PARSER, "did not find expected <document start>"),
        ("duplicate version directive", PARSER, "found duplicate %YAML directive"),
        ("TAG directive must only", PARSER, "found duplicate %TAG directive"),
        ("handle wasn't declared", PARSER, "found undefined tag handle"),
        ("trailing content after", PARSER, "did not find expected key"),
        ("invalid indentation in flow", PARSER, "did not find expected node content"),
        ("invalid indentation", PARSER, "did not find expected key"),
        ("unexpected end of stream", SCANNER, "found unexpected end of stream"),
        ("unexpected document indicator", SCANNER, "found unexpected document indicator"),
        ("unknown escape character", SCANNER, "found unknown escape character"),
        ("hexadecimal number", SCANNER, "did not find expected hexdecimal number"),
        ("Unicode character escape", SCANNER, "found invalid Unicode character escape code"),
        ("alphabetic or numeric character", SCANNER, "did not find expected alphabetic or numeric character"),
        ("indentation indicator equal to 0", SCANNER, "found an indentation indicator equal to 0"),
        ("wrongly indented line in block scalar", PARSER, "did not find expected key"),
        ("expected comment or line break", SCANNER, "did not find expected comment or line break"),
        ("expected directive name", SCANNER, "could not find expected directive name"),
        ("non-alphabetical character", SCANNER, "found unexpected non-alphabetical character"),
        ("expected tag URI", SCANNER, "did not find expected tag URI"),
        ("did not find expected '!'", SCANNER, "did not find expected '!'"),
        ("expected whitespace", SCANNER, "did not find expected whitespace or line break"),
    ];
    let info = error.info();
    let row = table.iter().find(|(fragment, _, _)| info.contains(fragment));
    // Tabs, odd punctuation and the like: characters with which nothing can begin.
    let (scanner, message) = row.map_or((SCANNER, CANNOT_START), |&(_, stage, message)| (stage, message));
    if scanner {
        return scanner_error(*error.marker(), message);
    }
    // The parser speaks of the token's line counted from zero; the end of the text is a line of its own.
    let mut line = error.marker().line().saturating_sub(1);
    let at_end = line + 1 >= text.split('\n').count() && error.marker().col() + 1 >= last_line(text).chars().count();
    if at_end && !last_line(text).is_empty() {
        line += 1;
    }
    YamlError::Syntax(with_line(line, message))
}

fn scanner_error(at: Marker, message: &str) -> YamlError {
    // The first line is not named.
    YamlError::Syntax(with_line(if at.line() > 1 { at.line() } else { 0 }, message))
}

fn with_line(line: usize, message: &str) -> String {
    if line == 0 { message.to_owned() } else { format!("line {line}: {message}") }
}

fn last_line(text: &str) -> &str {
    text.rsplit('\n').next().unwrap_or_default()
}
