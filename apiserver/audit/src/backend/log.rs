//! The log backend: a line per event, to a file or to standard output.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::batch::{BatchConfig, Mode};
use super::rotation::{Limits, RotatingFile};
use super::truncate::TruncateConfig;
use crate::event::Event;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    /// `<time> AUDIT: id="…" stage="…" …`
    Legacy,
}

impl Format {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "json" => Some(Format::Json),
            "legacy" => Some(Format::Legacy),
            _ => None,
        }
    }

    pub fn line(self, event: &Event) -> Vec<u8> {
        match self {
            Format::Json => event.json_line(),
            Format::Legacy => event.legacy_line(),
        }
    }
}

/// Settings of the log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `-`: standard output.
    pub path: PathBuf,
    pub format: Format,
    /// In MiB; 0: 100.
    pub max_size: u64,
    /// In days; 0: no limit.
    pub max_age: u64,
    /// 0: no limit.
    pub max_backups: usize,
    pub compress: bool,
    pub mode: Mode,
    pub batch: BatchConfig,
    pub truncate: Option<TruncateConfig>,
}

/// Where lines go.
#[derive(Clone)]
pub enum Writer {
    Stdout,
    File(Arc<Mutex<RotatingFile>>),
}

impl Writer {
    pub fn open(config: &LogConfig) -> io::Result<Self> {
        if config.path.as_os_str() == "-" {
            return Ok(Writer::Stdout);
        }
        let limits = Limits {
            bytes_max: config.max_size.saturating_mul(1 << 20),
            age_max: Duration::from_secs(config.max_age.saturating_mul(86_400)),
            backups_max: config.max_backups,
            compress: config.compress,
        };
        Ok(Writer::File(Arc::new(Mutex::new(RotatingFile::open(&config.path, limits)?))))
    }

    /// Writes whole lines.
    pub fn write(&self, lines: &[u8]) -> io::Result<()> {
        match self {
            Writer::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            Writer::File(file) => file.lock().write(lines),
        }
    }
}
