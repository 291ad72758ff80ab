//! Snapshots as directories of files: where they are built, kept, received and removed.
//!
//! One finished snapshot is kept, the newest. A directory gets its final name only when everything in it is on the
//! disk, so a directory with another name is what a crash left behind.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use kuorum_proto::v1;
use parking_lot::Mutex;
use prost::Message;

use crate::{ports, types::SnapshotMeta};

/// The file that describes a finished snapshot: a format version, a checksum, a `SnapshotMeta` message.
const META_FILE: &str = "META";
const META_FORMAT: u32 = 1;
const FINISHED_PREFIX: &str = "snapshot-";
const PARTIAL_PREFIX: &str = "partial-";

/// Files in one snapshot. RocksDB makes one per 64 MiB or so; more than this is not a snapshot but an attack.
const FILES_MAX: usize = 100_000;

/// A directory with the files of a snapshot. It is removed when nobody uses it any more, unless it is to be kept.
#[derive(Debug)]
pub(crate) struct SnapshotDir {
    path: PathBuf,
    keep: AtomicBool,
}

impl SnapshotDir {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The files that a receiver needs, with their sizes in bytes, in a stable order.
    pub(crate) fn files(&self) -> io::Result<Vec<v1::SnapshotFile>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name().into_string().map_err(|_| io::Error::other("file name is not UTF-8"))?;
            if name != META_FILE {
                files.push(v1::SnapshotFile { name, size_bytes: entry.metadata()?.len() });
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }
}

impl Drop for SnapshotDir {
    fn drop(&mut self) {
        if !self.keep.load(Ordering::Relaxed)
            && let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// The directory in which a member keeps its snapshots.
#[derive(Debug)]
pub(crate) struct SnapshotStore {
    root: PathBuf,
    current: Mutex<Option<(SnapshotMeta, Arc<SnapshotDir>)>>,
    partials: AtomicU64,
}

impl SnapshotStore {
    /// Finds the newest finished snapshot and removes everything else.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let mut newest: Option<(SnapshotMeta, PathBuf)> = None;
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let meta = if name.starts_with(FINISHED_PREFIX) {
                read_meta(&path).inspect_err(|e| tracing::warn!("removing {}: {e}", path.display())).ok()
            } else if name.starts_with(PARTIAL_PREFIX) {
                None
            } else {
                continue; // not ours
            };
            let newer = |meta: &SnapshotMeta| newest.as_ref().is_none_or(|(old, _)| meta.last_log_id > old.last_log_id);
            let superseded = match meta.filter(newer) {
                Some(meta) => newest.replace((meta, path)).map(|(_, old)| old),
                None => Some(path),
            };
            if let Some(path) = superseded {
                fs::remove_dir_all(path)?;
            }
        }
        let keep = |path| Arc::new(SnapshotDir { path, keep: AtomicBool::new(true) });
        let current = newest.map(|(meta, path)| (meta, keep(path)));
        Ok(Self { root: root.to_owned(), current: Mutex::new(current), partials: AtomicU64::new(0) })
    }

    /// The newest finished snapshot.
    pub(crate) fn current(&self) -> Option<(SnapshotMeta, Arc<SnapshotDir>)> {
        self.current.lock().clone()
    }

    /// A new empty directory to build a snapshot in, or to receive one.
    pub(crate) fn partial(&self) -> io::Result<SnapshotDir> {
        let number = self.partials.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(format!("{PARTIAL_PREFIX}{number}"));
        fs::create_dir(&path)?;
        Ok(SnapshotDir { path, keep: AtomicBool::new(false) })
    }

    /// Makes a complete directory the current snapshot, durably; the one before goes when its last user is done.
    pub(crate) fn publish(&self, dir: SnapshotDir, meta: SnapshotMeta) -> io::Result<Arc<SnapshotDir>> {
        write_meta(&dir.path, &meta)?;
        for entry in fs::read_dir(&dir.path)? {
            File::open(entry?.path())?.sync_all()?;
        }
        File::open(&dir.path)?.sync_all()?;

        let mut current = self.current.lock();
        if let Some((old, dir)) = current.as_ref()
            && old.last_log_id >= meta.last_log_id
        {
            return Ok(dir.clone());
        }
        let id = meta.last_log_id.map(ports::LogId::from).unwrap_or_default();
        let path = self.root.join(format!("{FINISHED_PREFIX}{id}"));
        fs::rename(&dir.path, &path)?;
        File::open(&self.root)?.sync_all()?;
        let new = Arc::new(SnapshotDir { path, keep: AtomicBool::new(true) });
        if let Some((_, old)) = current.replace((meta, new.clone())) {
            old.keep.store(false, Ordering::Relaxed);
        }
        Ok(new)
    }
}

/// A received list of files that this member would write.
///
/// # Errors
/// Names that would leave the directory or hide the description, names that repeat, too many files.
pub(crate) fn check_files(files: &[v1::SnapshotFile]) -> Result<(), String> {
    if files.len() > FILES_MAX {
        return Err(format!("{} files", files.len()));
    }
    let plain = |name: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        !name.is_empty()
            && name.len() <= 255
            && !name.starts_with('.')
            && name != META_FILE
            && name.bytes().all(allowed)
    };
    if let Some(file) = files.iter().find(|file| !plain(&file.name)) {
        return Err(format!("file name {:?}", file.name));
    }
    let mut names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("file {:?} twice", pair[0])),
        None => Ok(()),
    }
}

/// A snapshot's description as a message.
pub(crate) fn meta_to_wire(meta: &SnapshotMeta, files: Vec<v1::SnapshotFile>) -> v1::SnapshotMeta {
    v1::SnapshotMeta {
        last: meta.last_log_id.map(|id| ports::LogId::from(id).into()),
        membership: Some(ports::StoredMembership::from(meta.last_membership.clone()).into()),
        files,
    }
}

/// A snapshot's description from a message.
///
/// # Errors
/// A membership that cannot be.
pub(crate) fn meta_from_wire(meta: v1::SnapshotMeta) -> Result<SnapshotMeta, String> {
    let membership = ports::StoredMembership::from(meta.membership.unwrap_or_default());
    Ok(SnapshotMeta {
        last_log_id: meta.last.map(|id| ports::LogId::from(id).into()),
        last_membership: membership.try_into().map_err(|e: crate::types::InvalidMembership| e.to_string())?,
    })
}

fn write_meta(dir: &Path, meta: &SnapshotMeta) -> io::Result<()> {
    let message = meta_to_wire(meta, Vec::new()).encode_to_vec();
    let mut file = File::create(dir.join(META_FILE))?;
    file.write_all(&META_FORMAT.to_le_bytes())?;
    file.write_all(&crc32fast::hash(&message).to_le_bytes())?;
    file.write_all(&message)
}

fn read_meta(dir: &Path) -> io::Result<SnapshotMeta> {
    let mut file = File::open(dir.join(META_FILE))?;
    let mut word = [0; 4];
    file.read_exact(&mut word)?;
    let format = u32::from_le_bytes(word);
    if format != META_FORMAT {
        return Err(io::Error::other(format!("snapshot format {format}, expected {META_FORMAT}")));
    }
    file.read_exact(&mut word)?;
    let mut message = Vec::new();
    file.read_to_end(&mut message)?;
    if crc32fast::hash(&message) != u32::from_le_bytes(word) {
        return Err(io::Error::other("the snapshot's description is damaged"));
    }
    let message = v1::SnapshotMeta::decode(&message[..])?;
    meta_from_wire(message).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::StoredMembership;

    fn meta(index: u64) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: Some(ports::LogId { term: 1, node_id: 1, index }.into()),
            last_membership: StoredMembership::default(),
        }
    }

    fn build(store: &SnapshotStore, index: u64) -> Arc<SnapshotDir> {
        let dir = store.partial().unwrap();
        fs::write(dir.path().join("data"), b"abc").unwrap();
        store.publish(dir, meta(index)).unwrap()
    }

    fn directories(root: &Path) -> usize {
        fs::read_dir(root).unwrap().count()
    }

    #[test]
    fn keeps_the_newest_and_those_in_use() {
        let root = tempfile::tempdir().unwrap();
        let store = SnapshotStore::open(root.path()).unwrap();
        let first = build(&store, 5);
        let second = build(&store, 9);
        assert_eq!(directories(root.path()), 2);
        assert_eq!(first.files().unwrap()[0].size_bytes, 3);
        drop(first);
        assert_eq!(directories(root.path()), 1);
        assert!(second.path().exists());
        let older = build(&store, 7);
        assert_eq!(older.path(), second.path());
        assert_eq!(store.current().unwrap().0, meta(9));
    }

    #[test]
    fn finds_it_again_and_removes_what_a_crash_left() {
        let root = tempfile::tempdir().unwrap();
        {
            let store = SnapshotStore::open(root.path()).unwrap();
            build(&store, 5);
            std::mem::forget(store.partial().unwrap());
        }
        fs::create_dir(root.path().join("snapshot-1-1-99")).unwrap();
        fs::write(root.path().join("snapshot-1-1-99").join(META_FILE), b"\x01\0\0\0damaged").unwrap();
        let store = SnapshotStore::open(root.path()).unwrap();
        assert_eq!(store.current().unwrap().0, meta(5));
        assert_eq!(directories(root.path()), 1);
    }

    #[test]
    fn refuses_files_that_would_leave_the_directory() {
        let file = |name: &str| v1::SnapshotFile { name: name.into(), size_bytes: 1 };
        assert!(check_files(&[file("000012.sst"), file("MANIFEST-000004"), file("OPTIONS_1")]).is_ok());
        for bad in ["", "..", "../x", "a/b", "/etc/passwd", ".hidden", META_FILE, "a\0b"] {
            assert!(check_files(&[file(bad)]).is_err(), "{bad:?}");
        }
        assert!(check_files(&[file("a"), file("a")]).is_err());
    }
}
