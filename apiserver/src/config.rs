//! Settings of a front-end: kube-apiserver's flag names, `KUORUM_*` variables and a YAML file.
//!
//! Read once at start, validated by [`Config::validate`], then passed down as this plain struct.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::options::{AuditOptions, AuthenticationOptions, AuthorizationOptions, ServingOptions};
pub use kuorum_schema::time::duration;

/// What the settings say is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("--{flag}: {why}")]
    Invalid { flag: &'static str, why: String },
    #[error("cannot read --config {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("--config {}: {why}", path.display())]
    BadFile { path: PathBuf, why: String },
}

/// All settings. `Default` is every flag's default.
#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct Config {
    /// YAML file with flag names as keys (flag > environment > file > default).
    #[arg(long, env = "KUORUM_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Address to listen on.
    #[arg(long, env = "KUORUM_BIND_ADDRESS", default_value = "0.0.0.0")]
    pub bind_address: IpAddr,
    /// Port for HTTPS; 0 lets the system choose.
    #[arg(long, env = "KUORUM_SECURE_PORT", default_value_t = 6443)]
    pub secure_port: u16,
    /// Address that the `kubernetes` Service leads to; by default the bind address, or the first of the host's.
    #[arg(long, env = "KUORUM_ADVERTISE_ADDRESS")]
    pub advertise_address: Option<IpAddr>,
    /// Host name for URLs that leave the cluster.
    #[arg(long, env = "KUORUM_EXTERNAL_HOSTNAME", default_value = "")]
    pub external_hostname: String,

    /// Serving certificate chain, PEM. Read again when it changes.
    #[arg(long, env = "KUORUM_TLS_CERT_FILE", value_name = "FILE")]
    pub tls_cert_file: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, env = "KUORUM_TLS_PRIVATE_KEY_FILE", value_name = "FILE")]
    pub tls_private_key_file: Option<PathBuf>,
    /// Oldest TLS version: VersionTLS12 or VersionTLS13.
    #[arg(long, env = "KUORUM_TLS_MIN_VERSION", default_value = "VersionTLS12")]
    pub tls_min_version: String,
    /// CA bundle for client certificates: CN is the user, O are the groups. Read again when it changes.
    #[arg(long, env = "KUORUM_CLIENT_CA_FILE", value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,

    /// CSV file of static tokens: token,user,uid[,"group1,group2"].
    #[arg(long, env = "KUORUM_TOKEN_AUTH_FILE", value_name = "FILE")]
    pub token_auth_file: Option<PathBuf>,
    /// Whether a request without credentials is served as system:anonymous.
    #[arg(long, env = "KUORUM_ANONYMOUS_AUTH", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub anonymous_auth: bool,
    /// Authorization modes, in order: AlwaysAllow, AlwaysDeny, Node, RBAC, Webhook, ABAC. [default: Node,RBAC]
    #[arg(long, env = "KUORUM_AUTHORIZATION_MODE", value_delimiter = ',')]
    pub authorization_mode: Vec<String>,
    /// Issuers of service account tokens; the first one signs.
    #[arg(
        long,
        env = "KUORUM_SERVICE_ACCOUNT_ISSUER",
        value_delimiter = ',',
        default_value = "https://kubernetes.default.svc.cluster.local"
    )]
    pub service_account_issuer: Vec<String>,
    /// Keys that verify service account tokens, public or private, PEM; by default the one that signs.
    #[arg(long, env = "KUORUM_SERVICE_ACCOUNT_KEY_FILE", value_delimiter = ',', value_name = "FILE")]
    pub service_account_key_file: Vec<PathBuf>,
    /// Private key that signs service account tokens, PEM.
    #[arg(long, env = "KUORUM_SERVICE_ACCOUNT_SIGNING_KEY_FILE", value_name = "FILE")]
    pub service_account_signing_key_file: Option<PathBuf>,
    /// Audiences of the API.
    #[arg(long, env = "KUORUM_API_AUDIENCES", value_delimiter = ',')]
    pub api_audiences: Vec<String>,

    /// Admission plugins to add to the default ones.
    #[arg(long, env = "KUORUM_ENABLE_ADMISSION_PLUGINS", value_delimiter = ',')]
    pub enable_admission_plugins: Vec<String>,
    /// Admission plugins to leave out.
    #[arg(long, env = "KUORUM_DISABLE_ADMISSION_PLUGINS", value_delimiter = ',')]
    pub disable_admission_plugins: Vec<String>,
    /// AdmissionConfiguration: settings of admission plugins, YAML.
    #[arg(long, env = "KUORUM_ADMISSION_CONTROL_CONFIG_FILE", value_name = "FILE")]
    pub admission_control_config_file: Option<PathBuf>,
    /// Whether privileged containers are allowed.
    #[arg(long, env = "KUORUM_ALLOW_PRIVILEGED", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub allow_privileged: bool,

    /// CIDRs of Service addresses, at most one of each family.
    #[arg(long, env = "KUORUM_SERVICE_CLUSTER_IP_RANGE", value_delimiter = ',', default_value = "10.0.0.0/24")]
    pub service_cluster_ip_range: Vec<String>,
    /// Ports for NodePort Services, `first-last`.
    #[arg(long, env = "KUORUM_SERVICE_NODE_PORT_RANGE", default_value = "30000-32767")]
    pub service_node_port_range: String,

    /// Whether requests are served by FlowSchemas and PriorityLevelConfigurations, on as many seats as the two limits
    /// below add up to; else by these limits alone.
    #[arg(long, env = "KUORUM_ENABLE_PRIORITY_AND_FAIRNESS", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub enable_priority_and_fairness: bool,
    /// Non-mutating requests worked on at once; more get 429. 0: no limit.
    #[arg(long, env = "KUORUM_MAX_REQUESTS_INFLIGHT", default_value_t = 400)]
    pub max_requests_inflight: usize,
    /// Mutating requests worked on at once; more get 429. 0: no limit.
    #[arg(long, env = "KUORUM_MAX_MUTATING_REQUESTS_INFLIGHT", default_value_t = 200)]
    pub max_mutating_requests_inflight: usize,
    /// Longest time for a request that does not stream.
    #[arg(long, env = "KUORUM_REQUEST_TIMEOUT", default_value = "1m0s", value_parser = duration)]
    pub request_timeout: Duration,
    /// Shortest time, in seconds, after which a watch without its own timeout ends (up to twice that).
    #[arg(long, env = "KUORUM_MIN_REQUEST_TIMEOUT", default_value_t = 1800)]
    pub min_request_timeout: u64,
    /// How long to go on serving, no longer ready, after SIGTERM.
    #[arg(long, env = "KUORUM_SHUTDOWN_DELAY_DURATION", default_value = "0s", value_parser = duration)]
    pub shutdown_delay_duration: Duration,
    /// HTTP/2 streams per connection.
    #[arg(
        long = "http2-max-streams-per-connection",
        env = "KUORUM_HTTP2_MAX_STREAMS_PER_CONNECTION",
        default_value_t = 1000
    )]
    pub http2_max_streams_per_connection: u32,

    #[command(flatten)]
    pub authentication: AuthenticationOptions,
    #[command(flatten)]
    pub authorization: AuthorizationOptions,
    #[command(flatten)]
    pub audit: AuditOptions,
    #[command(flatten)]
    pub serving: ServingOptions,
    /// Feature gates, `Name=true,…`.
    #[arg(long, env = "KUORUM_FEATURE_GATES", value_delimiter = ',')]
    pub feature_gates: Vec<String>,

    /// Controllers to run in this process, with kube-controller-manager's syntax: `*`, names, `-name`; `-*` is none.
    #[arg(long, env = "KUORUM_CONTROLLERS", value_delimiter = ',', default_value = "-*", allow_hyphen_values = true)]
    pub controllers: Vec<String>,
    /// Whether of several front-ends with controllers one runs them, chosen by a Lease.
    #[arg(long, env = "KUORUM_LEADER_ELECT", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,
    /// CA that pods know the API server by (kube-root-ca.crt), PEM; by default the one of client certificates.
    #[arg(long, env = "KUORUM_ROOT_CA_FILE", value_name = "FILE")]
    pub root_ca_file: Option<PathBuf>,

    /// Store members, `https://host:port`.
    #[arg(long, env = "KUORUM_STORAGE_SERVERS", value_delimiter = ',')]
    pub storage_servers: Vec<String>,
    /// CA of the store members, PEM.
    #[arg(long, env = "KUORUM_STORAGE_CAFILE", value_name = "FILE")]
    pub storage_cafile: Option<PathBuf>,
    /// Client certificate (role front-end) for the store, PEM.
    #[arg(long, env = "KUORUM_STORAGE_CERTFILE", value_name = "FILE")]
    pub storage_certfile: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, env = "KUORUM_STORAGE_KEYFILE", value_name = "FILE")]
    pub storage_keyfile: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            config: None,
            bind_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            secure_port: 6443,
            advertise_address: None,
            external_hostname: String::new(),
            tls_cert_file: None,
            tls_private_key_file: None,
            tls_min_version: "VersionTLS12".to_owned(),
            client_ca_file: None,
            token_auth_file: None,
            anonymous_auth: true,
            authorization_mode: Vec::new(),
            service_account_issuer: vec!["https://kubernetes.default.svc.cluster.local".to_owned()],
            service_account_key_file: Vec::new(),
            service_account_signing_key_file: None,
            api_audiences: Vec::new(),
            enable_admission_plugins: Vec::new(),
            disable_admission_plugins: Vec::new(),
            admission_control_config_file: None,
            allow_privileged: false,
            service_cluster_ip_range: vec!["10.0.0.0/24".to_owned()],
            service_node_port_range: "30000-32767".to_owned(),
            enable_priority_and_fairness: true,
            max_requests_inflight: 400,
            max_mutating_requests_inflight: 200,
            request_timeout: Duration::from_secs(60),
            min_request_timeout: 1800,
            shutdown_delay_duration: Duration::ZERO,
            http2_max_streams_per_connection: 1000,
            authentication: AuthenticationOptions::default(),
            authorization: AuthorizationOptions::default(),
            audit: AuditOptions::default(),
            serving: ServingOptions::default(),
            feature_gates: Vec::new(),
            controllers: vec!["-*".to_owned()],
            leader_elect: true,
            root_ca_file: None,
            storage_servers: Vec::new(),
            storage_cafile: None,
            storage_certfile: None,
            storage_keyfile: None,
        }
    }
}

impl Config {
    /// Whether requests without credentials are served. Never where everything is allowed: as with kube-apiserver, the
    /// mode turns them off.
    pub fn serves_anonymous(&self) -> bool {
        self.anonymous_auth && !self.authorization_mode.iter().any(|mode| mode == "AlwaysAllow")
    }

    /// Checks what types cannot: ranges, names, files that belong together.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let invalid = |flag, why: String| Err(ConfigError::Invalid { flag, why });
        if self.tls_cert_file.is_some() != self.tls_private_key_file.is_some() {
            return invalid("tls-cert-file", "needs --tls-private-key-file, and the other way round".into());
        }
        if !matches!(self.tls_min_version.as_str(), "VersionTLS12" | "VersionTLS13") {
            return invalid("tls-min-version", format!("unknown version {:?}", self.tls_min_version));
        }
        self.authorization.check(&self.authorization_mode)?;
        for range in &self.service_cluster_ip_range {
            if let Err(why) = crate::services::range::IpRange::parse(range) {
                return invalid("service-cluster-ip-range", why);
            }
        }
        if let Err(why) = crate::services::range::PortRange::parse(&self.service_node_port_range) {
            return invalid("service-node-port-range", why);
        }
        let seats = (self.max_requests_inflight, self.max_mutating_requests_inflight);
        if self.enable_priority_and_fairness && seats == (0, 0) {
            let why = "and --max-mutating-requests-inflight must add up to something positive";
            return invalid("max-requests-inflight", why.into());
        }
        self.audit.validate()?;
        self.authentication.validate()?;
        self.serving.validate()?;
        if let Err(why) = crate::controllers::Selection::parse(&self.controllers) {
            return invalid("controllers", why);
        }
        Ok(())
    }
}

/// Puts the settings of a `--config` file in front of the flags, so that flags win over it; those that the
/// environment sets are left out, so that it wins too. `args` starts with the program and the subcommand.
pub fn with_file(args: Vec<OsString>) -> Result<Vec<OsString>, ConfigError> {
    let Some(path) = config_path(&args) else { return Ok(args) };
    let text = std::fs::read(&path).map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
    let settings =
        file_args(&text, |name| std::env::var_os(name).is_some()).map_err(|why| ConfigError::BadFile { path, why })?;
    let mut out = args;
    let at = 2.min(out.len());
    out.splice(at..at, settings);
    Ok(out)
}

fn config_path(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter();
    let mut found = std::env::var_os("KUORUM_CONFIG").map(PathBuf::from);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--config") => found = args.next().map(PathBuf::from),
            Some(text) => {
                if let Some(path) = text.strip_prefix("--config=") {
                    found = Some(PathBuf::from(path));
                }
            }
            None => {}
        }
    }
    found
}

/// `{flag: value}` as `--flag=value`; lists are joined with commas.
fn file_args(text: &[u8], is_set: impl Fn(&str) -> bool) -> Result<Vec<OsString>, String> {
    let document = kuorum_schema::yaml::to_json(text).map_err(|e| e.to_string())?;
    let serde_json::Value::Object(map) = document.value else {
        return Err("must be a map of flag names to values".to_owned());
    };
    let mut args = Vec::new();
    for (flag, value) in map {
        let scalar = |v: &serde_json::Value| match v {
            serde_json::Value::String(s) => Ok(s.clone()),
            serde_json::Value::Bool(_) | serde_json::Value::Number(_) => Ok(v.to_string()),
            _ => Err(format!("{flag}: must be a scalar or a list of scalars")),
        };
        let text = match &value {
            serde_json::Value::Array(items) => {
                // Pairs of files have commas of their own.
                let separator = if flag == "tls-sni-cert-key" { ";" } else { "," };
                items.iter().map(scalar).collect::<Result<Vec<_>, _>>()?.join(separator)
            }
            other => scalar(other)?,
        };
        if !is_set(&format!("KUORUM_{}", flag.replace('-', "_").to_uppercase())) {
            args.push(OsString::from(format!("--{flag}={text}")));
        }
    }
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        config: Config,
    }

    #[test]
    fn the_flags_of_the_oracle_are_accepted() {
        let cli = Cli::try_parse_from([
            "kuorum",
            "--authorization-mode=Node,RBAC",
            "--disable-admission-plugins=ServiceAccount",
            "--service-cluster-ip-range=10.0.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--allow-privileged",
            "--controllers=-*",
        ])
        .unwrap();
        assert!(cli.config.allow_privileged);
        assert_eq!(cli.config.authorization_mode, ["Node", "RBAC"]);
        cli.config.validate().unwrap();
        assert!(Cli::try_parse_from(["kuorum", "--no-such-flag"]).is_err());
    }

    #[test]
    fn defaults_agree_with_the_flags() {
        let parsed = Cli::try_parse_from(["kuorum"]).unwrap().config;
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration("1m0s").unwrap(), Duration::from_secs(60));
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("1h30m").unwrap(), Duration::from_secs(5400));
        for bad in ["", "abc", "5", "5x", "-3s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_yields_to_environment_and_flags() {
        let args = file_args(b"secure-port: 7443\nbind-address: 127.0.0.1\n", |n| n == "KUORUM_BIND_ADDRESS").unwrap();
        assert_eq!(args, [OsString::from("--secure-port=7443")]);
    }
}
