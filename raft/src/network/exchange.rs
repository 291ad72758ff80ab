//! Appends over one gRPC stream: requests go out while answers come in, in the same order.
//!
//! The core runs many short sessions (one per heartbeat, one per probe); they share one [`Link`], which is handed back
//! when a session ends with nothing outstanding, and closed otherwise.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt};
use kuorum_proto::v1::{self, append_response::Result as Answer, raft_client::RaftClient};
use openraft::{
    errors::RPCError,
    raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult},
};
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming, transport::Channel};

use super::{
    APPEND_WINDOW,
    client::{APPEND_TIMEOUT, unreachable},
    entry_to_wire, id_from_wire, id_to_wire, vote_from_wire, vote_to_wire,
};
use crate::types::{Response, TypeConfig};

/// An open append stream.
pub(super) struct Link {
    requests: mpsc::Sender<v1::AppendRequest>,
    answers: Streaming<v1::AppendResponse>,
    /// When the oldest unanswered request is given up.
    deadline: Pin<Box<Sleep>>,
}

impl Link {
    /// Opens a stream.
    ///
    /// # Errors
    /// No connection, or the peer refuses it.
    pub(super) async fn open(
        mut client: RaftClient<Channel>,
        address: impl FnOnce(ReceiverStream<v1::AppendRequest>) -> Request<ReceiverStream<v1::AppendRequest>>,
    ) -> Result<Self, Status> {
        let (requests, outgoing) = mpsc::channel(APPEND_WINDOW);
        let answers = client.append(address(ReceiverStream::new(outgoing))).await?.into_inner();
        Ok(Self { requests, answers, deadline: Box::pin(tokio::time::sleep(APPEND_TIMEOUT)) })
    }

    /// Whether the peer still takes requests, as far as is known here.
    pub(super) fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }
}

/// One session on a [`Link`]: a stream of answers, which drives the sending as it is polled.
pub(super) struct Exchange<'p, S> {
    /// Where the link goes back to.
    home: &'p mut Option<Link>,
    /// `None` when the session has ended.
    link: Option<Link>,
    /// `None` when it has ended.
    input: Option<S>,
    /// Requests sent and not answered. Never more than [`APPEND_WINDOW`], so the link's queue has room for each.
    outstanding: usize,
}

impl<'p, S> Exchange<'p, S> {
    pub(super) fn new(home: &'p mut Option<Link>, link: Link, input: S) -> Self {
        Self { home, link: Some(link), input: Some(input), outstanding: 0 }
    }
}

type Item<R> = Result<StreamAppendResult<TypeConfig<R>>, RPCError<TypeConfig<R>>>;

impl<R, S> Stream for Exchange<'_, S>
where
    R: Response,
    S: Stream<Item = AppendEntriesRequest<TypeConfig<R>>> + Unpin,
{
    type Item = Item<R>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item<R>>> {
        let this = self.get_mut();
        let Some(link) = this.link.as_mut() else { return Poll::Ready(None) };

        while this.outstanding < APPEND_WINDOW
            && let Some(input) = this.input.as_mut()
        {
            match input.poll_next_unpin(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => this.input = None,
                Poll::Ready(Some(request)) => {
                    if link.requests.try_send(request_to_wire(request)).is_err() {
                        // The answers tell why, if anything does.
                        this.input = None;
                        break;
                    }
                    if this.outstanding == 0 {
                        link.deadline.as_mut().reset(Instant::now() + APPEND_TIMEOUT);
                    }
                    this.outstanding += 1;
                }
            }
        }

        if this.outstanding == 0 && this.input.is_none() {
            *this.home = this.link.take().filter(Link::is_open);
            return Poll::Ready(None);
        }

        let failure = match link.answers.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(answer))) if this.outstanding > 0 => {
                this.outstanding -= 1;
                link.deadline.as_mut().reset(Instant::now() + APPEND_TIMEOUT);
                let answer = answer_from_wire(answer);
                if !matches!(answer, Ok(Ok(_))) {
                    this.link = None; // the peer ends the stream behind a refusal
                }
                return Poll::Ready(Some(answer));
            }
            Poll::Ready(Some(Ok(_))) => unreachable("an answer to nothing"),
            Poll::Ready(Some(Err(status))) => unreachable(status),
            Poll::Ready(None) => unreachable("the append stream was closed"),
            Poll::Pending if this.outstanding > 0 && link.deadline.as_mut().poll(cx).is_ready() => {
                unreachable("an append is not answered in time")
            }
            Poll::Pending => return Poll::Pending,
        };
        this.link = None;
        Poll::Ready(Some(Err(failure)))
    }
}

fn request_to_wire<R: Response>(request: AppendEntriesRequest<TypeConfig<R>>) -> v1::AppendRequest {
    v1::AppendRequest {
        vote: Some(vote_to_wire(request.vote)),
        prev: request.prev_log_id.map(id_to_wire),
        entries: request.entries.into_iter().map(entry_to_wire).collect(),
        commit: request.leader_commit.map(id_to_wire),
    }
}

fn answer_from_wire<R: Response>(answer: v1::AppendResponse) -> Item<R> {
    match answer.result {
        Some(Answer::Matched(matched)) => Ok(Ok(matched.last.map(id_from_wire))),
        Some(Answer::Conflict(id)) => Ok(Err(StreamAppendError::Conflict(id_from_wire(id)))),
        Some(Answer::HigherVote(vote)) => {
            let vote = vote_from_wire(Some(vote)).map_err(unreachable)?;
            Ok(Err(StreamAppendError::HigherVote(vote)))
        }
        None => Err(unreachable("an empty answer")),
    }
}
