//! Where a member's state lives, and how a whole new state replaces it: databases in numbered directories, and a
//! file that names the current one and is replaced by rename.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Engine, Error, MemoryEngine, Result, RocksEngine};

/// Names the current directory.
const CURRENT: &str = "CURRENT-STATE";

/// A place for a state machine.
#[derive(Debug, Clone)]
pub enum Home {
    /// Gone when the process ends; for tests.
    Memory,
    /// Below this directory, which exists.
    Disk(PathBuf),
}

impl Home {
    /// Opens the state there is, or an empty one.
    ///
    /// # Errors
    /// Damage, or a disk that cannot be read.
    pub fn open(&self) -> Result<Box<dyn Engine>> {
        match self {
            Self::Memory => Ok(Box::new(MemoryEngine::new())),
            Self::Disk(root) => {
                let number = match read_current(root)? {
                    Some(number) => number,
                    None => {
                        write_current(root, 1)?;
                        1
                    }
                };
                remove_others(root, &[number])?;
                Ok(Box::new(RocksEngine::open(&root.join(number.to_string()))?))
            }
        }
    }

    /// Makes the files of a checkpoint the state, moving them away. After a crash it is either the old state or, all
    /// of it, the new one. The old files stay until the next start: readers may still have them open.
    ///
    /// # Errors
    /// Files that are no database, or a disk that cannot be written.
    pub fn install(&self, files: &Path) -> Result<Box<dyn Engine>> {
        match self {
            Self::Memory => Ok(Box::new(MemoryEngine::read_checkpoint(files)?)),
            Self::Disk(root) => {
                let old = read_current(root)?.unwrap_or(0);
                remove_others(root, &[old])?;
                let number = old + 1;
                let target = root.join(number.to_string());
                fs::rename(files, &target).map_err(Error::io("install", &target))?;
                for file in fs::read_dir(&target).map_err(Error::io("list", &target))? {
                    let path = file.map_err(Error::io("list", &target))?.path();
                    sync(&path)?;
                }
                sync(&target)?;
                let engine = RocksEngine::open(&target)?;
                write_current(root, number)?;
                Ok(Box::new(engine))
            }
        }
    }
}

fn sync(path: &Path) -> Result<()> {
    fs::File::open(path).and_then(|f| f.sync_all()).map_err(Error::io("sync", path))
}

fn read_current(root: &Path) -> Result<Option<u64>> {
    let path = root.join(CURRENT);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let number = text.trim().parse().map_err(|_| Error::Corrupt(format!("{} is no number", path.display())))?;
            Ok(Some(number))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", &path)(e)),
    }
}

fn write_current(root: &Path, number: u64) -> Result<()> {
    write_durably(&root.join(CURRENT), format!("{number}\n").as_bytes())
}

/// Replaces a file's content: all of it, or nothing, is there after a crash.
pub fn write_durably(path: &Path, content: &[u8]) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let write = || {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(Error::io("write", path))
}

/// Removes the databases that are no longer, or never became, current.
fn remove_others(root: &Path, keep: &[u64]) -> Result<()> {
    for entry in fs::read_dir(root).map_err(Error::io("list", root))? {
        let entry = entry.map_err(Error::io("list", root))?;
        let number: Option<u64> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if number.is_some_and(|n| !keep.contains(&n)) {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}
