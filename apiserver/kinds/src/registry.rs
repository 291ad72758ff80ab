//! The set of kinds that are served, by group, version and resource.
