//! A front-end's view of the store: transactions and fences over gRPC, a snapshot cache, watches.
//!
//! Knows keys and bytes, and of an object only what lists and watches select on; kinds stay outside.
