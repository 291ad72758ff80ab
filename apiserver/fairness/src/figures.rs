//! Metrics under kube-apiserver's names, in the Prometheus text format.
//!
//! Counters and histograms are counted where things happen, in atomic numbers; what is a state (requests and seats in
//! queues and executing, limits) is read from the levels when somebody asks.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::Fairness;
use crate::queue_set::Reason;
use crate::seats::{Demand, Limits};
use crate::{MILLISECOND, Nanos, SECOND};

/// A histogram of whole numbers.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and one for what is beyond them all.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

const SECONDS: &[Nanos] = &[
    0,
    5 * MILLISECOND,
    20 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    200 * MILLISECOND,
    500 * MILLISECOND,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
];
const SEATS: &[u64] = &[1, 2, 4, 10];
const WATCHERS: &[u64] = &[0, 1, 10, 100, 1000, 10_000];

impl Histogram {
    fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::default()).collect();
        Histogram { bounds, counts, sum: AtomicU64::default() }
    }

    pub fn observe(&self, value: u64) {
        let at = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// `unit`: what 1 of the metric is in observed numbers. Nothing where nothing was observed.
    fn write(&self, out: &mut String, name: &str, labels: &str, unit: u64) {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        if total == 0 {
            return;
        }
        let mut below = 0;
        for (bound, count) in self.bounds.iter().zip(&counts) {
            below += count;
            let bound = *bound as f64 / unit as f64;
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
        }
        let sum = self.sum.load(Ordering::Relaxed) as f64 / unit as f64;
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {total}");
        let _ = writeln!(out, "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {total}");
    }
}

/// What happened to the requests of a flow schema in a level.
#[derive(Debug)]
pub struct FlowFigures {
    dispatched: AtomicU64,
    rejected: [AtomicU64; 4],
    /// In its queue: that then was refused, that then was served.
    waited: [Histogram; 2],
    /// Watches (until they have begun), others.
    executed: [Histogram; 2],
    pub seats: Histogram,
    /// Watchers of writes.
    pub watchers: Histogram,
}

impl Default for FlowFigures {
    fn default() -> Self {
        let times = || [Histogram::new(SECONDS), Histogram::new(SECONDS)];
        FlowFigures {
            dispatched: AtomicU64::default(),
            rejected: Default::default(),
            waited: times(),
            executed: times(),
            seats: Histogram::new(SEATS),
            watchers: Histogram::new(WATCHERS),
        }
    }
}

const REASONS: [(Reason, &str); 4] = [
    (Reason::ConcurrencyLimit, "concurrency-limit"),
    (Reason::QueueFull, "queue-full"),
    (Reason::TimeOut, "time-out"),
    (Reason::Cancelled, "cancelled"),
];

impl FlowFigures {
    pub(crate) fn began(&self, waited: Option<Nanos>) {
        self.dispatched.fetch_add(1, Ordering::Relaxed);
        if let Some(waited) = waited {
            self.waited[1].observe(waited);
        }
    }

    pub(crate) fn gave_up(&self, waited: Nanos) {
        self.waited[0].observe(waited);
    }

    pub(crate) fn refused(&self, reason: Reason) {
        let at = REASONS.iter().position(|(own, _)| *own == reason).unwrap_or(0);
        self.rejected[at].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn executed(&self, time: Nanos, watch: bool) {
        self.executed[usize::from(!watch)].observe(time);
    }
}

/// The state of a level that is not in its queues.
pub(crate) struct LevelFigures {
    pub limits: Limits,
    pub demand: Demand,
    pub target: f64,
}

/// What is in the queues of a flow schema and executing from it.
#[derive(Default)]
struct Now {
    requests_waiting: u64,
    seats_waiting: u64,
    requests_executing: u64,
    seats_executing: u64,
}

/// Appends all metrics.
pub fn write<D>(fairness: &Fairness<D>, out: &mut String) {
    flows(fairness, out);
    levels(fairness, out);
    head(out, "seat_fair_frac", "gauge", "Fair fraction of the server's seats that every level gets which can use it");
    let _ = writeln!(out, "{PREFIX}seat_fair_frac {}", fairness.fair_part());
}

const PREFIX: &str = "apiserver_flowcontrol_";

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}");
}

fn flows<D>(fairness: &Fairness<D>, out: &mut String) {
    let flows: Vec<(String, _)> = fairness
        .flows()
        .into_iter()
        .map(|flow| (labels(&flow.schema, &flow.level.name), flow.figures.clone()))
        .collect();
    head(out, "dispatched_requests_total", "counter", "Requests that were served");
    for (labels, figures) in &flows {
        let count = figures.dispatched.load(Ordering::Relaxed);
        let _ = writeln!(out, "{PREFIX}dispatched_requests_total{{{labels}}} {count}");
    }
    head(out, "rejected_requests_total", "counter", "Requests that were refused, by reason");
    for (labels, figures) in &flows {
        for ((_, reason), count) in REASONS.iter().zip(&figures.rejected) {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                let _ = writeln!(out, "{PREFIX}rejected_requests_total{{{labels},reason=\"{reason}\"}} {count}");
            }
        }
    }
    let mut histogram =
        |name: &str, help: &str, unit: u64, each: &dyn Fn(&FlowFigures) -> Vec<(&'static str, &Histogram)>| {
            head(out, name, "histogram", help);
            for (labels, figures) in &flows {
                for (more, histogram) in each(figures) {
                    histogram.write(out, &format!("{PREFIX}{name}"), &format!("{labels}{more}"), unit);
                }
            }
        };
    histogram("request_wait_duration_seconds", "How long requests waited in their queue", SECOND, &|f| {
        vec![(",execute=\"false\"", &f.waited[0]), (",execute=\"true\"", &f.waited[1])]
    });
    histogram(
        "request_execution_seconds",
        "How long requests were served, watches until they had begun",
        SECOND,
        &|f| vec![(",type=\"watch\"", &f.executed[0]), (",type=\"regular\"", &f.executed[1])],
    );
    histogram("work_estimated_seats", "Estimated seats of requests", 1, &|f| vec![("", &f.seats)]);
    histogram("watch_count_samples", "Watchers of writes", 1, &|f| vec![("", &f.watchers)]);
    states(fairness, out);
}

/// Gauges by flow schema and level.
fn states<D>(fairness: &Fairness<D>, out: &mut String) {
    let mut now: BTreeMap<String, Now> = BTreeMap::new();
    for flow in fairness.flows() {
        now.entry(labels(&flow.schema, &flow.level.name)).or_default();
    }
    for level in fairness.levels() {
        level.set.lock().each(|shown| {
            let now = now.entry(labels(&shown.detail.flow.schema, &level.name)).or_default();
            let seats = u64::from(shown.work.seats_max());
            if shown.started.is_some() {
                now.requests_executing += 1;
                now.seats_executing += seats;
            } else {
                now.requests_waiting += 1;
                now.seats_waiting += seats;
            }
        });
    }
    type Read = fn(&Now) -> u64;
    let gauges: [(&str, &str, Read); 4] = [
        ("current_inqueue_requests", "Requests that wait in queues", |now| now.requests_waiting),
        ("current_inqueue_seats", "Seats that waiting requests need", |now| now.seats_waiting),
        ("current_executing_requests", "Requests that are served, watches until they have begun", |now| {
            now.requests_executing
        }),
        ("current_executing_seats", "Seats that served requests take", |now| now.seats_executing),
    ];
    for (name, help, value) in gauges {
        head(out, name, "gauge", help);
        for (labels, now) in &now {
            let _ = writeln!(out, "{PREFIX}{name}{{{labels}}} {}", value(now));
        }
    }
}

fn levels<D>(fairness: &Fairness<D>, out: &mut String) {
    let levels: Vec<_> = fairness
        .levels()
        .into_iter()
        .map(|level| {
            let (current, r) = {
                let set = level.set.lock();
                (set.seats_max(), set.progress().as_f64())
            };
            (format!("priority_level=\"{}\"", escape(&level.name)), level.figures(), current, r)
        })
        .collect();
    type Read = fn(&LevelFigures, u32, f64) -> f64;
    let gauges: [(&str, &str, Read); 11] = [
        ("nominal_limit_seats", "Seats of each level by its shares", |f, _, _| f.limits.nominal.into()),
        ("lower_limit_seats", "Seats that a level keeps", |f, _, _| f.limits.min.into()),
        ("upper_limit_seats", "Seats that a level may have at most", |f, _, _| f.limits.max.into()),
        ("current_limit_seats", "Seats of each level for now", |_, current, _| current.into()),
        ("demand_seats_high_watermark", "Most seats wanted at once in the last period", |f, _, _| {
            f.demand.high_watermark
        }),
        ("demand_seats_average", "Seats wanted in the last period on average", |f, _, _| f.demand.average),
        ("demand_seats_stdev", "Deviation of the seats wanted in the last period", |f, _, _| f.demand.deviation),
        ("demand_seats_smoothed", "Seats wanted, smoothed", |f, _, _| f.demand.smoothed),
        ("target_seats", "Seats that a level was to have", |f, _, _| f.target),
        ("current_r", "The progress meter R", |_, _, r| r),
        ("request_concurrency_limit", "Seats of each level by its shares", |f, _, _| f.limits.nominal.into()),
    ];
    for (name, help, value) in gauges {
        head(out, name, "gauge", help);
        for (labels, figures, current, r) in &levels {
            let _ = writeln!(out, "{PREFIX}{name}{{{labels}}} {}", value(figures, *current, *r));
        }
    }
}

fn labels(schema: &str, level: &str) -> String {
    format!("flow_schema=\"{}\",priority_level=\"{}\"", escape(schema), escape(level))
}

/// Names of objects need no escapes; this keeps a line a line whatever they are.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_cumulative() {
        let histogram = Histogram::new(SEATS);
        [1, 1, 3, 11].into_iter().for_each(|seats| histogram.observe(seats));
        let mut out = String::new();
        histogram.write(&mut out, "h", "a=\"b\"", 1);
        let want = "h_bucket{a=\"b\",le=\"1\"} 2\nh_bucket{a=\"b\",le=\"2\"} 2\nh_bucket{a=\"b\",le=\"4\"} 3\n\
                    h_bucket{a=\"b\",le=\"10\"} 3\nh_bucket{a=\"b\",le=\"+Inf\"} 4\nh_sum{a=\"b\"} 16\nh_count{a=\"b\"} 4\n";
        assert_eq!(out, want);
        let times = Histogram::new(SECONDS);
        times.observe(3 * MILLISECOND);
        let mut out = String::new();
        times.write(&mut out, "t", "a=\"b\"", SECOND);
        assert!(out.contains("t_bucket{a=\"b\",le=\"0.005\"} 1\n") && out.contains("t_sum{a=\"b\"} 0.003\n"), "{out}");
    }
}
