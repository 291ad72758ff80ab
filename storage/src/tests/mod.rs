//! Whole members in one process: the contract on every ground, roles, crashes, membership, figures.

mod cluster;
mod contract;
mod corrupt;
mod crash;
mod fuzz;
mod roles;
mod snapshots;
mod speed;
