//! Field ownership and server-side apply.
//!
//! Every write records who has set which fields in `metadata.managedFields` ([`Tracker::update`]). An apply merges a
//! partial object by these records: it takes out what its applier had set before and does not any more, and is refused
//! where it would change what somebody else has set ([`Tracker::apply`]). All of it follows the type: which lists are
//! sets or have keys, which structs and maps are owned as a whole. Types of custom resources are types like any other.
//!
//! The rules are those of sigs.k8s.io/structured-merge-diff v6 and of apimachinery's `managedfields`.

mod apply;
mod compare;
mod element;
mod managed;
mod merge;
mod relation;
mod scale;
mod set;
mod to_set;
mod tracker;
mod validate;

pub use apply::ApplyError;
pub use compare::{Comparison, compare};
pub use element::Element;
pub use managed::{Conflict, Conflicts, Entry, Managed, Operation, equal_but_for_times};
pub use merge::{merge, remove};
pub use scale::Scaled;
pub use set::Set;
pub(crate) use set::print_fields;
pub use to_set::to_set;
pub use tracker::{OneVersion, Reset, Tracker, Versions, managed_of, put_managed, take_managed};
pub use validate::validate;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
