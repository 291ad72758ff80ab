//! A cluster of members in one process that can be killed, cut off from power and started again.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use kuorum_raft::{
    Node, NodeConfig, ProposeError, cluster_id, member_id,
    memory::{MemoryLog, MemoryMachine},
    network,
    ports::{Connector, Member, NodeId, PeerIdentity},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    Request, Status,
    service::Interceptor,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};

/// The longest that anything here may take, on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What stands for the certificate's name in tests: the sender writes it, the receiver's "TLS layer" reads it.
pub const TEST_IDENTITY: &str = "test-identity";

/// Plain connections on which each member calls itself by its own name.
struct PlainConnector;

impl Connector for PlainConnector {
    fn channel(&self, _id: NodeId, member: &Member) -> io::Result<Channel> {
        let url = member.peer_urls.first().ok_or_else(|| io::Error::other("no address"))?;
        Ok(network::tune(Endpoint::from_shared(url.clone()).map_err(io::Error::other)?).connect_lazy())
    }
}

/// Plays the receiver's TLS layer: a sender is who it claims to be, unless the test says what its certificate has.
#[derive(Clone)]
struct Identify;

impl Interceptor for Identify {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let text = |key: &str| request.metadata().get(key).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let claimed = || text("kuorum-from")?.parse().ok().and_then(name_of);
        let name = text(TEST_IDENTITY).or_else(claimed).filter(|name| !name.is_empty());
        if let Some(name) = name {
            request.extensions_mut().insert(PeerIdentity { name });
        }
        Ok(request)
    }
}

/// Members of every test cluster have the same names, and so the same ids.
const CLUSTER_TOKEN: &str = "test";
const MEMBERS_MAX: usize = 8;

fn name(index: usize) -> String {
    format!("member-{index}")
}

fn name_of(id: NodeId) -> Option<String> {
    (0..MEMBERS_MAX).map(name).find(|name| member_id(cluster_id(CLUSTER_TOKEN), name, 0) == id)
}

/// One member, running or not.
pub struct TestMember {
    pub index: usize,
    pub name: String,
    pub id: NodeId,
    pub url: String,
    pub log: MemoryLog,
    pub machine: MemoryMachine,
    address: SocketAddr,
    snapshot_dir: tempfile::TempDir,
    running: Option<(Node<MemoryMachine>, JoinHandle<()>)>,
}

impl TestMember {
    pub fn node(&self) -> &Node<MemoryMachine> {
        &self.running.as_ref().expect("the member runs").0
    }

    pub fn as_member(&self) -> Member {
        Member { name: self.name.clone(), peer_urls: vec![self.url.clone()], client_urls: vec![] }
    }

    async fn run(&mut self, listener: TcpListener) {
        let config = NodeConfig {
            heartbeat_interval: Duration::from_millis(50),
            election_timeout_min: Duration::from_millis(600),
            election_timeout_max: Duration::from_millis(900),
            keep_entries: 20,
            tail_bytes: 4096,
            ..NodeConfig::new(self.id, &self.name, cluster_id(CLUSTER_TOKEN), self.snapshot_dir.path())
        };
        let node = Node::start(config, self.log.clone(), self.machine.clone(), Arc::new(PlainConnector)).await;
        let node = node.expect("the member starts");
        let service = tonic::service::interceptor::InterceptedService::new(node.service(), Identify);
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = Server::builder().add_service(service).serve_with_incoming(incoming);
        let server = tokio::spawn(async move { server.await.expect("the server runs") });
        self.running = Some((node, server));
    }
}

/// All members of one cluster.
pub struct Cluster {
    pub id: u64,
    members: Vec<TestMember>,
}

impl Cluster {
    /// Starts a new cluster; every member initialises it, as they do in production.
    pub async fn start(size: usize) -> Self {
        let mut cluster = Self { id: cluster_id(CLUSTER_TOKEN), members: Vec::new() };
        for _ in 0..size {
            cluster.add_member().await;
        }
        let initial = || cluster.members.iter().map(|member| (member.id, member.as_member())).collect();
        for member in &cluster.members {
            member.node().initialize(initial()).await.unwrap();
        }
        cluster.converge().await;
        cluster
    }

    /// Starts one more member, which belongs to no cluster yet.
    pub async fn add_member(&mut self) -> usize {
        let index = self.members.len();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut member = TestMember {
            index,
            name: name(index),
            id: member_id(self.id, &name(index), 0),
            url: format!("http://{address}"),
            log: MemoryLog::default(),
            machine: MemoryMachine::default(),
            address,
            snapshot_dir: tempfile::tempdir().unwrap(),
            running: None,
        };
        member.run(listener).await;
        self.members.push(member);
        index
    }

    pub fn member(&self, index: usize) -> &TestMember {
        &self.members[index]
    }

    pub fn running(&self) -> impl Iterator<Item = &TestMember> {
        self.members.iter().filter(|member| member.running.is_some())
    }

    /// The member that leads, once there is one that the others agree on.
    pub async fn leader(&self) -> &TestMember {
        let healthy = |member: &&TestMember| member.node().fatal().borrow().is_none();
        let knows = |id| move |member: &&TestMember| member.node().leader().is_some_and(|leader| leader.id == id);
        let most = |id| 2 * self.running().filter(healthy).filter(knows(id)).count() > self.running().count();
        let leader = || self.running().filter(healthy).find(|member| member.node().leads() && most(member.id));
        eventually("most know one leader", || leader().is_some()).await;
        leader().expect("nobody was killed meanwhile")
    }

    /// The others that run.
    pub async fn followers(&self) -> Vec<&TestMember> {
        let leader = self.leader().await.id;
        let healthy = |member: &&TestMember| member.node().fatal().borrow().is_none();
        self.running().filter(healthy).filter(|member| member.id != leader).collect()
    }

    /// Proposes to whoever leads, one after another, until each is acknowledged.
    pub async fn propose_many(&self, prefix: &str, count: usize) -> Vec<Bytes> {
        let mut acknowledged = Vec::new();
        for i in 0..count {
            let command = Bytes::from(format!("{prefix}{i}"));
            let deadline = Instant::now() + PATIENCE;
            loop {
                assert!(Instant::now() < deadline, "{prefix}{i} is not acknowledged");
                match self.leader().await.node().propose(command.clone()).await {
                    Ok(proposal) => match proposal.await {
                        Ok(_) => break,
                        Err(ProposeError::NotLeader(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
                        Err(error) => panic!("{prefix}{i}: {error}"),
                    },
                    Err(error) => panic!("{prefix}{i}: {error}"),
                }
            }
            acknowledged.push(command);
        }
        acknowledged
    }

    /// Waits until every running member has applied what the leader has.
    pub async fn converge(&self) {
        let index = self.leader().await.node().read_index().await.unwrap();
        for member in self.running() {
            let applied = member.node().wait_applied(index);
            tokio::time::timeout(PATIENCE, applied).await.expect("it catches up").unwrap();
        }
    }

    /// Stops a member without a word to the others. What it wrote is there when it starts again.
    pub async fn kill(&mut self, index: usize) {
        let (node, server) = self.members[index].running.take().expect("the member runs");
        server.abort();
        node.halt().await;
    }

    /// Takes a member's memory away, and what it had not synced.
    pub async fn cut_power(&mut self, index: usize) {
        let member = &mut self.members[index];
        let synced = member.log.after_power_cut();
        let (node, server) = member.running.take().expect("the member runs");
        server.abort();
        node.halt().await;
        member.log = synced;
        member.machine = MemoryMachine::default();
        member.snapshot_dir = tempfile::tempdir().unwrap();
    }

    /// Starts a member again, on the address that it had.
    pub async fn restart(&mut self, index: usize) {
        let address = self.members[index].address;
        let deadline = Instant::now() + PATIENCE;
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(error) if Instant::now() > deadline => panic!("{address}: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        self.members[index].run(listener).await;
    }

    pub async fn stop(mut self) {
        for member in &mut self.members {
            if let Some((node, server)) = member.running.take() {
                server.abort();
                node.halt().await;
            }
        }
    }
}

/// Waits for a condition.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
