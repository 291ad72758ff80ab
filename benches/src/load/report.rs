//! What a run measured, for people and as JSON.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::usage::Usage;

/// Latencies from 1 µs to 10 minutes with three significant digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("constant bounds are valid")
}

/// Records a latency, in µs, clipped to the histogram's range.
pub fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record((latency.as_micros() as u64).max(1));
}

/// The outcome of one run.
pub struct Report {
    pub scenario: String,
    /// What is counted: `requests` or `events`.
    pub unit: &'static str,
    pub done: u64,
    pub failed: u64,
    /// Writes that met a conflict and were tried again.
    pub conflicts: u64,
    pub bytes: u64,
    pub elapsed: Duration,
    pub latency_us: Histogram<u64>,
    /// Of the servers, over the measured time.
    pub usage: Option<Usage>,
    pub settings: Value,
    /// The first failure, as an example.
    pub example: Option<String>,
    /// What else there is to say, a line each.
    pub notes: Vec<String>,
}

const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 100.0];

impl Report {
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64()
    }

    fn cpu_us_each(&self) -> Option<f64> {
        let usage = self.usage.as_ref()?;
        (self.done > 0).then(|| usage.cpu.as_secs_f64() * 1e6 / self.done as f64)
    }

    pub fn json(&self) -> Value {
        let latency: serde_json::Map<String, Value> =
            PERCENTILES.iter().map(|p| (format!("p{p}"), json!(self.latency_us.value_at_percentile(*p)))).collect();
        json!({
            "scenario": self.scenario, "unit": self.unit, "done": self.done, "failed": self.failed,
            "conflicts": self.conflicts, "bytes": self.bytes, "seconds": self.elapsed.as_secs_f64(),
            "per_second": self.rate(), "latency_us": latency, "latency_us_mean": self.latency_us.mean(),
            "server_cpu_us_each": self.cpu_us_each(),
            "server_peak_kib": self.usage.as_ref().map(|u| u.peak_kib.clone()),
            "settings": self.settings, "example_failure": self.example, "notes": self.notes,
        })
    }

    pub fn text(&self) -> String {
        let mut out = format!(
            "{}: {} {} in {:.2} s = {:.0}/s, {:.1} MB/s, {} failed, {} conflicts\n",
            self.scenario,
            self.done,
            self.unit,
            self.elapsed.as_secs_f64(),
            self.rate(),
            self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64(),
            self.failed,
            self.conflicts,
        );
        out += "latency:";
        for p in PERCENTILES {
            out += &format!("  p{p} {:.3} ms", self.latency_us.value_at_percentile(p) as f64 / 1000.0);
        }
        out.push('\n');
        if let (Some(usage), Some(each)) = (&self.usage, self.cpu_us_each()) {
            let peaks: Vec<String> = usage.peak_kib.iter().map(|k| format!("{:.1}", *k as f64 / 1024.0)).collect();
            out += &format!("servers: {each:.1} µs CPU each, peak memory {} MiB\n", peaks.join(" + "));
        }
        for note in &self.notes {
            out += &format!("{note}\n");
        }
        if let Some(example) = &self.example {
            out += &format!("first failure: {example}\n");
        }
        out
    }
}
