//! What the end-to-end tests share: servers as real processes on ports of their own, clients as users have them.
//!
//! Nothing here knows how the servers work inside. A test waits for conditions, never for a time; servers are stopped
//! by the ids of the processes that the test has started.

pub mod cluster;
pub mod compose;
pub mod dev;
pub mod kms;
pub mod kubectl;
pub mod load;
pub mod paths;
pub mod ports;
pub mod process;
pub mod script;
pub mod wait;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by a test that starts servers: side by side on few cores they would starve one another.
static MACHINE: Mutex<()> = Mutex::new(());

/// Waits until no other test of this binary runs servers. A test that failed while it held the machine is over.
pub fn machine() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}
