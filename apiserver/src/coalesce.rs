//! Fewer, larger writes to a TLS connection.
//!
//! The HTTP/2 codec flushes behind every DATA frame, which with TLS is a system call for 16 KiB at most, and one for
//! each of many small responses. Here a flush is put off until the connection's task has nothing more to say (or the
//! TLS buffer, 64 KiB, is full): what one poll produced leaves in one `writev`. Nothing waits for it: the task that
//! polls the connection flushes before it sleeps.

use std::future::{Future, poll_fn};
use std::io::{IoSlice, Result, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

/// The connection's end: what HTTP reads from and writes to.
pub struct Coalesced<S>(Arc<Mutex<TlsStream<S>>>);

/// The task's end. Only the task that polls the connection uses either end: the lock is never contended.
pub struct Flusher<S>(Arc<Mutex<TlsStream<S>>>);

/// Splits a stream into its two ends.
pub fn coalesce<S>(stream: TlsStream<S>) -> (Coalesced<S>, Flusher<S>) {
    let shared = Arc::new(Mutex::new(stream));
    (Coalesced(shared.clone()), Flusher(shared))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Flusher<S> {
    /// Polls a connection, and flushes whenever it has been polled.
    pub async fn around<F: Future>(&self, mut connection: Pin<&mut F>) -> F::Output {
        poll_fn(|cx| {
            let outcome = connection.as_mut().poll(cx);
            // Not ready: the socket is full, and wakes this task. Failed: the connection finds out by itself.
            let _ = Pin::new(&mut *self.0.lock()).poll_flush(cx);
            outcome
        })
        .await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Coalesced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Coalesced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        let mut stream = self.0.lock();
        loop {
            // Encrypts into the TLS buffer; takes nothing when that is full.
            let taken = stream.get_mut().1.writer().write_vectored(bufs)?;
            if taken > 0 || bufs.iter().all(|buf| buf.is_empty()) {
                return Poll::Ready(Ok(taken));
            }
            ready!(Pin::new(&mut *stream).poll_flush(cx))?;
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Put off: see [`Flusher::around`].
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_shutdown(cx)
    }
}
