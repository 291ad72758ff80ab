//! What is asked of an authorizer.

use std::borrow::Cow;

use kuorum_schema::selector;

use crate::user::User;

/// One question: may this user do this? Borrows from the request.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    pub user: &'a User,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or a verb of its own (`bind`,
    /// `impersonate`); for other paths the lower-case method.
    pub verb: &'a str,
    /// Whether a resource is asked for; else only `path` and `verb` count.
    pub is_resource: bool,
    pub group: &'a str,
    pub version: &'a str,
    /// Plural.
    pub resource: &'a str,
    pub subresource: &'a str,
    /// Empty for cluster-scoped resources and for all namespaces.
    pub namespace: &'a str,
    /// Empty for collections and creates.
    pub name: &'a str,
    /// The path of a request that is for no resource.
    pub path: &'a str,
    pub fields: Selector<'a>,
    pub labels: Selector<'a>,
}

impl<'a> Attributes<'a> {
    /// A question about a path.
    pub fn of_path(user: &'a User, verb: &'a str, path: &'a str) -> Self {
        Attributes { path, is_resource: false, ..Attributes::of_resource(user, verb, "", "") }
    }

    /// A question about all objects of a resource; narrow it with struct update syntax.
    pub fn of_resource(user: &'a User, verb: &'a str, group: &'a str, resource: &'a str) -> Self {
        Attributes {
            user,
            verb,
            is_resource: true,
            group,
            version: "",
            resource,
            subresource: "",
            namespace: "",
            name: "",
            path: "",
            fields: Selector::None,
            labels: Selector::None,
        }
    }
}

/// A selector that narrows a list, a watch or a deletecollection.
#[derive(Clone, Copy, Debug, Default)]
pub enum Selector<'a> {
    #[default]
    None,
    /// As it stands in the query; read only by authorizers that look at it.
    Raw(&'a str),
    /// Read already, as reviews carry them.
    Parsed(&'a [Requirement]),
}

/// One requirement of a selector. What cannot be said with these operators is left out: selectors only narrow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    pub values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Operator {
    /// As reviews spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Operator::In => "In",
            Operator::NotIn => "NotIn",
            Operator::Exists => "Exists",
            Operator::DoesNotExist => "DoesNotExist",
        }
    }
}

impl<'a> Selector<'a> {
    /// The requirements of a field selector; none of one that cannot be read.
    pub fn field_requirements(&self) -> Cow<'a, [Requirement]> {
        match self {
            Selector::None => Cow::Borrowed(&[]),
            Selector::Parsed(requirements) => Cow::Borrowed(requirements),
            Selector::Raw(text) => Cow::Owned(read_fields(text)),
        }
    }

    /// The requirements of a label selector; none of one that cannot be read.
    pub fn label_requirements(&self) -> Cow<'a, [Requirement]> {
        match self {
            Selector::None => Cow::Borrowed(&[]),
            Selector::Parsed(requirements) => Cow::Borrowed(requirements),
            Selector::Raw(text) => Cow::Owned(read_labels(text)),
        }
    }

    /// Whether a field selector selects only objects whose `field` is `value`.
    pub fn requires_field(&self, field: &str, value: &str) -> bool {
        self.field_requirements()
            .iter()
            .any(|r| r.operator == Operator::In && r.key == field && matches!(&r.values[..], [one] if one == value))
    }
}

/// The requirements of a field selector in text form.
pub fn read_fields(text: &str) -> Vec<Requirement> {
    let terms = selector::FieldSelector::parse(text);
    let terms = terms.as_ref().map(|s| s.terms()).unwrap_or_default();
    let requirement = |t: &selector::field::Term| Requirement {
        key: t.field.clone(),
        operator: if t.equal { Operator::In } else { Operator::NotIn },
        values: vec![t.value.clone()],
    };
    terms.iter().map(requirement).collect()
}

/// The requirements of a label selector in text form, but for comparisons of numbers.
pub fn read_labels(text: &str) -> Vec<Requirement> {
    let parsed = selector::Selector::parse(text);
    let requirements = parsed.as_ref().map(|s| s.requirements()).unwrap_or_default();
    let requirement = |r: &selector::Requirement| {
        let operator = match r.operator() {
            selector::Operator::In | selector::Operator::Equals | selector::Operator::DoubleEquals => Operator::In,
            selector::Operator::NotIn | selector::Operator::NotEquals => Operator::NotIn,
            selector::Operator::Exists => Operator::Exists,
            selector::Operator::DoesNotExist => Operator::DoesNotExist,
            _ => return None,
        };
        Some(Requirement { key: r.key().to_owned(), operator, values: r.values().to_vec() })
    };
    requirements.iter().filter_map(requirement).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_when_asked() {
        let fields = Selector::Raw("spec.nodeName=n1,status.phase!=Failed");
        assert!(fields.requires_field("spec.nodeName", "n1"));
        assert!(!fields.requires_field("spec.nodeName", "n2"));
        assert!(!fields.requires_field("status.phase", "Failed"));
        assert!(!Selector::Raw("spec.nodeName=n1,,=,").requires_field("x", ""));
        let labels = Selector::Raw("a in (b,c),!d,e").label_requirements().into_owned();
        let shown: Vec<String> =
            labels.iter().map(|r| format!("{} {} {:?}", r.key, r.operator.as_str(), r.values)).collect();
        assert_eq!(shown, ["a In [\"b\", \"c\"]", "d DoesNotExist []", "e Exists []"]);
        assert!(Selector::Raw("a in (").label_requirements().is_empty());
    }
}
