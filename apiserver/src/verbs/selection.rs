//! Which objects a list, a watch or a collection delete means: namespace, name, label and field selectors.

use std::sync::Arc;

use kuorum_cache::watch::{Filter, Scope};
use kuorum_cache::{Labels, Object, Resource};
use kuorum_kinds::kind::Kind;
use kuorum_schema::selector::{self, FieldSelector, Selector};
use serde_json::Value;

use crate::app::Call;
use crate::request::options::ListOptions;
use crate::status::ApiError;

/// A parsed selection of objects of one resource.
pub struct Selection {
    /// What the cache's index can answer.
    pub scope: Scope,
    /// What must be tested beside it; `None`: nothing.
    pub filter: Option<Filter>,
    /// Whether the client named no selector: a partial list can then say how many objects remain.
    pub everything: bool,
}

impl Selection {
    /// Reads the selectors of a request; 400 for bad ones and for fields that the kind does not know.
    pub fn parse(call: &Call<'_>, resource: &Resource, options: &ListOptions) -> Result<Self, ApiError> {
        let labels = Selector::parse(&options.label_selector).map_err(|e| ApiError::bad_request(e.to_string()))?;
        let fields = FieldSelector::parse(&options.field_selector).map_err(|e| ApiError::bad_request(e.to_string()))?;
        for term in fields.terms() {
            check_field(call.kind, &term.field)?;
        }
        let mut scope = Scope::default();
        let namespaced = resource.spec().namespaced;
        if namespaced && !call.info.namespace.is_empty() {
            scope.namespace = Some(call.info.namespace.to_owned());
        }
        if !call.info.name.is_empty() {
            scope.name = Some(call.info.name.to_owned());
        }
        let mut rest = Vec::new();
        for term in fields.terms() {
            let indexed = term.equal && index_term(&mut scope, resource, namespaced, &term.field, &term.value);
            if !indexed {
                rest.push(Condition {
                    field: FieldOf::find(call.kind, resource, &term.field),
                    value: term.value.clone(),
                    equal: term.equal,
                });
            }
        }
        let everything = labels.is_everything() && fields.is_everything();
        let filter = (!labels.is_everything() || !rest.is_empty()).then(|| -> Filter {
            let labels = (!labels.is_everything()).then_some(labels);
            Arc::new(move |object: &Object| {
                labels.as_ref().is_none_or(|labels| labels.matches(&LabelView(object.labels())))
                    && rest.iter().all(|condition| condition.holds(object))
            })
        });
        Ok(Selection { scope, filter, everything })
    }

    /// The selection of objects that are known to be in the scope's namespace and to have its name.
    pub fn within_walk(mut self) -> Self {
        self.scope.namespace = None;
        self.scope.name = None;
        self
    }

    pub fn matches(&self, object: &Object) -> bool {
        self.scope.matches(object) && self.filter.as_ref().is_none_or(|filter| filter(object))
    }
}

/// Moves an equality into the scope, if there is an index for it and no other value is demanded there.
fn index_term(scope: &mut Scope, resource: &Resource, namespaced: bool, field: &str, value: &str) -> bool {
    let slot = match field {
        "metadata.name" => &mut scope.name,
        "metadata.namespace" if namespaced => &mut scope.namespace,
        _ => {
            let Some(index) = resource.field_index(field).filter(|_| scope.field.is_none()) else { return false };
            scope.field = Some((index, value.to_owned()));
            return true;
        }
    };
    match slot {
        Some(already) => already == value,
        None => {
            *slot = Some(value.to_owned());
            true
        }
    }
}

/// 400 in the words of the real server, which has its own for kinds with selectable fields.
fn check_field(kind: &Kind, field: &str) -> Result<(), ApiError> {
    let known = matches!(field, "metadata.name" | "metadata.namespace");
    if known || kind.row.fields.iter().any(|known| known.name == field) {
        return Ok(());
    }
    Err(ApiError::bad_request(if kind.row.fields.is_empty() {
        format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        (kind.row.unknown_field)(field)
    }))
}

/// A field condition that no index answers.
struct Condition {
    field: FieldOf,
    value: String,
    equal: bool,
}

impl Condition {
    fn holds(&self, object: &Object) -> bool {
        let equal = match &self.field {
            FieldOf::Name => object.name() == self.value,
            FieldOf::Namespace => object.namespace() == self.value,
            FieldOf::Index(index) => object.field(*index) == self.value,
            FieldOf::Served(read) => {
                let Ok(value) = serde_json::from_slice::<Value>(object.json()) else { return false };
                read(value) == self.value
            }
        };
        equal == self.equal
    }
}

/// Where a field's value is.
enum FieldOf {
    Name,
    Namespace,
    /// Of the cache.
    Index(usize),
    /// Only the served version has it (`regarding.kind` of events.k8s.io): the object is converted.
    Served(Box<dyn Fn(Value) -> String + Send + Sync>),
}

impl FieldOf {
    fn find(kind: &Arc<Kind>, resource: &Resource, field: &str) -> Self {
        match (field, resource.field_index(field)) {
            ("metadata.name", _) => FieldOf::Name,
            ("metadata.namespace", _) => FieldOf::Namespace,
            (_, Some(index)) => FieldOf::Index(index),
            (_, None) => {
                let read = kind.row.fields.iter().find(|known| known.name == field).map(|known| known.value);
                let kind = kind.clone();
                FieldOf::Served(Box::new(move |mut object| {
                    kind.from_storage(&mut object);
                    read.map(|read| read(&object)).unwrap_or_default()
                }))
            }
        }
    }
}

/// The cache's labels as selectors see them.
struct LabelView<'a>(&'a Labels);

impl selector::Labels for LabelView<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)
    }
}
