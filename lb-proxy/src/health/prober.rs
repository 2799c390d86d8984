//! One check of one backend.

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

/// Checks a backend once. [`probe`] gives those of [`Probe`]; a world may bring others, such as an external command.
pub trait Prober: Send + Sync {
    /// Whether this backend, with this index in the farm, is alive. It is dropped when its time is up, so whatever it
    /// holds (a connection, a child process) has to end with it. No two checks of one backend run at a time.
    fn probe<'a>(&'a self, index: usize, backend: &'a Backend) -> BoxFuture<'a, bool>;
}

/// Logs on to a site, for [`Probe::Logon`]. It knows the user and the password; a balancer does not.
pub trait LogonAgent: Send + Sync {
    /// Requests `uri` from the backend, on a connection of its own, and logs on with as many legs as that takes. The
    /// connection is closed in the end: one that is authenticated as the check's user never serves a client. Requests
    /// carry no request id. Dropped when its time is up.
    fn log_on<'a>(&'a self, backend: &'a Backend, uri: &'a str) -> BoxFuture<'a, LogonResult>;
}

/// What came of a check's logon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogonResult {
    /// The backend answered the last leg.
    Answered {
        /// With this status.
        status: StatusCode,
        /// Whether the user was authenticated, whatever the status: the acceptor took the Authenticate leg, and did not
        /// ask for credentials again.
        logged_on: bool,
        /// The start of the answer's body, as much of it as the agent keeps (64 KiB are plenty).
        body: Bytes,
    },
    /// The backend could not be reached, or it gave no proper answer.
    Unanswered,
}

/// Most of an answer's head, in bytes.
const HEAD: usize = 64 * 1024;

/// Most of an answer's body that a string is looked for in, in bytes.
const BODY: usize = 64 * 1024;

/// The prober of this probe. `agent` is asked by [`Probe::Logon`] alone; where it is missing, such a check fails. Where
/// backends speak TLS, a check by a request is made over it, with the balancer's own settings (`tls`); a check of the port
/// stays one of TCP, and how an agent logs on is the agent's matter.
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
                // Closed with FIN, as the simulated kernel and a plain socket do. HAProxy resets (SO_LINGER of zero,
                // haproxy issue 560), which costs the backend less and tells it no more.
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
    /// Sends one anonymous request without an id, on a connection of its own, and reads as much of the answer as tells
    /// whether it is the one that is expected. `None`: there is no answer.
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
        // It ends after the answer only when that is whole; then both are ready at once.
        () = async { connection.await.ok(); std::future::pending().await } => None,
    }
}

/// Returns whether an answer is the one that is expected. Of its body no more is read than has to be.
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
    /// Whether a check takes the backend for alive: [`Probe::Logon`]'s rule.
    pub fn is_up(&self, find: &str, forbidden_is_up: bool) -> bool {
        let Self::Answered { status, logged_on: true, body } = self else { return false };
        let refused = matches!(*status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED);
        let served = status.is_success() || status.is_redirection();
        (refused && forbidden_is_up) || (served && rule::holds(body, find))
    }
}
