//! YAML errors in go-yaml's words, with the line it would name.

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

/// A mistake the scanner found on a line (from zero). go-yaml counts from one, and does not name the first.
pub(super) fn scanner_error(line: usize, message: &str) -> YamlError {
    with_line(if line == 0 { 0 } else { line + 1 }, message)
}

/// A mistake the parser found at a token on a line (from zero), which is how go-yaml counts here.
pub(super) fn parser_error(line: usize, message: &str) -> YamlError {
    with_line(line, message)
}

fn with_line(line: usize, message: &str) -> YamlError {
    YamlError::Syntax(if line == 0 { message.to_owned() } else { format!("line {line}: {message}") })
}
