//! Settings of the audit log: kube-apiserver's flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kuorum_audit::backend::{BatchConfig, Format, LogConfig, Mode, TruncateConfig};

use crate::config::{ConfigError, duration};

/// All settings of the audit log. `Default` is every flag's default.
#[derive(Args, Clone, Debug)]
pub struct AuditOptions {
    /// Audit policy, YAML: which requests are recorded, and how much of them. Without it, none.
    #[arg(long, env = "KUORUM_AUDIT_POLICY_FILE", value_name = "FILE")]
    pub audit_policy_file: Option<PathBuf>,
    /// Audit log; `-` is standard output.
    #[arg(long, env = "KUORUM_AUDIT_LOG_PATH", value_name = "FILE")]
    pub audit_log_path: Option<PathBuf>,
    /// How lines of the audit log are written: json, or legacy text.
    #[arg(long, env = "KUORUM_AUDIT_LOG_FORMAT", default_value = "json")]
    pub audit_log_format: String,
    /// Days for which parts of the audit log that were put aside are kept. 0: no limit.
    #[arg(long, env = "KUORUM_AUDIT_LOG_MAXAGE", default_value_t = 0)]
    pub audit_log_maxage: u64,
    /// How many of them are kept. 0: no limit.
    #[arg(long, env = "KUORUM_AUDIT_LOG_MAXBACKUP", default_value_t = 0)]
    pub audit_log_maxbackup: usize,
    /// MiB at which the audit log is put aside. 0: 100.
    #[arg(long, env = "KUORUM_AUDIT_LOG_MAXSIZE", default_value_t = 0)]
    pub audit_log_maxsize: u64,
    /// Whether parts that were put aside are compressed with gzip.
    #[arg(long, env = "KUORUM_AUDIT_LOG_COMPRESS", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub audit_log_compress: bool,
    /// Whether requests wait for their audit events: batch, blocking, or blocking-strict (log).
    #[arg(long, env = "KUORUM_AUDIT_LOG_MODE", default_value = "blocking")]
    pub audit_log_mode: String,
    /// Audit events that may wait for a batch; more are dropped.
    #[arg(long, env = "KUORUM_AUDIT_LOG_BATCH_BUFFER_SIZE", default_value_t = 10_000)]
    pub audit_log_batch_buffer_size: usize,
    /// Events of one batch.
    #[arg(long, env = "KUORUM_AUDIT_LOG_BATCH_MAX_SIZE", default_value_t = 1)]
    pub audit_log_batch_max_size: usize,
    /// How long an event waits for its batch.
    #[arg(long, env = "KUORUM_AUDIT_LOG_BATCH_MAX_WAIT", default_value = "0s", value_parser = duration)]
    pub audit_log_batch_max_wait: Duration,
    /// Whether batches are limited in number.
    #[arg(long, env = "KUORUM_AUDIT_LOG_BATCH_THROTTLE_ENABLE", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub audit_log_batch_throttle_enable: bool,
    /// Batches per second.
    #[arg(long, env = "KUORUM_AUDIT_LOG_BATCH_THROTTLE_QPS", default_value_t = 0.0)]
    pub audit_log_batch_throttle_qps: f64,
    /// Batches that may leave at once.
    #[arg(long, env = "KUORUM_AUDIT_LOG_BATCH_THROTTLE_BURST", default_value_t = 0)]
    pub audit_log_batch_throttle_burst: usize,
    /// Whether large audit events lose their objects, and large batches are split.
    #[arg(long, env = "KUORUM_AUDIT_LOG_TRUNCATE_ENABLED", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub audit_log_truncate_enabled: bool,
    /// Bytes of one batch.
    #[arg(long, env = "KUORUM_AUDIT_LOG_TRUNCATE_MAX_BATCH_SIZE", default_value_t = 10 << 20)]
    pub audit_log_truncate_max_batch_size: usize,
    /// Bytes of one event.
    #[arg(long, env = "KUORUM_AUDIT_LOG_TRUNCATE_MAX_EVENT_SIZE", default_value_t = 100 << 10)]
    pub audit_log_truncate_max_event_size: usize,
    /// Version in which audit events are written.
    #[arg(long, env = "KUORUM_AUDIT_LOG_VERSION", default_value = "audit.k8s.io/v1")]
    pub audit_log_version: String,
    /// kubeconfig of the server that takes audit events.
    #[arg(long, env = "KUORUM_AUDIT_WEBHOOK_CONFIG_FILE", value_name = "FILE")]
    pub audit_webhook_config_file: Option<PathBuf>,
    /// Pause before a batch is sent to the audit webhook again.
    #[arg(long, env = "KUORUM_AUDIT_WEBHOOK_INITIAL_BACKOFF", default_value = "10s", value_parser = duration)]
    pub audit_webhook_initial_backoff: Duration,
    /// Whether requests wait for their audit events: batch, blocking, or blocking-strict (webhook).
    #[arg(long, env = "KUORUM_AUDIT_WEBHOOK_MODE", default_value = "batch")]
    pub audit_webhook_mode: String,
    /// Audit events that may wait for a batch; more are dropped.
    #[arg(long, env = "KUORUM_AUDIT_WEBHOOK_BATCH_BUFFER_SIZE", default_value_t = 10_000)]
    pub audit_webhook_batch_buffer_size: usize,
    /// Events of one batch.
    #[arg(long, env = "KUORUM_AUDIT_WEBHOOK_BATCH_MAX_SIZE", default_value_t = 400)]
    pub audit_webhook_batch_max_size: usize,
    /// How long an event waits for its batch.
    #[arg(long, env = "KUORUM_AUDIT_WEBHOOK_BATCH_MAX_WAIT", default_value = "30s", value_parser = duration)]
    pub audit_webhook_batch_max_wait: Duration,
    /// Whether batches are limited in number.
    #[arg(long, env = "KUORUM_AUDIT_WEBHOOK_BATCH_THROTTLE_ENABLE", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub audit_webhook_batch_throttle_enable: bool,
    /// Batches per second.
    #[arg(long, env = "KUORUM_AUDIT_WEBHOOK_BATCH_THROTTLE_QPS", default_value_t = 10.0)]
    pub audit_webhook_batch_throttle_qps: f64,
    /// Batches that may leave at once.
    #[arg(long, env = "KUORUM_AUDIT_WEBHOOK_BATCH_THROTTLE_BURST", default_value_t = 15)]
    pub audit_webhook_batch_throttle_burst: usize,
    /// Whether large audit events lose their objects, and large batches are split.
    #[arg(long, env = "KUORUM_AUDIT_WEBHOOK_TRUNCATE_ENABLED", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub audit_webhook_truncate_enabled: bool,
    /// Bytes of one batch.
    #[arg(long, env = "KUORUM_AUDIT_WEBHOOK_TRUNCATE_MAX_BATCH_SIZE", default_value_t = 10 << 20)]
    pub audit_webhook_truncate_max_batch_size: usize,
    /// Bytes of one event.
    #[arg(long, env = "KUORUM_AUDIT_WEBHOOK_TRUNCATE_MAX_EVENT_SIZE", default_value_t = 100 << 10)]
    pub audit_webhook_truncate_max_event_size: usize,
    /// Version in which audit events are written.
    #[arg(long, env = "KUORUM_AUDIT_WEBHOOK_VERSION", default_value = "audit.k8s.io/v1")]
    pub audit_webhook_version: String,
}

impl Default for AuditOptions {
    fn default() -> Self {
        AuditOptions {
            audit_policy_file: None,
            audit_log_path: None,
            audit_log_format: "json".to_owned(),
            audit_log_maxage: 0,
            audit_log_maxbackup: 0,
            audit_log_maxsize: 0,
            audit_log_compress: false,
            audit_log_mode: "blocking".to_owned(),
            audit_log_batch_buffer_size: 10_000,
            audit_log_batch_max_size: 1,
            audit_log_batch_max_wait: Duration::ZERO,
            audit_log_batch_throttle_enable: false,
            audit_log_batch_throttle_qps: 0.0,
            audit_log_batch_throttle_burst: 0,
            audit_log_truncate_enabled: false,
            audit_log_truncate_max_batch_size: 10 << 20,
            audit_log_truncate_max_event_size: 100 << 10,
            audit_log_version: "audit.k8s.io/v1".to_owned(),
            audit_webhook_config_file: None,
            audit_webhook_initial_backoff: Duration::from_secs(10),
            audit_webhook_mode: "batch".to_owned(),
            audit_webhook_batch_buffer_size: 10_000,
            audit_webhook_batch_max_size: 400,
            audit_webhook_batch_max_wait: Duration::from_secs(30),
            audit_webhook_batch_throttle_enable: true,
            audit_webhook_batch_throttle_qps: 10.0,
            audit_webhook_batch_throttle_burst: 15,
            audit_webhook_truncate_enabled: false,
            audit_webhook_truncate_max_batch_size: 10 << 20,
            audit_webhook_truncate_max_event_size: 100 << 10,
            audit_webhook_version: "audit.k8s.io/v1".to_owned(),
        }
    }
}

/// The flags that both backends have.
struct Backend<'a> {
    /// `log` or `webhook`
    name: &'static str,
    flag: &'static str,
    mode: &'a str,
    version: &'a str,
    batch: BatchConfig,
    throttled: bool,
    truncate: TruncateConfig,
}

impl AuditOptions {
    /// Checks what types cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.log_flags().validate()?;
        self.webhook_flags().validate()?;
        if Format::parse(&self.audit_log_format).is_none() {
            let why =
                format!("invalid audit log format {}, allowed formats are \"legacy,json\"", self.audit_log_format);
            return Err(ConfigError::Invalid { flag: "audit-log-format", why });
        }
        Ok(())
    }

    /// Settings of the log backend; `None` where there is none.
    pub fn log(&self) -> Option<LogConfig> {
        let flags = self.log_flags();
        Some(LogConfig {
            path: self.audit_log_path.clone()?,
            format: Format::parse(&self.audit_log_format)?,
            max_size: self.audit_log_maxsize,
            max_age: self.audit_log_maxage,
            max_backups: self.audit_log_maxbackup,
            compress: self.audit_log_compress,
            mode: Mode::parse(flags.mode)?,
            batch: flags.batch,
            truncate: self.audit_log_truncate_enabled.then_some(flags.truncate),
        })
    }

    /// Mode, batches and limits of the webhook backend.
    pub fn webhook(&self) -> Option<(Mode, BatchConfig, Option<TruncateConfig>)> {
        let flags = self.webhook_flags();
        let truncate = self.audit_webhook_truncate_enabled.then_some(flags.truncate);
        Some((Mode::parse(flags.mode)?, flags.batch, truncate))
    }

    fn log_flags(&self) -> Backend<'_> {
        let throttle = (self.audit_log_batch_throttle_qps, self.audit_log_batch_throttle_burst);
        Backend {
            name: "log",
            flag: "audit-log-mode",
            mode: &self.audit_log_mode,
            version: &self.audit_log_version,
            batch: BatchConfig {
                buffer_size: self.audit_log_batch_buffer_size,
                max_size: self.audit_log_batch_max_size,
                max_wait: self.audit_log_batch_max_wait,
                throttle: self.audit_log_batch_throttle_enable.then_some(throttle),
            },
            throttled: self.audit_log_batch_throttle_enable,
            truncate: TruncateConfig {
                event_bytes_max: self.audit_log_truncate_max_event_size,
                batch_bytes_max: self.audit_log_truncate_max_batch_size,
            },
        }
    }

    fn webhook_flags(&self) -> Backend<'_> {
        let throttle = (self.audit_webhook_batch_throttle_qps, self.audit_webhook_batch_throttle_burst);
        Backend {
            name: "webhook",
            flag: "audit-webhook-mode",
            mode: &self.audit_webhook_mode,
            version: &self.audit_webhook_version,
            batch: BatchConfig {
                buffer_size: self.audit_webhook_batch_buffer_size,
                max_size: self.audit_webhook_batch_max_size,
                max_wait: self.audit_webhook_batch_max_wait,
                throttle: self.audit_webhook_batch_throttle_enable.then_some(throttle),
            },
            throttled: self.audit_webhook_batch_throttle_enable,
            truncate: TruncateConfig {
                event_bytes_max: self.audit_webhook_truncate_max_event_size,
                batch_bytes_max: self.audit_webhook_truncate_max_batch_size,
            },
        }
    }
}

impl Backend<'_> {
    fn validate(&self) -> Result<(), ConfigError> {
        let Backend { name, flag, batch, truncate, .. } = self;
        let invalid = |why: String| Err(ConfigError::Invalid { flag, why });
        let positive = "must be a positive number";
        let Some(mode) = Mode::parse(self.mode) else {
            let known = "batch,blocking,blocking-strict";
            return invalid(format!("invalid audit {name} mode {}, allowed modes are {known:?}", self.mode));
        };
        if self.version != "audit.k8s.io/v1" {
            return invalid(format!("invalid group version {}, the allowed version is audit.k8s.io/v1", self.version));
        }
        if mode == Mode::Batch {
            if batch.buffer_size == 0 {
                return invalid(format!("invalid audit batch {name} buffer size 0, {positive}"));
            }
            if batch.max_size == 0 {
                return invalid(format!("invalid audit batch {name} max batch size 0, {positive}"));
            }
            if let Some((qps, burst)) = batch.throttle.filter(|_| self.throttled) {
                if qps.is_nan() || qps <= 0.0 {
                    return invalid(format!("invalid audit batch {name} throttle QPS {qps}, {positive}"));
                }
                if burst == 0 {
                    return invalid(format!("invalid audit batch {name} throttle burst 0, {positive}"));
                }
            }
        }
        if truncate.event_bytes_max == 0 {
            return invalid(format!("invalid audit truncate {name} max event size 0, {positive}"));
        }
        if truncate.batch_bytes_max < truncate.event_bytes_max {
            let (batch, event) = (truncate.batch_bytes_max, truncate.event_bytes_max);
            let why = format!("must be greater than max event size ({event})");
            return invalid(format!("invalid audit truncate {name} max batch size {batch}, {why}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        type Spoil = fn(&mut AuditOptions);
        let table: [(Spoil, &str); 6] = [
            (|o| o.audit_log_mode = "later".to_owned(), "invalid audit log mode later"),
            (|o| o.audit_log_format = "xml".to_owned(), "invalid audit log format xml"),
            (|o| o.audit_webhook_batch_max_size = 0, "webhook max batch size 0"),
            (|o| o.audit_webhook_batch_throttle_qps = 0.0, "throttle QPS 0"),
            (|o| o.audit_webhook_truncate_max_batch_size = 1, "must be greater than max event size"),
            (|o| o.audit_log_version = "audit.k8s.io/v1beta1".to_owned(), "invalid group version"),
        ];
        AuditOptions::default().validate().unwrap();
        for (change, want) in table {
            let mut options = AuditOptions::default();
            change(&mut options);
            let said = options.validate().unwrap_err().to_string();
            assert!(said.contains(want), "{said}");
        }
        // What is not used is not checked.
        AuditOptions { audit_log_batch_max_size: 0, ..AuditOptions::default() }.validate().unwrap();
    }
}
