//! The log survives what a crash does, and refuses what a crash cannot do.

use kuorum_raft::ports::{LogId, Payload, Vote};

use super::*;

fn vote(term: u64, node_id: u64) -> Vote {
    Vote { term, node_id, committed: false }
}

fn log_id(term: u64, index: u64) -> LogId {
    LogId { term, node_id: 1, index }
}

fn entries(range: std::ops::Range<u64>) -> LogOp {
    let entry = |index| LogEntry { id: log_id(1, index), payload: Payload::Command(Bytes::from(vec![7; 100])) };
    LogOp::Append(range.map(entry).collect())
}

fn open(directory: &Path) -> Result<(RaftLogDb, LogDiskState)> {
    let mut log = RaftLogDb::open(directory, LogTuning::default())?;
    let state = log.check()?;
    log.last = state.last.map(|l| l.index);
    Ok((log, state))
}

fn copy_of(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(directory).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

fn wal(directory: &Path) -> PathBuf {
    let files = std::fs::read_dir(directory).unwrap().map(|f| f.unwrap().path());
    files.filter(|p| p.extension().is_some_and(|e| e == "log")).max().expect("a WAL file")
}

#[test]
fn what_was_written_is_there_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let (mut log, state) = open(directory.path()).unwrap();
    assert_eq!(state, LogDiskState::default());
    log.write(&[LogOp::SaveVote(vote(1, 1)), entries(0..10)], true).unwrap();
    log.write(&[LogOp::SaveCommitted(Some(log_id(1, 7)))], false).unwrap();
    log.write(&[LogOp::TruncateAfter(Some(log_id(1, 8)))], true).unwrap();
    log.write(&[LogOp::Purge(log_id(1, 2))], false).unwrap();

    // The copy of the files is what a killed process leaves.
    let copy = copy_of(directory.path());
    let (log, state) = open(copy.path()).unwrap();
    assert_eq!(state.vote, Some(vote(1, 1)));
    assert_eq!(state.committed, Some(log_id(1, 7)));
    assert_eq!(state.purged, Some(log_id(1, 2)));
    assert_eq!(state.last, Some(log_id(1, 8)));
    let read: Vec<u64> = log.reader().read(0, 100, usize::MAX).unwrap().iter().map(|e| e.id.index).collect();
    assert_eq!(read, (3..=8).collect::<Vec<_>>());
    assert_eq!(log.reader().read(4, 8, 1).unwrap().len(), 1, "at least one entry, whatever its size");
}

#[test]
fn a_purge_beyond_the_end_empties_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let (mut log, _) = open(directory.path()).unwrap();
    log.write(&[entries(0..5)], true).unwrap();
    log.write(&[LogOp::Purge(log_id(3, 20))], false).unwrap();
    log.write(&[entries(21..23)], true).unwrap();
    drop(log);
    let (_, state) = open(directory.path()).unwrap();
    assert_eq!((state.purged, state.last), (Some(log_id(3, 20)), Some(log_id(1, 22))));
}

#[test]
fn a_truncated_tail_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (mut log, _) = open(directory.path()).unwrap();
    for index in 0..20 {
        log.write(&[entries(index..index + 1)], true).unwrap();
    }
    for cut in [1, 50, 200, 1_000] {
        let copy = copy_of(directory.path());
        let wal = wal(copy.path());
        let length = std::fs::metadata(&wal).unwrap().len();
        OpenOptions::new().write(true).open(&wal).unwrap().set_len(length - cut).unwrap();
        match open(copy.path()) {
            Err(Error::Corrupt(message)) => assert!(message.contains("acknowledged"), "{message}"),
            other => panic!("cut {cut}: {:?}", other.map(|(_, state)| state)),
        }
    }
    let copy = copy_of(directory.path());
    std::fs::remove_file(wal(copy.path())).unwrap();
    assert!(matches!(open(copy.path()), Err(Error::Corrupt(_) | Error::Database { .. })), "the WAL file is gone");
}

#[test]
fn an_unfinished_write_behind_the_acknowledged_ones_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let (mut log, _) = open(directory.path()).unwrap();
    log.write(&[entries(0..5)], true).unwrap();
    let acknowledged = std::fs::read(directory.path().join("WATERMARK")).unwrap();
    log.write(&[entries(5..6)], true).unwrap();
    let copy = copy_of(directory.path());
    // As if the process had died inside the second write, before its fsync returned.
    std::fs::write(copy.path().join("WATERMARK"), acknowledged).unwrap();
    let wal = wal(copy.path());
    let length = std::fs::metadata(&wal).unwrap().len();
    OpenOptions::new().write(true).open(&wal).unwrap().set_len(length - 10).unwrap();
    let (_, state) = open(copy.path()).unwrap();
    assert_eq!(state.last, Some(log_id(1, 4)));
}

#[test]
fn a_flipped_bit_is_refused_wherever_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (mut log, _) = open(directory.path()).unwrap();
    for index in 0..20 {
        log.write(&[entries(index..index + 1)], true).unwrap();
    }
    let length = std::fs::metadata(wal(directory.path())).unwrap().len();
    for at in (8..length).step_by(97) {
        let copy = copy_of(directory.path());
        let file = OpenOptions::new().read(true).write(true).open(wal(copy.path())).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
        match open(copy.path()) {
            Err(Error::Corrupt(_) | Error::Database { .. }) => {}
            other => panic!("bit at {at}: {:?}", other.map(|(_, state)| state)),
        }
    }
}
