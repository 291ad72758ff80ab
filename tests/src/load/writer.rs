//! One writer: creates, changes and deletes objects of its own, one request at a time, and tells the ledger how each
//! request ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::watch;

use super::REQUEST_TIMEOUT;
use super::ledger::{Ledger, revision_of};

/// Each object is created, changed this often, and every other one is deleted then.
const CHANGES: u64 = 3;
/// Bytes of a value besides its number, so that entries have the size of real objects.
const PADDING_BYTES: usize = 512;
/// Between a refused request and the next one, as a client's back-off would be.
const BACK_OFF: Duration = Duration::from_millis(50);

/// How a request ended.
enum Ended {
    Done(Option<Box<ConfigMap>>),
    /// The server says that it has not tried.
    Refused,
    /// The answer was lost, or says that the outcome is unknown.
    Unknown,
    /// The server says something that cannot be true.
    Wrong(String),
}

pub(super) async fn run(id: usize, apis: Vec<Api<ConfigMap>>, ledger: Arc<Ledger>, mut stop: watch::Receiver<bool>) {
    let mut turn = id;
    let mut value = 0;
    for number in 0.. {
        let name = format!("w{id}-{number}");
        for step in 0..=CHANGES + 1 {
            if *stop.borrow_and_update() {
                return;
            }
            let delete = step > CHANGES;
            if delete && number % 2 == 0 {
                continue;
            }
            value += 1;
            let newest = ledger.newest();
            let request = request(&apis[turn % apis.len()], &name, step, value);
            let ended = match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
                Ok(ended) => ended,
                Err(_) => Ended::Unknown,
            };
            match ended {
                Ended::Done(Some(object)) if !delete => match revision_of(&object) {
                    Ok(revision) => ledger.put(&name, value, revision, newest),
                    Err(error) => ledger.report(format!("{name}: {error:#}")),
                },
                Ended::Done(_) => ledger.deleted(&name),
                Ended::Refused => {
                    ledger.refuse();
                    turn += 1;
                    tokio::time::sleep(BACK_OFF).await;
                    // What comes next needs this one.
                    break;
                }
                Ended::Unknown => {
                    ledger.possible(&name, (!delete).then_some(value));
                    turn += 1;
                    tokio::time::sleep(BACK_OFF).await;
                    // The object's state is open now: leave it, and go on with another.
                    break;
                }
                Ended::Wrong(what) => {
                    ledger.report(format!("{name}, step {step}: {what}"));
                    return;
                }
            }
        }
    }
}

async fn request(api: &Api<ConfigMap>, name: &str, step: u64, value: u64) -> Ended {
    let answer = if step == 0 {
        let data = BTreeMap::from([
            ("value".to_owned(), value.to_string()),
            ("padding".to_owned(), "x".repeat(PADDING_BYTES)),
        ]);
        let object = ConfigMap {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
            data: Some(data),
            ..Default::default()
        };
        api.create(&PostParams::default(), &object).await.map(Some)
    } else if step <= CHANGES {
        let patch = Patch::Merge(json!({"data": {"value": value.to_string()}}));
        api.patch(name, &PatchParams::default(), &patch).await.map(Some)
    } else {
        api.delete(name, &DeleteParams::default()).await.map(|_| None)
    };
    match answer {
        Ok(object) => Ended::Done(object.map(Box::new)),
        Err(kube::Error::Api(status)) => match status.code {
            429 | 503 => Ended::Refused,
            504 => Ended::Unknown,
            // The one writer of an object has acknowledged what came before, so nothing stands in the way.
            _ => Ended::Wrong(format!("{} {}", status.code, status.message)),
        },
        Err(_) => Ended::Unknown,
    }
}
