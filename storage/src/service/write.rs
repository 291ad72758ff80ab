//! `Write`: one stream of transactions, many in flight, results as they come, several to a message.

use std::pin::Pin;

use futures_util::Stream;
use kuorum_proto::v1::txn_result::{Outcome, rejected::Code};
use kuorum_proto::v1::{TxnResult, WriteRequest, WriteResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::StoreService;
use super::store::corrupt;
use crate::propose::Reply;

/// Transactions of one stream without an answer. A front-end that sends more waits in its own flow control.
const OUTSTANDING_MAX: usize = 4_096;
/// Results of one message.
const RESULTS_PER_MESSAGE_MAX: usize = 512;
/// Messages ahead of the connection.
const MESSAGES_AHEAD: usize = 16;

pub(super) fn serve(
    service: StoreService,
    requests: Streaming<WriteRequest>,
) -> Pin<Box<dyn Stream<Item = Result<WriteResponse, Status>> + Send>> {
    let (responses, receiver) = mpsc::channel(MESSAGES_AHEAD);
    tokio::spawn(run(service, requests, responses));
    Box::pin(ReceiverStream::new(receiver))
}

async fn run(
    service: StoreService,
    mut requests: Streaming<WriteRequest>,
    responses: mpsc::Sender<Result<WriteResponse, Status>>,
) {
    let (reply, mut replies) = mpsc::unbounded_channel();
    let mut status = service.node.status();
    let found_corrupt = service.found_corrupt();
    tokio::pin!(found_corrupt);
    let mut outstanding = 0;
    // Whether this member leads, as far as it knows, and can tell outcomes; once it does not, the stream ends behind
    // what is on its way.
    let mut leads = true;
    let mut open = true;
    let mut ready = Vec::with_capacity(RESULTS_PER_MESSAGE_MAX);
    loop {
        leads &= status.borrow_and_update().leader == Some(service.member_id);
        if outstanding == 0 && !leads {
            // This member itself is no better address than any other, if it cannot propose.
            let leader = Some(service.leader()).filter(|leader| leader.member_id != service.member_id);
            let response = WriteResponse { results: Vec::new(), not_leader: Some(leader.unwrap_or_default()) };
            let _ = responses.send(Ok(response)).await;
            return;
        }
        if outstanding == 0 && !open {
            return;
        }
        tokio::select! {
            biased;
            received = replies.recv_many(&mut ready, RESULTS_PER_MESSAGE_MAX) => {
                outstanding -= received;
                let results: Vec<TxnResult> = ready.drain(..).filter_map(|r| match r {
                    Reply::Result(result) => {
                        leads &= !is_unknown(&result);
                        Some(result)
                    }
                    Reply::NotLeader => {
                        leads = false;
                        None
                    }
                }).collect();
                if !results.is_empty() && responses.send(Ok(WriteResponse { results, not_leader: None })).await.is_err() {
                    return;
                }
            }
            request = requests.message(), if open && leads && outstanding < OUTSTANDING_MAX => {
                let Ok(Some(request)) = request else {
                    open = false;
                    continue;
                };
                for txn in request.txns {
                    outstanding += 1;
                    if !service.proposer.submit(request.client_id.clone(), request.acked_below, txn, reply.clone()).await {
                        let _ = responses.send(Err(Status::unavailable("the member stops"))).await;
                        return;
                    }
                }
            }
            changed = status.changed() => {
                if changed.is_err() {
                    let _ = responses.send(Err(Status::unavailable("the member stops"))).await;
                    return;
                }
            }
            () = service.stop.cancelled() => {
                // Consensus has stopped: what is on its way has its answer in the queue, or will have none.
                while let Ok(Reply::Result(result)) = replies.try_recv() {
                    let response = WriteResponse { results: vec![result], not_leader: None };
                    if responses.send(Ok(response)).await.is_err() {
                        return;
                    }
                }
                let _ = responses.send(Err(Status::unavailable("the member stops"))).await;
                return;
            }
            () = &mut found_corrupt => {
                // Its answers are not to be trusted, not even about what is on its way.
                let _ = responses.send(Err(corrupt())).await;
                return;
            }
            () = responses.closed() => return,
        }
    }
}

fn is_unknown(result: &TxnResult) -> bool {
    matches!(&result.outcome, Some(Outcome::Rejected(rejected)) if rejected.code() == Code::OutcomeUnknown)
}
