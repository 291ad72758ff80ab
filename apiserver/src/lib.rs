//! The HTTP front-end: TLS, layers, verbs, discovery, admission. Holds no durable state.

pub mod app;
pub mod auth;
pub mod body;
pub mod config;
pub mod controllers;
pub mod request;
pub mod server;
pub mod services;
pub mod status;
pub mod verbs;
