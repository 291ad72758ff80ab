//! What happens to every request, one stage per file. [`stack`] lists them in the order in which a request meets
//! them.

pub mod audit;
pub mod audit_id;
pub mod authorization;
pub mod compression;
pub mod deadline;
pub mod edge;
pub mod fairness;
pub mod impersonation;
pub mod in_flight;
pub mod measure;
pub mod overload;
pub mod panic_guard;
pub mod respond;
pub mod stack;
pub mod warnings;
pub mod yaml;
