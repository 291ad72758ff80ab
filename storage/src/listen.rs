//! Listeners and connections: TCP with TLS, or a pipe inside the process. A connection that is slow to shake hands
//! holds up nobody.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use crate::tls::{Identity, Tls};

/// Handshakes under way per listener; more wait in the kernel's queue.
const HANDSHAKES_MAX: usize = 64;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Accepted connections that the server has not picked up.
const ACCEPTED_MAX: usize = 64;
/// After an accept that failed (no file descriptors, say), so that the loop does not spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// A server's end of a connection, with the identity that it was accepted for.
pub struct Connection {
    io: Io,
    identity: Identity,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    Pipe(DuplexStream),
}

impl Connection {
    /// A connection from the same process.
    pub fn pipe(io: DuplexStream) -> Self {
        Self { io: Io::Pipe(io), identity: Identity::local() }
    }
}

impl Connected for Connection {
    type ConnectInfo = Identity;

    fn connect_info(&self) -> Identity {
        self.identity.clone()
    }
}

macro_rules! each {
    ($connection:expr, $io:ident => $call:expr) => {
        match &mut $connection.get_mut().io {
            Io::Plain($io) => $call,
            Io::Tls($io) => $call,
            Io::Pipe($io) => $call,
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
            Io::Pipe(io) => io.is_write_vectored(),
        }
    }
}

/// Accepts connections until the returned stream is dropped. Without TLS everybody on this machine is
/// [`Role::Local`](crate::tls::Role::Local); the caller has made sure that the listener is on loopback.
pub fn accept(listener: TcpListener, tls: Option<Arc<Tls>>) -> ReceiverStream<io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(ACCEPTED_MAX);
    tokio::spawn(accept_loop(listener, tls, sender));
    ReceiverStream::new(receiver)
}

async fn accept_loop(listener: TcpListener, tls: Option<Arc<Tls>>, sender: mpsc::Sender<io::Result<Connection>>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = sender.closed() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (tls, sender) = (tls.clone(), sender.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, shake(stream, tls)).await {
                Ok(Ok(connection)) => drop(sender.send(Ok(connection)).await),
                Ok(Err(error)) => tracing::debug!(%error, "connection refused"),
                Err(_) => tracing::debug!("connection refused: no handshake in time"),
            }
            drop(permit);
        });
    }
}

async fn shake(stream: TcpStream, tls: Option<Arc<Tls>>) -> io::Result<Connection> {
    let Some(tls) = tls else {
        return Ok(Connection { io: Io::Plain(stream), identity: Identity::local() });
    };
    let stream = TlsAcceptor::from(tls.server()).accept(stream).await?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let leaf = certificates.first().ok_or_else(|| io::Error::other("no client certificate"))?;
    let identity = Identity::from_certificate(leaf).map_err(io::Error::other)?;
    Ok(Connection { io: Io::Tls(Box::new(stream)), identity })
}
