//! Shapes of objects other than the object itself: Tables and PartialObjectMetadata.

pub mod partial;
pub mod render;
pub mod table;
