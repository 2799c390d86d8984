//! A connection of a client.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hyper::client::conn::http2;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_http1::Wire;
use stickler_model::sync::Lock;
use stickler_net::Stream;
use stickler_tls::Secured;

use crate::link::{Known, Link, Watched};
use crate::message::Outgoing;
use crate::pool::Open;

/// A connection in use by one request. Dropping it closes the connection, unless it is shared.
pub(crate) struct Connection<S> {
    number: u32,
    sender: Sender<S>,
    binding: Option<ChannelBinding>,
    link: Arc<Link>,
}

/// An HTTP/1.1 connection to a server.
pub(crate) type ClientWire<S> = Wire<Watched<Secured<S>>>;

/// The sender of requests, by the version of HTTP.
pub(crate) enum Sender<S> {
    /// HTTP/1.1: one request at a time. The connection is here while a request uses it, and otherwise at rest.
    Http1 {
        /// The connection; `None` while it is at rest.
        wire: Option<Box<ClientWire<S>>>,
        /// The connection while no request uses it.
        rest: Arc<Rest<S>>,
        /// The task that records the end of the connection.
        open: Arc<Open<S>>,
    },
    /// HTTP/2, which carries concurrent requests.
    Http2(http2::SendRequest<Outgoing>),
}

/// The place of an idle connection. A task watches it there for its end.
pub(crate) struct Rest<S>(Lock<Resting<S>>);

struct Resting<S> {
    wire: Option<Box<ClientWire<S>>>,
    /// The waker of the task that watches the connection.
    watcher: Option<Waker>,
}

impl<S: Stream> Rest<S> {
    /// Creates the place of a connection that is in use.
    pub(crate) fn new() -> Self {
        Self(Lock::new(Resting { wire: None, watcher: None }))
    }

    /// Waits until the server sends something or ends the connection while it is at rest, and then closes it.
    pub(crate) async fn disturbed(&self) {
        let ended = std::future::poll_fn(|cx| {
            let mut resting = self.0.lock();
            if resting.watcher.as_ref().is_none_or(|watcher| !watcher.will_wake(cx.waker())) {
                resting.watcher = Some(cx.waker().clone());
            }
            match &mut resting.wire {
                Some(wire) => wire.poll_fill(cx).map(|_| resting.wire.take()),
                None => Poll::Pending,
            }
        });
        drop(ended.await);
    }

    fn begin(&self, wire: Box<ClientWire<S>>) {
        let watcher = {
            let mut resting = self.0.lock();
            resting.wire = Some(wire);
            resting.watcher.take()
        };
        if let Some(watcher) = watcher {
            watcher.wake();
        }
    }

    fn end(&self) -> Option<Box<ClientWire<S>>> {
        self.0.lock().wire.take()
    }
}

impl<S> Connection<S> {
    /// Returns the connection's number in the trace.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }
}

impl<S: Stream> Connection<S> {
    /// Creates the handle of an open connection. `binding` is the channel binding of the server's certificate.
    pub(crate) fn new(number: u32, sender: Sender<S>, binding: Option<ChannelBinding>, link: Arc<Link>) -> Self {
        Self { number, sender, binding, link }
    }

    /// Returns the channel binding of the certificate that the server has shown; `None` without TLS.
    pub(crate) fn binding(&self) -> Option<ChannelBinding> {
        self.binding
    }

    /// Returns the sender of requests.
    pub(crate) fn sender(&mut self) -> &mut Sender<S> {
        &mut self.sender
    }

    /// Returns the state that the connection shares with its task.
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Lets an HTTP/1.1 connection rest until the next request.
    pub(crate) fn rest(&mut self) {
        if let Sender::Http1 { wire, rest, .. } = &mut self.sender
            && let Some(wire) = wire.take()
        {
            rest.begin(wire);
        }
    }

    /// Takes an HTTP/1.1 connection for a request, and returns whether it is still open and quiet. curl and Chromium
    /// check this before they reuse a connection (`conn_is_alive` in curl's `lib/url.c`, `IsConnectedAndIdle` in
    /// Chromium's `net/socket`).
    pub(crate) fn take(&mut self) -> bool {
        let Sender::Http1 { wire, rest, .. } = &mut self.sender else { return true };
        if wire.is_none() {
            *wire = rest.end();
        }
        let Some(wire) = wire else { return false };
        let quiet = wire.input().is_empty() && wire.poll_fill(&mut Context::from_waker(Waker::noop())).is_pending();
        if !quiet {
            self.link.announced();
        }
        quiet
    }

    /// Returns whether the connection is HTTP/2, in which case other requests may use it at the same time.
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

    /// Returns the client's knowledge of the connection.
    pub(crate) fn known(&self) -> Known {
        *self.link.known()
    }

    /// Changes the client's knowledge of the connection.
    pub(crate) fn learn(&self, learn: impl FnOnce(&mut Known)) {
        learn(&mut self.link.known());
    }

    /// Records that the peer has announced the end of the connection.
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

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        if let Sender::Http1 { wire, rest, open } = &mut self.sender {
            // The socket closes before the end is recorded.
            drop((wire.take(), rest.0.lock().wire.take()));
            self.link.end();
            open.ended();
        }
    }
}
