//! What the server processes used: CPU time and peak memory, from `/proc` (Linux).

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// Sums over all processes, except the list of peaks.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Usage {
    pub cpu: Duration,
    /// Peak resident set of each process, in KiB, in the order of `--pids`.
    pub peak_kib: Vec<u64>,
}

/// Reads the usage of `pids` so far.
pub fn read(pids: &[u32]) -> Result<Usage> {
    let mut usage = Usage::default();
    for pid in pids {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
        // The command name is in parentheses and may hold spaces; fields count from behind it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<u64>().ok()).sum();
        usage.cpu += Duration::from_millis(ticks * 10); // USER_HZ is 100 on every Linux that Rust supports
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        usage.peak_kib.push(peak.unwrap_or(0));
    }
    Ok(usage)
}
