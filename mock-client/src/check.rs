//! One request on a connection of its own, for who watches over a server: a health check that logs on.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HOST, USER_AGENT, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use stickler_auth::http::{DEFAULT_TOKEN_LIMIT, Scheme, format_token, parse_challenges};
use stickler_model::capabilities::Packages;
use stickler_model::{Env, Identity, Leg};
use stickler_net::{Net, Stream};

use crate::agent::{Exchange, Heard, MethodKind, On, Send, Step};
use crate::connection::MAX_HEAD;
use crate::message::{describe, keeps_alive};
use crate::profile::UserAgent;
use crate::seat::initiator;
use crate::tickets::Host;

/// Longest body of an answer that is read past to go on with the handshake, in bytes.
const MAX_PASSED: usize = 64 * 1024;

/// Where IIS names the substatus of a 401 in its page, in bytes from the start.
const PAGE: usize = 4 * 1024;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Check<'a> {
    /// The site's name in `Host`.
    pub host: &'a str,
    /// Path and query.
    pub uri: &'a str,
    /// Who logs on; `None`: nobody, the request is anonymous.
    pub identity: Option<&'a Identity>,
    /// How much of the answer's body is kept, in bytes.
    pub keep: usize,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The final status.
    pub status: u16,
    /// Whether the server took the user for who it claims to be. After a 401 that is so where the
    /// page names the substatus 401.3 (logged on, and an ACL refuses): on the wire nothing else tells
    /// it from 401.1, and IIS shows it to remote clients only where `errorMode` lets it.
    pub logged_on: bool,
    /// The start of the answer's body.
    pub body: Vec<u8>,
}

/// A GET on a connection of its own, closed after it, with a handshake where the server asks for one.
///
/// It carries no request id and leaves no events of a client: it is nobody's. It has no time limit:
/// dropping the future closes the connection. Randomness and time for the tokens come from `env`.
///
/// # Errors
/// A sentence on why there is no answer.
pub async fn check<N: Net>(net: &N, env: &Env, target: SocketAddr, check: &Check<'_>) -> Result<Checked, String> {
    let stream = net.connect(target).await.map_err(|error| format!("no connection to {target}: {error}"))?;
    check_on(stream, env, check).await
}

/// The same on a connection that is there already, with TLS perhaps. A check's tokens are not bound to it.
///
/// # Errors
/// A sentence on why there is no answer.
pub async fn check_on(stream: impl Stream, env: &Env, check: &Check<'_>) -> Result<Checked, String> {
    let http = Builder::new().title_case_headers(true).max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream));
    let (sender, connection) = http.await.map_err(|error| describe(&error))?;
    let (mut connection, mut asking) = (pin!(connection), pin!(ask(sender, env, check)));
    // Driven here and not by a task: it ends with this future.
    let ended = tokio::select! {
        biased;
        checked = &mut asking => return checked,
        ended = &mut connection => ended,
    };
    // The last answer may have come with the end.
    match ended {
        Ok(()) => asking.await,
        Err(error) => Err(format!("no answer: {}", describe(&error))),
    }
}

async fn ask(mut sender: SendRequest<Empty<Bytes>>, env: &Env, check: &Check<'_>) -> Result<Checked, String> {
    let agent = UserAgent {
        product: "stickler-check",
        preemptive: false,
        schemes: vec![Scheme::Negotiate, Scheme::Ntlm],
        negotiate: Packages::KerberosOrNtlm,
        ..UserAgent::curl()
    };
    let initiator = check.identity.map(|identity| Arc::new(initiator(identity, &agent, check.host)));
    let product = HeaderValue::from_static(agent.product);
    let mut exchange = Exchange::new(Arc::new(agent), initiator, MethodKind::of(&Method::GET));
    let fresh = Host { net: &(), env, skew: 0, binding: None };
    // Without tickets, and no token before it is asked for.
    let Step::Send(mut send) = exchange.begin(false) else { return Err("a check begins with a request".into()) };
    loop {
        sender.ready().await.map_err(|error| format!("no answer: {}", describe(&error)))?;
        let answer = sender.send_request(request(check, &send, &product)?).await;
        let answer = answer.map_err(|error| format!("no answer: {}", describe(&error)))?;
        let (status, open) = (answer.status().as_u16(), keeps_alive(&answer));
        let challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter().map(HeaderValue::as_bytes);
        let offers = parse_challenges(challenges, DEFAULT_TOKEN_LIMIT).unwrap_or_default();
        match exchange.heard(Heard { status, offers: &offers, keeps_alive: open }, &fresh) {
            Step::Send(next) if next.connection == On::Same => {
                pass(answer).await?;
                send = next;
            }
            // There is no other connection, so a handshake that wants one is over.
            Step::Send(_) | Step::Ticket(_) | Step::Answer => {
                let mut body = start(answer, check.keep.max(PAGE)).await?;
                let acl = status == 401 && body.windows(5).any(|five| five == b"401.3");
                let logged_on = send.leg == Leg::Authenticate && (status != 401 || acl);
                body.truncate(check.keep);
                return Ok(Checked { status, logged_on, body });
            }
        }
    }
}

fn request(check: &Check<'_>, send: &Send, product: &HeaderValue) -> Result<Request<Empty<Bytes>>, String> {
    let uri = Uri::try_from(check.uri).map_err(|_| format!("`{}` is not a path", check.uri))?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    let host = HeaderValue::try_from(check.host).map_err(|_| format!("`{}` is not a host", check.host))?;
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

/// Reads past a body.
async fn pass(answer: Response<Incoming>) -> Result<(), String> {
    let mut length = 0;
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the answer broke off: {}", describe(&error)))?;
        length += frame.data_ref().map_or(0, Bytes::len);
        if length > MAX_PASSED {
            return Err(format!("a page of more than {MAX_PASSED} bytes in the middle of the handshake"));
        }
    }
    Ok(())
}

/// The first bytes of a body, `most` of them at most.
async fn start(answer: Response<Incoming>, most: usize) -> Result<Vec<u8>, String> {
    let mut kept = Vec::new();
    let mut body = answer.into_body();
    while kept.len() < most
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|error| format!("the answer broke off: {}", describe(&error)))?;
        if let Ok(data) = frame.into_data() {
            kept.extend_from_slice(&data[..data.len().min(most - kept.len())]);
        }
    }
    Ok(kept)
}
