//! What a request asks for, as pure functions of its method, path, query and headers.

pub mod info;
pub mod negotiate;
pub mod options;
pub mod query;
