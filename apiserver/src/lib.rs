//! The HTTP front-end: TLS, layers, verbs, discovery, admission. Holds no durable state.

pub mod admission;
pub mod app;
pub mod auditor;
pub mod auth;
pub mod body;
pub mod bootstrap;
pub mod coalesce;
pub mod config;
pub mod controllers;
pub mod discovery;
pub mod encryption;
pub mod health;
pub mod layers;
pub mod loopback;
pub mod object;
pub mod options;
pub mod part;
pub mod request;
pub mod routes;
pub mod server;
pub mod services;
pub mod status;
pub mod tls;
pub mod verbs;
