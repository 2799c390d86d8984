//! A health check that logs on: one request on a connection of its own.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HOST, USER_AGENT, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use stickler_auth::http::{DEFAULT_TOKEN_LIMIT, Scheme, format_token, parse_challenges};
use stickler_model::Profile;
use stickler_model::capabilities::Packages;
use stickler_model::{Env, Identity, Leg};
use stickler_net::{Net, Stream};

use crate::agent::{Exchange, MethodKind, Response, Send, Step, Target};
use crate::connection::MAX_HEAD;
use crate::error::{InvalidRequest, NoAnswer};
use crate::message::keeps_alive;
use crate::profile::UserAgent;
use crate::session::initiator;
use crate::tickets::TokenContext;

/// Longest body of an answer in the middle of the handshake, in bytes.
const MAX_PASSED: usize = 64 * 1024;

/// How far from the start of its page IIS may name the substatus of a 401, in bytes.
const PAGE: usize = 4 * 1024;

/// The request of a health check.
#[derive(Debug, Clone, Copy)]
pub struct Check<'a> {
    /// The site's name in `Host`.
    pub host: &'a str,
    /// The path and the query.
    pub uri: &'a str,
    /// The user who logs on; `None` for an anonymous request.
    pub identity: Option<&'a Identity>,
    /// How much of the answer's body is returned, in bytes.
    pub keep: usize,
}

/// The result of a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// The status of the last answer.
    pub status: u16,
    /// Whether the server accepted the user's credentials. After a 401 that is so if the page names the substatus 401.3
    /// (logged on, but an ACL refuses access): nothing else on the wire distinguishes it from 401.1, and IIS shows it
    /// to remote clients only if `errorMode` allows that.
    pub logged_on: bool,
    /// The start of the answer's body.
    pub body: Vec<u8>,
}

/// Sends a GET on a connection of its own, which is closed afterwards. Carries out a handshake if the server asks for
/// one.
///
/// The request has no id and records no events of a client, since it belongs to none. It has no time limit; dropping
/// the future closes the connection. Randomness and time for the tokens come from `env`.
///
/// # Errors
/// Why there is no answer.
pub async fn check<N: Net>(net: &N, env: &Env, target: SocketAddr, check: &Check<'_>) -> Result<CheckResult, NoAnswer> {
    let stream = net.connect(target).await.map_err(|error| NoAnswer::NoConnection { target, error })?;
    check_on(stream, env, check).await
}

/// Does the same as [`check`] on an existing connection, which may use TLS. The tokens are not bound to it.
///
/// # Errors
/// Why there is no answer.
pub async fn check_on(stream: impl Stream, env: &Env, check: &Check<'_>) -> Result<CheckResult, NoAnswer> {
    let http = Builder::new().title_case_headers(true).max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream));
    let (sender, connection) = http.await.map_err(NoAnswer::Lost)?;
    let (mut connection, mut asking) = (pin!(connection), pin!(ask(sender, env, check)));
    // Driven by this future and not by a task, so that it ends with this future.
    let ended = tokio::select! {
        biased;
        checked = &mut asking => return checked,
        ended = &mut connection => ended,
    };
    // The last answer may have arrived together with the end.
    match ended {
        Ok(()) => asking.await,
        Err(error) => Err(NoAnswer::Lost(error)),
    }
}

async fn ask(mut sender: SendRequest<Empty<Bytes>>, env: &Env, check: &Check<'_>) -> Result<CheckResult, NoAnswer> {
    let agent = UserAgent {
        product: "stickler-check",
        preemptive: false,
        schemes: vec![Scheme::Negotiate, Scheme::Ntlm],
        negotiate: Packages::KerberosOrNtlm,
        ..UserAgent::of(Profile::CURL)
    };
    let initiator = check.identity.map(|identity| Arc::new(initiator(identity, &agent, check.host)));
    let product = HeaderValue::from_static(agent.product);
    let mut exchange = Exchange::new(Arc::new(agent), initiator, MethodKind::of(&Method::GET));
    let fresh = TokenContext { net: &(), env, skew: 0, binding: None };
    // It has no tickets, and sends no token before the server asks for one.
    let Step::Send(mut send) = exchange.begin(false) else { return Err(NoAnswer::NothingSent) };
    loop {
        sender.ready().await.map_err(NoAnswer::Lost)?;
        let answer = sender.send_request(request(check, &send, &product)?).await;
        let answer = answer.map_err(NoAnswer::Lost)?;
        let (status, open) = (answer.status().as_u16(), keeps_alive(&answer));
        let challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter().map(HeaderValue::as_bytes);
        let offers = parse_challenges(challenges, DEFAULT_TOKEN_LIMIT).unwrap_or_default();
        match exchange.take_response(Response { status, offers: &offers, keeps_alive: open }, &fresh) {
            Step::Send(next) if next.connection == Target::Same => {
                pass(answer).await?;
                send = next;
            }
            // A check has only one connection, so a handshake that requires another one is over.
            Step::Send(_) | Step::Ticket(_) | Step::Answer => {
                let mut body = start(answer, check.keep.max(PAGE)).await?;
                let acl = status == 401 && body.windows(5).any(|five| five == b"401.3");
                let logged_on = send.leg == Leg::Authenticate && (status != 401 || acl);
                body.truncate(check.keep);
                return Ok(CheckResult { status, logged_on, body });
            }
        }
    }
}

fn request(check: &Check<'_>, send: &Send, product: &HeaderValue) -> Result<Request<Empty<Bytes>>, InvalidRequest> {
    let uri = Uri::try_from(check.uri).map_err(|_| InvalidRequest::Path(check.uri.to_owned()))?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    let host = HeaderValue::try_from(check.host).map_err(|_| InvalidRequest::Host)?;
    headers.insert(HOST, host);
    if let Some(token) = &send.token {
        let value = HeaderValue::try_from(format_token(token.scheme, &token.token))
            .expect("a scheme's name and base64 are visible ASCII");
        headers.insert(AUTHORIZATION, value);
    }
    headers.insert(USER_AGENT, product.clone());
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    Ok(request)
}

/// Reads and discards a body.
async fn pass(answer: http::Response<Incoming>) -> Result<(), NoAnswer> {
    let mut length = 0;
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| NoAnswer::Truncated { length, error })?;
        length += frame.data_ref().map_or(0, Bytes::len);
        if length > MAX_PASSED {
            return Err(NoAnswer::TooLong(MAX_PASSED));
        }
    }
    Ok(())
}

/// Returns the first bytes of a body, up to `max` of them.
async fn start(answer: http::Response<Incoming>, max: usize) -> Result<Vec<u8>, NoAnswer> {
    let mut kept = Vec::new();
    let mut body = answer.into_body();
    while kept.len() < max
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|error| NoAnswer::Truncated { length: kept.len(), error })?;
        if let Ok(data) = frame.into_data() {
            kept.extend_from_slice(&data[..data.len().min(max - kept.len())]);
        }
    }
    Ok(kept)
}
