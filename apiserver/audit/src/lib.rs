//! Audit: what is recorded of a request, at which level, and where the records go.
