//! What a crash leaves behind, at the level of directories: a copy of the files of a running store is what a killed
//! process leaves, and what is cut from it is what a power cut may take.

use std::path::Path;

use kuorum_proto::v1;

use crate::embedded::Embedded;
use crate::error::Error;
use crate::suite::{Client, put};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if let Err(e) = std::fs::copy(entry.path(), &target) {
            // A background job may remove a file while we copy; nothing that is needed goes.
            assert_eq!(e.kind(), std::io::ErrorKind::NotFound, "{}", entry.path().display());
        }
    }
}

async fn count(store: &Embedded) -> (u64, u64) {
    let request = v1::RangeRequest {
        start: "/".into(),
        end: "0".into(),
        count_only: true,
        linearizable: true,
        ..Default::default()
    };
    let (revision, _, count, _) = Client::new(vec![store.channel()]).range(0, request).await.unwrap();
    (revision, count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_is_there_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::start(&directory.path().join("live")).await.unwrap();
    let client = Client::new(vec![store.channel()]);
    let mut last = 0;
    for i in 0..200u64 {
        last = client.commit(vec![], vec![put(&format!("/{i}"), vec![0; 1000])]).await.unwrap();
        if i % 50 == 25 {
            // Right behind an acknowledgement. The state machine's memtables are lost, the log has them.
            let crashed = directory.path().join(format!("crash-{i}"));
            copy(&directory.path().join("live"), &crashed);
            let again = Embedded::start(&crashed).await.unwrap();
            assert_eq!(count(&again).await, (last, i + 1));
            again.shutdown().await;
            let again = Embedded::start(&crashed).await.unwrap();
            assert_eq!(count(&again).await, (last, i + 1), "after a flush");
            again.shutdown().await;
        }
    }
    assert_eq!(count(&store).await.0, last);
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_or_changed_log_is_reported_not_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::start(&directory.path().join("live")).await.unwrap();
    let client = Client::new(vec![store.channel()]);
    for i in 0..20 {
        client.commit(vec![], vec![put(&format!("/{i}"), vec![i; 300])]).await.unwrap();
    }
    let wal_of = |root: &Path| {
        let files = std::fs::read_dir(root.join("raft-log")).unwrap().map(|f| f.unwrap().path());
        files.filter(|p| p.extension().is_some_and(|e| e == "log")).max().unwrap()
    };
    for (name, damage) in [("cut", 0), ("flip", 1)] {
        let crashed = directory.path().join(name);
        copy(&directory.path().join("live"), &crashed);
        let wal = wal_of(&crashed);
        let mut bytes = std::fs::read(&wal).unwrap();
        let length = bytes.len();
        match damage {
            0 => bytes.truncate(length - 40),
            _ => bytes[length - 200] ^= 1,
        }
        std::fs::write(&wal, bytes).unwrap();
        let error = Embedded::start(&crashed).await.err().expect("a damaged log is refused").to_string();
        assert!(error.contains("corrupt") || error.contains("orruption"), "{name}: {error}");
        assert!(!error.contains('\n'), "one line: {error}");
    }
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_in_use_is_one_clear_line() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::start(directory.path()).await.unwrap();
    let error = Embedded::start(directory.path()).await.err().unwrap();
    assert!(matches!(error, Error::Engine(crate::engine::Error::InUse(_))), "{error}");
    store.shutdown().await;
    Embedded::start(directory.path()).await.expect("free again").shutdown().await;
}
