//! Selectors: which objects a list, a watch or a controller means, by label and by field.

pub mod field;
pub mod label;

pub use field::{FieldSelector, FieldSelectorError};
pub use label::{Labels, Operator, Requirement, Selector, SelectorError};
