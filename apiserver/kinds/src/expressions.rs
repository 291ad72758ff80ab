//! CEL expressions in objects: whether they can be read, name only what there is, and have a value of the right type.
//!
//! Types are inferred as far as literals and operators tell; what depends on an object is dynamic, and never refused.

use std::collections::HashMap;
use std::fmt;

use cel::common::ast::{Expr, IdedExpr, ListExpr, LiteralValue};
use cel::parser::Parser;

/// Longer expressions are refused unread.
const BYTES_MAX: usize = 64 * 1024;

/// A type, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Null,
    Map,
    /// The object that a policy describes, field by field.
    Object,
    List(Box<Type>),
    /// Known only when the expression has values to work on.
    Dynamic,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::Text => "string",
            Type::Bytes => "bytes",
            Type::Null => "null_type",
            Type::Map => "map",
            Type::Object => "Object",
            Type::List(item) => return write!(f, "list({item})"),
            Type::Dynamic => "dyn",
        })
    }
}

/// What an expression may name.
#[derive(Default)]
pub struct Scope<'a> {
    /// Variables of any type.
    pub names: &'a [&'a str],
    /// Variables of known types.
    pub typed: &'a [(&'a str, Type)],
    /// Fields of `variables`, where there is such a thing.
    pub variables: Option<&'a [(String, Type)]>,
}

/// The type of an expression's value, or what is wrong with it.
pub fn check(source: &str, scope: &Scope) -> Result<Type, String> {
    if source.len() > BYTES_MAX {
        return Err(format!("expression is longer than {BYTES_MAX} bytes"));
    }
    let parsed = Parser::default()
        .enable_optional_syntax(true)
        .parse(source)
        .map_err(|errors| format!("compilation failed: {}", errors.to_string().replace("\n| ", "\n | ")))?;
    let mut checker = Checker { source, scope, locals: HashMap::new() };
    checker.infer(&parsed).map_err(|error| format!("compilation failed: {error}"))
}

/// As [`check`], and the value has one of the types, if any are wanted.
pub fn check_type(source: &str, scope: &Scope, wanted: &[Type]) -> Result<Type, String> {
    let found = check(source, scope)?;
    if found == Type::Dynamic || wanted.is_empty() || wanted.contains(&found) {
        return Ok(found);
    }
    let shown = match wanted {
        [one] => one.to_string(),
        many => {
            let names: Vec<String> = many.iter().map(Type::to_string).collect();
            format!("one of [{}]", names.join(" "))
        }
    };
    Err(format!("must evaluate to {shown} but got {found}"))
}

/// Names that are there in every expression: types, and what functions hang on.
const GLOBALS: [&str; 22] = [
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "dyn",
    "google",
    "optional",
    "math",
    "sets",
    "cel",
    "format",
    "jsonpatch",
    "strings",
    "base64",
    "net",
    "kubernetes",
];

struct Checker<'a> {
    source: &'a str,
    scope: &'a Scope<'a>,
    /// Variables of the macros that the expression is in.
    locals: HashMap<String, Type>,
}

impl Checker<'_> {
    fn infer(&mut self, expression: &IdedExpr) -> Result<Type, String> {
        match &expression.expr {
            Expr::Unspecified => Ok(Type::Dynamic),
            Expr::Literal(literal) => Ok(match literal {
                LiteralValue::Boolean(_) => Type::Bool,
                LiteralValue::Bytes(_) => Type::Bytes,
                LiteralValue::Double(_) => Type::Double,
                LiteralValue::Int(_) => Type::Int,
                LiteralValue::Null => Type::Null,
                LiteralValue::String(_) => Type::Text,
                LiteralValue::UInt(_) => Type::Uint,
            }),
            Expr::Ident(name) => self.name(name),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let cel::common::ast::EntryExpr::MapEntry(entry) = &entry.expr {
                        self.infer(&entry.key)?;
                        self.infer(&entry.value)?;
                    }
                }
                Ok(Type::Map)
            }
            Expr::Struct(object) => {
                for entry in &object.entries {
                    if let cel::common::ast::EntryExpr::StructField(field) = &entry.expr {
                        self.infer(&field.value)?;
                    }
                }
                Ok(Type::Dynamic)
            }
            Expr::Select(select) => {
                if let (Expr::Ident(root), Some(known)) = (&select.operand.expr, self.scope.variables)
                    && root == "variables"
                    && !self.locals.contains_key("variables")
                {
                    let found = known.iter().find(|(name, _)| *name == select.field).map(|(_, kind)| kind.clone());
                    let kind = found.ok_or_else(|| self.undefined_field(&select.field))?;
                    return Ok(if select.test { Type::Bool } else { kind });
                }
                self.infer(&select.operand)?;
                Ok(if select.test { Type::Bool } else { Type::Dynamic })
            }
            Expr::Call(call) => {
                if let Some(target) = &call.target {
                    self.infer(target)?;
                }
                let mut kinds = Vec::with_capacity(call.args.len());
                for argument in &call.args {
                    kinds.push(self.infer(argument)?);
                }
                self.call(&call.func_name, call.target.is_some(), &kinds)
            }
            Expr::Comprehension(comprehension) => {
                let range = self.infer(&comprehension.iter_range)?;
                let item = match range {
                    Type::List(item) => *item,
                    _ => Type::Dynamic,
                };
                let start = self.infer(&comprehension.accu_init)?;
                let names =
                    [Some(&comprehension.iter_var), comprehension.iter_var2.as_ref(), Some(&comprehension.accu_var)];
                let kinds = [item, Type::Dynamic, start];
                let mut hidden = Vec::new();
                for (name, kind) in names.into_iter().zip(kinds) {
                    if let Some(name) = name {
                        hidden.push((name.clone(), self.locals.insert(name.clone(), kind)));
                    }
                }
                self.infer(&comprehension.loop_cond)?;
                let step = self.infer(&comprehension.loop_step)?;
                self.locals.insert(comprehension.accu_var.clone(), step);
                let result = self.infer(&comprehension.result);
                for (name, before) in hidden.into_iter().rev() {
                    match before {
                        Some(kind) => self.locals.insert(name, kind),
                        None => self.locals.remove(&name),
                    };
                }
                result
            }
        }
    }

    fn name(&self, name: &str) -> Result<Type, String> {
        if let Some(kind) = self.locals.get(name) {
            return Ok(kind.clone());
        }
        if let Some((_, kind)) = self.scope.typed.iter().find(|(known, _)| *known == name) {
            return Ok(kind.clone());
        }
        let known = self.scope.names.contains(&name)
            || (name == "variables" && self.scope.variables.is_some())
            || GLOBALS.contains(&name)
            || name.starts_with(['@', '_'])
            || name.chars().next().is_some_and(char::is_uppercase);
        if known {
            return Ok(Type::Dynamic);
        }
        let at = self.find(|before, word, _| word == name && !before.trim_end().ends_with('.'));
        Err(self.error(at, &format!("undeclared reference to '{name}' (in container '')")))
    }

    fn list(&mut self, list: &ListExpr) -> Result<Type, String> {
        let mut item: Option<Type> = None;
        for element in &list.elements {
            let kind = self.infer(element)?;
            item = Some(match item {
                None => kind,
                Some(known) if known == kind => known,
                Some(_) => Type::Dynamic,
            });
        }
        Ok(Type::List(Box::new(item.unwrap_or(Type::Dynamic))))
    }

    fn call(&self, function: &str, method: bool, kinds: &[Type]) -> Result<Type, String> {
        let dynamic = kinds.contains(&Type::Dynamic);
        match (function, kinds) {
            ("_&&_" | "_||_", [a, b]) if !dynamic && (*a != Type::Bool || *b != Type::Bool) => {
                Err(self.no_overload(function, kinds))
            }
            ("_&&_" | "_||_" | "!_" | "@not_strictly_false" | "@in", _) => Ok(Type::Bool),
            ("_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_", [a, b]) => {
                let comparable = dynamic
                    || a == b
                    || matches!((a, b), (Type::Null, _) | (_, Type::Null) | (Type::List(_), Type::List(_)));
                if comparable { Ok(Type::Bool) } else { Err(self.no_overload(function, kinds)) }
            }
            ("_+_", [Type::List(a), Type::List(b)]) => {
                Ok(Type::List(if **a == Type::Dynamic { b.clone() } else { a.clone() }))
            }
            ("_+_" | "_-_" | "_*_" | "_/_" | "_%_", [a, b]) if !dynamic => {
                if a == b {
                    Ok(a.clone())
                } else {
                    Err(self.no_overload(function, kinds))
                }
            }
            ("-_", [kind]) => Ok(kind.clone()),
            ("_?_:_", [_, yes, no]) => Ok(if yes == no { yes.clone() } else { Type::Dynamic }),
            ("int", [_]) => Ok(Type::Int),
            ("uint", [_]) => Ok(Type::Uint),
            ("double", [_]) => Ok(Type::Double),
            ("string", [_]) => Ok(Type::Text),
            ("bool", [_]) => Ok(Type::Bool),
            ("size", _) => Ok(Type::Int),
            ("startsWith" | "endsWith" | "contains" | "matches" | "has" | "isSorted", _) if method => Ok(Type::Bool),
            _ if FUNCTIONS.contains(&function) || !function.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                Ok(Type::Dynamic)
            }
            _ => {
                // kube-apiserver points at the parenthesis.
                let at = self.find(|_, word, after| word == function && after.trim_start().starts_with('('));
                let at = at.map(|at| at + function.len());
                Err(self.error(at, &format!("undeclared reference to '{function}' (in container '')")))
            }
        }
    }

    fn no_overload(&self, function: &str, kinds: &[Type]) -> String {
        let operator = function.trim_matches('_');
        let names: Vec<String> = kinds.iter().map(Type::to_string).collect();
        let at = self.source.find(operator);
        let text = format!("found no matching overload for '{function}' applied to '({})'", names.join(", "));
        self.error(at, &text)
    }

    fn undefined_field(&self, field: &str) -> String {
        let at = self.find(|before, word, _| word == field && before.trim_end().ends_with("variables."));
        // kube-apiserver points at the dot.
        self.error(at.map(|at| at.saturating_sub(1)), &format!("undefined field '{field}'"))
    }

    /// Where a word is for which `test` holds, given what is before and after it; not in quotes.
    fn find(&self, test: impl Fn(&str, &str, &str) -> bool) -> Option<usize> {
        let bytes = self.source.as_bytes();
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let mut at = 0;
        let mut quote = None;
        while at < bytes.len() {
            let byte = bytes[at];
            if let Some(open) = quote {
                at += if byte == b'\\' { 2 } else { 1 };
                if byte == open {
                    quote = None;
                }
            } else if byte == b'\'' || byte == b'"' {
                quote = Some(byte);
                at += 1;
            } else if is_word(byte) {
                let end = bytes[at..].iter().position(|b| !is_word(*b)).map_or(bytes.len(), |n| at + n);
                let (before, word, after) = (&self.source[..at], &self.source[at..end], &self.source[end..]);
                if test(before, word, after) {
                    return Some(at);
                }
                at = end;
            } else {
                at += 1;
            }
        }
        None
    }

    /// `ERROR: <input>:1:5: …` with the line and a mark under the place.
    fn error(&self, at: Option<usize>, text: &str) -> String {
        let at = at.unwrap_or(0).min(self.source.len());
        let before = self.source.get(..at).unwrap_or("");
        let line = before.matches('\n').count();
        let column = before.rsplit('\n').next().map_or(0, |start| start.chars().count());
        let shown = self.source.split('\n').nth(line).unwrap_or("");
        format!("ERROR: <input>:{}:{}: {text}\n | {shown}\n | {}^", line + 1, column + 1, ".".repeat(column))
    }
}

/// Functions of CEL and of Kubernetes' libraries whose results are not looked into.
const FUNCTIONS: &[&str] = &[
    "add",
    "allowed",
    "asApproximateFloat",
    "asInteger",
    "bind",
    "bytes",
    "charAt",
    "check",
    "cidr",
    "compareTo",
    "contains",
    "containsCIDR",
    "containsIP",
    "dateTime",
    "duration",
    "dyn",
    "endsWith",
    "equivalent",
    "error",
    "errored",
    "escapeKey",
    "exists",
    "existsOne",
    "family",
    "fieldSelector",
    "filter",
    "find",
    "findAll",
    "flatten",
    "format",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getEscapedPath",
    "getFullYear",
    "getHost",
    "getHostname",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getPort",
    "getQuery",
    "getScheme",
    "getSeconds",
    "group",
    "hasValue",
    "indexOf",
    "intersects",
    "ip",
    "isCIDR",
    "isCanonical",
    "isGlobalUnicast",
    "isGreaterThan",
    "isIP",
    "isInteger",
    "isLessThan",
    "isLinkLocalMulticast",
    "isLinkLocalUnicast",
    "isLoopback",
    "isQuantity",
    "isSemver",
    "isSorted",
    "isURL",
    "isUnspecified",
    "join",
    "labelSelector",
    "lastIndexOf",
    "lowerAscii",
    "major",
    "map",
    "masked",
    "matches",
    "max",
    "min",
    "minor",
    "name",
    "named",
    "namespace",
    "none",
    "of",
    "ofNonZeroValue",
    "or",
    "orValue",
    "optFlatMap",
    "optMap",
    "patch",
    "path",
    "prefixLength",
    "quantity",
    "quote",
    "reason",
    "replace",
    "requestResource",
    "resource",
    "reverse",
    "semver",
    "serviceAccount",
    "sign",
    "split",
    "startsWith",
    "sub",
    "subresource",
    "substring",
    "sum",
    "timestamp",
    "trim",
    "type",
    "upperAscii",
    "url",
    "validate",
    "value",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(source: &str, wanted: &[Type]) -> String {
        let variables = [("a".to_owned(), Type::Int)];
        let scope = Scope { names: &["object", "request"], variables: Some(&variables), ..Scope::default() };
        check_type(source, &scope, wanted).err().unwrap_or_default()
    }

    #[test]
    fn expressions_have_types() {
        for (source, shown) in [
            ("true", ""),
            ("object.spec.replicas > 3 && request.name != 'x'", ""),
            ("object.items.all(i, i.name.startsWith('a'))", ""),
            ("[1, 2].exists(x, x == 1)", ""),
            ("has(object.spec)", ""),
            ("object.x", ""),
            ("variables.a == 1", ""),
            ("string(variables.a) == 'x'", ""),
            ("1", "must evaluate to bool but got int"),
            ("'a' + 'b'", "must evaluate to bool but got string"),
            ("[1,2].map(x, x)", "must evaluate to bool but got list(int)"),
        ] {
            assert_eq!(problem(source, &[Type::Bool]), shown, "{source}");
        }
        assert_eq!(problem("1", &[Type::Text, Type::Null]), "must evaluate to one of [string null_type] but got int");
    }

    #[test]
    fn mistakes_are_pointed_at() {
        for (source, shown) in [
            ("1 +", "ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>'"),
            (
                "foo.bar == 1",
                "ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')\n | foo.bar == 1\n | ^",
            ),
            ("'foo' == foo", "ERROR: <input>:1:10: undeclared reference to 'foo'"),
            ("object.x.nope()", "ERROR: <input>:1:14: undeclared reference to 'nope' (in container '')"),
            ("variables.zz == 1", "ERROR: <input>:1:10: undefined field 'zz'\n | variables.zz == 1\n | .........^"),
            (
                "variables.a == 'x'",
                "ERROR: <input>:1:13: found no matching overload for '_==_' applied to '(int, string)'",
            ),
            ("has(object)", "ERROR: <input>:1:5: invalid argument to has() macro\n | has(object)\n | ....^"),
        ] {
            let problem = problem(source, &[Type::Bool]);
            let rest = problem.strip_prefix("compilation failed: ").unwrap_or(&problem);
            assert!(rest.starts_with(shown), "{source}: {problem}");
        }
    }

    #[test]
    fn any_text_is_answered() {
        for source in ["", "'", "\\", "\u{e9}", "((((((((((", "a.b.c.d[", "x?.y", "[?a]", "{1:2}[1]", "-", "é.f('"] {
            let _ = problem(source, &[Type::Bool]);
        }
        let deep = "(".repeat(2000) + "1" + &")".repeat(2000);
        let _ = problem(&deep, &[Type::Bool]);
    }
}
