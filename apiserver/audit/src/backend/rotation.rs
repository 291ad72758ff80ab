//! A log file that is put aside when it has grown, and whose old parts are compressed and removed.
//!
//! Names and rules are those that operators of Kubernetes have their log shippers set to: `audit.log` becomes
//! `audit-2026-01-31T10-20-30.123.log`, with `.gz` when it is compressed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::event::timestamp;

/// The limit where none is given.
const DEFAULT_BYTES_MAX: u64 = 100 << 20;
const GZIP: &str = ".gz";

/// When a file is put aside, and what becomes of old ones. Zero: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub bytes_max: u64,
    pub age_max: Duration,
    pub backups_max: usize,
    pub compress: bool,
}

/// The file being written.
pub struct RotatingFile {
    path: PathBuf,
    limits: Limits,
    file: File,
    len: u64,
    /// Asks the tidying thread to look; it ends with this sender.
    tidy: mpsc::Sender<()>,
}

impl RotatingFile {
    /// Opens the file, or makes it with mode 0600.
    pub fn open(path: &Path, limits: Limits) -> io::Result<Self> {
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            fs::create_dir_all(dir)?;
        }
        let file = open(path)?;
        let len = file.metadata()?.len();
        let (tidy, wanted) = mpsc::channel::<()>();
        let of = path.to_owned();
        std::thread::Builder::new().name("audit-log-tidy".to_owned()).spawn(move || {
            while wanted.recv().is_ok() {
                if let Err(error) = tidy_up(&of, limits, SystemTime::now()) {
                    tracing::warn!(%error, path = %of.display(), "old audit logs could not be tidied up");
                }
            }
        })?;
        let file = RotatingFile { path: path.to_owned(), limits, file, len, tidy };
        // What an earlier process left.
        let _ = file.tidy.send(());
        Ok(file)
    }

    /// Appends whole lines.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let max = if self.limits.bytes_max == 0 { DEFAULT_BYTES_MAX } else { self.limits.bytes_max };
        let len = lines.len() as u64;
        if len > max {
            let why = format!("write length {len} exceeds maximum file size {max}");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        if self.len > 0 && self.len + len > max {
            self.rotate()?;
        }
        self.file.write_all(lines)?;
        self.len += len;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        fs::rename(&self.path, backup_name(&self.path, SystemTime::now()))?;
        self.file = open(&self.path)?;
        self.len = 0;
        let _ = self.tidy.send(());
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Name before and behind the time of a backup: `audit-`, `.log`.
fn affixes(path: &Path) -> (String, String) {
    let part = |text: Option<&std::ffi::OsStr>| text.map(|t| t.to_string_lossy().into_owned()).unwrap_or_default();
    let extension = part(path.extension());
    let extension = if extension.is_empty() { extension } else { format!(".{extension}") };
    (format!("{}-", part(path.file_stem())), extension)
}

fn backup_name(path: &Path, time: SystemTime) -> PathBuf {
    let (before, behind) = affixes(path);
    let stamp = timestamp(time, 3).trim_end_matches('Z').replace(':', "-");
    path.with_file_name(format!("{before}{stamp}{behind}"))
}

/// Removes what is too old or too many, compresses the rest.
fn tidy_up(path: &Path, limits: Limits, now: SystemTime) -> io::Result<()> {
    let (before, behind) = affixes(path);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let oldest = (!limits.age_max.is_zero()).then(|| now.checked_sub(limits.age_max)).flatten();
    // The text of a time sorts as the time does.
    let oldest = oldest.map(|time| timestamp(time, 3).trim_end_matches('Z').replace(':', "-"));
    let mut backups: Vec<(String, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let plain = name.strip_suffix(GZIP).unwrap_or(&name);
        let stamp = plain.strip_prefix(&before).and_then(|rest| rest.strip_suffix(&behind));
        if let Some(stamp) = stamp.filter(|stamp| is_stamp(stamp)) {
            backups.push((stamp.to_owned(), path));
        }
    }
    backups.sort();
    backups.reverse();
    for (index, (stamp, path)) in backups.iter().enumerate() {
        let too_many = limits.backups_max > 0 && index >= limits.backups_max;
        if too_many || oldest.as_ref().is_some_and(|oldest| stamp < oldest) {
            fs::remove_file(path)?;
        } else if limits.compress && path.extension().is_none_or(|extension| extension != "gz") {
            compress(path)?;
        }
    }
    Ok(())
}

/// `2026-01-31T10-20-30.123`
fn is_stamp(text: &str) -> bool {
    text.len() == "2026-01-31T10-20-30.123".len()
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'T' | b'.'))
}

/// Through another name, so that a crash leaves no half of a backup under its own.
fn compress(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(GZIP);
    let target = PathBuf::from(name);
    let partial = target.with_extension("gz.partial");
    let mut out = GzEncoder::new(
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&partial)?,
        Compression::default(),
    );
    io::copy(&mut File::open(path)?, &mut out)?;
    out.finish()?.sync_all()?;
    fs::rename(&partial, &target)?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_file_is_put_aside_and_no_line_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/audit.log");
        let mut file = RotatingFile::open(&path, Limits { bytes_max: 100, ..Limits::default() }).unwrap();
        for i in 0..30 {
            file.write(format!("line {i:02} {}\n", "x".repeat(20)).as_bytes()).unwrap();
            // The name of a backup has milliseconds.
            let begun = SystemTime::now();
            while timestamp(SystemTime::now(), 3) == timestamp(begun, 3) {
                std::hint::spin_loop();
            }
        }
        assert!(file.write(&[b'x'; 101]).is_err());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let names = names(&dir.path().join("logs"));
        assert_eq!(names.len(), 10, "{names:?}");
        let text: String = names[..9]
            .iter()
            .chain([&"audit.log".to_owned()])
            .map(|name| {
                let text = fs::read_to_string(dir.path().join("logs").join(name)).unwrap();
                assert!(text.len() <= 100);
                text
            })
            .collect();
        let lines: Vec<&str> = text.lines().map(|line| &line[..7]).collect();
        let mut sorted = lines.clone();
        sorted.sort();
        assert_eq!((lines.len(), &lines), (30, &sorted));
        // Opened again, it is appended to.
        drop(file);
        let mut file = RotatingFile::open(&path, Limits { bytes_max: 100, ..Limits::default() }).unwrap();
        let before = fs::metadata(&path).unwrap().len();
        file.write(b"y\n").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), before + 2);
    }

    #[test]
    fn old_backups_are_removed_by_age_and_number_and_the_rest_compressed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let day = Duration::from_secs(86_400);
        let now = SystemTime::UNIX_EPOCH + day * 20_000;
        for age in [1, 2, 3, 10] {
            fs::write(backup_name(&path, now - day * age), format!("{age} days\n")).unwrap();
        }
        for other in ["audit.log", "audit-notes.log", "other-2026-01-31T10-20-30.123.log"] {
            fs::write(dir.path().join(other), "kept").unwrap();
        }
        tidy_up(&path, Limits { age_max: day * 5, ..Limits::default() }, now).unwrap();
        assert_eq!(names(dir.path()).len(), 6);
        tidy_up(&path, Limits { backups_max: 2, compress: true, ..Limits::default() }, now).unwrap();
        let left = names(dir.path());
        let compressed: Vec<&String> = left.iter().filter(|name| name.ends_with(".log.gz")).collect();
        assert_eq!((left.len(), compressed.len()), (5, 2), "{left:?}");
        let mut text = String::new();
        let newest = File::open(dir.path().join(compressed[1])).unwrap();
        io::Read::read_to_string(&mut flate2::read::GzDecoder::new(newest), &mut text).unwrap();
        assert_eq!(text, "1 days\n");
        // Again: nothing changes.
        tidy_up(&path, Limits { backups_max: 2, compress: true, ..Limits::default() }, now).unwrap();
        assert_eq!(names(dir.path()), left);
    }
}
