//! A member's settings: etcd's flag names, parsed once, checked before anything is opened.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tonic::transport::Uri;

use crate::tls;

/// Flags of `kuorum storage`.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// This member's name, unique in the cluster; its peer certificate's common name
    #[arg(long, default_value = "default", env = "KUORUM_NAME")]
    pub name: String,
    /// Where the member keeps its data; made when it does not exist
    #[arg(long, default_value = "kuorum-storage", env = "KUORUM_DATA_DIR")]
    pub data_dir: PathBuf,
    /// Where other members connect to
    #[arg(long, value_delimiter = ',', default_value = "http://127.0.0.1:2380", env = "KUORUM_LISTEN_PEER_URLS")]
    pub listen_peer_urls: Vec<String>,
    /// What the cluster tells other members about it; the listen URLs when not given
    #[arg(long, value_delimiter = ',', env = "KUORUM_INITIAL_ADVERTISE_PEER_URLS")]
    pub initial_advertise_peer_urls: Vec<String>,
    /// Where front-ends and operators connect to
    #[arg(long, value_delimiter = ',', default_value = "http://127.0.0.1:2379", env = "KUORUM_LISTEN_CLIENT_URLS")]
    pub listen_client_urls: Vec<String>,
    /// What the cluster tells front-ends about it; the listen URLs when not given
    #[arg(long, value_delimiter = ',', env = "KUORUM_ADVERTISE_CLIENT_URLS")]
    pub advertise_client_urls: Vec<String>,
    /// The first members: name=peerURL,name=peerURL; only this one when not given
    #[arg(long, default_value = "", env = "KUORUM_INITIAL_CLUSTER")]
    pub initial_cluster: String,
    /// `new`, or `existing` for a member that was added with `kuorum ctl member add`
    #[arg(long, default_value = "new", value_parser = ["new", "existing"], env = "KUORUM_INITIAL_CLUSTER_STATE")]
    pub initial_cluster_state: String,
    /// Tells clusters apart: members with another token refuse each other
    #[arg(long, default_value = "kuorum-cluster", env = "KUORUM_INITIAL_CLUSTER_TOKEN")]
    pub initial_cluster_token: String,
    /// Bytes of objects and history beyond which puts are refused
    #[arg(long, default_value_t = DEFAULT_QUOTA_BYTES, env = "KUORUM_QUOTA_BACKEND_BYTES")]
    pub quota_backend_bytes: u64,
    /// Log entries (each of many transactions) between snapshots
    #[arg(long, default_value_t = 20_000, env = "KUORUM_SNAPSHOT_COUNT")]
    pub snapshot_count: u64,
    /// Milliseconds between a leader's heartbeats
    #[arg(long, default_value_t = 100, env = "KUORUM_HEARTBEAT_INTERVAL")]
    pub heartbeat_interval: u64,
    /// Milliseconds without a heartbeat before a follower stands for election
    #[arg(long, default_value_t = 1000, env = "KUORUM_ELECTION_TIMEOUT")]
    pub election_timeout: u64,
    /// How much history is kept: 5m, 1h, 30s; 0 turns compaction by time off
    #[arg(long, default_value = "5m", value_parser = parse_duration, env = "KUORUM_AUTO_COMPACTION_RETENTION")]
    pub auto_compaction_retention: Duration,
    /// How often the leader compares the members' hashes: 10m; 0 turns it off
    #[arg(long, default_value = "10m", value_parser = parse_duration, env = "KUORUM_CORRUPT_CHECK_TIME")]
    pub corrupt_check_time: Duration,
    /// Certificate for front-ends and operators
    #[arg(long, env = "KUORUM_CERT_FILE")]
    pub cert_file: Option<PathBuf>,
    /// Its key
    #[arg(long, env = "KUORUM_KEY_FILE")]
    pub key_file: Option<PathBuf>,
    /// The authority that front-ends' and operators' certificates come from
    #[arg(long, env = "KUORUM_TRUSTED_CA_FILE")]
    pub trusted_ca_file: Option<PathBuf>,
    /// Certificate for other members
    #[arg(long, env = "KUORUM_PEER_CERT_FILE")]
    pub peer_cert_file: Option<PathBuf>,
    /// Its key
    #[arg(long, env = "KUORUM_PEER_KEY_FILE")]
    pub peer_key_file: Option<PathBuf>,
    /// The authority that members' certificates come from
    #[arg(long, env = "KUORUM_PEER_TRUSTED_CA_FILE")]
    pub peer_trusted_ca_file: Option<PathBuf>,
    /// Where /metrics and /health are served, without TLS: loopback only
    #[arg(long, value_delimiter = ',', env = "KUORUM_LISTEN_METRICS_URLS")]
    pub listen_metrics_urls: Vec<String>,
    /// debug, info, warn or error
    #[arg(long, default_value = "info", env = "KUORUM_LOG_LEVEL")]
    pub log_level: String,
}

/// 2 GiB, as etcd's default.
pub const DEFAULT_QUOTA_BYTES: u64 = 2 << 30;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--{flag}: {message}")]
    Flag { flag: &'static str, message: String },
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

fn flag(flag: &'static str, message: impl Into<String>) -> Error {
    Error::Flag { flag, message: message.into() }
}

/// A place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    pub host: String,
    pub port: u16,
}

impl Config {
    /// The settings of the defaults, for assembling one by hand.
    pub fn defaults() -> Self {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            config: Config,
        }
        // Only environment variables could be wrong here; then the caller sees clap's own words.
        match <Command as clap::Parser>::try_parse_from(["kuorum"]) {
            Ok(command) => command.config,
            Err(error) => error.exit(),
        }
    }

    pub fn client_tls(&self) -> Result<Option<tls::Files>, Error> {
        files(&self.cert_file, &self.key_file, &self.trusted_ca_file, "cert-file")
    }

    pub fn peer_tls(&self) -> Result<Option<tls::Files>, Error> {
        files(&self.peer_cert_file, &self.peer_key_file, &self.peer_trusted_ca_file, "peer-cert-file")
    }

    pub fn peer_listeners(&self) -> Result<Vec<Listen>, Error> {
        listeners("listen-peer-urls", &self.listen_peer_urls, self.peer_tls()?.is_some())
    }

    pub fn client_listeners(&self) -> Result<Vec<Listen>, Error> {
        listeners("listen-client-urls", &self.listen_client_urls, self.client_tls()?.is_some())
    }

    pub fn metrics_listeners(&self) -> Result<Vec<Listen>, Error> {
        listeners("listen-metrics-urls", &self.listen_metrics_urls, false)
    }

    pub fn advertised_peer_urls(&self) -> Vec<String> {
        let given = &self.initial_advertise_peer_urls;
        if given.is_empty() { self.listen_peer_urls.clone() } else { given.clone() }
    }

    pub fn advertised_client_urls(&self) -> Vec<String> {
        let given = &self.advertise_client_urls;
        if given.is_empty() { self.listen_client_urls.clone() } else { given.clone() }
    }

    /// Name to peer URLs of the first members.
    ///
    /// # Errors
    /// Something that is not `name=url`, or a list without this member.
    pub fn initial_members(&self) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for part in self.initial_cluster.split(',').filter(|p| !p.is_empty()) {
            let (name, url) = part
                .split_once('=')
                .ok_or_else(|| flag("initial-cluster", format!("{part:?} is not of the form name=url")))?;
            parse_url("initial-cluster", url)?;
            members.entry(name.to_string()).or_default().push(url.to_string());
        }
        if members.is_empty() {
            members.insert(self.name.clone(), self.advertised_peer_urls());
        }
        if !members.contains_key(&self.name) {
            return Err(flag(
                "initial-cluster",
                format!("member {:?} (--name) is not among {:?}", self.name, members.keys()),
            ));
        }
        Ok(members)
    }

    /// Checks what can be checked without opening anything.
    ///
    /// # Errors
    /// The first flag that is wrong.
    pub fn validate(&self) -> Result<(), Error> {
        if self.name.is_empty() {
            return Err(flag("name", "must not be empty"));
        }
        if self.heartbeat_interval == 0 || self.election_timeout < 5 * self.heartbeat_interval {
            return Err(flag("election-timeout", "must be at least 5 times --heartbeat-interval"));
        }
        if self.snapshot_count == 0 {
            return Err(flag("snapshot-count", "must be greater than 0"));
        }
        self.peer_listeners()?;
        self.client_listeners()?;
        self.metrics_listeners()?;
        self.initial_members().map(|_| ())
    }
}

fn files(
    certificate: &Option<PathBuf>,
    key: &Option<PathBuf>,
    authority: &Option<PathBuf>,
    name: &'static str,
) -> Result<Option<tls::Files>, Error> {
    match (certificate, key, authority) {
        (None, None, None) => Ok(None),
        (Some(certificate), Some(key), Some(authority)) => {
            Ok(Some(tls::Files { certificate: certificate.clone(), key: key.clone(), authority: authority.clone() }))
        }
        _ => Err(flag(name, "certificate, key and trusted CA file must be given together")),
    }
}

fn parse_url(name: &'static str, url: &str) -> Result<(bool, Listen), Error> {
    let uri: Uri = url.parse().map_err(|e| flag(name, format!("{url:?}: {e}")))?;
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(flag(name, format!("{url:?} must begin with https:// or http://"))),
    };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_string();
    let port = uri.port_u16().ok_or_else(|| flag(name, format!("{url:?} has no port")))?;
    Ok((secure, Listen { host, port }))
}

fn listeners(name: &'static str, urls: &[String], has_tls: bool) -> Result<Vec<Listen>, Error> {
    let mut listeners = Vec::new();
    for url in urls {
        let (secure, listen) = parse_url(name, url)?;
        let loopback =
            listen.host == "localhost" || listen.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if secure != has_tls {
            let what = if secure { "needs certificate flags" } else { "is plain text, but certificates are given" };
            return Err(flag(name, format!("{url} {what}")));
        }
        if !secure && !loopback {
            return Err(flag(name, format!("{url} would be plain text on the network: only loopback may be http://")));
        }
        listeners.push(listen);
    }
    Ok(listeners)
}

/// Reads `90s`, `5m`, `1h30m`, `0`; a bare number is hours, as in etcd.
///
/// # Errors
/// Anything else.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(hours) = text.parse::<u64>() {
        return hours.checked_mul(3600).map(Duration::from_secs).ok_or_else(|| "too long".into());
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().map_err(|_| format!("{text:?} is not a duration like 5m"))?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit_ms = match &rest[..unit_end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            unit => return Err(format!("unknown unit {unit:?} in {text:?}")),
        };
        rest = &rest[unit_end..];
        let part = number.checked_mul(unit_ms).ok_or("too long")?;
        total = total.checked_add(Duration::from_millis(part)).ok_or("too long")?;
    }
    if text.is_empty() { Err("empty duration".into()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let cases = [("5m", Ok(300)), ("1h30m", Ok(5400)), ("90s", Ok(90)), ("0", Ok(0)), ("2", Ok(7200))];
        for (text, expected) in cases {
            assert_eq!(parse_duration(text), expected.map(Duration::from_secs), "{text}");
        }
        for text in ["", "m", "5x", "-5m", "5", "18446744073709551615h"].into_iter().filter(|t| *t != "5") {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn plain_text_stays_on_this_machine() {
        let mut config = Config::defaults();
        config.validate().unwrap();
        config.listen_client_urls = vec!["http://0.0.0.0:2379".into()];
        assert!(config.validate().unwrap_err().to_string().contains("plain text"));
        config.listen_client_urls = vec!["https://0.0.0.0:2379".into()];
        assert!(config.validate().unwrap_err().to_string().contains("certificate"));
        config.cert_file = Some("a".into());
        assert!(config.validate().unwrap_err().to_string().contains("together"));
    }

    #[test]
    fn initial_cluster_must_name_this_member() {
        let mut config = Config::defaults();
        config.name = "a".into();
        config.initial_cluster = "a=http://127.0.0.1:1,b=http://127.0.0.1:2,a=http://127.0.0.1:3".into();
        assert_eq!(config.initial_members().unwrap()["a"].len(), 2);
        config.name = "c".into();
        assert!(config.initial_members().is_err());
        config.initial_cluster = "c".into();
        assert!(config.initial_members().is_err());
    }
}
