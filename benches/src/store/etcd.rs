//! etcd: unary calls on a few connections to the leader, as kube-apiserver makes them.

use anyhow::{Result, anyhow, bail};
use tokio::sync::mpsc;
use tonic::transport::Channel;

use super::{Args, Handle, Operation, Request, channel};

mod pb {
    #![allow(clippy::all)]
    tonic::include_proto!("etcdserverpb");
}

use pb::kv_client::KvClient;
use pb::maintenance_client::MaintenanceClient;

/// Connects to the leader.
pub async fn start(args: &Args) -> Result<Handle> {
    let mut leader = None;
    for url in &args.endpoints {
        let channel = channel(args, url).await?;
        let status = MaintenanceClient::new(channel.clone()).status(pb::StatusRequest {}).await?.into_inner();
        if status.header.is_some_and(|h| h.member_id == status.leader) {
            leader = Some(channel);
        }
    }
    let leader = leader.ok_or_else(|| anyhow!("none of the endpoints is the leader"))?;
    let (handle, mut requests) = mpsc::channel::<Request>(4096);
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            let client = KvClient::new(leader.clone());
            tokio::spawn(async move {
                let outcome = tokio::time::timeout(super::TIMEOUT, one(client, &request)).await;
                let _ = request.done.send(outcome.unwrap_or_else(|_| Err(anyhow!("timed out"))));
            });
        }
    });
    Ok(handle)
}

async fn one(mut client: KvClient<Channel>, request: &Request) -> Result<()> {
    match request.operation {
        Operation::Create => {
            let absent = pb::Compare {
                result: pb::compare::Result::Equal.into(),
                target: pb::compare::Target::Mod.into(),
                key: request.key.clone(),
                target_union: Some(pb::compare::TargetUnion::ModRevision(0)),
            };
            let put = pb::PutRequest { key: request.key.clone(), value: request.value.clone(), lease: 0 };
            let txn = pb::TxnRequest {
                compare: vec![absent],
                success: vec![pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put)) }],
                failure: vec![],
            };
            if !client.txn(txn).await?.into_inner().succeeded {
                bail!("the key existed");
            }
        }
        Operation::Read => {
            let range = pb::RangeRequest { key: request.key.clone(), ..Default::default() };
            if client.range(range).await?.into_inner().kvs.len() != 1 {
                bail!("the key was not found");
            }
        }
    }
    Ok(())
}
