//! Bytes and messages that nobody should send, at every method of every service: never a panic, always a clear status,
//! and the member serves as before.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use kuorum_proto::v1;
use prost::Message;
use tokio::io::AsyncWriteExt;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::config::Config;
use crate::embedded::Connector;
use crate::listen::Connection;
use crate::member::Member;
use crate::suite::{Client, PATIENCE, put};

/// Messages per method.
const ROUNDS: usize = 60;
/// Answers that are read of one call; streams of a session have no end of their own.
const ANSWERS_MAX: usize = 8;

/// Panics in the crates under test, wherever they are caught. Tests that provoke panics do so in `tests` modules.
fn panics() -> usize {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.location().is_some_and(|at| !at.file().contains("tests")) {
                COUNT.fetch_add(1, Ordering::SeqCst);
            }
            before(info);
        }));
    });
    COUNT.load(Ordering::SeqCst)
}

/// Bytes as they are, in both directions.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, target: &mut EncodeBuf<'_>) -> Result<(), Status> {
        target.put(item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(source.copy_to_bytes(source.remaining())))
    }
}

/// A small generator of its own: the seed in a failure's text gives the same run again.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn bytes(&mut self, length_max: usize) -> Vec<u8> {
        let length = self.below(length_max);
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// A message, damaged in one to four places, or random bytes instead.
    fn spoil(&mut self, sample: &[u8]) -> Bytes {
        if self.below(4) == 0 {
            return self.bytes(200).into();
        }
        let mut message = sample.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(message.len());
            match self.below(6) {
                0 if !message.is_empty() => message[at] ^= 1 << self.below(8),
                1 if !message.is_empty() => message[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                2 => message.truncate(at),
                3 => {
                    let insert = self.bytes(12);
                    message.splice(at..at, insert);
                }
                4 => message.extend_from_within(at..),
                _ => {}
            }
        }
        message.into()
    }
}

/// Sends messages and reads some answers. `None`: still open when enough was read.
async fn call(channel: &Channel, path: &'static str, to: &Target, messages: Vec<Bytes>) -> Option<Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("a connection");
    let mut request = tonic::Request::new(tokio_stream::iter(messages));
    for (key, value) in [("kuorum-cluster", to.cluster), ("kuorum-from", to.from), ("kuorum-to", to.member)] {
        request.metadata_mut().insert(key, value.into());
    }
    let path = PathAndQuery::from_static(path);
    let mut answers = match client.streaming(request, path, Raw).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return Some(status),
    };
    for _ in 0..ANSWERS_MAX {
        match answers.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return Some(Status::new(Code::Ok, "")),
            Err(status) => return Some(status),
        }
    }
    None
}

struct Target {
    cluster: u64,
    from: u64,
    member: u64,
}

fn message(message: impl Message) -> Vec<u8> {
    message.encode_to_vec()
}

/// Every method that clients and operators can call, with a good message.
fn client_methods() -> Vec<(&'static str, Vec<u8>)> {
    use v1::session_request::{Fence, Open, Request};
    let open = v1::SessionRequest { request: Some(Request::Open(Open { prefix: "/".into(), after_revision: 1 })) };
    let fence = v1::SessionRequest { request: Some(Request::Fence(Fence { id: 7 })) };
    let txn = v1::Txn {
        seq: 1,
        compares: vec![v1::Compare { key: "/fuzz/a".into(), mod_revision: 0 }],
        ops: vec![put("/fuzz/a", "value"), v1::Op { op: Some(v1::op::Op::Delete("/fuzz/b".into())) }],
    };
    let write = v1::WriteRequest { client_id: vec![7; 16].into(), acked_below: 1, txns: vec![txn] };
    let range = v1::RangeRequest { start: "/".into(), end: "0".into(), limit: 3, ..Default::default() };
    let history = v1::HistoryRequest { prefix: "/".into(), after_revision: 1, up_to_revision: 3 };
    let add = v1::MemberAddRequest {
        name: "ghost".into(),
        peer_urls: vec!["https://127.0.0.1:1".into()],
        client_urls: vec![],
        learner: true,
    };
    let member = v1::Member { id: 9, name: "ghost".into(), ..Default::default() };
    let alarm = v1::AlarmRequest { disarm: true, kind: "NOSPACE".into(), member_id: 9 };
    vec![
        ("/kuorum.v1.Store/Session", message(open)),
        ("/kuorum.v1.Store/Session", message(fence)),
        ("/kuorum.v1.Store/Write", message(write)),
        ("/kuorum.v1.Store/Range", message(range)),
        ("/kuorum.v1.Store/History", message(history)),
        ("/kuorum.v1.Cluster/Status", vec![]),
        ("/kuorum.v1.Cluster/MemberList", vec![]),
        ("/kuorum.v1.Cluster/MemberAdd", message(add)),
        ("/kuorum.v1.Cluster/MemberPromote", message(v1::MemberIdRequest { id: 9 })),
        ("/kuorum.v1.Cluster/MemberRemove", message(v1::MemberIdRequest { id: 9 })),
        ("/kuorum.v1.Cluster/MemberUpdate", message(member)),
        ("/kuorum.v1.Cluster/MoveLeader", message(v1::MemberIdRequest { id: 9 })),
        ("/kuorum.v1.Cluster/Compact", message(v1::CompactRequest { revision: 1 })),
        ("/kuorum.v1.Cluster/HashKv", message(v1::HashKvRequest { revision: 1 })),
        ("/kuorum.v1.Cluster/Alarm", message(alarm)),
        ("/kuorum.v1.Cluster/Snapshot", vec![]),
        ("/kuorum.v1.Cluster/NoSuchMethod", vec![]),
    ]
}

/// Every method that members call, with a message of the right shape and an old term, which changes nothing.
fn peer_methods(from: u64) -> Vec<(&'static str, Vec<u8>)> {
    let vote = || Some(v1::VoteState { term: 0, node_id: from, committed: false });
    let log_id = || Some(v1::LogId { term: 0, node_id: from, index: 1 });
    let entry = v1::LogEntry { id: log_id(), ..Default::default() };
    let append = v1::AppendRequest { vote: vote(), prev: log_id(), entries: vec![entry], ..Default::default() };
    let ask = v1::VoteRequest { vote: vote(), ..Default::default() };
    vec![
        ("/kuorum.v1.Raft/Append", message(append)),
        ("/kuorum.v1.Raft/Vote", message(ask)),
        ("/kuorum.v1.Raft/InstallSnapshot", message(v1::RaftSnapshotChunk::default())),
        ("/kuorum.v1.Raft/ReadIndex", vec![]),
        ("/kuorum.v1.Raft/TransferLeader", message(v1::TransferLeaderRequest::default())),
        ("/kuorum.v1.Cluster/Status", vec![]),
    ]
}

/// What a client may be told. Never UNKNOWN or CANCELLED, which is how a handler that panicked looks like.
fn is_clear(status: &Status) -> bool {
    !matches!(status.code(), Code::Unknown | Code::Cancelled | Code::Aborted | Code::DataLoss)
}

struct Bench {
    member: Member,
    channel: Channel,
    peers: Channel,
    connector: Connector,
    _directory: tempfile::TempDir,
}

impl Bench {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data_dir: directory.path().join("data"), ..Config::defaults() };
        let member = Member::open(&config, None).await.unwrap();
        let serve = |router: tonic::transport::server::Router| {
            let (connections, waiting) = tokio::sync::mpsc::channel(16);
            let incoming = ReceiverStream::new(waiting).map(|io| Ok::<_, std::io::Error>(Connection::pipe(io)));
            tokio::spawn(router.serve_with_incoming(incoming));
            Connector::from_queue(connections)
        };
        let connector = serve(member.client_router());
        let peers = serve(member.peer_router()).channel();
        Self { channel: connector.channel(), peers, connector, member, _directory: directory }
    }

    /// It writes and reads as if nothing had happened.
    async fn serves(&self) {
        let client = Client::new(vec![self.channel.clone()]);
        let written = client.commit(vec![], vec![put("/alive", "")]).await.unwrap();
        let request = v1::RangeRequest { start: "/alive".into(), linearizable: true, ..Default::default() };
        assert!(client.range(0, request).await.unwrap().0 >= written);
    }

    async fn fuzz(&self, channel: &Channel, methods: &[(&'static str, Vec<u8>)], to: &Target, seed: u64) {
        let before = panics();
        let mut chance = Chance(seed);
        for (path, sample) in methods {
            for round in 0..ROUNDS {
                // A good message in front, now and then: the streams' later states are reached as well.
                let good = (chance.below(3) == 0).then(|| Bytes::copy_from_slice(sample));
                let count = 1 + chance.below(3);
                let messages: Vec<_> = good.into_iter().chain((0..count).map(|_| chance.spoil(sample))).collect();
                let what = format!("seed {seed}, {path}, round {round}: {messages:?}");
                let answer = tokio::time::timeout(PATIENCE, call(channel, path, to, messages)).await;
                let answer = answer.unwrap_or_else(|_| panic!("{what}: no answer"));
                assert!(answer.as_ref().is_none_or(is_clear), "{what}: {answer:?}");
                assert_eq!(panics(), before, "{what}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spoilt_messages_are_refused_and_do_no_harm() {
    let bench = Bench::start().await;
    bench.serves().await;
    let id = bench.member.member_id();
    let cluster = kuorum_raft::cluster_id(&Config::defaults().initial_cluster_token);
    let to = Target { cluster, from: 77, member: id };
    let seed = crate::propose::now_ms();
    println!("seed {seed}");
    bench.fuzz(&bench.channel, &client_methods(), &to, seed).await;
    bench.serves().await;
    // Members: for another cluster, for another member, and rightly addressed.
    for to in [Target { cluster: 1, from: 77, member: id }, Target { cluster, from: 77, member: 1 }] {
        bench.fuzz(&bench.peers, &peer_methods(to.from), &to, seed).await;
    }
    bench.serves().await;

    // A member that lies can take the leadership and stop a cluster of two, but not a process.
    let to = Target { cluster, from: 77, member: id };
    bench.fuzz(&bench.peers, &peer_methods(to.from), &to, seed).await;
    let mut operator = v1::cluster_client::ClusterClient::new(bench.channel.clone());
    operator.status(v1::StatusRequest {}).await.unwrap();
    assert_eq!(*bench.member.node.fatal().borrow(), None);
    bench.member.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_have_a_largest_size() {
    let bench = Bench::start().await;
    let to = Target { cluster: 1, from: 1, member: 1 };
    for (path, limit) in
        [("/kuorum.v1.Store/Write", crate::MESSAGE_BYTES_MAX), ("/kuorum.v1.Cluster/MemberAdd", 4 << 20)]
    {
        let large = Bytes::from(vec![0; limit + 1]);
        let status = call(&bench.channel, path, &to, vec![large]).await.expect("refused");
        // A stream without a good message ends as if it had none.
        assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted | Code::Ok), "{path}: {status:?}");
    }
    bench.serves().await;
    bench.member.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_speak_something_else_end() {
    let bench = Bench::start().await;
    let before = panics();
    let mut chance = Chance(crate::propose::now_ms());
    for _ in 0..50 {
        let mut pipe = bench.connector.connect().await.unwrap();
        let mut noise = if chance.below(2) == 0 { b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec() } else { Vec::new() };
        noise.extend(chance.bytes(500));
        // It may hang up before all is written.
        let _ = pipe.write_all(&noise).await;
        let _ = pipe.shutdown().await;
    }
    // One that says nothing at all holds up nobody.
    let _silent = bench.connector.connect().await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), bench.serves()).await.expect("others are served");
    assert_eq!(panics(), before);
    bench.member.shutdown().await;
}
