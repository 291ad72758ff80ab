//! CEL expressions of configuration files: claim mappings, validation rules, match conditions.
//!
//! The language is evaluated by the crate `cel`; here are its limits, the string functions that Kubernetes adds, and
//! values as JSON. The optional syntax (`claims.?name.orValue("")`) is on, as in Kubernetes.

use std::sync::Arc;

use cel::context::VariableResolver;
use cel::extractors::This;
use cel::parser::Parser;
use cel::{Context, ExecutionError, IdedExpr};
use serde_json::Value;

/// Longer expressions are refused.
const EXPRESSION_BYTES_MAX: usize = 16 * 1024;
/// Longest text that a function may make.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CelError {
    /// The expression is wrong, whatever the variables.
    #[error("compilation failed: {0}")]
    Compile(String),
    /// It has no value for these variables.
    #[error("{0}")]
    Evaluate(String),
}

/// A compiled expression. May be shared between threads.
pub struct Program {
    source: String,
    expression: IdedExpr,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Program").field(&self.source).finish()
    }
}

/// Variables by name.
pub struct Variables<'a>(Vec<(&'a str, cel::Value)>);

impl<'a> Variables<'a> {
    pub fn new() -> Self {
        Variables(Vec::new())
    }

    pub fn with(mut self, name: &'a str, value: &Value) -> Self {
        self.0.push((name, from_json(value)));
        self
    }
}

impl Default for Variables<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl VariableResolver for Variables<'_> {
    fn resolve(&self, variable: &str) -> Option<cel::Value> {
        self.0.iter().find(|(name, _)| *name == variable).map(|(_, value)| value.clone())
    }
}

impl Program {
    /// Compiles an expression that may use the variables `known`.
    pub fn compile(source: &str, known: &[&str]) -> Result<Self, CelError> {
        let refuse = |why: String| Err(CelError::Compile(why));
        if source.len() > EXPRESSION_BYTES_MAX {
            return refuse(format!("longer than {EXPRESSION_BYTES_MAX} bytes"));
        }
        let expression = Parser::default()
            .enable_optional_syntax(true)
            .parse(source)
            .map_err(|e| CelError::Compile(e.to_string().trim_end().to_owned()))?;
        let unknown = {
            let references = expression.references();
            let bound = bound_names(source);
            let mut names: Vec<&str> = references
                .variables()
                .into_iter()
                .filter(|v| !known.contains(v) && !TYPE_NAMES.contains(v) && !bound.iter().any(|b| b == v))
                .collect();
            names.sort_unstable();
            names.first().map(|name| (*name).to_owned())
        };
        match unknown {
            Some(name) => refuse(format!("undeclared reference to '{name}' (in container '')")),
            None => Ok(Program { source: source.to_owned(), expression }),
        }
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// The value, as JSON.
    pub fn evaluate(&self, variables: &Variables<'_>) -> Result<Value, CelError> {
        let mut context = Context::default();
        add_functions(&mut context);
        context.set_variable_resolver(variables);
        let value = context.resolve(&self.expression).map_err(|e| CelError::Evaluate(text_of(&e)))?;
        to_json(&value).ok_or_else(|| CelError::Evaluate("the result is not a JSON value".to_owned()))
    }

    /// The value of a condition.
    pub fn evaluate_bool(&self, variables: &Variables<'_>) -> Result<bool, CelError> {
        match self.evaluate(variables)? {
            Value::Bool(value) => Ok(value),
            _ => Err(CelError::Evaluate("must evaluate to bool".to_owned())),
        }
    }
}

/// Names that CEL gives to types; they are values too.
const TYPE_NAMES: [&str; 11] =
    ["bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "type", "uint"];

/// The iteration variables of macros (`.all(x, …)`): the parser's references do not tell them from free names.
fn bound_names(source: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (at, _) in source.match_indices('(') {
        let method = source[..at].rsplit('.').next().unwrap_or_default();
        if !matches!(method.trim(), "all" | "exists" | "exists_one" | "map" | "filter" | "optMap" | "optFlatMap") {
            continue;
        }
        let rest = source[at + 1..].trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if rest[end..].trim_start().starts_with(',') {
            names.push(&rest[..end]);
        }
    }
    names
}

/// The texts that users of cel-go know.
fn text_of(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::NoSuchOverload => "no such overload".to_owned(),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::Overflow(..) => "integer overflow".to_owned(),
        ExecutionError::IndexOutOfBounds(index) => match index {
            cel::Value::Int(index) => format!("index out of bounds: {index}"),
            _ => "index out of bounds".to_owned(),
        },
        ExecutionError::UndeclaredReference(name) => format!("undeclared reference to '{name}'"),
        ExecutionError::FunctionError { function, message } => format!("{function}: {message}"),
        // The others print values, which may be claims of a token.
        _ => "no such overload".to_owned(),
    }
}

fn from_json(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(b) => cel::Value::Bool(*b),
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => cel::Value::Int(i),
            (None, Some(u)) => cel::Value::UInt(u),
            (None, None) => cel::Value::Float(n.as_f64().unwrap_or_default()),
        },
        Value::String(s) => cel::Value::String(Arc::new(s.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(from_json).collect())),
        Value::Object(map) => {
            let entries: std::collections::HashMap<String, cel::Value> =
                map.iter().map(|(k, v)| (k.clone(), from_json(v))).collect();
            cel::Value::from(entries)
        }
    }
}

fn to_json(value: &cel::Value) -> Option<Value> {
    Some(match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(b) => Value::Bool(*b),
        cel::Value::Int(i) => (*i).into(),
        cel::Value::UInt(u) => (*u).into(),
        cel::Value::Float(f) => serde_json::Number::from_f64(*f).map(Value::Number)?,
        cel::Value::String(s) => Value::String(s.as_str().to_owned()),
        cel::Value::List(items) => Value::Array(items.iter().map(to_json).collect::<Option<_>>()?),
        cel::Value::Map(map) => {
            let entry = |(k, v): (&cel::objects::Key, &cel::Value)| match k {
                cel::objects::Key::String(k) => Some((k.as_str().to_owned(), to_json(v)?)),
                _ => None,
            };
            Value::Object(map.map.iter().map(entry).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

type Text = Arc<String>;

fn list(items: impl Iterator<Item = String>) -> Result<cel::Value, ExecutionError> {
    Ok(cel::Value::List(Arc::new(items.map(cel::Value::from).collect())))
}

fn texts(list: &cel::Value, function: &'static str) -> Result<Vec<Text>, ExecutionError> {
    let wrong = || ExecutionError::function_error(function, "no such overload");
    let cel::Value::List(items) = list else { return Err(wrong()) };
    items.iter().map(|i| if let cel::Value::String(s) = i { Ok(s.clone()) } else { Err(wrong()) }).collect()
}

/// The string functions of Kubernetes' CEL that `cel` lacks.
fn add_functions(context: &mut Context<'_>) {
    context.add_function("lowerAscii", |This(s): This<Text>| s.to_ascii_lowercase());
    context.add_function("upperAscii", |This(s): This<Text>| s.to_ascii_uppercase());
    context.add_function("trim", |This(s): This<Text>| s.trim().to_owned());
    context.add_function("reverse", |This(s): This<Text>| s.chars().rev().collect::<String>());
    context.add_function("split", |This(s): This<Text>, separator: Text| {
        if separator.is_empty() {
            return list(s.chars().map(|c| c.to_string()));
        }
        list(s.split(separator.as_str()).map(str::to_owned))
    });
    context.add_function("replace", |This(s): This<Text>, from: Text, to: Text| {
        let times = s.matches(from.as_str()).count();
        if s.len().saturating_add(times.saturating_mul(to.len())) > TEXT_BYTES_MAX {
            return Err(ExecutionError::function_error("replace", "the result is too long"));
        }
        Ok(cel::Value::from(s.replace(from.as_str(), &to)))
    });
    context.add_function("indexOf", |This(s): This<Text>, part: Text| match s.find(part.as_str()) {
        Some(at) => s[..at].chars().count() as i64,
        None => -1,
    });
    context.add_function("lastIndexOf", |This(s): This<Text>, part: Text| match s.rfind(part.as_str()) {
        Some(at) => s[..at].chars().count() as i64,
        None => -1,
    });
    context.add_function("charAt", |This(s): This<Text>, at: i64| {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        match s.chars().nth(at) {
            Some(c) => Ok(cel::Value::from(c.to_string())),
            None if at == s.chars().count() => Ok(cel::Value::from(String::new())),
            None => Err(ExecutionError::function_error("charAt", "index out of range")),
        }
    });
    context.add_function("substring", |This(s): This<Text>, cel::extractors::Arguments(args)| {
        let wrong = || ExecutionError::function_error("substring", "index out of range");
        let mut bounds = args.iter().map(|a| match a {
            cel::Value::Int(i) => usize::try_from(*i).map_err(|_| wrong()),
            _ => Err(wrong()),
        });
        let start = bounds.next().unwrap_or(Ok(0))?;
        let length = s.chars().count();
        let end = bounds.next().unwrap_or(Ok(length))?;
        if start > end || end > length {
            return Err(wrong());
        }
        Ok(cel::Value::from(s.chars().skip(start).take(end - start).collect::<String>()))
    });
    context.add_function("join", |This(items): This<cel::Value>, cel::extractors::Arguments(args)| {
        let separator = match args.first() {
            Some(cel::Value::String(s)) => s.as_str().to_owned(),
            _ => String::new(),
        };
        let parts: Vec<Text> = texts(&items, "join")?;
        let parts: Vec<&str> = parts.iter().map(|p| p.as_str()).collect();
        Ok(cel::Value::from(parts.join(&separator)))
    });
    context.add_function("dyn", |value: cel::Value| Ok(value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn evaluate(source: &str) -> Result<Value, CelError> {
        let claims = json!({
            "sub": "Alice,Bob", "exp": 2000, "nbf": 1000, "groups": ["a", "b"], "verified": true, "none": null,
            "nested": {"x": {"y": "z"}}, "huge": i64::MAX, "part": 0.5,
        });
        let variables = Variables::new().with("claims", &claims);
        Program::compile(source, &["claims"])?.evaluate(&variables)
    }

    #[test]
    fn expressions_of_the_field_are_evaluated() {
        for (source, wanted) in [
            ("claims.sub", json!("Alice,Bob")),
            ("'oidc:' + claims.sub", json!("oidc:Alice,Bob")),
            ("claims.exp - claims.nbf <= 86400", json!(true)),
            ("claims.sub.split(',')", json!(["Alice", "Bob"])),
            ("claims.sub.split(',').map(g, 'x:' + g.lowerAscii())", json!(["x:alice", "x:bob"])),
            ("claims.groups.join('-')", json!("a-b")),
            ("claims.?email.orValue('none')", json!("none")),
            ("claims.?nested.x.y.orValue('none')", json!("z")),
            ("claims.?groups.hasValue()", json!(true)),
            ("has(claims.email) && claims.email == 'x'", json!(false)),
            ("claims.verified == true", json!(true)),
            ("claims.groups.all(g, !g.startsWith('system:'))", json!(true)),
            ("claims.groups.exists(g, g == 'b')", json!(true)),
            ("claims.nested.x.y.matches('^z$')", json!(true)),
            ("claims.sub.replace(',', '.').indexOf('.')", json!(5)),
            ("claims.sub.substring(0, 5) + claims.sub.charAt(6)", json!("AliceB")),
            ("claims.part < 1.0", json!(true)),
            ("claims.nested", json!({"x": {"y": "z"}})),
            ("type(claims.sub) == string ? 'text' : 'other'", json!("text")),
            ("'a' in claims.groups", json!(true)),
        ] {
            assert_eq!(evaluate(source), Ok(wanted), "{source}");
        }
    }

    #[test]
    fn wrong_expressions_say_why() {
        let compile = |source: &str| Program::compile(source, &["claims"]).unwrap_err().to_string();
        assert!(
            compile("1 +").starts_with("compilation failed: ERROR: <input>:1:4: Syntax error"),
            "{}",
            compile("1 +")
        );
        assert_eq!(compile("user.name == 'x'"), "compilation failed: undeclared reference to 'user' (in container '')");
        compile(&format!("{}1{}", "(".repeat(1000), ")".repeat(1000)));
        assert!(compile(&"x".repeat(20_000)).contains("longer than"));
        let evaluate = |source: &str| evaluate(source).unwrap_err().to_string();
        assert_eq!(evaluate("claims.nope"), "no such key: nope");
        assert_eq!(evaluate("claims.huge + 1"), "integer overflow");
        assert_eq!(evaluate("claims.exp / 0"), "division by zero");
        assert!(!evaluate("claims.sub - 1").contains("Alice"), "claims must not be printed");
    }

    #[test]
    fn a_condition_is_a_bool() {
        let variables = Variables::new();
        assert_eq!(Program::compile("1 == 1", &[]).unwrap().evaluate_bool(&variables), Ok(true));
        assert!(Program::compile("1", &[]).unwrap().evaluate_bool(&variables).is_err());
    }
}
