//! Hooks: the pure functions of a kind. No clock, no I/O, no randomness: what they need arrives in [`Context`].
//!
//! The verbs call them through the methods of [`Kind`](crate::kind::Kind), which add what all kinds have in common
//! (metadata, status, generation), in the order of kube-apiserver's registry: `default` (after decoding and on reads
//! from storage), `prepare_*`, mutating admission, `validate_*`, validating admission, store.

use std::borrow::Cow;

use serde_json::Value;

use crate::descriptions;
use crate::field::Errors;
use crate::metadata::Pass;

/// What a hook may know about the request, besides the objects.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// `""` for the main resource, else the subresource that is written (`"status"`, `"finalize"`…).
    pub subresource: &'a str,
    /// The requesting user's name, for kinds that record it (CertificateSigningRequest).
    pub user: &'a str,
    pub groups: &'a [String],
    pub uid: &'a str,
    /// RFC 3339 seconds, UTC.
    pub now: &'a str,
}

/// One column of a Table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    /// `string`, `integer`, `number`, `boolean`, `date`
    pub kind: &'static str,
    /// `name` for the name column, else usually empty.
    pub format: &'static str,
    pub doc: Doc,
    /// 0 is shown always, 1 with `-o wide`.
    pub priority: i32,
}

/// Where the description of a column comes from. Read it with [`Column::description`].
#[derive(Clone, Copy, Debug)]
pub enum Doc {
    /// A text of the printer's own.
    Text(&'static str),
    /// The description of a field of a published type: `("io.k8s.api.core.v1.ServiceSpec", "type")`.
    Field(&'static str, &'static str),
}

impl Column {
    /// The text that a Table's `columnDefinitions` carry.
    pub fn description(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self.doc {
            Doc::Text(text) => text,
            Doc::Field(definition, field) => descriptions::of(definition, field),
        })
    }
}

/// How a kind prints itself as a Table.
#[derive(Clone, Copy)]
pub struct TablePrinter {
    pub columns: &'static [Column],
    /// The cells of one object, in column order. `now_unix`: seconds, for ages.
    pub cells: fn(object: &Value, now_unix: i64) -> Vec<Value>,
    /// The `conditions` of a row (finished Pods have one).
    pub conditions: Option<fn(object: &Value) -> Option<Value>>,
}

impl TablePrinter {
    /// A printer without row conditions.
    pub const fn new(columns: &'static [Column], cells: fn(&Value, i64) -> Vec<Value>) -> TablePrinter {
        TablePrinter { columns, cells, conditions: None }
    }
}

/// Texts for `Warning:` headers about `(new, old)`.
pub type WarningsHook = fn(&Value, Option<&Value>) -> Vec<String>;

/// The hooks of one kind; `None` means that there is nothing to do.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// Fills in defaults. Idempotent. Applied to requests and to objects read from storage.
    pub default: Option<fn(&mut Value)>,
    /// Clears what a client may not set at creation (status, for most kinds) and sets what the server sets.
    pub prepare_create: Option<fn(&mut Value, &Context)>,
    /// Carries over from `old` what this request may not change. Called for subresources too (`Context::subresource`).
    pub prepare_update: Option<fn(&mut Value, &Value, &Context)>,
    /// The status in a create request is kept (Node).
    pub keeps_status: bool,
    /// `metadata.generation` of a new object; 0: it is unset until the first change.
    pub first_generation: i64,
    /// Whether `metadata.generation` must grow, `(new, old)`; `None`: if `spec` differs. Only asked where the row says
    /// `generation`.
    pub desired_state_changed: Option<fn(&Value, &Value) -> bool>,
    pub validate_create: Option<fn(&Value, &Context) -> Errors>,
    /// `(new, old)`
    pub validate_update: Option<fn(&Value, &Value, &Context) -> Errors>,
    /// From the stored version to this one (HPA v2 to v1, core Event to events.k8s.io), in place.
    pub from_storage: Option<fn(&mut Value)>,
    /// From this version to the stored one, in place. Objects are validated in their own version, before this.
    pub to_storage: Option<fn(&mut Value)>,
    /// How the kind's own rules look at the metadata of a changed object, after those that hold for all kinds.
    pub update_metadata: &'static [Pass],
    /// Texts of `Warning:` headers. `(new, old)`
    pub warnings: Option<WarningsHook>,
    pub table: Option<TablePrinter>,
    /// Which names are legal, as a function from the name (and whether it is a generateName prefix) to complaints.
    pub name: fn(&str, bool) -> Vec<String>,
}

impl Hooks {
    /// No hook; names are DNS subdomains.
    pub const NONE: Hooks = Hooks {
        default: None,
        prepare_create: None,
        prepare_update: None,
        keeps_status: false,
        first_generation: 1,
        desired_state_changed: None,
        validate_create: None,
        validate_update: None,
        from_storage: None,
        to_storage: None,
        update_metadata: &[Pass::Update],
        warnings: None,
        table: None,
        name: crate::field::name_is_dns_subdomain,
    };
}
