//! A connection of a client.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use stickler_auth::channel_binding::ChannelBinding;

use crate::link::{Known, Link};
use crate::message::Outgoing;

/// Longest head of an answer, in bytes: twice http.sys's own limit for the head of a request, 16 KiB.
pub(crate) const MAX_HEAD: usize = 32 * 1024;

/// A connection in use by one request. Dropping it closes the connection, unless it is shared.
pub(crate) struct Connection {
    number: u32,
    sender: Sender,
    binding: Option<ChannelBinding>,
    link: Arc<Link>,
}

/// Where requests go in.
pub(crate) enum Sender {
    /// HTTP/1.1: one request at a time.
    Http1(http1::SendRequest<Outgoing>),
    /// HTTP/2: concurrent requests.
    Http2(http2::SendRequest<Outgoing>),
}

impl Connection {
    /// Creates the handle of an open connection. `binding` is the channel binding of the server's certificate.
    pub(crate) fn new(number: u32, sender: Sender, binding: Option<ChannelBinding>, link: Arc<Link>) -> Self {
        Self { number, sender, binding, link }
    }

    /// Returns the connection's number in the trace.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Returns the channel binding of the certificate that the server has shown; `None` without TLS.
    pub(crate) fn binding(&self) -> Option<ChannelBinding> {
        self.binding
    }

    /// Waits until a request can be sent.
    pub(crate) async fn ready(&mut self) -> hyper::Result<()> {
        match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await,
            Sender::Http2(sender) => sender.ready().await,
        }
    }

    /// Sends a request, and waits for the head of its answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Outgoing>>> {
        match &mut self.sender {
            Sender::Http1(sender) => sender.try_send_request(request).await,
            Sender::Http2(sender) => sender.try_send_request(request).await,
        }
    }

    /// Returns whether the connection is HTTP/2, so that other requests may use it at the same time.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// Returns a handle on the same connection for another request, if it is HTTP/2 and still accepts requests.
    pub(crate) fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http2(sender) if !sender.is_closed() => {
                let sender = Sender::Http2(sender.clone());
                Some(Self::new(self.number, sender, self.binding, Arc::clone(&self.link)))
            }
            _ => None,
        }
    }

    /// Returns what the client knows of the connection.
    pub(crate) fn known(&self) -> Known {
        *self.link.known()
    }

    /// Changes what the client knows of the connection.
    pub(crate) fn learn(&self, learn: impl FnOnce(&mut Known)) {
        learn(&mut self.link.known());
    }

    /// Records that the peer has announced to close the connection.
    pub(crate) fn announced(&self) {
        self.link.announced();
    }

    /// Returns whether this side closed the connection.
    pub(crate) fn closed_here(&self) -> bool {
        self.link.closed_here()
    }

    /// Closes the connection for all requests on it.
    pub(crate) fn close(&self) {
        self.link.end();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.is_shared() {
            self.close();
        }
    }
}
