//! `kuorum pki`: makes, lists and rotates the certificates of a cluster.
//!
//! Two authorities, so that a stolen API client certificate opens no store and the reverse: the cluster's (serving
//! certificates and API clients) and the store's (members, front-ends, operators). Existing files are kept: `init`
//! adds what is missing, `rotate` renews leaf certificates with the same subject, names and use, on new keys.

pub mod authority;
mod inspect;
pub mod layout;

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use time::{Duration, OffsetDateTime};

use crate::files::{MODE_PUBLIC, MODE_SECRET, create_private_dir, write_atomic};
use crate::table::Table;
use authority::{Authority, Leaf, Usage};
use layout::{Layout, Pair};

/// Organizations of store certificates: what a connection may do follows from them.
pub const ROLE_PEER: &str = "kuorum:peer";
/// See [`ROLE_PEER`].
pub const ROLE_FRONT_END: &str = "kuorum:front-end";
/// See [`ROLE_PEER`].
pub const ROLE_OPERATOR: &str = "kuorum:operator";

/// Ten years, as kubeadm: an authority is replaced by hand, and rarely.
const CA_DAYS: u32 = 3650;
/// The names that every Pod knows the API server by.
const SERVICE_NAMES: [&str; 4] =
    ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Arguments of `kuorum pki`.
#[derive(Debug, Args)]
pub struct PkiArgs {
    #[command(subcommand)]
    command: PkiCommand,
}

#[derive(Debug, Subcommand)]
enum PkiCommand {
    /// Make what is missing of a cluster's certificates and keys
    Init(InitArgs),
    /// Renew certificates, on new keys, with the same subject, names and use
    Rotate(RotateArgs),
    /// List the certificates and when they end
    List(ListArgs),
}

#[derive(Debug, Args)]
struct InitArgs {
    /// Directory of the certificates and keys
    #[arg(long, value_name = "DIR", default_value = "pki")]
    dir: PathBuf,
    /// A name or address that front-ends are reached under; may be repeated
    #[arg(long = "san", value_name = "HOST", value_delimiter = ',')]
    sans: Vec<String>,
    /// A store member and the hosts it is reached under; may be repeated
    #[arg(long = "member", value_name = "NAME=HOST[,HOST...]")]
    members: Vec<MemberHosts>,
    /// Range of Service addresses; its first one, the `kubernetes` Service's, goes into the serving certificate
    #[arg(long, value_name = "CIDR", default_value = "10.0.0.0/24")]
    service_cluster_ip_range: String,
    /// Days that leaf certificates are valid for
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Replace certificates and keys that exist, authorities included
    #[arg(long)]
    overwrite: bool,
}

#[derive(Debug, Args)]
struct RotateArgs {
    /// Directory of the certificates and keys
    #[arg(long, value_name = "DIR", default_value = "pki")]
    dir: PathBuf,
    /// Renew only what ends within this many days
    #[arg(long, value_name = "DAYS")]
    expiring_within: Option<u32>,
    /// Days that the new certificates are valid for
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Directory of the certificates and keys
    #[arg(long, value_name = "DIR", default_value = "pki")]
    dir: PathBuf,
}

/// `NAME=HOST[,HOST...]`: a store member and where it is reached. Without hosts: loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberHosts {
    /// The member's name, its certificate's common name.
    pub name: String,
    /// DNS names and addresses.
    pub hosts: Vec<String>,
}

impl FromStr for MemberHosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, hosts) = text.split_once('=').unwrap_or((text, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
        // The name becomes a file name, so a path in it would write elsewhere.
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return Err(format!("member name {name:?} must consist of letters, digits, '-', '_' and '.'"));
        }
        if ["ca", "front-end", "operator"].contains(&name) {
            return Err(format!("member name {name:?} is taken by another certificate"));
        }
        Ok(Self {
            name: name.to_owned(),
            hosts: hosts.split(',').filter(|host| !host.is_empty()).map(str::to_owned).collect(),
        })
    }
}

/// What a cluster's certificates are made for.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Names and addresses of the front-ends, besides loopback and the `kubernetes` Service's.
    pub sans: Vec<String>,
    /// Store members.
    pub members: Vec<MemberHosts>,
    /// Service addresses (`a.b.c.d/n`, or several separated by commas).
    pub service_cluster_ip_range: String,
    /// Days that leaf certificates are valid for.
    pub days: u32,
}

/// Runs `kuorum pki`.
pub fn run(args: PkiArgs) -> Result<()> {
    match args.command {
        PkiCommand::Init(args) => {
            let spec = Spec {
                sans: args.sans,
                members: args.members,
                service_cluster_ip_range: args.service_cluster_ip_range,
                days: args.days,
            };
            for path in init(&Layout::new(args.dir), &spec, args.overwrite)? {
                println!("wrote {}", path.display());
            }
            Ok(())
        }
        PkiCommand::Rotate(args) => {
            for path in rotate(&Layout::new(args.dir), args.expiring_within, args.days)? {
                println!("renewed {}", path.display());
            }
            Ok(())
        }
        PkiCommand::List(args) => list(&Layout::new(args.dir)),
    }
}

/// Makes what is missing under `layout` (with `overwrite`, everything) and returns the paths that were written.
///
/// # Errors
/// When a directory or file cannot be written, a host is no host, or a certificate is there without its key.
pub fn init(layout: &Layout, spec: &Spec, overwrite: bool) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    create_private_dir(&layout.store_dir()).with_context(|| format!("make {}", layout.store_dir().display()))?;

    let cluster = authority(&layout.ca(), "kubernetes", overwrite, &mut written)?;
    let store = authority(&layout.store_ca(), "kuorum-store-ca", overwrite, &mut written)?;

    let mut wanted = vec![
        (&cluster, layout.apiserver(), serving_leaf(spec)?),
        (&cluster, layout.admin(), client("kubernetes-admin", "system:masters")),
        (&store, layout.front_end(), client("front-end", ROLE_FRONT_END)),
        (&store, layout.operator(), client("operator", ROLE_OPERATOR)),
    ];
    for member in &spec.members {
        let hosts = with_loopback(member.hosts.iter().map(String::as_str));
        let leaf = Leaf {
            common_name: member.name.clone(),
            organization: Some(ROLE_PEER.to_owned()),
            hosts,
            usage: Usage::Both,
        };
        wanted.push((&store, layout.member(&member.name), leaf));
    }
    for (authority, pair, leaf) in wanted {
        if overwrite || !complete(&pair)? {
            write_pair(&pair, &authority.issue(&leaf, spec.days)?, &mut written)?;
        }
    }
    let (key, public) = (layout.service_account_key(), layout.service_account_public_key());
    if overwrite || !key.exists() {
        let (key_pem, public_pem) = authority::key_pair()?;
        write(&key, &key_pem, MODE_SECRET, &mut written)?;
        write(&public, &public_pem, MODE_PUBLIC, &mut written)?;
    }
    Ok(written)
}

/// Renews the leaf certificates under `layout`, or those that end within `expiring_within` days.
pub fn rotate(layout: &Layout, expiring_within: Option<u32>, days: u32) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    let now = OffsetDateTime::from(SystemTime::now());
    for (dir, ca) in [(layout.dir().to_path_buf(), layout.ca()), (layout.store_dir(), layout.store_ca())] {
        let signer = load_authority(&ca)?;
        for cert in certificates_in(&dir)? {
            if cert == ca.cert {
                continue;
            }
            let pem = read(&cert)?;
            let found = inspect::inspect(&pem).with_context(|| format!("read {}", cert.display()))?;
            if expiring_within.is_some_and(|days| found.not_after > now + Duration::days(i64::from(days))) {
                continue;
            }
            let pair = Pair { key: cert.with_extension("key"), cert };
            write_pair(&pair, &signer.issue(&found.leaf, days)?, &mut written)?;
        }
    }
    Ok(written)
}

/// Issues a new serving certificate when the present one lacks a name of `spec`. True when it did.
pub fn ensure_serving_names(layout: &Layout, spec: &Spec) -> Result<bool> {
    let pair = layout.apiserver();
    let mut leaf = serving_leaf(spec)?;
    let found = inspect::inspect(&read(&pair.cert)?).with_context(|| format!("read {}", pair.cert.display()))?;
    let present: BTreeSet<&String> = found.leaf.hosts.iter().collect();
    if leaf.hosts.iter().all(|host| present.contains(host)) {
        return Ok(false);
    }
    let added = found.leaf.hosts.iter().filter(|host| !leaf.hosts.contains(*host)).cloned().collect::<Vec<_>>();
    leaf.hosts.extend(added);
    write_pair(&pair, &load_authority(&layout.ca())?.issue(&leaf, spec.days)?, &mut Vec::new())?;
    Ok(true)
}

/// The authority that signs API clients.
pub fn cluster_authority(layout: &Layout) -> Result<Authority> {
    load_authority(&layout.ca())
}

/// What a client certificate with this user and group says.
pub fn client(common_name: &str, organization: &str) -> Leaf {
    Leaf {
        common_name: common_name.to_owned(),
        organization: (!organization.is_empty()).then(|| organization.to_owned()),
        hosts: Vec::new(),
        usage: Usage::Client,
    }
}

fn list(layout: &Layout) -> Result<()> {
    let mut table = Table::new(["CERTIFICATE", "SUBJECT", "EXPIRES", "DAYS LEFT", "AUTHORITY"]);
    let now = OffsetDateTime::from(SystemTime::now());
    for dir in [layout.dir().to_path_buf(), layout.store_dir()] {
        for cert in certificates_in(&dir)? {
            let found = inspect::inspect(&read(&cert)?).with_context(|| format!("read {}", cert.display()))?;
            let subject = match &found.leaf.organization {
                Some(organization) => format!("O={organization}, CN={}", found.leaf.common_name),
                None => format!("CN={}", found.leaf.common_name),
            };
            let name = cert.strip_prefix(layout.dir()).unwrap_or(&cert).display().to_string();
            let days = (found.not_after - now).whole_days().to_string();
            table.row([name, subject, found.not_after.date().to_string(), days, found.issuer]);
        }
    }
    print!("{table}");
    Ok(())
}

fn serving_leaf(spec: &Spec) -> Result<Leaf> {
    let mut hosts: Vec<String> = SERVICE_NAMES.iter().map(|name| (*name).to_owned()).collect();
    hosts.extend(with_loopback(spec.sans.iter().map(String::as_str)));
    for range in spec.service_cluster_ip_range.split(',').filter(|range| !range.is_empty()) {
        let first = first_address(range)?.to_string();
        if !hosts.contains(&first) {
            hosts.push(first);
        }
    }
    Ok(Leaf { common_name: "kube-apiserver".to_owned(), organization: None, hosts, usage: Usage::Server })
}

/// The loopback names, then `hosts`, each once.
fn with_loopback<'a>(hosts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for host in LOOPBACK.into_iter().chain(hosts) {
        // The text of an address is made canonical, so that the same one is not listed twice.
        let host = host.parse::<IpAddr>().map_or_else(|_| host.to_owned(), |address| address.to_string());
        if !all.contains(&host) {
            all.push(host);
        }
    }
    all
}

/// The first address of a range after the network's own: `10.0.0.1` of `10.0.0.0/24`.
fn first_address(range: &str) -> Result<IpAddr> {
    let (base, bits) = range.split_once('/').with_context(|| format!("{range:?} is not a CIDR"))?;
    let base: IpAddr = base.parse().with_context(|| format!("{range:?} is not a CIDR"))?;
    let bits: u32 = bits.parse().with_context(|| format!("{range:?} is not a CIDR"))?;
    Ok(match base {
        IpAddr::V4(v4) => {
            ensure!(bits <= 30, "{range:?} is too small");
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            IpAddr::from(((u32::from(v4) & mask) + 1).to_be_bytes())
        }
        IpAddr::V6(v6) => {
            ensure!(bits <= 126, "{range:?} is too small");
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            IpAddr::from(((u128::from(v6) & mask) + 1).to_be_bytes())
        }
    })
}

fn authority(pair: &Pair, name: &str, overwrite: bool, written: &mut Vec<PathBuf>) -> Result<Authority> {
    if overwrite || !complete(pair)? {
        write_pair(pair, &Authority::create(name, CA_DAYS)?, written)?;
    }
    load_authority(pair)
}

fn load_authority(pair: &Pair) -> Result<Authority> {
    Authority::load(&read(&pair.cert)?, &read(&pair.key)?).with_context(|| format!("{}", pair.cert.display()))
}

/// Whether the pair is there. Half a pair is an error: making the other half would orphan what the first one signed.
fn complete(pair: &Pair) -> Result<bool> {
    if pair.cert.exists() != pair.key.exists() {
        bail!("{} and {} must both be there, or neither", pair.cert.display(), pair.key.display());
    }
    Ok(pair.exists())
}

/// Certificates in a directory, by name.
fn certificates_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "crt") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// The key goes first: a crash in between leaves half a pair, which the next start names, not a pair that differs.
fn write_pair(pair: &Pair, issued: &authority::Issued, written: &mut Vec<PathBuf>) -> Result<()> {
    write(&pair.key, &issued.key_pem, MODE_SECRET, written)?;
    write(&pair.cert, &issued.cert_pem, MODE_PUBLIC, written)
}

fn write(path: &Path, content: &str, mode: u32, written: &mut Vec<PathBuf>) -> Result<()> {
    write_atomic(path, content.as_bytes(), mode).with_context(|| format!("write {}", path.display()))?;
    written.push(path.to_path_buf());
    Ok(())
}

#[cfg(test)]
mod tests;
