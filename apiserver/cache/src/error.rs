//! Why the store did not do what was asked. The HTTP status of each is chosen in the API server's `status.rs`.

/// Everything that a fence, a transaction or a read of the store can fail with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No member with a leader was reachable inside the deadline. Nothing was written. 503 with `Retry-After`.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// A transaction was sent and the answer never came: it may or may not be applied. 504.
    #[error("the outcome of the transaction is not known: {0}")]
    OutcomeUnknown(String),
    /// The store's quota is used up; deletes still work. 507 (Kubernetes answers 500 `etcdserver: mvcc: database space exceeded`).
    #[error("the store is out of space: {0}")]
    NoSpace(String),
    /// The transaction is larger than the store takes. 413.
    #[error("the transaction is too large: {0}")]
    TooLarge(String),
    /// The store refuses more work for now. 429 with `Retry-After`; nothing was written.
    #[error("the store is overloaded: {0}")]
    Overloaded(String),
    /// The deadline passed before the request was sent: nothing was written. 504.
    #[error("the deadline passed before the store could be asked")]
    Deadline,
    /// The value is sealed with a key that is not here, or damaged. 500.
    #[error("unable to transform key {key:?}: {why}")]
    Unreadable { key: String, why: String },
    /// The value could not be sealed; nothing was written. 500.
    #[error("{0}")]
    Unsealable(String),
    /// The store answered something that this front-end does not understand. 500.
    #[error("unexpected answer of the store: {0}")]
    Internal(String),
}
