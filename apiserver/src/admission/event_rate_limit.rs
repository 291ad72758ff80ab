//! EventRateLimit: a server, a namespace, a user or a source writes only so many events per second.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use http::StatusCode;
use kuorum_kinds::value as json;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;

use super::{Attributes, Operation, Plugin, Verdict, refuse, settings};
use crate::status::ApiError;

const VERSIONS: [(&str, &str); 1] = [("eventratelimit.admission.k8s.io/v1alpha1", "Configuration")];
/// Keys of a limit that are remembered, where the settings do not say.
const CACHE_SIZE: usize = 4096;

/// What a limit is for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
enum LimitType {
    Server,
    Namespace,
    User,
    SourceAndObject,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Limit {
    #[serde(rename = "type")]
    kind: LimitType,
    /// Events per second, over time.
    qps: u32,
    /// Events at once.
    burst: u32,
    /// Keys to remember; 0: as many as usual.
    #[serde(default)]
    cache_size: usize,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Configuration {
    limits: Vec<Limit>,
}

/// One limit with what is left of it, by key.
struct Enforcer {
    limit: Limit,
    buckets: Mutex<Buckets>,
}

pub struct EventRateLimit(Vec<Enforcer>);

impl EventRateLimit {
    pub fn new(settings: Option<&Value>) -> Result<Self, String> {
        let Configuration { limits } = settings::versioned(settings, &VERSIONS)?;
        if settings.is_some() && limits.is_empty() {
            return Err("limits: Invalid value: must not be empty".to_owned());
        }
        if let Some(at) = limits.iter().position(|limit| limit.qps == 0 || limit.burst == 0) {
            return Err(format!("limits[{at}]: qps and burst must be positive"));
        }
        let enforcer = |limit: Limit| Enforcer { buckets: Mutex::default(), limit };
        Ok(EventRateLimit(limits.into_iter().map(enforcer).collect()))
    }

    /// Takes one event from every limit; says which is used up, the last of several.
    fn take(&self, key: impl Fn(LimitType) -> String, now: Instant) -> Result<(), String> {
        let mut outcome = Ok(());
        for Enforcer { limit, buckets } in &self.0 {
            let key = key(limit.kind);
            if !buckets.lock().take(&key, limit, now) {
                outcome = Err(format!("limit reached on type {:?} for key {key}", limit.kind));
            }
        }
        outcome
    }
}

impl Plugin for EventRateLimit {
    fn name(&self) -> &'static str {
        "EventRateLimit"
    }

    fn validate<'a>(
        &'a self,
        attributes: &'a Attributes<'_>,
        object: Option<&'a Value>,
        _old: Option<&'a Value>,
    ) -> Option<Verdict<'a>> {
        if !attributes.does(&[Operation::Create, Operation::Update], "", "Event") {
            return None;
        }
        let event = object?;
        let key = |kind| match kind {
            LimitType::Server => String::new(),
            LimitType::Namespace => attributes.namespace.to_owned(),
            LimitType::User => attributes.call.user.name.clone(),
            LimitType::SourceAndObject => source_and_object(event),
        };
        let why = self.take(key, Instant::now()).err()?;
        let text = format!("Too many requests: {why}");
        Some(refuse(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", text)))
    }
}

fn source_and_object(event: &Value) -> String {
    const PARTS: [&str; 7] = [
        "source.component",
        "source.host",
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
    ];
    PARTS.iter().map(|path| json::text(event, path)).collect()
}

/// What is left of a limit for one key.
struct Bucket {
    tokens: f64,
    filled: Instant,
    /// When it was used last, as a count.
    used: u64,
}

/// Token buckets by key; those that were not used for longest are forgotten, which fills them.
#[derive(Default)]
struct Buckets {
    by_key: HashMap<String, Bucket>,
    by_use: BTreeMap<u64, String>,
    uses: u64,
}

impl Buckets {
    fn take(&mut self, key: &str, limit: &Limit, now: Instant) -> bool {
        self.uses += 1;
        let burst = f64::from(limit.burst);
        let fresh = || Bucket { tokens: burst, filled: now, used: 0 };
        let bucket = self.by_key.entry(key.to_owned()).or_insert_with(fresh);
        self.by_use.remove(&bucket.used);
        bucket.used = self.uses;
        self.by_use.insert(self.uses, key.to_owned());
        let seconds = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + seconds * f64::from(limit.qps)).min(burst);
        bucket.filled = now;
        let enough = bucket.tokens >= 1.0;
        if enough {
            bucket.tokens -= 1.0;
        }
        let most = if limit.cache_size == 0 { CACHE_SIZE } else { limit.cache_size };
        while self.by_key.len() > most {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.by_key.remove(&oldest);
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn plugin(limits: Value) -> Result<EventRateLimit, String> {
        let mut settings = json!({"apiVersion": VERSIONS[0].0, "kind": VERSIONS[0].1});
        settings["limits"] = limits;
        EventRateLimit::new(Some(&settings))
    }

    #[test]
    fn a_burst_then_a_rate() {
        let limit = plugin(json!([{"type": "Namespace", "qps": 2, "burst": 3}])).unwrap();
        let start = Instant::now();
        let take = |key: &str, after: u64| limit.take(|_| key.to_owned(), start + Duration::from_millis(after));
        for _ in 0..3 {
            assert_eq!(take("a", 0), Ok(()));
        }
        assert_eq!(take("a", 0), Err("limit reached on type Namespace for key a".to_owned()));
        assert_eq!(take("b", 0), Ok(()));
        assert!(take("a", 499).is_err());
        assert!(take("a", 1000).is_ok());
        // No more than a burst is ever saved.
        for _ in 0..3 {
            assert!(take("a", 1_000_000).is_ok());
        }
        assert!(take("a", 1_000_000).is_err());
    }

    #[test]
    fn keys_that_are_not_used_are_forgotten() {
        let limit = plugin(json!([{"type": "User", "qps": 1, "burst": 1, "cacheSize": 2}])).unwrap();
        let now = Instant::now();
        let take = |key: &str| limit.take(|_| key.to_owned(), now).is_ok();
        assert!(take("a") && take("b") && !take("a"));
        assert!(take("c"), "b is forgotten now");
        assert!(!take("a") && take("b"));
        assert_eq!(limit.0[0].buckets.lock().by_key.len(), 2);
    }

    #[test]
    fn settings_are_checked() {
        assert!(EventRateLimit::new(None).unwrap().0.is_empty());
        for bad in
            [json!([]), json!([{"type": "Odd", "qps": 1, "burst": 1}]), json!([{"type": "User", "qps": 0, "burst": 1}])]
        {
            assert!(plugin(bad).is_err());
        }
    }

    #[test]
    fn a_source_is_known_with_its_object() {
        let event = json!({"source": {"component": "c", "host": "h"}, "involvedObject": {"kind": "K", "name": "n", "uid": "u", "namespace": "s", "apiVersion": "v1"}});
        assert_eq!(source_and_object(&event), "chKsnuv1");
    }
}
