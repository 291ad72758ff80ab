//! Connections to store members: which to ask, with the operator's certificate, and errors of one line.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use kuorum_proto::v1::cluster_client::ClusterClient;
use kuorum_proto::v1::{Member, MemberListRequest, StatusRequest};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::ConnectionArgs;

/// How long a member may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The operator's view of the cluster.
pub struct Client {
    endpoints: Vec<String>,
    tls: ClientTlsConfig,
    timeout: Duration,
}

/// A connected member.
pub type Connection = ClusterClient<Channel>;

impl Client {
    /// Reads the certificates; connects to nothing yet.
    pub fn new(args: &ConnectionArgs) -> Result<Self> {
        let read = |path: &std::path::Path| {
            std::fs::read(path).with_context(|| format!("read {} (see --cacert, --cert, --key)", path.display()))
        };
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(&args.cacert)?))
            .identity(Identity::from_pem(read(&args.cert)?, read(&args.key)?));
        let endpoints = args
            .endpoints
            .iter()
            .map(|endpoint| {
                let endpoint = endpoint.trim_end_matches('/');
                if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") }
            })
            .collect();
        Ok(Self { endpoints, tls, timeout: args.command_timeout })
    }

    /// A connection to one member, whose requests have the command's timeout.
    pub async fn connect(&self, endpoint: &str) -> Result<Connection> {
        self.open(endpoint, Some(self.timeout)).await
    }

    /// A connection without a time limit, for a snapshot's stream.
    pub async fn connect_for_stream(&self, endpoint: &str) -> Result<Connection> {
        self.open(endpoint, None).await
    }

    async fn open(&self, endpoint: &str, timeout: Option<Duration>) -> Result<Connection> {
        if !endpoint.starts_with("https://") {
            bail!("{endpoint}: a member speaks TLS only, say https://");
        }
        let mut transport = Endpoint::from_shared(endpoint.to_owned())
            .with_context(|| format!("{endpoint} is not a URL"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tls_config(self.tls.clone())
            .context("the certificates do not make a TLS configuration")?;
        if let Some(timeout) = timeout {
            transport = transport.timeout(timeout);
        }
        let channel = transport.connect().await.map_err(|error| anyhow!("{endpoint}: {}", root_cause(&error)))?;
        Ok(ClusterClient::new(channel))
    }

    /// The first endpoint that answers, and its address.
    pub async fn any(&self) -> Result<(String, Connection)> {
        let mut failures = Vec::new();
        for endpoint in &self.endpoints {
            match self.connect(endpoint).await {
                Ok(connection) => return Ok((endpoint.clone(), connection)),
                Err(error) => failures.push(format!("{error:#}")),
            }
        }
        bail!("no member answers: {}", failures.join("; "))
    }

    /// The members, as one that answers knows them.
    pub async fn members(&self) -> Result<Vec<Member>> {
        let (endpoint, mut connection) = self.any().await?;
        let answer = connection.member_list(MemberListRequest {}).await.map_err(|status| explain(&endpoint, status))?;
        Ok(answer.into_inner().members)
    }

    /// What to ask: `--endpoints`, or a client URL of every member.
    pub async fn targets(&self, whole_cluster: bool) -> Result<Vec<String>> {
        if !whole_cluster {
            return Ok(self.endpoints.clone());
        }
        Ok(self.members().await?.into_iter().filter_map(|member| member.client_urls.into_iter().next()).collect())
    }

    /// A connection to the leader: membership and leadership are its to change.
    pub async fn leader(&self) -> Result<(String, Connection)> {
        let (endpoint, mut connection) = self.any().await?;
        let status = connection.status(StatusRequest {}).await.map_err(|status| explain(&endpoint, status))?;
        let status = status.into_inner();
        if status.leader_id == 0 {
            bail!("{endpoint} knows of no leader");
        }
        if status.member.as_ref().is_some_and(|member| member.id == status.leader_id) {
            return Ok((endpoint, connection));
        }
        let leader = self.members().await?.into_iter().find(|member| member.id == status.leader_id);
        let Some(url) = leader.and_then(|member| member.client_urls.into_iter().next()) else {
            bail!("the leader {:x} has no client URL", status.leader_id);
        };
        let connection = self.connect(&url).await?;
        Ok((url, connection))
    }

    /// The member that an id in hexadecimal, or a name, stands for.
    pub async fn find(&self, text: &str) -> Result<Member> {
        let members = self.members().await?;
        // A name wins: a member may be called "a1", and ids can be read off `member list`.
        let by_name = members.iter().find(|member| member.name == text);
        let id = u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
        let found = by_name.or_else(|| members.iter().find(|member| Some(member.id) == id));
        found.cloned().with_context(|| format!("no member has the id or name {text:?}"))
    }
}

/// A member's refusal as one line.
pub fn explain(endpoint: &str, status: tonic::Status) -> anyhow::Error {
    anyhow!("{endpoint}: {} ({})", status.message(), status.code())
}

/// The innermost message: the outer ones of a transport error only say "transport error".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
