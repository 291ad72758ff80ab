//! Shapes of objects other than the object itself: Tables, PartialObjectMetadata, protobuf.

pub mod partial;
pub mod protobuf;
pub mod render;
pub mod table;
