//! Label selectors: the model, matching and printing. The text form is read by `parser`.
//!
//! A selector is a conjunction of requirements, sorted by key. Matching allocates nothing; over labels that are sorted
//! by key it is a handful of string comparisons.

mod parser;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde_json::Value;

use crate::names;

/// Up to here a walk beats a binary search: most comparisons end at the length or the first bytes.
const WALK_MAX: usize = 8;

/// Labels as a selector sees them.
pub trait Labels {
    /// The value of the label `key`, if the object has it.
    fn get(&self, key: &str) -> Option<&str>;
}

/// The relation between a label and the values of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `key=value`
    Equals,
    /// `key==value`, the same as `=` but printed as it was written
    DoubleEquals,
    /// `key!=value`, also true without the label
    NotEquals,
    /// `key in (a,b)`
    In,
    /// `key notin (a,b)`, also true without the label
    NotIn,
    /// `key`
    Exists,
    /// `!key`
    DoesNotExist,
    /// `key>5`, for labels that are integers
    GreaterThan,
    /// `key<5`, for labels that are integers
    LessThan,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    key: String,
    operator: Operator,
    /// Sorted; exactly one for the comparing operators.
    values: Vec<String>,
    /// The one value of `>` and `<` as a number; 0 for all other operators.
    bound: i64,
}

/// Which objects are meant, by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Selector {
    /// Every object.
    #[default]
    Everything,
    /// No object: what a missing `LabelSelector` means.
    Nothing,
    /// The objects for which every requirement holds. Never empty; sorted by key.
    All(Box<[Requirement]>),
}

/// Why a text or a `LabelSelector` is no selector; prints as the server's errors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The text breaks the grammar.
    #[error("{0}")]
    Syntax(String),
    /// A requirement of the text breaks the grammar, or its key or values the rules for labels.
    #[error("unable to parse requirement: {0}")]
    Requirement(String),
    /// A requirement of a `LabelSelector` has a bad key or bad values.
    #[error("{0}")]
    Invalid(String),
    /// An expression of a `LabelSelector` has an operator other than the four.
    #[error("{0:?} is not a valid label selector operator")]
    Operator(String),
    /// The JSON is not of a `LabelSelector`'s shape.
    #[error("{0}")]
    Shape(&'static str),
}

impl Requirement {
    /// A requirement, if the key is a label key, and the values are label values, as many as the operator takes.
    /// The error is the text that the server would give, with every complaint.
    pub fn new(key: impl Into<String>, operator: Operator, mut values: Vec<String>) -> Result<Self, String> {
        let key = key.into();
        let mut errors = Vec::new();
        invalid(&mut errors, "key", &key, names::label_key(&key));
        let count_error = match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                Some("for 'in', 'notin' operators, values set can't be empty")
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
                Some("exact-match compatibility requires one single value")
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                Some("values set must be empty for exists and does not exist")
            }
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
                Some("for 'Gt', 'Lt' operators, exactly one value is required")
            }
            _ => None,
        };
        if let Some(message) = count_error {
            errors.push(format!("values: Invalid value: {}: {message}", Value::from(values.as_slice())));
        }
        let mut bound = 0;
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
            for (index, value) in values.iter().enumerate() {
                match parse_int(value) {
                    Some(number) => bound = number,
                    None => errors.push(format!(
                        "values[{index}]: Invalid value: {}: for 'Gt', 'Lt' operators, the value must be an integer",
                        go_quote(value)
                    )),
                }
            }
        }
        for (index, value) in values.iter().enumerate() {
            invalid(&mut errors, &format!("values[{index}][{key}]"), value, names::label_value(value));
        }
        match errors.len() {
            0 => {
                values.sort_unstable();
                Ok(Requirement { key, operator, values, bound })
            }
            1 => Err(errors.remove(0)),
            _ => Err(format!("[{}]", errors.join(", "))),
        }
    }

    /// The label that is looked at.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The relation that must hold.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// The values on the right-hand side; none for `Exists` and `DoesNotExist`.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether the condition holds for an object's value of the label, `None` if it has none.
    pub fn matches_value(&self, actual: Option<&str>) -> bool {
        let Some(actual) = actual else {
            return matches!(self.operator, Operator::NotIn | Operator::NotEquals | Operator::DoesNotExist);
        };
        match self.operator {
            Operator::Exists => true,
            Operator::DoesNotExist => false,
            Operator::In | Operator::Equals | Operator::DoubleEquals => self.has(actual),
            Operator::NotIn | Operator::NotEquals => !self.has(actual),
            Operator::GreaterThan => parse_int(actual).is_some_and(|number| number > self.bound),
            Operator::LessThan => parse_int(actual).is_some_and(|number| number < self.bound),
        }
    }

    fn has(&self, actual: &str) -> bool {
        if self.values.len() <= WALK_MAX {
            return self.values.iter().any(|value| value == actual);
        }
        self.values.binary_search_by(|value| value.as_str().cmp(actual)).is_ok()
    }
}

impl Selector {
    /// Reads a selector such as `app=web,tier in (a,b),!old`. The empty text selects everything.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parser::parse(text).map(Selector::from_requirements)
    }

    /// The conjunction of `requirements`; everything if there are none.
    pub fn from_requirements(mut requirements: Vec<Requirement>) -> Self {
        if requirements.is_empty() {
            return Selector::Everything;
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Selector::All(requirements.into_boxed_slice())
    }

    /// A `metav1.LabelSelector` in JSON. `null` selects nothing, `{}` everything.
    pub fn from_label_selector(json: &Value) -> Result<Self, SelectorError> {
        let object = match json {
            Value::Null => return Ok(Selector::Nothing),
            Value::Object(object) => object,
            _ => return Err(SelectorError::Shape("a label selector must be an object")),
        };
        let mut requirements = Vec::new();
        match object.get("matchLabels") {
            None | Some(Value::Null) => {}
            Some(Value::Object(labels)) => {
                for (key, value) in labels {
                    let value = value.as_str().ok_or(SelectorError::Shape("matchLabels values must be strings"))?;
                    let requirement = Requirement::new(key.as_str(), Operator::Equals, vec![value.to_owned()]);
                    requirements.push(requirement.map_err(SelectorError::Invalid)?);
                }
            }
            Some(_) => return Err(SelectorError::Shape("matchLabels must be an object")),
        }
        match object.get("matchExpressions") {
            None | Some(Value::Null) => {}
            Some(Value::Array(expressions)) => {
                for expression in expressions {
                    requirements.push(expression_requirement(expression)?);
                }
            }
            Some(_) => return Err(SelectorError::Shape("matchExpressions must be a list")),
        }
        Ok(Selector::from_requirements(requirements))
    }

    /// The conditions, all of which must hold. Empty for [`Selector::Everything`] and for [`Selector::Nothing`].
    pub fn requirements(&self) -> &[Requirement] {
        match self {
            Selector::All(requirements) => requirements,
            Selector::Everything | Selector::Nothing => &[],
        }
    }

    /// Whether this selects every object.
    pub fn is_everything(&self) -> bool {
        matches!(self, Selector::Everything)
    }

    /// Whether an object with these labels is meant.
    pub fn matches<L: Labels + ?Sized>(&self, labels: &L) -> bool {
        match self {
            Selector::Everything => true,
            Selector::Nothing => false,
            Selector::All(requirements) => {
                requirements.iter().all(|requirement| requirement.matches_value(labels.get(&requirement.key)))
            }
        }
    }

    /// The one value that `key` must have, if the selector demands one: what an index can be asked for.
    pub fn requires_exact_match(&self, key: &str) -> Option<&str> {
        let requirement = self.requirements().iter().find(|requirement| requirement.key == key)?;
        match (requirement.operator, requirement.values.as_slice()) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, between, after) = match self.operator {
            Operator::Equals => ("", "=", ""),
            Operator::DoubleEquals => ("", "==", ""),
            Operator::NotEquals => ("", "!=", ""),
            Operator::In => ("", " in (", ")"),
            Operator::NotIn => ("", " notin (", ")"),
            Operator::GreaterThan => ("", ">", ""),
            Operator::LessThan => ("", "<", ""),
            Operator::Exists => ("", "", ""),
            Operator::DoesNotExist => ("!", "", ""),
        };
        write!(f, "{before}{}{between}{}{after}", self.key, self.values.join(","))
    }
}

/// The canonical text: requirements by key, values sorted. Both `Everything` and `Nothing` print as the empty text.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements().iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{requirement}")?;
        }
        Ok(())
    }
}

/// Pairs sorted by key, as the cache keeps them. Short slices are walked, long ones searched.
impl<K: AsRef<str>, V: AsRef<str>> Labels for [(K, V)] {
    fn get(&self, key: &str) -> Option<&str> {
        if self.len() <= WALK_MAX {
            return self.iter().find(|(k, _)| k.as_ref() == key).map(|(_, v)| v.as_ref());
        }
        let index = self.binary_search_by(|(k, _)| k.as_ref().cmp(key)).ok()?;
        Some(self[index].1.as_ref())
    }
}

impl Labels for serde_json::Map<String, Value> {
    fn get(&self, key: &str) -> Option<&str> {
        serde_json::Map::get(self, key)?.as_str()
    }
}

/// `metadata.labels` of an object; anything but an object has no labels.
impl Labels for Value {
    fn get(&self, key: &str) -> Option<&str> {
        self.as_object()?.get(key)?.as_str()
    }
}

impl Labels for BTreeMap<String, String> {
    fn get(&self, key: &str) -> Option<&str> {
        BTreeMap::get(self, key).map(String::as_str)
    }
}

impl Labels for HashMap<String, String> {
    fn get(&self, key: &str) -> Option<&str> {
        HashMap::get(self, key).map(String::as_str)
    }
}

/// One entry of `matchExpressions`.
fn expression_requirement(json: &Value) -> Result<Requirement, SelectorError> {
    let object = json.as_object().ok_or(SelectorError::Shape("a match expression must be an object"))?;
    let text = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let operator = match text("operator") {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        other => return Err(SelectorError::Operator(other.to_owned())),
    };
    let values = match object.get("values") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(values)) => values
            .iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .ok_or(SelectorError::Shape("values of a match expression must be strings"))?,
        Some(_) => return Err(SelectorError::Shape("values of a match expression must be a list")),
    };
    Requirement::new(text("key"), operator, values).map_err(SelectorError::Invalid)
}

/// Appends one error for `value` at `path`, if there are complaints.
fn invalid(errors: &mut Vec<String>, path: &str, value: &str, complaints: Vec<String>) {
    if !complaints.is_empty() {
        errors.push(format!("{path}: Invalid value: {}: {}", go_quote(value), complaints.join("; ")));
    }
}

/// As Go's `strconv.ParseInt(s, 10, 64)`.
fn parse_int(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// A string as Go's `%q` prints it: printable characters stay, others are escaped.
fn go_quote(text: &str) -> String {
    crate::patch::gofmt::quote(text)
}

#[cfg(test)]
mod tests;
