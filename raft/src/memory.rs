//! Both ports in memory, for tests: a log that remembers what was synced, can fail and can lose power, and a state
//! machine that keeps every command.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use crate::ports::{
    Applied, LogDisk, LogDiskState, LogEntry, LogId, LogOp, LogRead, Payload, SnapshotBuild, StateMachine,
    StoredMembership,
};

/// A log in memory. Clones are handles of the same log, so that a member can be started again on it.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    log: Mutex<Log>,
    gate: Mutex<()>,
}

#[derive(Debug, Default)]
struct Log {
    now: Contents,
    synced: Contents,
    /// What turns `synced` into `now`.
    unsynced: Vec<LogOp>,
    syncs: u64,
    failing: bool,
    fsync: Option<File>,
}

#[derive(Debug, Clone, Default)]
struct Contents {
    state: LogDiskState,
    entries: Vec<LogEntry>,
}

impl MemoryLog {
    /// Makes every later write fail, or succeed again.
    pub fn fail_writes(&self, failing: bool) {
        self.0.log.lock().failing = failing;
    }

    /// Writes wait while the guard lives.
    pub fn hold_writes(&self) -> MutexGuard<'_, ()> {
        self.0.gate.lock()
    }

    /// A power cut: what was not synced is gone. Answers with a new log, so that a member that still runs on the old
    /// one cannot write to it.
    pub fn after_power_cut(&self) -> Self {
        let synced = self.0.log.lock().synced.clone();
        Self(Arc::new(Shared {
            log: Mutex::new(Log { now: synced.clone(), synced, ..Log::default() }),
            gate: Mutex::default(),
        }))
    }

    /// Makes every sync also write as many bytes to `file` and fsync it: the cost of a disk, for measurements.
    pub fn fsync_to(&self, file: File) {
        self.0.log.lock().fsync = Some(file);
    }

    /// How many writes were synced.
    pub fn syncs(&self) -> u64 {
        self.0.log.lock().syncs
    }

    /// The index of the last entry.
    pub fn last_index(&self) -> Option<u64> {
        self.0.log.lock().now.state.last.map(|id| id.index)
    }

    /// The index of the last entry that was purged.
    pub fn purged_index(&self) -> Option<u64> {
        self.0.log.lock().now.state.purged.map(|id| id.index)
    }
}

impl Contents {
    fn carry_out(&mut self, op: &LogOp) -> io::Result<()> {
        match op {
            LogOp::Append(entries) => {
                for entry in entries {
                    if let Some(last) = self.state.last
                        && entry.id.index != last.index + 1
                    {
                        return Err(io::Error::other(format!("a hole between {last} and {}", entry.id)));
                    }
                    self.state.last = Some(entry.id);
                    self.entries.push(entry.clone());
                }
            }
            LogOp::TruncateAfter(last) => {
                self.entries.retain(|entry| last.is_some_and(|last| entry.id.index <= last.index));
                self.state.last = self.entries.last().map(|entry| entry.id).or(self.state.purged);
            }
            LogOp::Purge(upto) => {
                self.entries.retain(|entry| entry.id.index > upto.index);
                self.state.purged = Some(*upto);
                self.state.last = self.entries.last().map_or(Some(*upto), |entry| Some(entry.id));
            }
            LogOp::SaveVote(vote) => self.state.vote = Some(*vote),
            LogOp::SaveCommitted(committed) => self.state.committed = *committed,
        }
        Ok(())
    }
}

impl LogDisk for MemoryLog {
    fn load(&mut self) -> io::Result<LogDiskState> {
        Ok(self.0.log.lock().now.state.clone())
    }

    fn write(&mut self, ops: &[LogOp], sync: bool) -> io::Result<()> {
        let _gate = self.0.gate.lock();
        let mut log = self.0.log.lock();
        if log.failing {
            return Err(io::Error::other("the disk fails, as it was told to"));
        }
        for op in ops {
            log.now.carry_out(op)?;
            log.unsynced.push(op.clone());
        }
        if sync {
            for op in std::mem::take(&mut log.unsynced) {
                log.synced.carry_out(&op)?;
            }
            log.syncs += 1;
            if let Some(mut file) = log.fsync.as_ref() {
                file.write_all(&vec![0; ops.iter().map(crate::log_io::op_bytes).sum::<usize>() + 1])?;
                file.sync_data()?;
            }
        }
        Ok(())
    }

    fn reader(&self) -> Arc<dyn LogRead> {
        self.0.clone()
    }
}

impl LogRead for Shared {
    fn read(&self, start: u64, end: u64, max_bytes: usize) -> io::Result<Vec<LogEntry>> {
        let log = self.log.lock();
        let mut bytes = 0;
        let wanted = log.now.entries.iter().filter(|entry| (start..end).contains(&entry.id.index));
        let within = wanted.take_while(|entry| {
            let fits = bytes == 0 || bytes < max_bytes;
            bytes += if let Payload::Command(command) = &entry.payload { command.len() } else { 0 };
            fits
        });
        Ok(within.cloned().collect())
    }
}

/// A state machine that keeps every command, and answers each with how many there are. Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct MemoryMachine(Arc<Mutex<MachineState>>);

#[derive(Debug, Clone, Default)]
struct MachineState {
    applied: Applied,
    commands: Vec<Bytes>,
    batches: u64,
    fault: Option<Fault>,
}

/// What a [`MemoryMachine`] does instead of applying.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// It answers with an error.
    Error,
    /// It panics.
    Panic,
}

impl MemoryMachine {
    /// Every command applied so far, in order.
    pub fn commands(&self) -> Vec<Bytes> {
        self.0.lock().commands.clone()
    }

    /// Makes the next call of `apply` fail.
    pub fn fail_next_apply(&self, fault: Fault) {
        self.0.lock().fault = Some(fault);
    }

    /// How many calls of `apply` there were.
    pub fn batches(&self) -> u64 {
        self.0.lock().batches
    }
}

/// The file of a snapshot: the applied position, the membership, and the commands.
const SNAPSHOT_FILE: &str = "commands";

impl StateMachine for MemoryMachine {
    type Response = usize;

    fn applied(&mut self) -> io::Result<Applied> {
        Ok(self.0.lock().applied.clone())
    }

    fn apply(&mut self, entries: &[LogEntry]) -> io::Result<Vec<usize>> {
        let mut state = self.0.lock();
        match state.fault.take() {
            None => {}
            Some(Fault::Error) => return Err(io::Error::other("the state machine fails, as it was told to")),
            Some(Fault::Panic) => panic!("the state machine panics, as it was told to"),
        }
        let mut responses = Vec::new();
        state.batches += 1;
        for entry in entries {
            if state.applied.log_id.is_some_and(|applied| entry.id.index <= applied.index) {
                return Err(io::Error::other(format!("{} is applied again", entry.id)));
            }
            state.applied.log_id = Some(entry.id);
            match &entry.payload {
                Payload::Blank => {}
                Payload::Command(command) => {
                    state.commands.push(command.clone());
                    responses.push(state.commands.len());
                }
                Payload::Membership(membership) => {
                    state.applied.membership =
                        StoredMembership { log_id: Some(entry.id), membership: membership.clone() };
                }
            }
        }
        Ok(responses)
    }

    fn snapshot(&mut self, dir: &Path) -> io::Result<Box<dyn SnapshotBuild>> {
        let state = self.0.lock().clone();
        let path = dir.join(SNAPSHOT_FILE);
        Ok(Box::new(Build { state, path }))
    }

    fn install(&mut self, dir: &Path) -> io::Result<()> {
        let bytes = std::fs::read(dir.join(SNAPSHOT_FILE))?;
        let state = encoding::decode(&bytes).ok_or_else(|| io::Error::other("not a snapshot"))?;
        *self.0.lock() = state;
        Ok(())
    }
}

struct Build {
    state: MachineState,
    path: std::path::PathBuf,
}

impl SnapshotBuild for Build {
    fn finish(self: Box<Self>) -> io::Result<()> {
        std::fs::write(&self.path, encoding::encode(&self.state))
    }
}

mod encoding {
    //! A snapshot as protobuf: the entry that was applied last (with the membership as its payload), then commands.

    use bytes::Bytes;
    use kuorum_proto::v1;
    use prost::Message;

    use super::{Applied, LogId, MachineState};

    pub(super) fn encode(state: &MachineState) -> Vec<u8> {
        let head = v1::SnapshotMeta {
            last: state.applied.log_id.map(Into::into),
            membership: Some(state.applied.membership.clone().into()),
            files: Vec::new(),
        };
        let mut bytes = head.encode_length_delimited_to_vec();
        for command in &state.commands {
            bytes.extend(command.encode_length_delimited_to_vec());
        }
        bytes
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Option<MachineState> {
        let head = v1::SnapshotMeta::decode_length_delimited(&mut bytes).ok()?;
        let mut commands = Vec::new();
        while !bytes.is_empty() {
            commands.push(Bytes::decode_length_delimited(&mut bytes).ok()?);
        }
        let applied =
            Applied { log_id: head.last.map(LogId::from), membership: head.membership.unwrap_or_default().into() };
        Some(MachineState { applied, commands, ..MachineState::default() })
    }
}
