//! The `Cluster` service: status and administration, for operators on the client listener and for members on the peer
//! listener. What only the leader can do is passed on to it, once.

use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use kuorum_proto::v1::cluster_client::ClusterClient;
use kuorum_proto::v1::cluster_server::Cluster;
use kuorum_proto::v1::{self, command};
use kuorum_raft::ports::{Connector, Member, Membership, NodeId};
use kuorum_raft::{AdminError, Leader, Node, ProposeError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::access::require;
use super::status::{from_admin, from_engine, from_join, from_mvcc, from_propose, from_read};
use super::store::corrupt;
use crate::connect::PeerConnector;
use crate::data_dir::Identity;
use crate::fence::Fences;
use crate::machine::{Machine, Store};
use crate::mvcc::{Alarm, Applied};
use crate::propose::propose;
use crate::snapshot;
use crate::tls::{Identity as TlsIdentity, Role};

/// Marks a request that a member passed on, so that two members that each think the other leads do not play ball.
const PASSED_ON: &str = "kuorum-passed-on";
/// How long a hash waits for its revision to be applied here.
const HASH_WAIT: std::time::Duration = std::time::Duration::from_secs(5);
/// Bytes of one message of a snapshot.
const SNAPSHOT_CHUNK_BYTES: usize = 512 << 10;
/// Most members of a cluster, learners included. Beyond seven voters every write gets slower for nothing.
const MEMBERS_MAX: usize = 15;

/// What the methods share. Cheap to clone.
#[derive(Clone)]
pub struct ClusterService {
    pub node: Arc<Node<Machine>>,
    pub store: Arc<Store>,
    pub fences: Fences,
    pub connector: Arc<PeerConnector>,
    pub identity: Identity,
    pub quota_bytes: u64,
    /// Where snapshots are built for sending.
    pub saves: std::path::PathBuf,
}

const OPERATOR: &[Role] = &[Role::Operator, Role::Peer];

/// How to go on when this member cannot do it.
enum Next {
    Ask(Leader),
    Fail(Status),
}

impl From<AdminError> for Next {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NotLeader(Some(leader)) => Self::Ask(leader),
            error => Self::Fail(from_admin(error)),
        }
    }
}

impl From<ProposeError> for Next {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotLeader(Some(leader)) => Self::Ask(leader),
            error => Self::Fail(from_propose(error)),
        }
    }
}

impl From<Status> for Next {
    fn from(status: Status) -> Self {
        Self::Fail(status)
    }
}

impl ClusterService {
    fn membership(&self) -> Membership {
        self.node.status().borrow().membership.membership.clone()
    }

    fn members(&self) -> v1::MemberListResponse {
        let membership = self.membership();
        let members = membership.members.iter().map(|(id, m)| message(*id, m, !membership.is_voter(*id)));
        v1::MemberListResponse { members: members.collect() }
    }

    /// A client for the leader's `Cluster` service, on its peer listener. Fails if the request was passed on already.
    fn leader_client(&self, leader: &Leader, passed_on: bool) -> Result<ClusterClient<Channel>, Status> {
        if passed_on {
            return Err(Status::unavailable("leadership is changing"));
        }
        let channel = self.connector.channel(leader.id, &leader.member);
        Ok(ClusterClient::new(channel.map_err(|e| Status::unavailable(e.to_string()))?))
    }

    async fn status_here(&self) -> v1::StatusResponse {
        let status = self.node.status().borrow().clone();
        let progress = self.store.hub().now();
        let counters = self.store.counters();
        let store = self.store.clone();
        let size = tokio::task::spawn_blocking(move || store.size_bytes()).await.unwrap_or_default();
        let membership = &status.membership.membership;
        let id = self.identity.member_id;
        let mut errors = Vec::new();
        if let Some(reason) = self.node.fatal().borrow().clone() {
            errors.push(reason);
        }
        if status.leader.is_none() {
            errors.push("no leader".to_string());
        }
        v1::StatusResponse {
            member: Some(match membership.members.get(&id) {
                Some(member) => message(id, member, !membership.is_voter(id)),
                None => v1::Member { id, name: self.identity.name.clone(), learner: true, ..Default::default() },
            }),
            version: env!("CARGO_PKG_VERSION").to_string(),
            leader_id: status.leader.unwrap_or(0),
            term: status.term,
            last_log_index: status.last_log_index.unwrap_or(0),
            applied_index: progress.applied_index,
            revision: progress.revision,
            compact_revision: progress.compact_revision,
            db_size_bytes: size,
            db_in_use_bytes: counters.used_bytes,
            quota_bytes: self.quota_bytes,
            alarms: counters.alarms.iter().map(|a| format!("{}:{}", a.member_id, a.kind)).collect(),
            errors,
        }
    }

    async fn add(&self, request: &v1::MemberAddRequest) -> Result<v1::MemberListResponse, Next> {
        let membership = self.membership();
        if request.name.is_empty() || request.peer_urls.is_empty() {
            return Err(Status::invalid_argument("a member needs a name and a peer URL").into());
        }
        if membership.members.values().any(|m| m.name == request.name) {
            return Err(Status::already_exists(format!("a member named {:?} exists", request.name)).into());
        }
        if membership.members.len() >= MEMBERS_MAX {
            return Err(Status::failed_precondition(format!("the cluster has {MEMBERS_MAX} members already")).into());
        }
        let id = kuorum_raft::member_id(self.identity.cluster_id, &request.name, crate::propose::now_ms());
        let member = Member {
            name: request.name.clone(),
            peer_urls: request.peer_urls.clone(),
            client_urls: request.client_urls.clone(),
        };
        self.node.add_learner(id, member).await?;
        // Without `learner` it is promoted when it has caught up: the leader's housekeeping does that, because a
        // voter that has not started yet would count against the quorum.
        if !request.learner {
            self.promote_when_ready(id);
        }
        Ok(self.members())
    }

    /// Promotes a new member once it follows; gives up when it is removed or this member no longer leads.
    fn promote_when_ready(&self, id: NodeId) {
        let (node, own) = (self.node.clone(), self.identity.member_id);
        tokio::spawn(async move {
            let mut status = node.status();
            loop {
                match node.promote(id).await {
                    Ok(()) | Err(AdminError::NotLeader(_) | AdminError::Stopped) => return,
                    Err(AdminError::Refused(_)) => {}
                }
                let now = status.borrow().clone();
                if now.leader != Some(own) || !now.membership.membership.members.contains_key(&id) {
                    return;
                }
                if status.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    async fn compact_here(&self, revision: u64) -> Result<v1::CompactResponse, Next> {
        match propose(&self.node, command::Body::Compact(command::Compact { revision })).await? {
            Applied::Compacted(Ok(compact_revision)) => Ok(v1::CompactResponse { compact_revision }),
            Applied::Compacted(Err(current)) => {
                let message = format!("revision {revision} is in the future (current revision is {current})");
                Err(Status::out_of_range(message).into())
            }
            _ => Err(Status::internal("unexpected answer to a compaction").into()),
        }
    }

    async fn alarm_here(&self, request: &v1::AlarmRequest) -> Result<v1::AlarmResponse, Next> {
        let set = command::SetAlarm { member_id: request.member_id, kind: request.kind.clone(), active: false };
        match propose(&self.node, command::Body::Alarm(set)).await? {
            Applied::Alarms(alarms) => Ok(alarm_response(alarms)),
            _ => Err(Status::internal("unexpected answer to an alarm").into()),
        }
    }
}

fn message(id: NodeId, member: &Member, learner: bool) -> v1::Member {
    v1::Member {
        id,
        name: member.name.clone(),
        peer_urls: member.peer_urls.clone(),
        client_urls: member.client_urls.clone(),
        learner,
    }
}

fn alarm_response(alarms: impl IntoIterator<Item = Alarm>) -> v1::AlarmResponse {
    let alarms = alarms.into_iter().map(|a| v1::ActiveAlarm { member_id: a.member_id, kind: a.kind });
    v1::AlarmResponse { alarms: alarms.collect() }
}

fn passed_on<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(PASSED_ON, tonic::metadata::MetadataValue::from_static("1"));
    request
}

/// # Errors
/// PERMISSION_DENIED for a member that names another.
fn only_itself(request: &Request<v1::Member>) -> Result<(), Status> {
    match request.extensions().get::<TlsIdentity>() {
        Some(TlsIdentity { role: Some(Role::Peer), name }) if *name != request.get_ref().name => {
            Err(Status::permission_denied(format!("member {name:?} may change its own addresses only")))
        }
        _ => Ok(()),
    }
}

/// Answers here, or asks the leader once.
macro_rules! here_or_leader {
    ($self:expr, $request:expr, $method:ident, $here:expr) => {{
        require(&$request, OPERATOR)?;
        let was_passed_on = $request.metadata().contains_key(PASSED_ON);
        let message = $request.into_inner();
        #[allow(clippy::redundant_closure_call)]
        let outcome: Result<_, Next> = $here(&message).await;
        match outcome {
            Ok(response) => Ok(Response::new(response)),
            Err(Next::Fail(status)) => Err(status),
            Err(Next::Ask(leader)) => $self.leader_client(&leader, was_passed_on)?.$method(passed_on(message)).await,
        }
    }};
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn status(&self, request: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        require(&request, &[Role::Operator, Role::Peer, Role::FrontEnd])?;
        Ok(Response::new(self.status_here().await))
    }

    async fn member_list(
        &self,
        request: Request<v1::MemberListRequest>,
    ) -> Result<Response<v1::MemberListResponse>, Status> {
        require(&request, &[Role::Operator, Role::Peer, Role::FrontEnd])?;
        Ok(Response::new(self.members()))
    }

    async fn member_add(
        &self,
        request: Request<v1::MemberAddRequest>,
    ) -> Result<Response<v1::MemberListResponse>, Status> {
        here_or_leader!(self, request, member_add, async |message| self.add(message).await)
    }

    async fn member_promote(
        &self,
        request: Request<v1::MemberIdRequest>,
    ) -> Result<Response<v1::MemberListResponse>, Status> {
        here_or_leader!(self, request, member_promote, async |message: &v1::MemberIdRequest| {
            self.node.promote(message.id).await?;
            Ok(self.members())
        })
    }

    async fn member_remove(
        &self,
        request: Request<v1::MemberIdRequest>,
    ) -> Result<Response<v1::MemberListResponse>, Status> {
        here_or_leader!(self, request, member_remove, async |message: &v1::MemberIdRequest| {
            self.node.remove(message.id).await?;
            Ok(self.members())
        })
    }

    async fn member_update(&self, request: Request<v1::Member>) -> Result<Response<v1::MemberListResponse>, Status> {
        // A member may change its own addresses only, an operator everybody's.
        only_itself(&request)?;
        here_or_leader!(self, request, member_update, async |message: &v1::Member| {
            let member = Member {
                name: message.name.clone(),
                peer_urls: message.peer_urls.clone(),
                client_urls: message.client_urls.clone(),
            };
            match self.membership().members.get(&message.id) {
                Some(known) if known.name == member.name => {}
                Some(_) => return Err(Status::invalid_argument("a member's name cannot change").into()),
                None => return Err(Status::not_found(format!("no member {:016x}", message.id)).into()),
            }
            self.node.update_member(message.id, member).await?;
            Ok(self.members())
        })
    }

    async fn move_leader(&self, request: Request<v1::MemberIdRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        here_or_leader!(self, request, move_leader, async |message: &v1::MemberIdRequest| {
            let to = (message.id != 0).then_some(message.id);
            self.node.transfer_leader(to).await?;
            Ok(self.status_here().await)
        })
    }

    async fn compact(&self, request: Request<v1::CompactRequest>) -> Result<Response<v1::CompactResponse>, Status> {
        here_or_leader!(self, request, compact, async |message: &v1::CompactRequest| self
            .compact_here(message.revision)
            .await)
    }

    async fn hash_kv(&self, request: Request<v1::HashKvRequest>) -> Result<Response<v1::HashKvResponse>, Status> {
        require(&request, OPERATOR)?;
        let revision = request.into_inner().revision;
        let mut progress = self.store.hub().progress();
        let _ = tokio::time::timeout(HASH_WAIT, progress.wait_for(|p| p.revision >= revision)).await;
        let store = self.store.clone();
        let hashed = tokio::task::spawn_blocking(move || store.hash(revision)).await.map_err(from_join)?;
        let (hash, revision, compact_revision) = hashed.map_err(from_mvcc)?;
        let member_id = self.identity.member_id;
        Ok(Response::new(v1::HashKvResponse { member_id, revision, compact_revision, hash }))
    }

    async fn alarm(&self, request: Request<v1::AlarmRequest>) -> Result<Response<v1::AlarmResponse>, Status> {
        if !request.get_ref().disarm {
            require(&request, OPERATOR)?;
            self.fences.read().await.map_err(from_read)?;
            return Ok(Response::new(alarm_response(self.store.counters().alarms.clone())));
        }
        here_or_leader!(self, request, alarm, async |message| self.alarm_here(message).await)
    }

    type SnapshotStream = Pin<Box<dyn Stream<Item = Result<v1::SnapshotChunk, Status>> + Send>>;

    async fn snapshot(&self, request: Request<v1::SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        require(&request, &[Role::Operator])?;
        if Alarm::is_corrupt(&self.store.alarms().borrow(), self.identity.member_id) {
            return Err(corrupt());
        }
        // What the operator has seen acknowledged must be in it.
        self.fences.read().await.map_err(from_read)?;
        let (sender, receiver) = mpsc::channel(2);
        let (store, directory) = (self.store.clone(), self.saves.clone());
        tokio::spawn(async move {
            let failed = sender.clone();
            let sent = tokio::task::spawn_blocking(move || send_snapshot(&store, &directory, &sender)).await;
            if let Err(status) = sent.map_err(from_join).flatten() {
                let _ = failed.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

type ChunkSender = mpsc::Sender<Result<v1::SnapshotChunk, Status>>;

/// Sends the snapshot file's bytes, each chunk with its checksum, and the checksum of all in a last one.
fn send_snapshot(store: &Store, directory: &std::path::Path, sender: &ChunkSender) -> Result<(), Status> {
    let mut file = snapshot::Writer::new(store, directory).map_err(from_engine)?;
    let mut offset = 0;
    loop {
        let mut data = vec![0; SNAPSHOT_CHUNK_BYTES];
        let length = file.read(&mut data).map_err(|e| Status::internal(e.to_string()))?;
        data.truncate(length);
        let last = length == 0;
        let chunk = v1::SnapshotChunk {
            crc32: crc32fast::hash(&data),
            data: data.into(),
            offset,
            sha256: if last { file.digest().into() } else { Default::default() },
        };
        offset += length as u64;
        if sender.blocking_send(Ok(chunk)).is_err() || last {
            return Ok(());
        }
    }
}
