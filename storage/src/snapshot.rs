//! Snapshot files: what `kuorum ctl snapshot save` leaves, and a new cluster made from one.
//!
//! ```text
//! "KUORUMSN"  u32 format  u32 length  header (JSON: Info)
//! for each file:  u8 1  u16 length  name  u64 size  bytes  u32 crc32 of the bytes
//! u8 0  sha256 of everything before
//! ```
//! Numbers are little-endian.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use kuorum_raft::ports::{Applied, LogDisk, LogId, LogOp, Member, Membership, StoredMembership, Vote};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::data_dir::{self, DataDir};
use crate::engine::{Engine, Error, Home, LogTuning, RaftLogDb, Read as _, Result, RocksEngine, encode_applied};
use crate::machine::Store;
use crate::mvcc::{State, hash_at, key};

const MAGIC: &[u8; 8] = b"KUORUMSN";
const FORMAT: u32 = 1;
/// Longest header and file name that are believed.
const HEADER_BYTES_MAX: u32 = 1 << 20;
const BUFFER_BYTES: usize = 256 << 10;

/// How far a restored store's revision is ahead of the snapshot's. The old cluster went on after the snapshot was
/// taken, by less than this (a billion commits); so no revision means one state there and another here.
pub const REVISION_BUMP: u64 = 1 << 30;

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    pub revision: u64,
    pub compact_revision: u64,
    pub keys: u64,
    /// Bytes of the database files.
    pub size_bytes: u64,
    /// Of the state at `revision`, as `kuorum ctl hashkv` shows it.
    pub hash: u64,
    /// Index of the last log entry in it.
    pub applied_index: u64,
    pub version: String,
}

/// Yields the bytes of a snapshot file of a running member's state.
pub struct Writer {
    directory: PathBuf,
    parts: VecDeque<Part>,
    /// Of everything before the trailer.
    content: Sha256,
    /// Of everything.
    whole: Sha256,
    trailer: bool,
}

enum Part {
    Bytes(io::Cursor<Vec<u8>>),
    File { file: File, left: u64, crc: crc32fast::Hasher },
}

impl Writer {
    /// Takes a checkpoint below `directory`; it is removed when the writer is dropped.
    ///
    /// # Errors
    /// Storage failures.
    pub fn new(store: &Store, directory: &Path) -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("save-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let directory = directory.join(name);
        let mut writer = Self {
            directory: directory.clone(),
            parts: VecDeque::new(),
            content: Sha256::new(),
            whole: Sha256::new(),
            trailer: false,
        };
        store.checkpoint(&directory)?;
        let mut info = describe(&directory)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(&directory).map_err(Error::io("list", &directory))? {
            let path = entry.map_err(Error::io("list", &directory))?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_string();
            // Locks and logs are of this process; the rest is the database.
            if name == "LOCK" || name.starts_with("LOG") || name.is_empty() {
                continue;
            }
            let file = File::open(&path).map_err(Error::io("open", &path))?;
            let size = file.metadata().map_err(Error::io("stat", &path))?.len();
            info.size_bytes += size;
            files.push((name, file, size));
        }
        files.sort_by(|a, b| a.0.cmp(&b.0));
        let header = serde_json::to_vec(&info).map_err(|e| Error::Corrupt(e.to_string()))?;
        let mut start = MAGIC.to_vec();
        start.extend_from_slice(&FORMAT.to_le_bytes());
        start.extend_from_slice(&(header.len() as u32).to_le_bytes());
        start.extend_from_slice(&header);
        writer.parts.push_back(Part::Bytes(io::Cursor::new(start)));
        for (name, file, size) in files {
            let mut head = vec![1];
            head.extend_from_slice(&(name.len() as u16).to_le_bytes());
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(&size.to_le_bytes());
            writer.parts.push_back(Part::Bytes(io::Cursor::new(head)));
            writer.parts.push_back(Part::File { file, left: size, crc: crc32fast::Hasher::new() });
        }
        writer.parts.push_back(Part::Bytes(io::Cursor::new(vec![0])));
        Ok(writer)
    }

    /// SHA-256 of all bytes read so far.
    pub fn digest(&self) -> Vec<u8> {
        self.whole.clone().finalize().to_vec()
    }
}

impl Read for Writer {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = match self.parts.front_mut() {
                None if self.trailer => return Ok(0),
                None => {
                    self.trailer = true;
                    let digest = self.content.clone().finalize().to_vec();
                    self.parts.push_back(Part::Bytes(io::Cursor::new(digest)));
                    continue;
                }
                Some(Part::Bytes(bytes)) => bytes.read(out)?,
                Some(Part::File { file, left, crc }) => {
                    let want = out.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    let length = file.read(&mut out[..want])?;
                    if length == 0 && want != 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    crc.update(&out[..length]);
                    *left -= length as u64;
                    length
                }
            };
            if length > 0 {
                self.content.update(&out[..length]);
                self.whole.update(&out[..length]);
                return Ok(length);
            }
            if let Some(Part::File { crc, .. }) = self.parts.pop_front() {
                self.parts.push_front(Part::Bytes(io::Cursor::new(crc.finalize().to_le_bytes().to_vec())));
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn describe(directory: &Path) -> Result<Info> {
    let engine = RocksEngine::open(directory)?;
    let state = State::load(&engine)?;
    let applied = match engine.get(key::CONSENSUS)? {
        Some(row) => crate::engine::decode_applied(&row).unwrap_or_default(),
        None => Applied::default(),
    };
    let hash = hash_at(&engine, state.revision, state.revision, state.compact_revision)
        .map_err(|e| Error::Corrupt(e.to_string()))?;
    Ok(Info {
        revision: state.revision,
        compact_revision: state.compact_revision,
        keys: state.live_keys,
        size_bytes: 0,
        hash,
        applied_index: applied.log_id.map_or(0, |id| id.index),
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

/// Reads a snapshot file, checking every checksum. With a directory, its files are written there.
fn unpack(path: &Path, into: Option<&Path>) -> Result<Info> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut source = Source { input: BufReader::with_capacity(BUFFER_BYTES, file), hash: Sha256::new(), path };
    if source.bytes(8)? != MAGIC {
        return Err(Error::Corrupt(format!("{} is no kuorum snapshot", path.display())));
    }
    let format = source.u32()?;
    if format > FORMAT {
        return Err(Error::NewerFormat { found: format, supported: FORMAT });
    }
    let length = source.u32()?;
    if length > HEADER_BYTES_MAX {
        return Err(source.damaged("header"));
    }
    let header = source.bytes(length as usize)?;
    let info: Info = serde_json::from_slice(&header).map_err(|_| source.damaged("header"))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    while source.bytes(1)? == [1] {
        let length = u16::from_le_bytes(source.bytes(2)?.try_into().unwrap_or_default());
        let name = String::from_utf8(source.bytes(length.into())?).map_err(|_| source.damaged("file name"))?;
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(source.damaged("file name"));
        }
        let mut left = u64::from_le_bytes(source.bytes(8)?.try_into().unwrap_or_default());
        let mut target = match into.map(|directory| directory.join(&name)) {
            Some(path) => Some((File::create(&path).map_err(Error::io("create", &path))?, path)),
            None => None,
        };
        let mut crc = crc32fast::Hasher::new();
        while left > 0 {
            let chunk = &mut buffer[..usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER_BYTES)];
            source.fill(chunk)?;
            crc.update(chunk);
            left -= chunk.len() as u64;
            if let Some((file, path)) = &mut target {
                io::Write::write_all(file, chunk).map_err(Error::io("write", path))?;
            }
        }
        if source.bytes(4)? != crc.finalize().to_le_bytes() {
            return Err(source.damaged(&name));
        }
        if let Some((file, path)) = target {
            file.sync_all().map_err(Error::io("sync", &path))?;
        }
    }
    let expected = source.hash.clone().finalize().to_vec();
    if source.bytes(expected.len())? != expected {
        return Err(source.damaged("checksum"));
    }
    Ok(info)
}

struct Source<'a> {
    input: BufReader<File>,
    hash: Sha256,
    path: &'a Path,
}

impl Source<'_> {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        match self.input.read_exact(out) {
            Ok(()) => {
                self.hash.update(out);
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(self.damaged("end")),
            Err(e) => Err(Error::io("read", self.path)(e)),
        }
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut out = vec![0; length];
        self.fill(&mut out)?;
        Ok(out)
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes(4)?.try_into().unwrap_or_default()))
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Corrupt(format!("snapshot {} is damaged or cut off: {what} does not check", self.path.display()))
    }
}

/// Checks a snapshot file and says what is in it.
///
/// # Errors
/// A file that is damaged, cut off, or of a newer format.
pub fn status(file: &Path) -> Result<Info> {
    unpack(file, None)
}

/// A member of the cluster that a snapshot becomes. All members are restored from the same file, each with its own
/// name and directory.
#[derive(Debug, Clone)]
pub struct Restore {
    pub data_dir: PathBuf,
    pub name: String,
    /// Name to peer URLs of all members.
    pub initial_cluster: BTreeMap<String, Vec<String>>,
    pub initial_cluster_token: String,
}

/// Makes the data directory of a new cluster's member. The revision is raised by [`REVISION_BUMP`] and everything
/// before is marked as compacted, so that nobody who watched the old cluster can go on in a past that was rewritten.
///
/// # Errors
/// A damaged file, or a directory that holds data already.
pub fn restore(file: &Path, options: &Restore) -> Result<Info> {
    if options.data_dir.join("FORMAT").exists() {
        return Err(Error::Corrupt(format!(
            "{} holds data already: restore into a new directory",
            options.data_dir.display()
        )));
    }
    if !options.initial_cluster.contains_key(&options.name) {
        return Err(Error::NotFound(format!("member {:?} in the initial cluster", options.name)));
    }
    // The whole file is checked before anything is made of it.
    status(file)?;
    let directory = DataDir::open(&options.data_dir)?;
    let files = directory.saves().join("restore");
    fs::create_dir_all(&files).map_err(Error::io("create", &files))?;
    let info = unpack(file, Some(&files))?;
    let cluster_id = kuorum_raft::cluster_id(&options.initial_cluster_token);
    let id_of = |name: &str| kuorum_raft::member_id(cluster_id, name, 0);
    let members: BTreeMap<u64, Member> = options
        .initial_cluster
        .iter()
        .map(|(name, urls)| {
            (id_of(name), Member { name: name.clone(), peer_urls: urls.clone(), client_urls: Vec::new() })
        })
        .collect();
    let voters: BTreeSet<u64> = members.keys().copied().collect();
    // As if the first member had led a first term whose whole log is in the state. The log before it is purged, so
    // a member that joins later with an empty directory gets this state, not an empty one.
    let node_id = voters.first().copied().unwrap_or_default();
    let log_id = LogId { term: 1, node_id, index: info.applied_index.max(1) };
    let membership =
        StoredMembership { log_id: Some(log_id), membership: Membership { voters: vec![voters], members } };
    let applied = Applied { log_id: Some(log_id), membership };
    {
        let engine = Home::Disk(directory.state()).install(&files)?;
        rewrite(engine.as_ref(), &applied)?;
        let mut log = RaftLogDb::open(&directory.raft_log(), LogTuning::default())?;
        let failed = |e: io::Error| Error::Database { operation: "write raft log", message: e.to_string() };
        log.load().map_err(failed)?;
        let vote = Vote { term: 1, node_id, committed: false };
        log.write(&[LogOp::SaveVote(vote), LogOp::Purge(log_id)], true).map_err(failed)?;
    }
    let member_id = id_of(&options.name);
    directory.set_identity(&data_dir::Identity { name: options.name.clone(), member_id, cluster_id })?;
    Ok(info)
}

/// Turns the old cluster's state into the new one's first.
fn rewrite(engine: &dyn Engine, applied: &Applied) -> Result<()> {
    let mut state = State::load(engine)?;
    state.revision += REVISION_BUMP;
    state.compact_revision = state.revision;
    state.history_floor = state.history_bytes;
    let mut batch = engine.batch();
    for (start, end) in [(key::event(0, 0), key::event(u64::MAX, u32::MAX)), key::undo_table(), key::client_table()] {
        batch.delete_range(&start, &end);
    }
    batch.delete(key::ALARMS);
    batch.put(key::STATE, &state.encode());
    batch.put(key::CLEANED, &state.revision.to_le_bytes());
    batch.put(key::CONSENSUS, &encode_applied(applied));
    engine.write(batch)?;
    engine.flush()
}
