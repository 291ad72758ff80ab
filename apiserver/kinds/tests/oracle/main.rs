//! Replays the oracle's scenarios on the kinds alone, without a server: defaults, what the server sets, validation,
//! tables. Each step starts from the object that the real server had answered before it.

mod replay;
mod rows;
mod scenario;
