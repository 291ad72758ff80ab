//! Limits on the size of what is handed to a backend.

use bytes::Bytes;

use crate::event::Event;
use crate::policy::Level;

/// Sizes in bytes, of the encoded events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TruncateConfig {
    /// A larger event loses its objects; one that is still larger is dropped.
    pub event_bytes_max: usize,
    /// A larger batch is split.
    pub batch_bytes_max: usize,
}

/// An event, encoded within the limit; `None`: it is too large even without its objects.
pub fn within(config: Option<TruncateConfig>, event: &Event, encode: impl Fn(&Event) -> Vec<u8>) -> Option<Bytes> {
    let whole = encode(event);
    let Some(TruncateConfig { event_bytes_max, .. }) = config.filter(|config| whole.len() > config.event_bytes_max)
    else {
        return Some(whole.into());
    };
    if event.level < Level::Request {
        return None;
    }
    let small = encode(&event.truncated());
    (small.len() <= event_bytes_max).then(|| small.into())
}
