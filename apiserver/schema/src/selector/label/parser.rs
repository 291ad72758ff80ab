//! The text form of label selectors: apimachinery's lexer and parser, with its messages.
//!
//! The grammar is forgiving in places (`in` can be a key, `a in (,b)` has an empty value) and clients rely on it, so
//! this follows the original state by state.

use super::{Operator, Requirement, SelectorError, go_quote};
use crate::names;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    End,
    CloseParen,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    Greater,
    Identifier,
    In,
    Less,
    NotEquals,
    NotIn,
    OpenParen,
}

/// Where the parser stands: `in` and `notin` are operators in one place, plain words in the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    KeyAndOperator,
    Values,
}

/// Reads all requirements of `text`, in their order there.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut parser = Parser { items: lex(text), position: 0 };
    let mut requirements = Vec::new();
    loop {
        let (token, literal) = parser.peek(Context::Values);
        match token {
            Token::Identifier | Token::Not => {
                requirements.push(parser.requirement().map_err(SelectorError::Requirement)?);
                let (token, literal) = parser.next(Context::Values);
                match token {
                    Token::End => return Ok(requirements),
                    Token::Comma => {
                        let (token, literal) = parser.peek(Context::Values);
                        if token != Token::Identifier && token != Token::Not {
                            return Err(syntax(literal, "identifier after ','"));
                        }
                    }
                    _ => return Err(syntax(literal, "',' or 'end of string'")),
                }
            }
            Token::End => return Ok(requirements),
            _ => return Err(syntax(literal, "!, identifier, or 'end of string'")),
        }
    }
}

fn syntax(found: &str, expected: &str) -> SelectorError {
    SelectorError::Syntax(expectation(found, expected))
}

fn expectation(found: &str, expected: &str) -> String {
    format!("found '{found}', expected: {expected}")
}

struct Parser<'a> {
    /// Ends with [`Token::End`].
    items: Vec<(Token, &'a str)>,
    position: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self, context: Context) -> (Token, &'a str) {
        let (token, literal) = self.items.get(self.position).copied().unwrap_or((Token::End, ""));
        match token {
            Token::In | Token::NotIn if context == Context::Values => (Token::Identifier, literal),
            _ => (token, literal),
        }
    }

    fn next(&mut self, context: Context) -> (Token, &'a str) {
        let item = self.peek(context);
        self.position += 1;
        item
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut key) = self.next(Context::Values);
        let negated = token == Token::Not;
        if negated {
            (token, key) = self.next(Context::KeyAndOperator);
        }
        if token != Token::Identifier {
            return Err(expectation(key, "identifier"));
        }
        let complaints = names::label_key(key);
        if !complaints.is_empty() {
            return Err(format!("<nil>: Invalid value: {}: {}", go_quote(key), complaints.join("; ")));
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek(Context::Values).0, Token::End | Token::Comma) {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let mut values = match operator {
            Operator::In | Operator::NotIn => self.value_list()?,
            _ => vec![self.exact_value()?],
        };
        values.sort_unstable();
        values.dedup();
        Requirement::new(key, operator, values.into_iter().map(str::to_owned).collect())
    }

    fn operator(&mut self) -> Result<Operator, String> {
        let (token, literal) = self.next(Context::KeyAndOperator);
        match token {
            Token::In => Ok(Operator::In),
            Token::Equals => Ok(Operator::Equals),
            Token::DoubleEquals => Ok(Operator::DoubleEquals),
            Token::Greater => Ok(Operator::GreaterThan),
            Token::Less => Ok(Operator::LessThan),
            Token::NotIn => Ok(Operator::NotIn),
            Token::NotEquals => Ok(Operator::NotEquals),
            _ => Err(expectation(literal, "in, notin, =, ==, !=, gt, lt")),
        }
    }

    /// The value of `=` and its like: an identifier, or nothing before a comma or the end.
    fn exact_value(&mut self) -> Result<&'a str, String> {
        if matches!(self.peek(Context::Values).0, Token::End | Token::Comma) {
            return Ok("");
        }
        let (token, literal) = self.next(Context::Values);
        if token == Token::Identifier { Ok(literal) } else { Err(expectation(literal, "identifier")) }
    }

    /// `(a,b)`; `()` is a list of one empty value.
    fn value_list(&mut self) -> Result<Vec<&'a str>, String> {
        let (token, literal) = self.next(Context::Values);
        if token != Token::OpenParen {
            return Err(format!("found '{literal}' expected: '('"));
        }
        let (token, literal) = self.peek(Context::Values);
        match token {
            Token::Identifier | Token::Comma => {
                let values = self.identifiers()?;
                let (token, literal) = self.next(Context::Values);
                if token != Token::CloseParen {
                    return Err(expectation(literal, "')'"));
                }
                Ok(values)
            }
            Token::CloseParen => {
                self.next(Context::Values);
                Ok(vec![""])
            }
            _ => Err(expectation(literal, "',', ')' or identifier")),
        }
    }

    /// Identifiers up to a closing parenthesis, which is left standing; a missing one is an empty value.
    fn identifiers(&mut self) -> Result<Vec<&'a str>, String> {
        let mut values = Vec::new();
        loop {
            let (token, literal) = self.next(Context::Values);
            match token {
                Token::Identifier => {
                    values.push(literal);
                    let (token, literal) = self.peek(Context::Values);
                    match token {
                        Token::Comma => {}
                        Token::CloseParen => return Ok(values),
                        _ => return Err(expectation(literal, "',' or ')'")),
                    }
                }
                Token::Comma => {
                    if values.is_empty() {
                        values.push("");
                    }
                    match self.peek(Context::Values).0 {
                        Token::CloseParen => {
                            values.push("");
                            return Ok(values);
                        }
                        Token::Comma => {
                            self.next(Context::Values);
                            values.push("");
                        }
                        _ => {}
                    }
                }
                _ => return Err(expectation(literal, "',', or identifier")),
            }
        }
    }
}

/// Cuts `text` into tokens; the last one is [`Token::End`]. A NUL byte ends the text where a token could begin.
fn lex(text: &str) -> Vec<(Token, &str)> {
    let bytes = text.as_bytes();
    let mut items = Vec::new();
    let mut at = 0;
    loop {
        while bytes.get(at).is_some_and(|&b| is_space(b)) {
            at += 1;
        }
        let start = at;
        match bytes.get(at) {
            None | Some(0) => {
                items.push((Token::End, ""));
                return items;
            }
            Some(&b) if is_symbol(b) => {
                let two = text.get(at..at + 2).and_then(symbol);
                let one = text.get(at..at + 1).and_then(symbol);
                let Some(token) = two.or(one) else {
                    items.push((Token::End, ""));
                    return items;
                };
                at += if two.is_some() { 2 } else { 1 };
                items.push((token, &text[start..at]));
            }
            Some(_) => {
                // Stops only at ASCII bytes, so both ends are character boundaries.
                while bytes.get(at).is_some_and(|&b| b != 0 && !is_space(b) && !is_symbol(b)) {
                    at += 1;
                }
                let word = &text[start..at];
                let token = match word {
                    "in" => Token::In,
                    "notin" => Token::NotIn,
                    _ => Token::Identifier,
                };
                items.push((token, word));
                // A NUL inside is swallowed with the word before it.
                at += usize::from(bytes.get(at) == Some(&0));
            }
        }
    }
}

fn symbol(text: &str) -> Option<Token> {
    Some(match text {
        ")" => Token::CloseParen,
        "," => Token::Comma,
        "!" => Token::Not,
        "==" => Token::DoubleEquals,
        "=" => Token::Equals,
        ">" => Token::Greater,
        "<" => Token::Less,
        "!=" => Token::NotEquals,
        "(" => Token::OpenParen,
        _ => return None,
    })
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_symbol(b: u8) -> bool {
    matches!(b, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}
