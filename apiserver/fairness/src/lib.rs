//! API priority and fairness: which request is served next when there are more than can be served at once.
//!
//! A request is classified by FlowSchemas ([`classify`]) into a flow of a priority level. Each level has a number of
//! seats ([`seats`]), its share of the server's, which idle levels lend to busy ones. A request takes seats by its
//! estimated work ([`work`]), at once or after waiting in one of its level's queues ([`queue_set`]), which are served
//! fairly by virtual time; [`shuffle`] keeps a heavy flow out of most other flows' queues.
//!
//! Nothing here reads a clock, and nothing waits: time is an argument in [`Nanos`], and a request that has to wait
//! leaves its `Waker`. [`Fairness`] puts the parts together for many threads. What a request is beyond its attributes
//! is a type parameter, `D`, which only the dumps show.

pub mod bootstrap;
pub mod classify;
mod demand;
pub mod dump;
mod engine;
pub mod figures;
pub mod queue_set;
mod retry_after;
pub mod seat_seconds;
pub mod seats;
pub mod shuffle;
pub mod spec;
pub mod work;

pub use classify::Attributes;
pub use engine::{ADJUSTMENT_PERIOD, Departure, Fairness, Flow, Level, Refusal, Ticket};
pub use queue_set::Reason;
pub use work::Work;

/// Nanoseconds since the engine was made.
pub type Nanos = u64;

/// One second.
pub const SECOND: Nanos = 1_000_000_000;
/// One millisecond.
pub const MILLISECOND: Nanos = 1_000_000;
