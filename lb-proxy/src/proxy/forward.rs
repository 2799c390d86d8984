//! Forwards one request: sends it where the policy decides, passes the answer on, and tries again after a failure.

use std::error::Error as _;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, request};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::TrySendError;
use stickler_lb_core::{Edit, Failure, FailureKind, Protocol, ResponseHead, Upgrades, UpstreamHttp};
use stickler_model::{REQUEST_ID_HEADER, RequestId};
use stickler_net::Net;
use tokio::time::timeout;

use super::activity::Busy;
use super::admission::admit;
use super::answer_body::AnswerBody;
use super::context::Proxy;
use super::lease::Lease;
use super::peer::{Peer, view};
use super::request_body::{Progress, RequestBody};
use super::rest::read_rest;
use super::sender::Sender;
use super::shell::Step;
use super::upgrade::Asked;
use super::{headers, upstream};

/// The reason why a request gets no answer. Its downstream connection or its stream ends instead.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// The pinned connection has ended, and a server may have processed the request.
    #[error("closed without an answer, because the upstream connection that it was pinned to is gone")]
    Coupled,
    /// The connection is closing, and the request has not been processed, so it can be sent again elsewhere.
    #[error("the connection is about to close")]
    Leaving,
    /// The request has not been processed, and must be sent again over HTTP/1.1.
    #[error("the balancer's gate works over HTTP/1.1 only")]
    Http1Required,
}

/// Sends a request to where the policy decides, and returns the answer.
pub(super) async fn forward<N: Net>(
    proxy: Arc<Proxy<N>>,
    peer: Peer,
    busy: Busy,
    mut request: Request<Incoming>,
) -> Result<Response<AnswerBody<N>>, Unanswered> {
    in_turn(&proxy, &peer).await;
    let asked = Asked::of(&mut request, proxy.hops.upgrades, &peer);
    let (mut parts, body) = request.into_parts();
    let said = parts.headers.get(CONNECTION).filter(|_| proxy.hops.passes_connection).cloned();
    let mut body = RequestBody::new(body, &peer.head);
    if let Err(status) = headers::prepare_request(&mut parts, &body, proxy.head, proxy.shell.limits.fields) {
        return Ok(own_answer(status, &[], false, busy));
    }
    let id = parts.headers.get(REQUEST_ID_HEADER).and_then(|value| RequestId::parse(value.as_bytes()));
    if let Some(gate) = &proxy.gate {
        // If the connection was told to close while the request was on its way, the request is not accepted.
        if proxy.shell.is_closing(peer.id) {
            return Err(Unanswered::Leaving);
        }
        // The future is boxed, so that it costs nothing in a balancer without a gate.
        match Box::pin(admit(&**gate, &proxy, &peer, id, &mut parts, body)).await {
            Ok(passed) => body = passed,
            Err(Some(answer)) => return Ok(answer.map(|text| AnswerBody::short(text, busy))),
            Err(None) if busy.is_stream() => return Err(Unanswered::Http1Required),
            Err(None) => return Ok(own_answer(StatusCode::BAD_REQUEST, &[], false, busy)),
        }
    }
    let (mut step, mut edits) = proxy.shell.route(peer.id, id, &view(&parts, &peer));
    let progress = body.progress();
    pass_hop_fields(&mut parts.headers, said, asked.as_ref());
    let mut asked = asked.filter(|_| proxy.hops.upgrades == Upgrades::Passed);
    let (mut held, mut attempts) = (Some(Held { parts, body }), 0);
    loop {
        let (at, backend, target, picked) = match step {
            Step::Send { at, sender, picked } => (at, sender.backend, Target::Idle(sender), picked),
            Step::Open(at, backend) => (at, backend, Target::Backend(backend), true),
            Step::Answer(status) => {
                let whole = is_over(&proxy, &peer, held, progress.as_deref()).await;
                return Ok(own_answer(status, &edits, whole, busy));
            }
            Step::Close if attempts == 0 => return Err(Unanswered::Leaving),
            Step::Close => return Err(Unanswered::Coupled),
            Step::Wait(resumed) => {
                let resumed = timeout(proxy.shell.limits.wait, resumed).await;
                (step, edits) = match (resumed, &held) {
                    (Ok(Ok(())), Some(held)) => proxy.shell.route(peer.id, id, &view(&held.parts, &peer)),
                    _ => (Step::Answer(StatusCode::SERVICE_UNAVAILABLE), Vec::new()),
                };
                continue;
            }
        };
        let lease = Lease::new(&proxy, at, id);
        attempts += 1;
        // If the request is not held any more, the shell turns a retry into an error answer.
        let Some(sending) = held.take() else { return Ok(own_answer(StatusCode::BAD_GATEWAY, &[], false, busy)) };
        proxy.traffic(|traffic| traffic.sent(backend, picked));
        let kind = match attempt(lease, target, sending, edits, &peer, &mut asked).await {
            Attempt::Answered(response) => {
                proxy.traffic(|traffic| traffic.succeeded(backend));
                return Ok(response.into_response(busy));
            }
            Attempt::Switched(response) => {
                proxy.traffic(|traffic| traffic.succeeded(backend));
                return Ok(response.map(|()| AnswerBody::short(Bytes::new(), busy)));
            }
            Attempt::Broken(status) => return Ok(own_answer(status, &[], false, busy)),
            Attempt::Failed(lease, kind, unsent) => {
                lease.release();
                held = unsent.filter(|_| attempts < proxy.shell.limits.attempts);
                kind
            }
        };
        // The failure is reported before the policy decides again, so that the policy knows which backends are out. A
        // lost race with an idle close counts as well, as in nginx (`ngx_http_upstream_next`).
        proxy.traffic(|traffic| traffic.failed(backend));
        let again = held.as_ref().map(|held| view(&held.parts, &peer));
        (step, edits) = proxy.shell.failed(at, id, &Failure { kind, attempts, again });
    }
}

/// Waits for the previous request if only one may be under way at a time.
async fn in_turn<N: Net>(proxy: &Proxy<N>, peer: &Peer) {
    let alone = proxy.in_turn || peer.protocol == Protocol::Http1;
    if let Some(unfinished) = alone.then(|| proxy.shell.unfinished(peer.id)).flatten() {
        // The wait ends when the other side drops the sender.
        let _ = unfinished.await;
    }
}

/// Adds those fields of the client's connection that are passed on.
fn pass_hop_fields(headers: &mut HeaderMap, said: Option<HeaderValue>, asked: Option<&Asked>) {
    if let Some(said) = said {
        headers.insert(CONNECTION, said);
    }
    if let Some(asked) = asked {
        asked.put_into(headers);
    }
}

/// Returns whether the connection can continue after an answer of the balancer itself: the request has been received
/// completely, or the rest of its body is read, because it would be mistaken for the next request.
async fn is_over<N: Net>(proxy: &Arc<Proxy<N>>, peer: &Peer, held: Option<Held>, progress: Option<&Progress>) -> bool {
    match held {
        Some(held) => read_rest(proxy, peer, &held.parts, held.body).await,
        None => progress.is_none_or(Progress::has_ended),
    }
}

/// A request that can be sent, possibly again, as a whole.
struct Held {
    parts: request::Parts,
    body: RequestBody,
}

enum Target {
    Idle(Sender),
    Backend(usize),
}

enum Attempt<N: Net> {
    Answered(Answer<N>),
    /// The backend has changed the protocol on the connection, and the client may do so too.
    Switched(Response<()>),
    /// The client's body broke off, stalled, or is malformed. The answer has this status.
    Broken(StatusCode),
    /// The attempt failed. The request is included if it can be sent again.
    Failed(Lease<N>, FailureKind, Option<Held>),
}

/// Sends a request once.
async fn attempt<N: Net>(
    lease: Lease<N>,
    target: Target,
    held: Held,
    edits: Vec<Edit>,
    peer: &Peer,
    asked: &mut Option<Asked>,
) -> Attempt<N> {
    let proxy = Arc::clone(&lease.proxy);
    let (mut sender, reused) = match target {
        Target::Idle(sender) => (sender, true),
        Target::Backend(backend) => {
            // The future is boxed, because it is large and rare, and would otherwise be part of every request's future.
            match Box::pin(upstream::open(&lease, backend, peer, proxy.hops.upstream)).await {
                Ok(sender) => (sender, false),
                Err(kind) => return Attempt::Failed(lease, kind, Some(held)),
            }
        }
    };
    let Held { mut parts, body } = held;
    // The head is kept if the request may lose the race with an idle close, which happens only on a reused connection.
    let spare = (reused && body.is_end_stream() && parts.method.is_idempotent()).then(|| parts.clone());
    // Only an HTTP/1.0 client may omit `Host` (RFC 9112 3.2). The request upstream is HTTP/1.1.
    if !parts.headers.contains_key(HOST)
        && let Ok(host) = HeaderValue::try_from(sender.address.to_string())
    {
        parts.headers.insert(HOST, host);
    }
    for edit in edits {
        edit.apply(&mut parts.headers);
    }
    if parts.headers.contains_key(UPGRADE) {
        // Other options of `Connection` do not matter, because after the upgrade this is not an HTTP connection any more.
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    // Only a request without a body can be sent again, because a body under way is not kept.
    let plain = (sender.send.is_http2() && proxy.hops.falls_back && body.is_end_stream()).then(|| parts.clone());
    if sender.send.is_http2() {
        headers::to_http2(&mut parts, proxy.upstream_tls.is_some());
    }
    let progress = body.progress();
    let (before, limit) = (sender.received(), proxy.shell.limits.answer);
    let sent = sender.send.request(Request::from_parts(parts, body));
    let mut answered = answer_within(limit, sent, progress.as_deref()).await;
    if let (Some(parts), Ok(Err(error))) = (plain, &answered)
        && reason(error.error()) == Some(Reason::HTTP_1_1_REQUIRED)
    {
        proxy.shell.falls_back(lease.at, lease.request);
        sender = match Box::pin(upstream::open(&lease, sender.backend, peer, UpstreamHttp::Http1)).await {
            Ok(sender) => sender,
            Err(kind) => return Attempt::Failed(lease, kind, Some(Held { parts, body: RequestBody::Empty })),
        };
        let sent = sender.send.request(Request::from_parts(parts, RequestBody::Empty));
        answered = answer_within(limit, sent, None).await;
    }
    let failure = match answered {
        Ok(Ok(response)) if response.status() != StatusCode::SWITCHING_PROTOCOLS => {
            return Attempt::Answered(Answer::new(lease, sender, response));
        }
        Ok(Ok(response)) => match asked.take() {
            Some(asked) => return Attempt::Switched(asked.switch(lease, response, peer)),
            // The client did not ask for an upgrade, or its request for one was not passed on as an upgrade.
            None => (FailureKind::Malformed, None),
        },
        Err(Stalled::Backend) => (FailureKind::Silent, None),
        // RFC 9110 15.5.9. The backend has half a request, so its connection closes with the lease.
        Err(Stalled::Client) => return Attempt::Broken(StatusCode::REQUEST_TIMEOUT),
        Ok(Err(mut error)) => match error.take_message() {
            Some(unsent) => {
                let (mut parts, body) = unsent.into_parts();
                headers::to_http1(&mut parts);
                (FailureKind::Lost, Some(Held { parts, body }))
            }
            None if reason(error.error()).is_some() => (FailureKind::Malformed, None),
            None if error.error().is_user() => return Attempt::Broken(StatusCode::BAD_REQUEST),
            None if error.error().is_parse() || (sender.received() > before && !sender.send.is_http2()) => {
                (FailureKind::Malformed, None)
            }
            None => (FailureKind::Lost, spare.map(|parts| Held { parts, body: RequestBody::Empty })),
        },
    };
    Attempt::Failed(lease, failure.0, failure.1)
}

/// Returns the reason why an HTTP/2 stream was reset, or why its connection ended with a GOAWAY; `None` for any other
/// error.
fn reason(error: &hyper::Error) -> Option<Reason> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            return error.reason();
        }
        source = cause.source();
    }
    None
}

type Sent = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

/// The side that makes no progress.
enum Stalled {
    /// The backend, which has the request, or as much of it as it accepts, and sends nothing back.
    Backend,
    /// The client, from which the rest of its request does not arrive.
    Client,
}

/// Waits for the head of an answer. Gives up when the limit has passed and the request has made no progress.
async fn answer_within(
    limit: Duration,
    sent: impl Future<Output = Sent>,
    progress: Option<&Progress>,
) -> Result<Sent, Stalled> {
    let mut sent = pin!(sent);
    let mut seen = 0;
    loop {
        if let Ok(result) = timeout(limit, sent.as_mut()).await {
            return Ok(result);
        }
        let now = progress.map_or(0, Progress::frames);
        if now == seen {
            let waiting = progress.is_some_and(Progress::is_waiting);
            return Err(if waiting { Stalled::Client } else { Stalled::Backend });
        }
        seen = now;
    }
}

/// The answer of a backend, with its head in the form in which it goes downstream.
struct Answer<N: Net> {
    response: http::response::Parts,
    source: Option<(Incoming, Lease<N>, Sender)>,
}

impl<N: Net> Answer<N> {
    /// Asks the policy about the head of the answer. If there is no body to wait for, reports the end of the exchange
    /// as well.
    fn new(lease: Lease<N>, sender: Sender, response: Response<Incoming>) -> Self {
        let (mut parts, body) = response.into_parts();
        let closes = headers::prepare_response(&mut parts);
        let head = ResponseHead { status: parts.status, headers: &parts.headers, closes };
        let proxy = Arc::clone(&lease.proxy);
        let over = body.is_end_stream();
        let (edits, source) = if over && sender.send.is_ready() {
            let edits = proxy.shell.answered(lease.at, lease.request, &head, Some(sender));
            lease.release();
            (edits, None)
        } else {
            let edits = proxy.shell.answered(lease.at, lease.request, &head, None);
            if over {
                lease.finish(sender);
                (edits, None)
            } else {
                (edits, Some((body, lease, sender)))
            }
        };
        for edit in edits {
            edit.apply(&mut parts.headers);
        }
        Self { response: parts, source }
    }

    fn into_response(self, busy: Busy) -> Response<AnswerBody<N>> {
        let body = match self.source {
            Some((body, lease, sender)) => AnswerBody::streaming(body, lease, sender, busy),
            None => AnswerBody::short(Bytes::new(), busy),
        };
        Response::from_parts(self.response, body)
    }
}

/// Returns the balancer's own answer, which is short. It does not echo the request's id, so that nobody mistakes it for
/// a backend's answer. If the request is not `whole`, or was not a request, the connection closes after the answer.
fn own_answer<N: Net>(status: StatusCode, edits: &[Edit], whole: bool, busy: Busy) -> Response<AnswerBody<N>> {
    let text = match status {
        StatusCode::BAD_REQUEST => "400: the balancer cannot pass this request on\n",
        StatusCode::REQUEST_TIMEOUT => "408: the rest of the request did not come in time\n",
        StatusCode::NOT_IMPLEMENTED => "501: the balancer does not open tunnels\n",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            "431: the request has more header fields than the balancer takes\n"
        }
        StatusCode::BAD_GATEWAY => "502: the backend gave the balancer no usable answer\n",
        StatusCode::SERVICE_UNAVAILABLE => "503: the balancer has no backend for this request\n",
        StatusCode::GATEWAY_TIMEOUT => "504: the backend did not answer the balancer in time\n",
        _ => "",
    };
    let framed_by_lines = !busy.is_stream();
    let mut response = Response::new(AnswerBody::short(Bytes::from_static(text.as_bytes()), busy));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if framed_by_lines && (status.is_client_error() || !whole) {
        // The following bytes on the connection are not a request, or may not be one.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    for edit in edits {
        edit.clone().apply(headers);
    }
    response
}
