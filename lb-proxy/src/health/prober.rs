//! A single check of one backend.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use http::header::{CONNECTION, HOST};
use http::{Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use stickler_lb_core::Backend;
use stickler_lb_core::health::Probe;
use stickler_lb_core::health::rule::{self, Expect};
use stickler_net::{Net, Stream};

use crate::{BoxFuture, UpstreamTls};

/// Checks a backend once. [`probe`] returns the probers for [`Probe`]; a world may provide others, such as an external
/// command.
pub trait Prober: Send + Sync {
    /// Returns whether this backend, which has this index in the farm, is alive. The future is dropped when its time is
    /// up, so everything it owns (a connection, a child process) must end with it. Checks of one backend never overlap.
    fn probe<'a>(&'a self, index: usize, backend: &'a Backend) -> BoxFuture<'a, bool>;
}

/// Logs on to a site, for [`Probe::Logon`]. The agent knows the user and the password, which a balancer does not.
pub trait LogonAgent: Send + Sync {
    /// Requests `uri` from the backend on a separate connection, and logs on with as many legs as necessary. The
    /// connection is closed at the end: a connection that is authenticated as the check's user never serves a client.
    /// The requests carry no request id. The future is dropped when its time is up.
    fn log_on<'a>(&'a self, backend: &'a Backend, uri: &'a str) -> BoxFuture<'a, LogonResult>;
}

/// The result of a check's logon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogonResult {
    /// The backend answered the last leg.
    Answered {
        /// The status of the answer.
        status: StatusCode,
        /// Whether the user was authenticated, with any status: the acceptor accepted the Authenticate leg, and did not
        /// ask for credentials again.
        logged_on: bool,
        /// The start of the answer's body. The agent decides on its length (64 KiB are sufficient).
        body: Bytes,
    },
    /// The backend could not be reached, or did not give a valid answer.
    Unanswered,
}

/// The maximum size of the head of an answer, in bytes.
const HEAD: usize = 64 * 1024;

/// The maximum length of the part of an answer's body that is searched for a string, in bytes.
const BODY: usize = 64 * 1024;

/// Returns the prober for a probe. Only [`Probe::Logon`] uses `agent`; without an agent, such a check fails. If
/// backends speak TLS, checks that send a request use it with the balancer's own settings (`tls`). A check of the port
/// remains a TCP check. An agent itself decides whether it uses TLS.
pub fn probe<N: Net>(
    net: N,
    tls: Option<UpstreamTls>,
    probe: Probe,
    agent: Option<Arc<dyn LogonAgent>>,
) -> Arc<dyn Prober> {
    let tls = tls.map(|tls| UpstreamTls { client: tls.client.http1(), ..tls });
    Arc::new(Own { net, tls, probe, agent })
}

struct Own<N> {
    net: N,
    tls: Option<UpstreamTls>,
    probe: Probe,
    agent: Option<Arc<dyn LogonAgent>>,
}

impl<N: Net> Prober for Own<N> {
    fn probe<'a>(&'a self, _index: usize, backend: &'a Backend) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            match &self.probe {
                // The connection is closed with FIN, as the simulated kernel and a plain socket do. HAProxy resets it
                // (SO_LINGER of zero, haproxy issue 560), which costs the backend less and gives it the same
                // information.
                Probe::Tcp => self.net.connect(backend.address).await.is_ok(),
                Probe::Http { uri, expect } => self.ask(backend, uri, expect).await.unwrap_or(false),
                Probe::Logon { uri, find, forbidden_is_up } => {
                    let Some(agent) = &self.agent else { return false };
                    agent.log_on(backend, uri).await.is_up(find, *forbidden_is_up)
                }
            }
        })
    }
}

impl<N: Net> Own<N> {
    /// Sends one request without credentials and without an id, on a separate connection, and reads as much of the
    /// answer as is necessary to decide whether it is the expected one. Returns `None` if there is no answer.
    async fn ask(&self, backend: &Backend, uri: &str, expect: &Expect) -> Option<bool> {
        let stream = self.net.connect(backend.address).await.ok()?;
        match &self.tls {
            None => ask(stream, backend, uri, expect).await,
            Some(tls) => ask(tls.connect(backend, stream).await.ok()?, backend, uri, expect).await,
        }
    }
}

async fn ask<S: Stream>(stream: S, backend: &Backend, uri: &str, expect: &Expect) -> Option<bool> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD).max_header_size(HEAD);
    let (mut send, connection) = builder.handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get(uri).header(HOST, backend.address.to_string()).header(CONNECTION, "close");
    let answer = send.send_request(request.body(String::new()).ok()?);
    let judged = async { Some(meets(answer.await.ok()?, expect).await) };
    tokio::select! {
        biased;
        judged = judged => judged,
        // If the connection ends after a complete answer, both futures are ready at once, and the first one counts.
        () = async { connection.await.ok(); std::future::pending().await } => None,
    }
}

/// Returns whether an answer is the expected one. Reads only as much of its body as is necessary.
async fn meets(answer: Response<Incoming>, expect: &Expect) -> bool {
    if !expect.holds(answer.status()) || expect.is_found_in(b"") {
        return expect.holds(answer.status());
    }
    let (mut body, mut seen) = (answer.into_body(), Vec::new());
    while seen.len() < BODY {
        let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await else { break };
        if let Ok(mut data) = frame.into_data() {
            data.truncate(BODY - seen.len());
            seen.extend_from_slice(data.chunk());
        }
        if expect.is_found_in(&seen) {
            return true;
        }
    }
    false
}

impl LogonResult {
    /// Returns whether the check considers the backend alive, by the rule of [`Probe::Logon`].
    pub fn is_up(&self, find: &str, forbidden_is_up: bool) -> bool {
        let Self::Answered { status, logged_on: true, body } = self else { return false };
        let refused = matches!(*status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED);
        let served = status.is_success() || status.is_redirection();
        (refused && forbidden_is_up) || (served && rule::holds(body, find))
    }
}
