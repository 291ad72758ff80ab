//! The runtime form of a kind, the same for built-ins and custom resources.

use std::sync::Arc;

use kuorum_schema::Schema;

use crate::row::KindRow;

/// What the verbs work with. Made from a [`KindRow`] and its schema (later also from a CRD).
pub struct Kind {
    pub row: KindRow,
    /// `""` for the core group.
    pub api_version: String,
    /// `<group>/<plural>` (`/registry/<this>/…`): the storage prefix of the stored version.
    pub storage_prefix: String,
    pub schema: Arc<Schema>,
}
