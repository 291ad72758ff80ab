//! A store cluster in memory that speaks gRPC over in-process pipes, loses connections, and changes its leader.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use hyper_util::rt::TokioIo;
use kuorum_cache::{ConnectError, endpoint};
use kuorum_proto::v1;
use kuorum_proto::v1::session_request::Request as Ask;
use kuorum_proto::v1::session_response::Response as Answer;
use kuorum_proto::v1::store_server::{Store, StoreServer};
use kuorum_proto::v1::txn_result::Outcome;
use std::sync::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};

#[derive(Default)]
struct Data {
    revision: u64,
    compacted: u64,
    current: BTreeMap<Bytes, v1::KeyValue>,
    log: Vec<v1::Event>,
    answers: HashMap<(Bytes, u64), v1::TxnResult>,
    leader: usize,
    /// A transaction is applied, and its connection breaks before the answer.
    lose_answers: bool,
    connections: Vec<(usize, AbortHandle)>,
    /// Members that take no connection.
    down: Vec<usize>,
    applied_twice: usize,
}

#[derive(Clone)]
pub struct Cluster {
    data: Arc<Mutex<Data>>,
    revision: Arc<watch::Sender<u64>>,
}

impl Cluster {
    pub fn new() -> Self {
        Cluster { data: Arc::default(), revision: Arc::new(watch::Sender::new(0)) }
    }

    pub fn url(member: usize) -> String {
        format!("http://member-{member}")
    }

    pub async fn connect(self, url: String) -> Result<Channel, ConnectError> {
        let member: usize = url.rsplit('-').next().and_then(|n| n.parse().ok()).expect("a member's URL");
        let refused = || ConnectError::Other(format!("{url} is down"));
        let (near, mut near_end) = tokio::io::duplex(1 << 16);
        let (mut far_end, far) = tokio::io::duplex(1 << 16);
        let service = StoreServer::new(Member { id: member, cluster: self.clone() });
        let incoming = stream::once(async { Ok::<_, std::io::Error>(far) }).chain(stream::pending());
        {
            let mut data = self.data.lock().unwrap();
            if data.down.contains(&member) {
                return Err(refused());
            }
            tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
            // Aborting the copy breaks the connection at both ends.
            let wire = tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut near_end, &mut far_end).await;
            });
            data.connections.push((member, wire.abort_handle()));
        }
        let mut near = Some(TokioIo::new(near));
        let connector = tower::service_fn(move |_| {
            let near = near.take();
            async move { near.ok_or_else(|| std::io::Error::other("one connection per channel")) }
        });
        let transport = |source| ConnectError::Transport { url: url.clone(), source };
        endpoint(&url)?.connect_with_connector(connector).await.map_err(transport)
    }

    /// Breaks every connection of a member.
    pub fn hang_up(&self, member: usize) {
        let mut data = self.data.lock().unwrap();
        data.connections.retain(|(at, connection)| {
            if *at == member {
                connection.abort();
            }
            *at != member
        });
    }

    pub fn set_down(&self, members: &[usize]) {
        self.data.lock().unwrap().down = members.to_vec();
        members.iter().for_each(|member| self.hang_up(*member));
    }

    pub fn set_leader(&self, member: usize) {
        self.data.lock().unwrap().leader = member;
    }

    pub fn lose_answers(&self, lose: bool) {
        self.data.lock().unwrap().lose_answers = lose;
    }

    /// Forgets all history.
    pub fn compact(&self) {
        let mut data = self.data.lock().unwrap();
        data.compacted = data.revision;
        data.log.clear();
    }

    /// How often a transaction that was already applied arrived again.
    pub fn repeated(&self) -> usize {
        self.data.lock().unwrap().applied_twice
    }

    /// A write from elsewhere.
    pub fn put(&self, key: &str, value: Bytes) -> u64 {
        let put = v1::op::Put { key: Bytes::copy_from_slice(key.as_bytes()), value, ttl_seconds: 0 };
        let op = v1::Op { op: Some(v1::op::Op::Put(put)) };
        let mut data = self.data.lock().unwrap();
        data.apply(v1::Txn { seq: 0, compares: Vec::new(), ops: vec![op] });
        self.revision.send_replace(data.revision);
        data.revision
    }
}

impl Data {
    fn apply(&mut self, txn: v1::Txn) -> Outcome {
        for (index, compare) in txn.compares.iter().enumerate() {
            let current = self.current.get(&compare.key);
            if current.map_or(0, |kv| kv.mod_revision) != compare.mod_revision {
                let (index, current) = (index as u32, current.cloned());
                return Outcome::Failed(v1::txn_result::CompareFailed { index, current, revision: self.revision });
            }
        }
        self.revision += 1;
        let revision = self.revision;
        for op in txn.ops {
            let Some(v1::op::Op::Put(put)) = op.op else { continue };
            let prev = self.current.get(&put.key).cloned();
            let create_revision = prev.as_ref().map_or(revision, |kv| kv.create_revision);
            let version = prev.as_ref().map_or(1, |kv| kv.version + 1);
            let (key, value) = (put.key, put.value);
            let kv = v1::KeyValue {
                key: key.clone(),
                value: value.clone(),
                create_revision,
                mod_revision: revision,
                version,
            };
            self.current.insert(key.clone(), kv);
            let prev_revision = prev.as_ref().map_or(0, |kv| kv.mod_revision);
            let prev_value = prev.map(|kv| kv.value).unwrap_or_default();
            let kind = v1::event::Kind::Put.into();
            let event = v1::Event { kind, key, value, revision, create_revision, version, prev_value, prev_revision };
            self.log.push(event);
        }
        Outcome::Committed(revision)
    }
}

struct Member {
    id: usize,
    cluster: Cluster,
}

impl Member {
    fn leader(&self) -> v1::Leader {
        let leader = self.cluster.data.lock().unwrap().leader;
        v1::Leader { member_id: leader as u64 + 1, client_urls: vec![Cluster::url(leader)] }
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Store for Member {
    type SessionStream = Answers<v1::SessionResponse>;
    type WriteStream = Answers<v1::WriteResponse>;
    type RangeStream = Answers<v1::RangeResponse>;
    type HistoryStream = Answers<v1::EventBatch>;

    async fn session(
        &self,
        request: Request<Streaming<v1::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut requests = request.into_inner();
        let (out, answers) = mpsc::channel(16);
        let (data, mut revision) = (self.cluster.data.clone(), self.cluster.revision.subscribe());
        let (member_id, leader) = (self.id as u64 + 1, self.leader());
        tokio::spawn(async move {
            let Ok(Some(v1::SessionRequest { request: Some(Ask::Open(open)) })) = requests.message().await else {
                return;
            };
            let send = async |answer| out.send(Ok(v1::SessionResponse { response: Some(answer) })).await.is_ok();
            let mut position = open.after_revision;
            let (now, compact_revision) = {
                let data = data.lock().unwrap();
                (data.revision, data.compacted)
            };
            if position < compact_revision {
                send(Answer::Compacted(v1::session_response::Compacted { compact_revision })).await;
                return;
            }
            send(Answer::Opened(v1::session_response::Opened { member_id, revision: now, compact_revision })).await;
            send(Answer::Leader(leader)).await;
            loop {
                let events: Vec<v1::Event> = {
                    let data = data.lock().unwrap();
                    data.log.iter().filter(|event| event.revision > position).cloned().collect()
                };
                if let Some(last) = events.last() {
                    position = last.revision;
                    if !send(Answer::Events(v1::EventBatch { events })).await {
                        return;
                    }
                }
                tokio::select! {
                    _ = revision.changed() => {}
                    request = requests.message() => {
                        let Ok(Some(v1::SessionRequest { request: Some(Ask::Fence(fence)) })) = request else { return };
                        let (events, covered) = {
                            let data = data.lock().unwrap();
                            let events: Vec<_> = data.log.iter().filter(|e| e.revision > position).cloned().collect();
                            (events, data.revision)
                        };
                        position = covered;
                        send(Answer::Events(v1::EventBatch { events })).await;
                        let ack = v1::session_response::FenceAck { id: fence.id, revision: covered, compact_revision: 0 };
                        send(Answer::FenceAck(ack)).await;
                    }
                    () = out.closed() => return,
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn write(
        &self,
        request: Request<Streaming<v1::WriteRequest>>,
    ) -> Result<Response<Self::WriteStream>, Status> {
        let mut requests = request.into_inner();
        let (out, answers) = mpsc::channel(16);
        let (id, cluster) = (self.id, self.cluster.clone());
        let leader = self.leader();
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                let response = {
                    let mut data = cluster.data.lock().unwrap();
                    if data.leader != id {
                        Some(v1::WriteResponse { results: Vec::new(), not_leader: Some(leader.clone()) })
                    } else {
                        let mut results = Vec::new();
                        for txn in request.txns {
                            let (seq, asked) = (txn.seq, (request.client_id.clone(), txn.seq));
                            if let Some(known) = data.answers.get(&asked).cloned() {
                                data.applied_twice += 1;
                                results.push(known);
                                continue;
                            }
                            let result = v1::TxnResult { seq, outcome: Some(data.apply(txn)) };
                            data.answers.insert(asked, result.clone());
                            results.push(result);
                        }
                        cluster.revision.send_replace(data.revision);
                        (!data.lose_answers).then_some(v1::WriteResponse { results, not_leader: None })
                    }
                };
                let Some(response) = response else {
                    cluster.hang_up(id);
                    return;
                };
                let ended = response.not_leader.is_some();
                if out.send(Ok(response)).await.is_err() || ended {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn range(&self, request: Request<v1::RangeRequest>) -> Result<Response<Self::RangeStream>, Status> {
        let request = request.into_inner();
        let data = self.cluster.data.lock().unwrap();
        if request.revision != 0 && request.revision < data.compacted {
            return Err(Status::out_of_range("compacted"));
        }
        let revision = if request.revision == 0 { data.revision } else { request.revision };
        let mut found = BTreeMap::new();
        if revision == data.revision {
            found.clone_from(&data.current);
        }
        for event in data.log.iter().filter(|event| event.revision <= revision && revision < data.revision) {
            let kv = v1::KeyValue {
                key: event.key.clone(),
                value: event.value.clone(),
                create_revision: event.create_revision,
                mod_revision: event.revision,
                version: event.version,
            };
            found.insert(event.key.clone(), kv);
        }
        let kvs: Vec<_> = found.range(request.start..request.end).map(|(_, kv)| kv.clone()).collect();
        let chunks: Vec<_> = if kvs.is_empty() {
            vec![Ok(v1::RangeResponse { revision, ..Default::default() })]
        } else {
            kvs.chunks(3)
                .map(|kvs| Ok(v1::RangeResponse { revision, kvs: kvs.to_vec(), ..Default::default() }))
                .collect()
        };
        Ok(Response::new(Box::pin(stream::iter(chunks))))
    }

    async fn history(&self, request: Request<v1::HistoryRequest>) -> Result<Response<Self::HistoryStream>, Status> {
        let request = request.into_inner();
        let data = self.cluster.data.lock().unwrap();
        if request.after_revision < data.compacted {
            return Err(Status::out_of_range("compacted"));
        }
        let wanted = |event: &&v1::Event| {
            event.key.starts_with(&request.prefix)
                && event.revision > request.after_revision
                && event.revision <= request.up_to_revision
        };
        let events: Vec<_> = data.log.iter().filter(wanted).cloned().collect();
        Ok(Response::new(Box::pin(stream::iter(vec![Ok(v1::EventBatch { events })]))))
    }
}
