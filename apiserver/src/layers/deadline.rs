//! Deadline: `?timeout=` or `--request-timeout`, whichever is shorter. Watches have their own.

use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::request::info::RequestInfo;
use crate::request::query::Query;
use crate::status::ApiError;

/// When a request must have been answered; 400 for a `timeout` that is no duration.
pub fn deadline(query: &Query<'_>, limit: Duration) -> Result<Instant, ApiError> {
    let wanted = match query.get("timeout").filter(|t| !t.is_empty()) {
        None => limit,
        // Negative durations count as none, as in the real server.
        Some(text) => match config::duration(text.strip_prefix('-').unwrap_or(text)) {
            Ok(duration) if duration.is_zero() || text.starts_with('-') => limit,
            Ok(duration) => duration.min(limit),
            Err(_) => {
                return Err(ApiError::bad_request(format!(
                    "invalid timeout specified in the request URL - time: invalid duration {text:?}"
                )));
            }
        },
    };
    Ok(Instant::now() + wanted)
}

/// Runs `work` until the deadline; 504 beyond it. Work that may last for as long as the client wants is not cut.
pub async fn within<T>(
    info: &RequestInfo<'_>,
    deadline: Instant,
    work: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    if info.is_long_running() {
        return work.await;
    }
    tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| {
        Err(ApiError::timeout("request did not complete within the allotted timeout").with_details(Default::default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_durations_are_taken() {
        let limit = Duration::from_secs(60);
        for (query, ok) in
            [("", true), ("timeout=1s", true), ("timeout=-5s", true), ("timeout=abc", false), ("timeout=5", false)]
        {
            assert_eq!(deadline(&Query::parse(query), limit).is_ok(), ok, "{query}");
        }
    }
}
