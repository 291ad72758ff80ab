//! Request metrics, under kube-apiserver's names. Handles are kept, so that a request costs two atomic additions.

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram};
use parking_lot::RwLock;

use crate::request::info::RequestInfo;

/// Series are bounded by the served kinds; this stops a scan of invented paths from growing them.
const SERIES_MAX: usize = 20_000;

struct Series {
    total: Counter,
    seconds: Histogram,
}

/// All request series.
#[derive(Default)]
pub struct Measure {
    series: RwLock<HashMap<u64, Series>>,
}

impl Measure {
    /// Counts one answered request. `known`: the path named a kind that is served.
    pub fn record(&self, info: &RequestInfo<'_>, known: bool, code: StatusCode, took: Duration) {
        let blank = RequestInfo { verb: info.verb, ..Default::default() };
        let info = if known { info } else { &blank };
        let id = id(info, code);
        if let Some(series) = self.series.read().get(&id) {
            series.total.increment(1);
            series.seconds.record(took.as_secs_f64());
            return;
        }
        let mut all = self.series.write();
        if all.len() >= SERIES_MAX {
            return;
        }
        let labels = [
            ("verb", info.verb.to_uppercase()),
            ("group", info.group.to_owned()),
            ("version", info.version.to_owned()),
            ("resource", info.resource.to_owned()),
            ("subresource", info.subresource.to_owned()),
        ];
        let series = all.entry(id).or_insert_with(|| {
            let mut counted = labels.to_vec();
            counted.push(("code", code.as_u16().to_string()));
            Series {
                total: metrics::counter!("apiserver_request_total", &counted),
                seconds: metrics::histogram!("apiserver_request_duration_seconds", &labels),
            }
        });
        series.total.increment(1);
        series.seconds.record(took.as_secs_f64());
    }
}

/// A series' number: its labels, hashed without copying them.
fn id(info: &RequestInfo<'_>, code: StatusCode) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (info.verb, info.group, info.version, info.resource, info.subresource, code.as_u16()).hash(&mut hasher);
    hasher.finish()
}
