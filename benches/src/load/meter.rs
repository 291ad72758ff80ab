//! Measures one run: from its beginning to its report, the time and what the servers used.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::report::Report;
use super::scenario::Tally;
use super::usage::{self, Usage};

/// A run that is being measured.
pub struct Meter {
    pids: Vec<u32>,
    before: Usage,
    started: Instant,
}

impl Meter {
    /// Begins now; everything that was prepared does not count.
    pub fn start(pids: &[u32]) -> Result<Self> {
        Ok(Meter { pids: pids.to_vec(), before: usage::read(pids)?, started: Instant::now() })
    }

    /// Ends now.
    pub fn stop(self) -> Result<Measured> {
        let elapsed = self.started.elapsed();
        let mut used = usage::read(&self.pids)?;
        used.cpu = used.cpu.saturating_sub(self.before.cpu);
        Ok(Measured { elapsed, usage: (!self.pids.is_empty()).then_some(used) })
    }
}

/// How long a run took, and what the servers used meanwhile.
pub struct Measured {
    elapsed: Duration,
    usage: Option<Usage>,
}

impl Measured {
    /// The report of a run whose requests are in `tally`.
    pub fn report(self, scenario: String, tally: Tally, settings: Value) -> Report {
        Report {
            scenario,
            unit: "requests",
            done: tally.done,
            failed: tally.failed,
            conflicts: tally.conflicts,
            bytes: tally.bytes,
            elapsed: self.elapsed,
            latency_us: tally.latency_us,
            usage: self.usage,
            settings,
            example: tally.example,
            notes: Vec::new(),
        }
    }
}
