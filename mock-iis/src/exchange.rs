//! One request on one connection: decides on it, asks the DC, reads the body, answers, and records all of that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use hyper::body::Incoming;
use stickler_auth::http::Scheme;
use stickler_auth::status::Win32;
use stickler_model::action::AppAnswer;
use stickler_model::event::Closed;
use stickler_model::payload::Digest;
use stickler_model::topology::KeepAlive;
use stickler_model::{Env, Leg, Principal, REQUEST_ID_HEADER, RequestId, Time, What};

use crate::WebSite;
use crate::acceptance::{Accepted, Decider, Denied, ReceivedRequest};
use crate::answer::{self, AnswerBody};
use crate::app::{self, Opened, Resource};
use crate::authn::{RequestIdentity, Unauthorized};
use crate::authority::Authority;
use crate::body::{self, Received, Unanswered};
use crate::codes::ACL;
use crate::credentials::Presented;
use crate::log::Entry;

/// One TCP connection.
pub(crate) struct Connection {
    env: Env,
    site: Arc<WebSite>,
    authentication: Authentication,
    endpoints: Endpoints,
    /// The number of requests so far.
    requests: AtomicU32,
    /// Whether this side closes the connection after the current response.
    closes: AtomicBool,
}

/// How a connection determines the senders of its requests.
pub(crate) struct Authentication {
    pub(crate) authority: Arc<Authority>,
    pub(crate) decider: Decider,
}

/// A connection's number in the trace, and the addresses of its two ends.
#[derive(Clone, Copy)]
pub(crate) struct Endpoints {
    pub(crate) number: u32,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

/// A request's head.
struct Head {
    /// The request's number on its connection.
    number: u32,
    id: Option<RequestId>,
    leg: Leg,
    method: Method,
    uri: Uri,
    received: Time,
    agent: Option<HeaderValue>,
}

/// The response to a request, and what the trace and the log record of it.
struct Outcome {
    response: Response<AnswerBody>,
    substatus: u16,
    win32: u32,
    user: Option<Principal>,
    processed: bool,
}

impl Connection {
    pub(crate) fn new(env: Env, site: Arc<WebSite>, authentication: Authentication, endpoints: Endpoints) -> Self {
        let (requests, closes) = (AtomicU32::new(0), AtomicBool::new(false));
        Self { env, site, authentication, endpoints, requests, closes }
    }

    /// Answers a request.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, Unanswered> {
        let (parts, mut body) = request.into_parts();
        let echo = parts.headers.get(REQUEST_ID_HEADER).cloned();
        let presented = Presented::read(&parts.headers);
        let too_long = head_length(&parts.method, &parts.uri, &parts.headers) > self.site.limits.head;
        self.closes.store(asks_to_close(parts.version, &parts.headers), Ordering::Relaxed);
        let head = Head {
            number: self.requests.fetch_add(1, Ordering::Relaxed).wrapping_add(1),
            id: echo.as_ref().and_then(|id| RequestId::parse(id.as_bytes())),
            leg: presented.leg(),
            method: parts.method,
            uri: parts.uri,
            received: self.env.clock.now(),
            agent: self.site.log.as_ref().and_then(|_| parts.headers.get(header::USER_AGENT).cloned()),
        };
        self.env.record(What::ServerReceived {
            connection: self.endpoints.number,
            number: head.number,
            request: head.id,
            leg: head.leg,
        });
        // Neither a token nor a request for one is accepted over HTTP/2, whose streams may belong to several clients:
        // http.sys makes the client come back over HTTP/1.1 (RFC 9113 7; Microsoft, "HTTP/2 on IIS").
        let http1_only = parts.version == Version::HTTP_2 && self.authentication.decider.is_own();
        if http1_only && head.leg != Leg::Anonymous {
            return Err(Unanswered::Http1Required(h2::Reason::HTTP_1_1_REQUIRED.into()));
        }
        let (outcome, received) = if too_long || presented == Presented::Unacceptable {
            self.refuse_head(too_long)
        } else {
            match self.accept(&head, &presented, &parts.headers).await {
                Ok(accepted) => self.process(&head, accepted, &mut body).await?,
                Err(Denied::Unauthorized(refused)) => self.refuse(&refused, None, &mut body).await?,
                Err(Denied::Unnamed) => self.refuse_unnamed(&mut body).await?,
                Err(Denied::Unacceptable) => self.refuse_head(true),
            }
        };
        if http1_only && outcome.response.status() == StatusCode::UNAUTHORIZED {
            return Err(Unanswered::Http1Required(h2::Reason::HTTP_1_1_REQUIRED.into()));
        }
        Ok(self.conclude(&head, outcome, &received, echo))
    }

    /// Returns the number of requests so far.
    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns the site to which the connection belongs.
    pub(crate) fn site(&self) -> &WebSite {
        &self.site
    }

    /// Returns the surroundings of the server.
    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// Returns the connection's number in the trace.
    pub(crate) fn number(&self) -> u32 {
        self.endpoints.number
    }

    /// Returns whether this side closes the connection.
    pub(crate) fn closes(&self) -> bool {
        self.closes.load(Ordering::Relaxed)
    }

    /// Records that the connection has ended, and forgets what was tied to it.
    pub(crate) fn closed(&self, how: Closed) {
        self.authentication.decider.closed(self.endpoints.peer);
        self.env.record(What::ServerClosed { connection: self.endpoints.number, how });
    }

    /// Determines the sender of a request.
    async fn accept(&self, head: &Head, presented: &Presented, headers: &HeaderMap) -> Result<Accepted, Denied> {
        let anonymous = &self.site.anonymous;
        let open = self.authentication.decider.is_own() && anonymous.covers(head.method.as_str(), head.uri.path());
        if open && !anonymous.windows_too {
            return Ok(Accepted::anonymous());
        }
        let Endpoints { number: connection, peer, .. } = self.endpoints;
        let received = ReceivedRequest { connection, number: head.number, id: head.id, peer, headers, presented };
        let Authentication { authority, decider } = &self.authentication;
        match decider.decide(authority, &received).await {
            Err(Denied::Unauthorized(_)) if open && *presented == Presented::Nothing => Ok(Accepted::anonymous()),
            decided => decided,
        }
    }

    /// Runs the application for the sender, unless an ACL refuses them.
    async fn process(
        &self,
        head: &Head,
        Accepted { identity: RequestIdentity { user, delegated, completes }, cookie }: Accepted,
        body: &mut Incoming,
    ) -> Result<(Outcome, Received), Unanswered> {
        let (resource, opened) = self.resource(head.uri.path(), user.as_ref());
        let forbidden = resource == Resource::Forbidden
            || opened == Some(Opened::Refused)
            || user.as_ref().is_some_and(|user| self.site.forbidden.contains(user));
        let (mut outcome, received) = if forbidden {
            let (win32, challenge, ticket) = (Win32::ACCESS_DENIED.0, None, None);
            let refused = Unauthorized { substatus: ACL, win32, challenge, refused: false, ticket };
            self.refuse(&refused, user, body).await?
        } else {
            let received = self.read(body, u64::MAX).await?;
            if let Resource::Slow(time) = resource {
                tokio::time::sleep(time).await;
            }
            let hop = (resource == Resource::Hop).then(|| app::second_hop(user.as_ref(), delegated));
            (self.run(head, resource, user, hop, &received), received)
        };
        if let Some(done) = completes.filter(|done| done.scheme != Scheme::Ntlm && !forbidden) {
            answer::completes(&mut outcome.response, &done);
        }
        if let Some(cookie) = cookie {
            outcome.response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        Ok((outcome, received))
    }

    /// Returns the resource that a path names and, if it is a file, the result of opening it as the user.
    fn resource(&self, path: &str, user: Option<&Principal>) -> (Resource, Option<Opened>) {
        match Resource::of(path) {
            Resource::File => match app::open(&self.site.files, path, user) {
                Opened::Missing => (Resource::Missing, None),
                opened => (Resource::File, Some(opened)),
            },
            resource => (resource, None),
        }
    }

    /// Runs the application. `hop` is the user whom a second server sees, if the application asks one.
    fn run(
        &self,
        head: &Head,
        resource: Resource,
        user: Option<Principal>,
        hop: Option<String>,
        received: &Received,
    ) -> Outcome {
        /// ERROR_FILE_NOT_FOUND, which IIS logs with 404.
        const FILE_NOT_FOUND: u32 = 2;
        let (response, win32, processed) = match resource {
            Resource::Bytes(length) => {
                (answer::application("application/octet-stream", AnswerBody::Pattern { sent: 0, length }), 0, true)
            }
            Resource::Missing => (answer::not_found(), FILE_NOT_FOUND, false),
            Resource::Echo | Resource::Slow(_) | Resource::File | Resource::Hop | Resource::Forbidden => {
                let path = head.uri.path_and_query().map_or(head.uri.path(), http::uri::PathAndQuery::as_str);
                let json = app::render(&AppAnswer {
                    server: self.site.name.clone(),
                    connection: self.endpoints.number,
                    number: head.number,
                    user: user.clone(),
                    method: head.method.as_str().to_owned(),
                    path: path.to_owned(),
                    length: received.length,
                    digest: received.digest,
                    hop,
                });
                (answer::application("application/json", AnswerBody::whole(json)), 0, true)
            }
        };
        Outcome { response, substatus: 0, win32, user, processed }
    }

    /// Answers 401.
    async fn refuse(
        &self,
        refused: &Unauthorized,
        user: Option<Principal>,
        body: &mut Incoming,
    ) -> Result<(Outcome, Received), Unanswered> {
        let mut response = answer::unauthorized(refused, &self.site.auth.schemes);
        let &Unauthorized { substatus, win32, .. } = refused;
        if self.ends(refused) {
            self.closes.store(true, Ordering::Relaxed);
            answer::close(&mut response);
        }
        self.after_body(Outcome { response, substatus, win32, user, processed: false }, body).await
    }

    /// Returns whether a 401 closes the connection, and any handshake with it.
    fn ends(&self, refused: &Unauthorized) -> bool {
        match self.site.keep_alive {
            // With keep-alives off every answer closes its connection, not only a 401 (`conclude`).
            KeepAlive::Always | KeepAlive::Never => false,
            KeepAlive::ClosedByFailure => refused.refused,
            KeepAlive::ClosedByChallenge => refused.refused || refused.challenge.is_some(),
        }
    }

    /// Answers 403, for a request in which the balancer names no user.
    async fn refuse_unnamed(&self, body: &mut Incoming) -> Result<(Outcome, Received), Unanswered> {
        let (response, win32) = (answer::forbidden(), Win32::ACCESS_DENIED.0);
        self.after_body(Outcome { response, substatus: 0, win32, user: None, processed: false }, body).await
    }

    /// Reads the body of a refused request first, because otherwise hyper would close the connection, and the handshake
    /// with it. A body beyond the limit does close the connection.
    async fn after_body(&self, mut outcome: Outcome, body: &mut Incoming) -> Result<(Outcome, Received), Unanswered> {
        let received = self.read(body, self.site.limits.drain).await?;
        if !received.whole {
            self.closes.store(true, Ordering::Relaxed);
            answer::close(&mut outcome.response);
        }
        Ok((outcome, received))
    }

    /// Answers 400 at once, as http.sys does.
    fn refuse_head(&self, too_long: bool) -> (Outcome, Received) {
        self.closes.store(true, Ordering::Relaxed);
        let response = answer::bad_request(too_long);
        let outcome = Outcome { response, substatus: 0, win32: 0, user: None, processed: false };
        (outcome, Received { length: 0, digest: Digest::EMPTY, whole: false })
    }

    async fn read(&self, body: &mut Incoming, limit: u64) -> Result<Received, Unanswered> {
        let received = body::read(body, limit, self.site.limits.body).await;
        if matches!(received, Err(Unanswered::Stalled(_))) {
            self.closes.store(true, Ordering::Relaxed);
        }
        received
    }

    /// Records the response in the trace and in the log, and echoes the request's id in it.
    fn conclude(
        &self,
        head: &Head,
        outcome: Outcome,
        received: &Received,
        echo: Option<HeaderValue>,
    ) -> Response<AnswerBody> {
        let Outcome { mut response, substatus, win32, user, processed } = outcome;
        if self.site.keep_alive == KeepAlive::Never {
            self.closes.store(true, Ordering::Relaxed);
            answer::close(&mut response);
        }
        if let Some(id) = echo {
            response.headers_mut().insert(REQUEST_ID_HEADER, id);
        }
        let status = response.status().as_u16();
        // http.sys logs its own refusals elsewhere.
        if let Some(log) = self.site.log.as_ref().filter(|_| status != 400) {
            log(&self.entry(head, status, substatus, win32, user.clone()));
        }
        self.env.record(What::ServerAnswered {
            connection: self.endpoints.number,
            number: head.number,
            request: head.id,
            leg: head.leg,
            status,
            substatus,
            win32,
            user,
            processed,
            length: received.length,
            digest: received.digest,
        });
        response
    }

    fn entry(&self, head: &Head, status: u16, substatus: u16, win32: u32, user: Option<Principal>) -> Entry {
        Entry {
            unix_seconds: self.env.clock.unix_seconds(),
            server: self.endpoints.local,
            client: self.endpoints.peer,
            method: head.method.as_str().to_owned(),
            stem: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            user,
            agent: head.agent.as_ref().map(|agent| app::text(agent.as_bytes()).into_owned()),
            status,
            substatus,
            win32,
            time_taken: (self.env.clock.now() - head.received).as_millis() as u64,
        }
    }
}

/// Returns the length of a request's head in bytes, as it was sent except for optional spaces.
fn head_length(method: &Method, uri: &Uri, headers: &HeaderMap) -> usize {
    let target = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    method.as_str().len() + target + "  HTTP/1.1\r\n\r\n".len() + fields.sum::<usize>()
}

/// Returns whether the client asks to close the connection after the response (RFC 9112 9.3).
fn asks_to_close(version: Version, headers: &HeaderMap) -> bool {
    let says = |option: &str| {
        let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(option))
    };
    says("close") || (version == Version::HTTP_10 && !says("keep-alive"))
}
