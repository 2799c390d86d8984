//! A stream with or without TLS.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use stickler_net::Stream;

/// A connection, with or without TLS.
///
/// The connection ends in the same way in both cases. Shutting it down sends `close_notify` and FIN. A peer's FIN is
/// read as the end of the stream, whether a `close_notify` came before it or not. Dropping it without a shutdown has
/// the effect of dropping the plain stream. Data that was written must be flushed.
#[derive(Debug)]
pub enum Secured<S> {
    /// A connection without TLS.
    Plain(S),
    /// A connection with TLS.
    Tls(Box<Tls<S>>),
}

impl<S> Secured<S> {
    /// Returns the server's certificate (DER), which this end has either shown or been shown. Returns `None` without
    /// TLS.
    pub fn certificate(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => Some(&tls.certificate),
        }
    }

    /// Returns whether the two ends have agreed on HTTP/2 (ALPN `h2`).
    pub fn http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// Returns the underlying stream.
    pub fn get_ref(&self) -> &S {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => tls.stream.get_ref().0,
        }
    }
}

impl<S> From<Tls<S>> for Secured<S> {
    fn from(tls: Tls<S>) -> Self {
        Self::Tls(Box::new(tls))
    }
}

/// A connection with TLS.
#[derive(Debug)]
pub struct Tls<S> {
    stream: TlsStream<S>,
    certificate: CertificateDer<'static>,
}

impl<S> Tls<S> {
    pub(crate) fn new(stream: TlsStream<S>, certificate: CertificateDer<'static>) -> Self {
        Self { stream, certificate }
    }
}

impl<S: Stream> Stream for Secured<S> {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().peer_addr()
    }
}

impl<S: Stream> AsyncRead for Secured<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(tls) => match ready!(Pin::new(&mut tls.stream).poll_read(context, buffer)) {
                // The peer has sent a FIN without close_notify. A truncation by an attacker (RFC 8446 6.1) need not be
                // detected here: HTTP's messages have lengths, and the end must look the same as without TLS.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                other => Poll::Ready(other),
            },
        }
    }
}

impl<S: Stream> AsyncWrite for Secured<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(tls) => tls.stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_shutdown(context),
        }
    }
}
