//! The use of TLS on a client's connections, and the choice of HTTP/2.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

use h2::Reason;
use stickler_model::topology::Http2;
use stickler_tls::ClientTls;

/// The way in which a client uses TLS and HTTP/2 with its site.
pub(crate) struct Secure {
    tls: ClientTls,
    /// The TLS configuration that offers HTTP/1.1 only.
    http1: ClientTls,
    /// The name that the certificate must contain.
    name: String,
    habit: Http2,
    /// Whether the client does not try HTTP/2 again.
    settled: AtomicBool,
}

impl Secure {
    pub(crate) fn new(tls: ClientTls, host: &str, habit: Http2) -> Self {
        let name = host.trim_matches(['[', ']']).to_owned();
        Self { http1: tls.http1(), tls, name, habit, settled: AtomicBool::new(false) }
    }

    /// Returns whether a request may use HTTP/2.
    pub(crate) fn may_multiplex(&self) -> bool {
        self.habit != Http2::Never && !self.settled.load(Ordering::Relaxed)
    }

    /// Returns whether a challenge over HTTP/2 is answered over HTTP/1.1. An agent that sends its first token without
    /// being asked has already sent it over HTTP/2, and begins again (curl, `Curl_http_auth_act` in `lib/http.c`:
    /// "Forcing HTTP/1.1 for NTLM").
    pub(crate) fn leaves_when_challenged(&self) -> bool {
        self.habit == Http2::UntilChallenged
    }

    /// Records that a request has switched to HTTP/1.1. Chromium remembers that for the site (`SetHTTP11Required`).
    /// curl forgets it after the transfer (`state.httpwant`). A client with [`Http2::Always`] also forgets it, unless
    /// it can have only one connection (`alone`).
    pub(crate) fn left(&self, alone: bool) {
        if alone || self.leaves_when_challenged() {
            self.settled.store(true, Ordering::Relaxed);
        }
    }

    /// Returns the TLS configuration for a new connection, and the name that the certificate must contain.
    pub(crate) fn handshake(&self, multiplex: bool) -> (&ClientTls, &str) {
        (if multiplex { &self.tls } else { &self.http1 }, &self.name)
    }
}

/// Returns the reason why a server reset an HTTP/2 stream, if the error is such a reset.
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
