//! Ports for servers that must know theirs, and their neighbours', before they start.

use std::net::{Ipv4Addr, TcpListener};

use rand::RngExt;

/// Below the range that the kernel hands to outgoing connections, so that none of these takes a port away between
/// the check here and the server's start.
const FIRST: u16 = 12_000;
const LAST: u16 = 32_000;

/// A base such that base, base + 1…8, base + 101…105 and base + 201…205 are free: what `deploy/local/up` needs.
///
/// # Panics
/// When the machine has no such ports.
pub fn cluster_base() -> u16 {
    let mut random = rand::rng();
    for _ in 0..200 {
        let base = random.random_range(FIRST..LAST - 300);
        if (0..=8).chain(101..=105).chain(201..=205).all(|offset| is_free(base + offset)) {
            return base;
        }
    }
    panic!("no free ports between {FIRST} and {LAST}");
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
