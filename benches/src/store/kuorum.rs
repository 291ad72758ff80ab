//! kuorum: the front-end's own client, whose transactions share a stream, and whose reads are a fence and a look into
//! the cache behind it.

use std::sync::Arc;

use anyhow::{Result, anyhow, bail};

use kuorum_cache::{CommitOutcome, Config, Resource, ResourceSpec, Store, TlsFiles, Txn, value};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Args, Handle, Operation, Request};

const PREFIX: &str = "/registry/core/configmaps/";

/// Connects, and waits until the cache is loaded.
pub async fn start(args: &Args) -> Result<Handle> {
    let (Some(ca), Some(cert), Some(key)) = (args.cacert.clone(), args.cert.clone(), args.key.clone()) else {
        bail!("kuorum's store needs --cacert, --cert and --key (a front-end's certificate)");
    };
    let store = Store::connect(Config::new(args.endpoints.clone(), TlsFiles { ca, cert, key }));
    let resource = store.register(ResourceSpec { prefix: PREFIX.to_owned(), namespaced: true, fields: Vec::new() });
    store.start();
    tokio::time::timeout(super::TIMEOUT, store.wait_ready()).await.map_err(|_| anyhow!("the store does not answer"))?;
    let (handle, mut requests) = mpsc::channel::<Request>(4096);
    let shared = Arc::new((store, resource));
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            let shared = shared.clone();
            tokio::spawn(async move {
                let outcome = one(&shared.0, &shared.1, &request).await;
                let _ = request.done.send(outcome);
            });
        }
    });
    Ok(handle)
}

async fn one(store: &Store, resource: &Resource, request: &Request) -> Result<()> {
    let deadline = Instant::now() + super::TIMEOUT;
    match request.operation {
        Operation::Create => {
            let name = request.key.rsplit(|b| *b == b'/').next().unwrap_or_default();
            let (name, payload) = (std::str::from_utf8(name)?, std::str::from_utf8(&request.value)?);
            // As large as etcd's value, and an object, since the cache reads its metadata.
            let head = format!("{{\"metadata\":{{\"name\":\"{name}\",");
            let json = format!("{head}\"namespace\":\"bench\"}},\"data\":{{\"v\":\"{payload}\"}}}}");
            let txn = Txn::create(request.key.clone(), value::pack(json.as_bytes(), head.len() as u32));
            match store.commit(txn, deadline).await? {
                CommitOutcome::Committed(_) => Ok(()),
                CommitOutcome::Conflict { .. } => bail!("the key existed"),
            }
        }
        Operation::Read => {
            store.fence(deadline).await?;
            let name = request.key.rsplit(|b| *b == b'/').next().unwrap_or_default();
            match resource.get("bench", std::str::from_utf8(name)?) {
                Some(_) => Ok(()),
                None => bail!("the key was not found"),
            }
        }
    }
}
