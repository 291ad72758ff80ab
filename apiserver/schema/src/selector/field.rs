//! Field selectors: `metadata.name=a,spec.nodeName!=b`, with backslash escapes.
//!
//! Which fields exist is the kind's business; this knows only the grammar.

use std::fmt;

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    /// The name of the field, as written.
    pub field: String,
    /// The value, unescaped.
    pub value: String,
    /// True for `=` and `==`, false for `!=`.
    pub equal: bool,
}

/// Which objects are meant, by their fields: the conjunction of the terms; everything if there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    terms: Box<[Term]>,
}

/// Why a text is no field selector; prints as the server's errors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldSelectorError {
    /// A term has no operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term { selector: String, term: String },
    /// A backslash stands before a character that needs none.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// A value contains `=` without a backslash. Go prints the number of the character, so do we.
    #[error("invalid field selector: unescaped character in value: {0}")]
    Unescaped(u32),
}

impl FieldSelector {
    /// Reads a selector. The empty text selects everything.
    pub fn parse(text: &str) -> Result<Self, FieldSelectorError> {
        let mut parts = split_terms(text);
        parts.sort_unstable();
        let mut terms = Vec::with_capacity(parts.len());
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let (field, equal, value) = split_term(part)
                .ok_or_else(|| FieldSelectorError::Term { selector: text.to_owned(), term: part.to_owned() })?;
            terms.push(Term { field: field.to_owned(), value: unescape(value)?, equal });
        }
        Ok(FieldSelector { terms: terms.into_boxed_slice() })
    }

    /// A selector of one term `field=value`.
    pub fn one(field: impl Into<String>, value: impl Into<String>) -> Self {
        FieldSelector { terms: Box::new([Term { field: field.into(), value: value.into(), equal: true }]) }
    }

    /// The conditions, all of which must hold.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Whether this selects every object.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether an object is meant whose field `name` has the value `get(name)`. A field it does not have is empty.
    pub fn matches<'v>(&self, get: impl Fn(&str) -> &'v str) -> bool {
        self.terms.iter().all(|term| (get(&term.field) == term.value) == term.equal)
    }

    /// The one value that `field` must have, if the selector demands one: what an index can be asked for.
    pub fn requires_exact_match(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }
}

/// The canonical text: terms sorted as written, `==` printed as `=`, values escaped.
impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let operator = if term.equal { "=" } else { "!=" };
            write!(f, "{comma}{}{operator}{}", term.field, escape(&term.value))?;
        }
        Ok(())
    }
}

/// A value with its special characters escaped, so that it can stand in a selector.
pub fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | ',' | '=') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// Cuts at the commas that no backslash precedes.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

/// The field, whether the operator is equality, and the value still escaped.
fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    let at = term.char_indices().find_map(|(at, _)| {
        let rest = &term[at..];
        (rest.starts_with("!=") || rest.starts_with('=')).then_some(at)
    })?;
    let (field, rest) = term.split_at(at);
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((field, false, value));
    }
    let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?;
    Some((field, true, value))
}

fn unescape(text: &str) -> Result<String, FieldSelectorError> {
    let mut value = String::with_capacity(text.len());
    let mut escaped = false;
    for c in text.chars() {
        match c {
            '\\' | ',' | '=' if escaped => {
                value.push(c);
                escaped = false;
            }
            _ if escaped => return Err(FieldSelectorError::Escape(format!("\\{c}"))),
            '\\' => escaped = true,
            ',' | '=' => return Err(FieldSelectorError::Unescaped(c.into())),
            _ => value.push(c),
        }
    }
    if escaped {
        return Err(FieldSelectorError::Escape("\\".to_owned()));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_prints() {
        for (text, printed) in [
            ("", ""),
            (",,", ""),
            ("a=b", "a=b"),
            ("a==b", "a=b"),
            ("a!=b", "a!=b"),
            ("b=1,a=2", "a=2,b=1"),
            ("a=", "a="),
            ("=b", "=b"),
            (r"a=b\,c", r"a=b\,c"),
            (r"a=b\=c\\", r"a=b\=c\\"),
            ("metadata.name=a,metadata.name=b", "metadata.name=a,metadata.name=b"),
        ] {
            assert_eq!(FieldSelector::parse(text).unwrap().to_string(), printed, "{text}");
        }
    }

    #[test]
    fn errors() {
        for (text, message) in [
            ("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
            ("metadata.name>a", "invalid selector: 'metadata.name>a'; can't understand 'metadata.name>a'"),
            ("a=1,b", "invalid selector: 'a=1,b'; can't understand 'b'"),
            (r"a=b\c", r"invalid field selector: invalid escape sequence: \c"),
            (r"a=b\", r"invalid field selector: invalid escape sequence: \"),
            ("a=b=c", "invalid field selector: unescaped character in value: 61"),
            ("a===b", "invalid field selector: unescaped character in value: 61"),
        ] {
            assert_eq!(FieldSelector::parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn matches_by_closure() {
        let get = |name: &str| match name {
            "metadata.name" => "web",
            _ => "",
        };
        for (text, expected) in [
            ("", true),
            ("metadata.name=web", true),
            ("metadata.name!=web", false),
            ("metadata.name=web,spec.nodeName=", true),
            ("metadata.name=web,spec.nodeName!=", false),
            ("metadata.name=a,metadata.name=b", false),
        ] {
            assert_eq!(FieldSelector::parse(text).unwrap().matches(get), expected, "{text}");
        }
        let selector = FieldSelector::parse("metadata.name==web").unwrap();
        assert_eq!(selector.requires_exact_match("metadata.name"), Some("web"));
        assert_eq!(selector.requires_exact_match("x"), None);
        assert_eq!(FieldSelector::one("a", "b=c").to_string(), r"a=b\=c");
    }

    proptest! {
        #[test]
        fn any_value_survives_escaping(value in "\\PC{0,20}") {
            let selector = FieldSelector::parse(&format!("f={}", escape(&value))).unwrap();
            prop_assert_eq!(selector.requires_exact_match("f"), Some(value.as_str()));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            if let Ok(selector) = FieldSelector::parse(&text) {
                prop_assert!(FieldSelector::parse(&selector.to_string()).is_ok());
            }
        }
    }
}
