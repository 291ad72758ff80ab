//! A snapshot on its way to another member: its description, then each file in chunks with a checksum each.

use std::{
    fs::File,
    io::{self, Read, Write},
    sync::Arc,
};

use bytes::Bytes;
use kuorum_proto::v1::{
    self, RaftSnapshotChunk,
    raft_client::RaftClient,
    raft_snapshot_chunk::{Chunk, Data, Start},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming, transport::Channel};

use super::{vote_from_wire, vote_to_wire};
use crate::{
    snapshot::{SnapshotDir, check_files, meta_from_wire, meta_to_wire},
    types::{SnapshotMeta, Vote},
};

/// Payload of one chunk: large enough for the disk and the network, small beside what a connection buffers.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks read ahead of the network, or received ahead of the disk.
const CHUNKS_AHEAD: usize = 4;

/// Streams the snapshot to a peer, which installs it; answers with the peer's vote.
///
/// # Errors
/// Those of the connection, of the peer, or of reading the files.
pub(super) async fn send(
    mut client: RaftClient<Channel>,
    address: impl FnOnce(ReceiverStream<RaftSnapshotChunk>) -> Request<ReceiverStream<RaftSnapshotChunk>>,
    vote: Vote,
    meta: SnapshotMeta,
    dir: Arc<SnapshotDir>,
) -> Result<v1::VoteState, Status> {
    let (chunks, outgoing) = mpsc::channel(CHUNKS_AHEAD);
    let reading = tokio::task::spawn_blocking(move || read_files(&dir, vote, &meta, &chunks));
    let answer = client.install_snapshot(address(ReceiverStream::new(outgoing))).await;
    // The reader stops when the stream is gone. Its error explains a short stream better than the peer can.
    match reading.await {
        Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Status::internal(format!("cannot read the snapshot: {error}")))
        }
        _ => answer.map(tonic::Response::into_inner),
    }
}

fn read_files(
    dir: &SnapshotDir,
    vote: Vote,
    meta: &SnapshotMeta,
    chunks: &mpsc::Sender<RaftSnapshotChunk>,
) -> io::Result<()> {
    let send = |chunk| {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        chunks.blocking_send(RaftSnapshotChunk { chunk: Some(chunk) }).map_err(gone)
    };
    let files = dir.files()?;
    send(Chunk::Start(Start { vote: Some(vote_to_wire(vote)), meta: Some(meta_to_wire(meta, files.clone())) }))?;
    for (number, file) in (0u32..).zip(&files) {
        let mut reader = File::open(dir.path().join(&file.name))?;
        let mut left = file.size_bytes;
        while left > 0 {
            let size = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let mut data = vec![0; size];
            reader.read_exact(&mut data)?;
            left -= size as u64;
            send(Chunk::Data(Data { file: number, crc32: crc32fast::hash(&data), data: Bytes::from(data) }))?;
        }
    }
    Ok(())
}

/// What was received, before the core has accepted it.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) vote: Vote,
    pub(super) meta: SnapshotMeta,
    pub(super) dir: Arc<SnapshotDir>,
}

/// Receives a snapshot into `dir`, which goes away again if anything is wrong with it.
///
/// # Errors
/// A stream that ends early, a chunk that is damaged or out of order, a file that must not be written, a full disk.
pub(super) async fn receive(mut stream: Streaming<RaftSnapshotChunk>, dir: SnapshotDir) -> Result<Received, Status> {
    let start = match stream.message().await? {
        Some(RaftSnapshotChunk { chunk: Some(Chunk::Start(start)) }) => start,
        _ => return Err(Status::invalid_argument("a snapshot starts with its description")),
    };
    let invalid = |reason: String| Status::invalid_argument(format!("not a snapshot: {reason}"));
    let vote = vote_from_wire(start.vote).map_err(|e| invalid(e.to_string()))?;
    let description = start.meta.ok_or_else(|| invalid("no description".into()))?;
    check_files(&description.files).map_err(invalid)?;
    let files = description.files.clone();
    let meta = meta_from_wire(description).map_err(invalid)?;

    let (chunks, incoming) = mpsc::channel::<Data>(CHUNKS_AHEAD);
    let writing = tokio::task::spawn_blocking(move || write_files(&files, incoming, dir));
    let streamed = async {
        while let Some(message) = stream.message().await? {
            let Some(Chunk::Data(data)) = message.chunk else {
                return Err(Status::invalid_argument("data must follow a snapshot's description"));
            };
            if chunks.send(data).await.is_err() {
                break; // the writer says why
            }
        }
        Ok(())
    }
    .await;
    drop(chunks);
    let written = writing.await.map_err(|e| Status::internal(e.to_string()))?;
    streamed?;
    let dir = written.map_err(|e| match e.kind() {
        io::ErrorKind::InvalidData => Status::data_loss(e.to_string()),
        _ => Status::internal(format!("cannot write the snapshot: {e}")),
    })?;
    Ok(Received { vote, meta, dir: Arc::new(dir) })
}

fn write_files(
    files: &[v1::SnapshotFile],
    mut chunks: mpsc::Receiver<Data>,
    dir: SnapshotDir,
) -> io::Result<SnapshotDir> {
    let damaged = |reason: String| io::Error::new(io::ErrorKind::InvalidData, format!("damaged snapshot: {reason}"));
    for (number, file) in (0u32..).zip(files) {
        let mut writer = File::create_new(dir.path().join(&file.name))?;
        let mut left = file.size_bytes;
        while left > 0 {
            let chunk = chunks.blocking_recv().ok_or_else(|| damaged(format!("{left} bytes missing")))?;
            if chunk.file != number || chunk.data.is_empty() || chunk.data.len() as u64 > left {
                return Err(damaged(format!("a chunk of file {} where file {number} goes on", chunk.file)));
            }
            if crc32fast::hash(&chunk.data) != chunk.crc32 {
                return Err(damaged(format!("checksum of a chunk of {:?}", file.name)));
            }
            writer.write_all(&chunk.data)?;
            left -= chunk.data.len() as u64;
        }
        writer.sync_all()?;
    }
    match chunks.blocking_recv() {
        Some(_) => Err(damaged("more data than it has files".into())),
        None => Ok(dir),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::SnapshotStore;

    fn file(name: &str, size_bytes: u64) -> v1::SnapshotFile {
        v1::SnapshotFile { name: name.into(), size_bytes }
    }

    fn data(file: u32, bytes: &'static [u8]) -> Data {
        Data { file, crc32: crc32fast::hash(bytes), data: Bytes::from_static(bytes) }
    }

    fn write(files: &[v1::SnapshotFile], chunks: Vec<Data>) -> io::Result<()> {
        let root = tempfile::tempdir().unwrap();
        let store = SnapshotStore::open(root.path()).unwrap();
        let (tx, rx) = mpsc::channel(chunks.len() + 1);
        chunks.into_iter().for_each(|chunk| tx.try_send(chunk).unwrap());
        drop(tx);
        let dir = write_files(files, rx, store.partial().unwrap())?;
        for file in files {
            assert_eq!(std::fs::metadata(dir.path().join(&file.name))?.len(), file.size_bytes);
        }
        Ok(())
    }

    #[test]
    fn takes_whole_files_in_order_only() {
        let files = [file("a", 4), file("empty", 0), file("b", 2)];
        write(&files, vec![data(0, b"aa"), data(0, b"aa"), data(2, b"bb")]).unwrap();
        let mut flipped = data(0, b"aa");
        flipped.crc32 ^= 1;
        for (chunks, reason) in [
            (vec![data(0, b"aa")], "2 bytes missing"),
            (vec![data(0, b"aa"), data(2, b"bb")], "a chunk of file 2"),
            (vec![data(0, b"aaaaa")], "a chunk of file 0"),
            (vec![data(0, b"")], "a chunk of file 0"),
            (vec![data(0, b"aaaa"), data(2, b"bb"), data(2, b"b")], "more data"),
            (vec![flipped], "checksum"),
        ] {
            let error = write(&files, chunks).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
