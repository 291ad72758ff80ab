//! Measurements: criterion micro benches (`benches/`) and the load generator `kuorum-load` (`load/`).
//!
//! Speed is measured here and nowhere else: no test asserts a time.

pub mod load;
