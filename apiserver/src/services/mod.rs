//! Service addresses and node ports: allocated in the transaction that writes the Service.

pub mod range;
