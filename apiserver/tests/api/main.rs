//! The whole front-end over the in-process store: every test makes its own server and talks to it through all layers,
//! without a socket (but for the TLS tests).

mod harness;

mod admission;
mod audit;
mod authentication;
mod authorization;
mod bad_input;
mod basics;
mod concurrency;
mod deletion;
mod encryption;
mod fairness;
mod policies;
mod presence;
mod reads;
mod services;
mod serving;
mod tls;
