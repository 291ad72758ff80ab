//! A member's directory: who may use it, what format it has, whose data it is.
//!
//! ```text
//! LOCK        held while a process uses the directory
//! FORMAT      version of everything below
//! MEMBER      name, member id, cluster id: fixed at the first start
//! raft-log/   the log's database and its watermark
//! state/      the state machine's databases
//! snapshots/  being built or received by consensus
//! saves/      being sent to an operator; emptied at every start
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::{Error, Result, write_durably};

/// The layout that this version writes.
pub const FORMAT: u32 = 1;

const FORMAT_PREFIX: &str = "kuorum-storage ";

/// Whose data it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub name: String,
    pub member_id: u64,
    pub cluster_id: u64,
}

/// A directory that this process holds, until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Takes the directory, and makes it when it does not exist.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NewerFormat`], or a directory that holds something else.
    pub fn open(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).map_err(Error::io("create", root))?;
        restrict(root)?;
        let lock_path = root.join("LOCK");
        let lock = File::create(&lock_path).map_err(Error::io("create", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse(root.to_path_buf())),
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", &lock_path)(e)),
        }
        let directory = Self { root: root.to_path_buf(), _lock: lock };
        directory.check_format()?;
        let saves = directory.saves();
        if saves.exists() {
            fs::remove_dir_all(&saves).map_err(Error::io("empty", &saves))?;
        }
        for part in [directory.raft_log(), directory.state(), directory.snapshots(), saves] {
            fs::create_dir_all(&part).map_err(Error::io("create", &part))?;
        }
        Ok(directory)
    }

    fn check_format(&self) -> Result<()> {
        let path = self.root.join("FORMAT");
        match fs::read_to_string(&path) {
            Ok(text) => {
                let version = text.trim().strip_prefix(FORMAT_PREFIX).and_then(|v| v.parse::<u32>().ok());
                match version {
                    Some(version) if version > FORMAT => Err(Error::NewerFormat { found: version, supported: FORMAT }),
                    Some(_) => Ok(()),
                    None => Err(Error::Corrupt(format!("{} is no kuorum format file", path.display()))),
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if self.raft_log().exists() || self.state().exists() {
                    return Err(Error::Corrupt(format!("{} is missing beside existing data", path.display())));
                }
                write_durably(&path, format!("{FORMAT_PREFIX}{FORMAT}\n").as_bytes())
            }
            Err(e) => Err(Error::io("read", &path)(e)),
        }
    }

    /// `None` before the first start.
    ///
    /// # Errors
    /// A file that does not parse.
    pub fn identity(&self) -> Result<Option<Identity>> {
        let path = self.root.join("MEMBER");
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|e| Error::Corrupt(format!("{} does not parse: {e}", path.display()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read", &path)(e)),
        }
    }

    /// # Errors
    /// A disk that cannot be written.
    pub fn set_identity(&self, identity: &Identity) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(identity).unwrap_or_default();
        text.push(b'\n');
        write_durably(&self.root.join("MEMBER"), &text)
    }

    pub fn raft_log(&self) -> PathBuf {
        self.root.join("raft-log")
    }

    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    pub fn saves(&self) -> PathBuf {
        self.root.join("saves")
    }

    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }
}

/// Secrets are in there: nobody else may look.
fn restrict(root: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(root, fs::Permissions::from_mode(0o700)).map_err(Error::io("restrict", root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_no_newer_format() {
        let root = tempfile::tempdir().unwrap();
        let directory = DataDir::open(root.path()).unwrap();
        assert!(matches!(DataDir::open(root.path()), Err(Error::InUse(_))));
        assert_eq!(directory.identity().unwrap(), None);
        let identity = Identity { name: "a".into(), member_id: 1, cluster_id: 2 };
        directory.set_identity(&identity).unwrap();
        drop(directory);
        assert_eq!(DataDir::open(root.path()).unwrap().identity().unwrap(), Some(identity));
        fs::write(root.path().join("FORMAT"), "kuorum-storage 2\n").unwrap();
        let error = DataDir::open(root.path()).unwrap_err();
        assert!(matches!(error, Error::NewerFormat { found: 2, supported: 1 }), "{error}");
        fs::write(root.path().join("FORMAT"), "something else").unwrap();
        assert!(matches!(DataDir::open(root.path()), Err(Error::Corrupt(_))));
        fs::remove_file(root.path().join("FORMAT")).unwrap();
        assert!(matches!(DataDir::open(root.path()), Err(Error::Corrupt(_))));
    }
}
