//! Pods and everything that makes pods share a spec: its defaults, its rules and the arithmetic of its resources.

pub mod defaults;
pub mod disabled;
pub mod image;
pub mod resources;
pub mod validate;
pub mod volumes;
pub mod warnings;
