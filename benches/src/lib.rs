//! Measurements: criterion micro benches (`benches/`), the load generator `kuorum-load` (`load/`), and kuorum's store
//! beside etcd, `kuorum-store-load` (`store/`).
//!
//! Speed is measured here and nowhere else: no test asserts a time.

pub mod load;
pub mod store;
