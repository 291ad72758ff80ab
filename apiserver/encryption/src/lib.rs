//! Encryption at rest: values are sealed before they leave the front-end for the store, and opened when they come back.
