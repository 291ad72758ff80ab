//! Outermost stage: a panic while a request is worked on becomes a 500, and the process lives.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use crate::status::ApiError;
use crate::verbs::Response;

/// Runs `work`; a panic in it is logged and answered.
pub async fn guard(work: impl Future<Output = Response>, refuse: impl FnOnce(&ApiError) -> Response) -> Response {
    // Nothing that a panic may leave half-done outlives the request: shared state is behind its own locks, and
    // parking_lot's do not poison.
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|s| s.to_string()).or_else(|| panic.downcast_ref().cloned());
            tracing::error!(panic = text.unwrap_or_default(), "a request panicked");
            metrics::counter!("apiserver_request_panics_total").increment(1);
            refuse(&ApiError::plain_500("This request caused apiserver to panic. Look in the logs for details."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;

    #[tokio::test]
    async fn a_panic_is_a_500() {
        let response = guard(async { panic!("of this test") }, |e| {
            http::Response::builder().status(e.code()).body(Body::empty()).unwrap()
        })
        .await;
        assert_eq!(response.status(), 500);
    }
}
