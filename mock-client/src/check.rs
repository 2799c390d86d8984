//! A health check that logs on, with one request on a separate connection.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderValue, Method, Uri};
use stickler_auth::http::{DEFAULT_TOKEN_LIMIT, Scheme, format_token, parse_challenges};
use stickler_http1::{Lookup as _, ReadError, ResponseHead, Wire, write};
use stickler_model::Profile;
use stickler_model::capabilities::Packages;
use stickler_model::{Env, Identity, Leg};
use stickler_net::{Net, Stream};

use crate::agent::{Exchange, MethodKind, Response, Send, Step, Target};
use crate::error::{InvalidRequest, NoAnswer};
use crate::http1::{self, After, Broken, Upload};
use crate::profile::UserAgent;
use crate::session::initiator;
use crate::tickets::TokenContext;

/// The maximum length of an answer's body during the handshake, in bytes.
const MAX_PASSED: usize = 64 * 1024;

/// The part of a page, from its start, in which IIS may name the substatus of a 401, in bytes.
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
    /// The number of bytes of the answer's body that are returned.
    pub keep: usize,
}

/// The result of a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// The status of the last answer.
    pub status: u16,
    /// Whether the server accepted the user's credentials. After a 401, this is the case if the page names the
    /// substatus 401.3 (logged on, but an ACL refuses access). Nothing else on the wire distinguishes 401.3 from 401.1.
    /// IIS shows the substatus to remote clients only if `errorMode` allows that.
    pub logged_on: bool,
    /// The start of the answer's body.
    pub body: Vec<u8>,
}

/// Sends a GET on a separate connection, which is closed afterwards. Carries out a handshake if the server asks for
/// one.
///
/// The request has no id, and no events of a client are recorded, since it belongs to no client. It has no time limit.
/// Dropping the future closes the connection. Randomness and time for the tokens come from `env`.
///
/// # Errors
/// The error is the reason why there is no answer.
pub async fn check<N: Net>(net: &N, env: &Env, target: SocketAddr, check: &Check<'_>) -> Result<CheckResult, NoAnswer> {
    let stream = net.connect(target).await.map_err(|error| NoAnswer::NoConnection { target, error })?;
    check_on(stream, env, check).await
}

/// Performs a check like [`check`] on an existing connection, which may use TLS. The tokens are not bound to the
/// connection.
///
/// # Errors
/// The error is the reason why there is no answer.
pub async fn check_on(stream: impl Stream, env: &Env, check: &Check<'_>) -> Result<CheckResult, NoAnswer> {
    // The request line contains only the path and the query, even if more was given.
    let uri = Uri::try_from(check.uri).map_err(|_| InvalidRequest::Path(check.uri.to_owned()))?;
    let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    HeaderValue::try_from(check.host).map_err(|_| InvalidRequest::Host)?;
    let agent = UserAgent {
        product: "stickler-check",
        preemptive: false,
        schemes: vec![Scheme::Negotiate, Scheme::Ntlm],
        negotiate: Packages::KerberosOrNtlm,
        ..UserAgent::of(Profile::CURL)
    };
    let initiator = check.identity.map(|identity| Arc::new(initiator(identity, &agent, check.host)));
    let mut exchange = Exchange::new(Arc::new(agent), initiator, MethodKind::of(&Method::GET));
    let fresh = TokenContext { net: &(), env, skew: 0, binding: None };
    // A check has no tickets, and sends no token before the server asks for one.
    let Step::Send(mut send) = exchange.begin(false) else { return Err(NoAnswer::NothingSent) };
    let (mut wire, mut head, mut body) = (Wire::new(stream), ResponseHead::default(), Vec::new());
    loop {
        write_request(&mut wire, check.host, target, &send);
        let mut asked = http1::Exchange::new(&mut wire, Upload::nothing());
        asked.head(&mut head).await.map_err(|error| broken(error, 0))?;
        let offers = parse_challenges(head.fields().all("WWW-Authenticate"), DEFAULT_TOKEN_LIMIT).unwrap_or_default();
        let (status, keeps_alive) = (head.status(), head.keeps_alive());
        match exchange.take_response(Response { status, offers: &offers, keeps_alive, leaves_http2: false }, &fresh) {
            Step::Send(next) if next.connection == Target::Same => {
                match read(asked, &head, &mut body, MAX_PASSED + 1).await? {
                    After::Open => send = next,
                    After::Cut => return Err(NoAnswer::TooLong(MAX_PASSED)),
                    After::Ends => return Err(NoAnswer::Lost(ReadError::Ended.into())),
                }
            }
            // A check has only one connection, so a handshake that requires another one is over.
            Step::Send(_) | Step::Ticket(_) | Step::Answer => {
                read(asked, &head, &mut body, check.keep.max(PAGE)).await?;
                let acl = status == 401 && body.windows(5).any(|five| five == b"401.3");
                let logged_on = send.leg == Leg::Authenticate && (status != 401 || acl);
                body.truncate(check.keep);
                return Ok(CheckResult { status, logged_on, body });
            }
        }
    }
}

fn write_request<S: Stream>(wire: &mut Wire<S>, host: &str, target: &str, send: &Send) {
    let output = wire.output();
    write::request_line(output, "GET", target);
    write::field(output, "Host", host);
    if let Some(token) = &send.token {
        write::field(output, "Authorization", format_token(token.scheme, &token.token));
    }
    write::field(output, "User-Agent", "stickler-check");
    write::field(output, "Accept", "*/*");
    write::end(output);
}

/// Reads a body, up to its first `max` bytes.
async fn read<S: Stream>(
    asked: http1::Exchange<'_, S>,
    head: &ResponseHead,
    body: &mut Vec<u8>,
    max: usize,
) -> Result<After, NoAnswer> {
    body.clear();
    let after = asked.body(head, false, |data| {
        body.extend_from_slice(&data[..data.len().min(max - body.len())]);
        body.len() < max
    });
    let after = after.await;
    after.map_err(|error| broken(error, body.len()))
}

fn broken(error: Broken, length: usize) -> NoAnswer {
    match error {
        Broken::NoHead(error) => NoAnswer::Lost(error.into()),
        Broken::InBody(error) => NoAnswer::Truncated { length, error: error.into() },
    }
}
