//! A cluster of members in this process, on ports chosen by the kernel, with certificates made on the spot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kuorum_proto::v1;
use kuorum_proto::v1::cluster_client::ClusterClient;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::config::Config;
use crate::error::Result;
use crate::member::{Listeners, serve};
use crate::suite::PATIENCE;

/// An authority and what it issues, as files.
pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
    directory: PathBuf,
}

impl Pki {
    pub fn new(directory: &Path) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(directory.join("ca.crt"), certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), directory: directory.to_path_buf() }
    }

    /// Certificate and key files of somebody with a role.
    pub fn issue(&self, name: &str, organization: &str) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec!["localhost".to_string(), "127.0.0.1".to_string()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, organization);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (crt, pem) = (self.directory.join(format!("{name}.crt")), self.directory.join(format!("{name}.key")));
        std::fs::write(&crt, certificate.pem()).unwrap();
        std::fs::write(&pem, key.serialize_pem()).unwrap();
        (crt, pem)
    }

    pub fn authority(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// A channel with somebody's certificate.
    pub fn channel(&self, url: &str, name: &str, organization: &str) -> Channel {
        let (crt, key) = self.issue(name, organization);
        let read = |path: &Path| std::fs::read(path).unwrap();
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(&self.authority())))
            .identity(Identity::from_pem(read(&crt), read(&key)));
        Endpoint::from_shared(url.to_string()).unwrap().tls_config(tls).unwrap().tcp_nodelay(true).connect_lazy()
    }
}

struct Running {
    task: JoinHandle<Result<()>>,
    stop: Option<oneshot::Sender<()>>,
}

/// Members by name. Each keeps its ports and its directory when it is started again.
pub struct Cluster {
    pub root: tempfile::TempDir,
    pub pki: Pki,
    pub configs: BTreeMap<String, Config>,
    running: BTreeMap<String, Running>,
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

impl Cluster {
    /// Starts `members` members.
    pub async fn start(members: usize) -> Self {
        Self::start_with(members, |_| {}).await
    }

    pub async fn start_with(members: usize, adjust: impl Fn(&mut Config)) -> Self {
        let root = tempfile::tempdir().unwrap();
        let pki = Pki::new(&root.path().join("pki"));
        let mut cluster = Self { root, pki, configs: BTreeMap::new(), running: BTreeMap::new() };
        for i in 1..=members {
            cluster.configure(&format!("m{i}")).await;
        }
        let initial: Vec<_> =
            cluster.configs.values().map(|c| format!("{}={}", c.name, c.listen_peer_urls[0])).collect();
        for config in cluster.configs.values_mut() {
            config.initial_cluster = initial.join(",");
            adjust(config);
        }
        let names: Vec<_> = cluster.configs.keys().cloned().collect();
        for name in &names {
            cluster.launch(name).await;
        }
        cluster
    }

    /// Settings for a new member, not started.
    pub async fn configure(&mut self, name: &str) {
        let (crt, key) = self.pki.issue(name, "kuorum:peer");
        let authority = Some(self.pki.authority());
        let config = Config {
            name: name.to_string(),
            data_dir: self.root.path().join(name),
            listen_peer_urls: vec![format!("https://127.0.0.1:{}", free_port().await)],
            listen_client_urls: vec![format!("https://127.0.0.1:{}", free_port().await)],
            cert_file: Some(crt.clone()),
            key_file: Some(key.clone()),
            trusted_ca_file: authority.clone(),
            peer_cert_file: Some(crt),
            peer_key_file: Some(key),
            peer_trusted_ca_file: authority,
            heartbeat_interval: 50,
            election_timeout: 500,
            ..Config::defaults()
        };
        self.configs.insert(name.to_string(), config);
    }

    /// Starts a member that is not running.
    pub async fn launch(&mut self, name: &str) {
        let config = self.configs[name].clone();
        let (stop, stopped) = oneshot::channel();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let bind = |url: String| async move {
            let address = url.trim_start_matches("https://").to_string();
            // Connections of the member's former life may still hold the port.
            loop {
                match TcpListener::bind(&address).await {
                    Ok(listener) => return vec![listener],
                    Err(e) if tokio::time::Instant::now() > deadline => panic!("{address}: {e}"),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let listeners = Listeners {
            peers: bind(config.listen_peer_urls[0].clone()).await,
            clients: bind(config.listen_client_urls[0].clone()).await,
            metrics: Vec::new(),
        };
        let shutdown = async move {
            let _ = stopped.await;
        };
        let task = tokio::spawn(serve(config, listeners, shutdown));
        self.running.insert(name.to_string(), Running { task, stop: Some(stop) });
    }

    /// Stops a member in good order.
    pub async fn stop(&mut self, name: &str) {
        let mut running = self.running.remove(name).expect("running");
        drop(running.stop.take());
        running.task.await.unwrap().unwrap();
    }

    pub fn names(&self) -> Vec<String> {
        self.configs.keys().cloned().collect()
    }

    /// Channels of a front-end, in the order of names.
    pub fn front_end(&self) -> Vec<Channel> {
        let url = |config: &Config| config.listen_client_urls[0].clone();
        self.configs.values().map(|c| self.pki.channel(&url(c), "front-end", "kuorum:front-end")).collect()
    }

    pub fn operator(&self, name: &str) -> ClusterClient<Channel> {
        let url = &self.configs[name].listen_client_urls[0];
        ClusterClient::new(self.pki.channel(url, "operator", "kuorum:operator"))
    }

    /// Waits until all running members follow one leader and know each other's client URLs; its name.
    pub async fn leader(&self) -> String {
        let ready = async {
            loop {
                if let Some(name) = self.agreed_leader().await {
                    return name;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.expect("a leader in time")
    }

    async fn agreed_leader(&self) -> Option<String> {
        let mut leaders = Vec::new();
        for name in self.running.keys() {
            let status = self.operator(name).status(v1::StatusRequest {}).await.ok()?.into_inner();
            leaders.push(status.leader_id);
        }
        let id = *leaders.first().filter(|id| **id != 0)?;
        if leaders.iter().any(|other| *other != id) {
            return None;
        }
        let any = self.running.keys().next()?;
        let members = self.operator(any).member_list(v1::MemberListRequest {}).await.ok()?.into_inner().members;
        let leader = members.iter().find(|m| m.id == id)?;
        members
            .iter()
            .all(|m| !m.client_urls.is_empty() || !self.running.contains_key(&m.name))
            .then(|| leader.name.clone())
    }

    /// All running members have the same hash at the newest revision of the leader.
    pub async fn same_hash(&self) {
        let leader = self.leader().await;
        let newest = self.operator(&leader).status(v1::StatusRequest {}).await.unwrap().into_inner().revision;
        let mut hashes = BTreeMap::new();
        for name in self.running.keys() {
            let request = v1::HashKvRequest { revision: newest };
            let hash = self.operator(name).hash_kv(request).await.unwrap().into_inner();
            hashes.insert(name.clone(), (hash.revision, hash.hash));
        }
        let first = hashes.values().next().unwrap();
        assert!(hashes.values().all(|h| h == first), "{hashes:?}");
    }

    pub async fn shutdown(mut self) {
        let names: Vec<_> = self.running.keys().cloned().collect();
        for name in names {
            self.stop(&name).await;
        }
    }
}
