//! A connection's bytes, in the clear or under TLS. A handshake has its time, and one that fails leaves
//! nothing that could be read or written in the clear (RFC 3207 §4.1).

use std::io;
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_io::Async;
use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ProtocolVersion, ServerConfig};

use crate::tasks::timer::by;
use crate::time::Instant;
use crate::tls::{Spoken, outgoing};

const BINDING_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// The stream of one connection.
pub enum Stream {
    Clear(Async<TcpStream>),
    Tls(Box<TlsStream<Async<TcpStream>>>),
    /// A handshake failed or is under way.
    Lost,
}

impl Stream {
    /// The server's side of a handshake.
    pub async fn accept(&mut self, config: Arc<ServerConfig>, deadline: Instant) -> io::Result<Spoken> {
        let tcp = self.take_clear()?;
        let accepted = in_time(deadline, TlsAcceptor::from(config).accept(tcp)).await?;
        Ok(self.secured(accepted.into()))
    }

    /// The client's side, with a host of this name. Whether it is that host, its certificates tell.
    pub async fn connect(
        &mut self,
        config: Arc<ClientConfig>,
        host: &str,
        deadline: Instant,
    ) -> io::Result<Spoken> {
        let name = outgoing::server_name(host).ok_or(io::ErrorKind::InvalidInput)?;
        let tcp = self.take_clear()?;
        let connected = in_time(deadline, TlsConnector::from(config).connect(name, tcp)).await?;
        Ok(self.secured(connected.into()))
    }

    /// The chain that the other side has shown.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        match self {
            Stream::Tls(stream) => stream.get_ref().1.peer_certificates().unwrap_or_default(),
            _ => &[],
        }
    }

    /// What ties an exchange of AUTH to this connection: `tls-exporter` (RFC 9266), which TLS 1.2 does not
    /// safely give.
    pub fn binding(&self) -> Option<Vec<u8>> {
        let Stream::Tls(stream) = self else { return None };
        if stream.get_ref().1.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return None;
        }
        let bytes = [0; 32];
        let exported = match stream.as_ref() {
            TlsStream::Server(s) => s.get_ref().1.export_keying_material(bytes, BINDING_LABEL, None),
            TlsStream::Client(s) => s.get_ref().1.export_keying_material(bytes, BINDING_LABEL, None),
        };
        exported.ok().map(Vec::from)
    }

    fn take_clear(&mut self) -> io::Result<Async<TcpStream>> {
        match std::mem::replace(self, Stream::Lost) {
            Stream::Clear(tcp) => Ok(tcp),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn secured(&mut self, stream: TlsStream<Async<TcpStream>>) -> Spoken {
        let spoken = Spoken::of(stream.get_ref().1);
        *self = Stream::Tls(Box::new(stream));
        spoken
    }
}

async fn in_time<T>(deadline: Instant, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    by(deadline, work).await.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Clear(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
            Stream::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Clear(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Stream::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Clear(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Stream::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Clear(tcp) => Pin::new(tcp).poll_close(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_close(cx),
            Stream::Lost => Poll::Ready(Ok(())),
        }
    }
}
