//! From claims to a user, and what must be true of both.

use serde_json::Value;

use crate::cel::{Program, Variables};
use crate::user::User;

/// Where a value comes from.
#[derive(Debug)]
pub enum Mapping {
    Claim { name: String, prefix: String },
    Expression(Program),
}

/// Where the parts of a user come from.
#[derive(Debug)]
pub struct Mappings {
    pub username: Mapping,
    pub groups: Option<Mapping>,
    pub uid: Option<Mapping>,
    /// Keys of extra, each with its expression.
    pub extra: Vec<(String, Program)>,
}

impl Mappings {
    /// The claim that groups are read from, if it is a plain one.
    pub fn groups_claim(&self) -> Option<&str> {
        match &self.groups {
            Some(Mapping::Claim { name, .. }) => Some(name),
            _ => None,
        }
    }

    pub fn user(&self, claims: &Value) -> Result<User, String> {
        let mut user = User { name: self.name(claims)?, ..User::default() };
        user.groups = match &self.groups {
            None => Vec::new(),
            Some(Mapping::Claim { name, prefix }) => match claims.get(name) {
                None => Vec::new(),
                Some(value) => {
                    let groups = claim_texts(value).ok_or_else(|| format!("parse groups claim {name:?}: not text"))?;
                    groups.into_iter().map(|g| [prefix, g.as_str()].concat()).collect()
                }
            },
            Some(Mapping::Expression(program)) => {
                let what = "error evaluating group claim expression";
                texts(&evaluate(program, claims, what)?).map_err(|e| format!("{what}: {e}"))?
            }
        };
        user.uid = match &self.uid {
            None => String::new(),
            Some(Mapping::Claim { name, .. }) => text_claim(claims, name, "uid claim")?,
            Some(Mapping::Expression(program)) => {
                let what = "error evaluating uid claim expression";
                match evaluate(program, claims, what)? {
                    Value::String(text) => text,
                    _ => return Err(format!("{what}: uid claim expression must return a string")),
                }
            }
        };
        for (key, program) in &self.extra {
            let what = "error evaluating extra claim expression";
            let values = texts(&evaluate(program, claims, what)?);
            let values = values.map_err(|e| format!("{what}: {}: {e}", program.source()))?;
            if !values.is_empty() {
                user.extra.insert(key.clone(), values);
            }
        }
        Ok(user)
    }

    fn name(&self, claims: &Value) -> Result<String, String> {
        match &self.username {
            Mapping::Claim { name, prefix } => {
                let text = text_claim(claims, name, "username claims")?;
                if name == "email"
                    && let Some(verified) = claims.get("email_verified")
                {
                    match verified.as_bool() {
                        Some(true) => {}
                        Some(false) => return Err("email not verified".to_owned()),
                        None => return Err("parse 'email_verified' claim: not a bool".to_owned()),
                    }
                }
                Ok([prefix.as_str(), &text].concat())
            }
            Mapping::Expression(program) => {
                let what = "error evaluating username claim expression";
                match evaluate(program, claims, what)? {
                    Value::String(text) => Ok(text),
                    _ => Err(format!("{what}: username claim expression must return a string")),
                }
            }
        }
    }
}

fn evaluate(program: &Program, claims: &Value, what: &str) -> Result<Value, String> {
    program
        .evaluate(&Variables::new().with("claims", claims))
        .map_err(|e| format!("{what}: expression '{}' resulted in error: {e}", program.source()))
}

fn text_claim(claims: &Value, name: &str, what: &str) -> Result<String, String> {
    match claims.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("parse {what} {name:?}: not text")),
        None => Err(format!("parse {what} {name:?}: claim not present")),
    }
}

/// A text, or a list of them.
fn claim_texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => items.iter().map(|i| i.as_str().map(str::to_owned)).collect(),
        Value::Null => Some(Vec::new()),
        _ => None,
    }
}

/// What an expression for several texts gave: empty texts and null are none.
fn texts(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::Null | Value::String(_) => Ok(claim_texts(value).unwrap_or_default()),
        Value::Array(items) => {
            let mut texts = Vec::new();
            for item in items {
                let text = item.as_str().ok_or("expression must return a string or a list of strings")?;
                if !text.is_empty() {
                    texts.push(text.to_owned());
                }
            }
            Ok(texts)
        }
        _ => Err("expression must return a string or a list of strings".to_owned()),
    }
}

/// What must be true of claims.
#[derive(Debug)]
pub enum ClaimRule {
    Required { claim: String, value: String },
    Expression { program: Program, message: String },
}

impl ClaimRule {
    pub fn check(&self, claims: &Value) -> Result<(), String> {
        match self {
            ClaimRule::Required { claim, value } => match claims.get(claim) {
                None => Err(format!("required claim {claim} not present in ID token")),
                Some(Value::String(got)) if got == value => Ok(()),
                Some(Value::String(got)) => {
                    Err(format!("required claim {claim} value does not match. Got = {got}, want = {value}"))
                }
                Some(_) => Err(format!("parse claim {claim}: not text")),
            },
            ClaimRule::Expression { program, message } => {
                let what = "error evaluating claim validation expression";
                check(program, message, &Variables::new().with("claims", claims)).map_err(|e| format!("{what}: {e}"))
            }
        }
    }
}

/// What must be true of a user.
#[derive(Debug)]
pub struct UserRule {
    pub program: Program,
    pub message: String,
}

impl UserRule {
    pub fn check(&self, user: &Value) -> Result<(), String> {
        let what = "error evaluating user info validation rule";
        check(&self.program, &self.message, &Variables::new().with("user", user)).map_err(|e| format!("{what}: {e}"))
    }
}

fn check(program: &Program, message: &str, variables: &Variables<'_>) -> Result<(), String> {
    let source = program.source();
    match program.evaluate_bool(variables) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("validation expression '{source}' failed: {message}")),
        Err(error) => Err(format!("expression '{source}' resulted in error: {error}")),
    }
}
