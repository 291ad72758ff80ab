//! The schema model and what runs on it: decoding, encoding, patches, OpenAPI. Pure: no I/O, no clock.
//!
//! A compact catalog describes every built-in type; a CRD's OpenAPI schema compiles into the same model.

pub mod catalog;
pub mod codec;
pub mod custom;
pub mod fields;
pub mod model;
pub mod names;
pub mod openapi;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod selector;
pub mod time;
pub mod yaml;

pub use catalog::{Catalog, catalog};
pub use model::{
    AnyKind, Field, GroupVersionKind, List, ListType, Map, MapType, Node, Object, Omit, PatchStrategy, ScalarKind,
    Schema, Union,
};
