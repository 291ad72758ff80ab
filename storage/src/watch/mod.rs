//! Watch: committed revisions go into a small ring in memory, and every subscriber reads from its own position. One
//! that is further back than the ring reaches reads the event history on disk; nobody waits for it.

mod hub;
mod subscriber;

pub use hub::{Hub, Progress, Taken};
pub use subscriber::{Delivery, Subscriber};
