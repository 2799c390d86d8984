//! TLS on a client's connections, and what goes over HTTP/2.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

use h2::Reason;
use stickler_model::topology::Http2;
use stickler_tls::ClientTls;

/// How a client has TLS with its site.
pub(crate) struct Secure {
    tls: ClientTls,
    /// The same, offering HTTP/1.1 alone.
    http1: ClientTls,
    /// The name that the certificate must have.
    name: String,
    habit: Http2,
    /// Whether HTTP/2 is not to be tried again.
    settled: AtomicBool,
}

impl Secure {
    pub(crate) fn new(tls: ClientTls, host: &str, habit: Http2) -> Self {
        let name = host.trim_matches(['[', ']']).to_owned();
        Self { http1: tls.http1(), tls, name, habit, settled: AtomicBool::new(false) }
    }

    /// Whether a request may go over HTTP/2; one of an agent that sends tokens unasked, `preemptive`, or another.
    ///
    /// An agent that leaves HTTP/2 at a challenge sends no token over it.
    pub(crate) fn may_multiplex(&self, preemptive: bool) -> bool {
        let may = match self.habit {
            Http2::Never => false,
            Http2::UntilChallenged => !preemptive,
            Http2::Always => true,
        };
        may && !self.settled.load(Ordering::Relaxed)
    }

    /// Whether a challenge over HTTP/2 is answered over HTTP/1.1.
    pub(crate) fn leaves_when_challenged(&self) -> bool {
        self.habit == Http2::UntilChallenged
    }

    /// A request has gone over to HTTP/1.1. Chromium remembers that of the site (`SetHTTP11Required`); curl forgets it
    /// after the transfer (`state.httpwant`), and so does [`Http2::Always`], unless the client can have one connection
    /// only (`alone`).
    pub(crate) fn left(&self, alone: bool) {
        if alone || self.leaves_when_challenged() {
            self.settled.store(true, Ordering::Relaxed);
        }
    }

    /// What to have a handshake with, and the name for it.
    pub(crate) fn handshake(&self, multiplex: bool) -> (&ClientTls, &str) {
        (if multiplex { &self.tls } else { &self.http1 }, &self.name)
    }
}

/// Why a server reset a stream of HTTP/2, if that is what an error says.
pub(crate) fn reset_by_peer(error: &hyper::Error) -> Option<Reason> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            return error.reason().filter(|_| error.is_remote() && error.is_reset());
        }
        source = cause.source();
    }
    None
}
