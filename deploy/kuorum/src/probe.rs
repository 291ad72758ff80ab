//! `kuorum probe`: asks a health endpoint once, for containers that have no curl.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Arguments of `kuorum probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// URL that must answer 200
    url: String,
    /// Authority of the server's certificate
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Do not check the server's certificate: for a server on loopback, to which nothing secret is sent
    #[arg(long, conflicts_with = "cacert")]
    insecure_skip_tls_verify: bool,
    /// Seconds until the server counts as down
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
}

/// As much of an answer as is read: a status line and some words.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// How the server's certificate is checked.
pub enum Trust<'a> {
    /// It must come from the authority in this file.
    Authority(&'a Path),
    /// It is not checked.
    Anybody,
    /// There is none: the URL is `http://`.
    Nobody,
}

/// A server's answer.
pub struct Answer {
    /// `200` and so on; empty when it was no HTTP.
    pub status: String,
    /// As text.
    pub body: String,
}

/// Runs `kuorum probe`: prints the answer, fails unless it is 200.
pub fn run(args: &ProbeArgs) -> Result<()> {
    let trust = match &args.cacert {
        Some(path) => Trust::Authority(path),
        None if args.insecure_skip_tls_verify => Trust::Anybody,
        None => Trust::Nobody,
    };
    let answer = get(&args.url, &trust, Duration::from_secs(args.timeout))?;
    println!("{} {}", answer.status, answer.body.trim());
    if answer.status != "200" {
        bail!("{}: {}", args.url, answer.status);
    }
    Ok(())
}

/// One GET on a connection of its own.
///
/// # Errors
/// No connection, or no answer, within `timeout` each.
pub fn get(url: &str, trust: &Trust, timeout: Duration) -> Result<Answer> {
    let target = Target::parse(url)?;
    let address = (target.host.as_str(), target.port).to_socket_addrs().with_context(|| target.host.clone())?.next();
    let address = address.with_context(|| format!("{} has no address", target.host))?;
    let stream = TcpStream::connect_timeout(&address, timeout).with_context(|| url.to_owned())?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let answer = if target.secure {
        let name = ServerName::try_from(target.host.clone()).context("not a host name")?;
        let connection = ClientConnection::new(Arc::new(tls(trust)?), name)?;
        exchange(StreamOwned::new(connection, stream), &target)
    } else {
        exchange(stream, &target)
    };
    let answer = answer.with_context(|| url.to_owned())?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok(Answer { status: head.split(' ').nth(1).unwrap_or_default().to_owned(), body: body.to_owned() })
}

struct Target {
    secure: bool,
    host: String,
    port: u16,
    path: String,
}

impl Target {
    fn parse(url: &str) -> Result<Self> {
        let (secure, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => bail!("{url:?} is not an http:// or https:// URL"),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of a bare IPv6 address separate no port.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().context("port")?),
            _ => (authority, if secure { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || path.contains(char::is_whitespace) {
            bail!("{url:?} is not a URL");
        }
        Ok(Self { secure, host, port, path: path.to_owned() })
    }
}

fn exchange(mut stream: impl Read + Write, target: &Target) -> Result<String> {
    // HTTP/1.0 with an end of the connection: no chunks to put together.
    write!(stream, "GET {} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\r\n", target.path, target.host)?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
        Ok(_) => {}
        // A server that closes without TLS's own farewell has answered all the same.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && !answer.is_empty() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn tls(trust: &Trust) -> Result<ClientConfig> {
    let path = match trust {
        Trust::Authority(path) => path,
        Trust::Anybody => {
            return Ok(ClientConfig::builder()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate))
                .with_no_client_auth());
        }
        Trust::Nobody => bail!("an https:// URL needs --cacert or --insecure-skip-tls-verify"),
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).with_context(|| format!("read {}", path.display()))? {
        roots.add(certificate.with_context(|| format!("read {}", path.display()))?)?;
    }
    let verifier = WebPkiServerVerifier::builder(Arc::new(roots)).build().context("--cacert has no certificate")?;
    Ok(ClientConfig::builder().with_webpki_verifier(verifier).with_no_client_auth())
}

/// Takes any certificate; the request has no secret in it and the answer is a word.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let target = Target::parse("https://[::1]:6443/readyz?verbose").unwrap();
        assert_eq!((target.secure, target.host.as_str(), target.port), (true, "::1", 6443));
        assert_eq!(target.path, "/readyz?verbose");
        let target = Target::parse("http://localhost").unwrap();
        assert_eq!((target.secure, target.port, target.path.as_str()), (false, 80, "/"));
        for bad in ["localhost:1", "ftp://x/", "http://x:y/", "http:///x", "http://x/a b"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
