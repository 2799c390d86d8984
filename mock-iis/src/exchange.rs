//! One request on one connection: decide, ask the DC, read the body, answer, note it all.

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
use crate::acceptance::{Accepted, Asked, Decider, Denied};
use crate::answer::{self, AnswerBody};
use crate::app::{self, Opened, Resource};
use crate::authn::Unauthorized;
use crate::authority::Authority;
use crate::body::{self, Received, Unanswered};
use crate::codes::ACL;
use crate::credentials::Presented;
use crate::log::Entry;

/// One TCP connection.
pub(crate) struct Connection {
    env: Env,
    site: Arc<WebSite>,
    authority: Arc<Authority>,
    decider: Decider,
    number: u32,
    local: SocketAddr,
    peer: SocketAddr,
    /// Requests so far.
    requests: AtomicU32,
    /// Whether this side ends the connection after the current answer.
    closes: AtomicBool,
}

/// A request's head, once it is known who may see it.
struct Head {
    number: u32,
    id: Option<RequestId>,
    leg: Leg,
    method: Method,
    uri: Uri,
    received: Time,
    agent: Option<HeaderValue>,
}

/// What a request came to.
struct Outcome {
    response: Response<AnswerBody>,
    substatus: u16,
    win32: u32,
    user: Option<Principal>,
    processed: bool,
}

impl Connection {
    pub(crate) fn new(
        env: Env,
        site: Arc<WebSite>,
        (authority, decider): (Arc<Authority>, Decider),
        number: u32,
        (local, peer): (SocketAddr, SocketAddr),
    ) -> Self {
        let (requests, closes) = (AtomicU32::new(0), AtomicBool::new(false));
        Self { env, site, authority, decider, number, local, peer, requests, closes }
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
            connection: self.number,
            number: head.number,
            request: head.id,
            leg: head.leg,
        });
        // Neither a token nor a request for one goes over HTTP/2, whose streams may be anybody's: http.sys has the client come
        // back over HTTP/1.1 (RFC 9113 7; Microsoft, "HTTP/2 on IIS").
        let http1_only = parts.version == Version::HTTP_2 && self.decider.is_own();
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

    /// How many requests have come.
    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The site that it is a connection of.
    pub(crate) fn site(&self) -> &WebSite {
        &self.site
    }

    /// The server's surroundings.
    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// Its number.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Whether this side ended the connection.
    pub(crate) fn closes(&self) -> bool {
        self.closes.load(Ordering::Relaxed)
    }

    /// Notes that the connection is gone.
    pub(crate) fn closed(&self, how: Closed) {
        self.decider.closed(self.peer);
        self.env.record(What::ServerClosed { connection: self.number, how });
    }

    /// Who the request is from.
    async fn accept(&self, head: &Head, presented: &Presented, headers: &HeaderMap) -> Result<Accepted, Denied> {
        let (connection, number, id, peer) = (self.number, head.number, head.id, self.peer);
        let asked = Asked { connection, number, id, peer, headers, presented };
        self.decider.decide(&self.env, &self.site.domain, &self.authority, &asked).await
    }

    /// Runs the application for a user, unless an ACL refuses them.
    async fn process(
        &self,
        head: &Head,
        Accepted { user, delegated, completes, cookie }: Accepted,
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
            let hop = (resource == Resource::Hop).then(|| app::second_hop(user.as_ref(), delegated));
            (self.run(head, resource, (user, hop), &received), received)
        };
        if let Some(done) = completes.filter(|done| done.scheme != Scheme::Ntlm && !forbidden) {
            answer::completes(&mut outcome.response, &done);
        }
        if let Some(cookie) = cookie {
            outcome.response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        Ok((outcome, received))
    }

    /// What a path names, and what came of opening it as the user, where it is a file.
    fn resource(&self, path: &str, user: Option<&Principal>) -> (Resource, Option<Opened>) {
        match Resource::of(path) {
            Resource::File => match app::open(&self.site.files, path, user) {
                Opened::Missing => (Resource::Missing, None),
                opened => (Resource::File, Some(opened)),
            },
            resource => (resource, None),
        }
    }

    fn run(
        &self,
        head: &Head,
        resource: Resource,
        (user, hop): (Option<Principal>, Option<String>),
        received: &Received,
    ) -> Outcome {
        /// ERROR_FILE_NOT_FOUND, which IIS logs beside 404.
        const FILE_NOT_FOUND: u32 = 2;
        let (response, win32, processed) = match resource {
            Resource::Bytes(length) => {
                (answer::application("application/octet-stream", AnswerBody::Pattern { sent: 0, length }), 0, true)
            }
            Resource::Missing => (answer::not_found(), FILE_NOT_FOUND, false),
            Resource::Echo | Resource::File | Resource::Hop | Resource::Forbidden => {
                let path = head.uri.path_and_query().map_or(head.uri.path(), http::uri::PathAndQuery::as_str);
                let json = app::render(&AppAnswer {
                    server: self.site.name.clone(),
                    connection: self.number,
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

    /// A 401.
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

    /// Whether a 401 closes the connection, and with it any handshake.
    fn ends(&self, refused: &Unauthorized) -> bool {
        match self.site.keep_alive {
            KeepAlive::Always => false,
            KeepAlive::ClosedByFailure => refused.refused,
            KeepAlive::ClosedByChallenge => refused.refused || refused.challenge.is_some(),
        }
    }

    /// A 403 for a request in which the balancer names no user.
    async fn refuse_unnamed(&self, body: &mut Incoming) -> Result<(Outcome, Received), Unanswered> {
        let (response, win32) = (answer::forbidden(), Win32::ACCESS_DENIED.0);
        self.after_body(Outcome { response, substatus: 0, win32, user: None, processed: false }, body).await
    }

    /// A refusal, after the request's body is out of the way: hyper would otherwise close the
    /// connection, and the handshake with it. A body beyond the limit does end it.
    async fn after_body(&self, mut outcome: Outcome, body: &mut Incoming) -> Result<(Outcome, Received), Unanswered> {
        let received = self.read(body, self.site.limits.drain).await?;
        if !received.whole {
            self.closes.store(true, Ordering::Relaxed);
            answer::close(&mut outcome.response);
        }
        Ok((outcome, received))
    }

    /// A 400 of http.sys, at once.
    fn refuse_head(&self, too_long: bool) -> (Outcome, Received) {
        self.closes.store(true, Ordering::Relaxed);
        let response = answer::bad_request(too_long);
        let outcome = Outcome { response, substatus: 0, win32: 0, user: None, processed: false };
        (outcome, Received { length: 0, digest: Digest::EMPTY, whole: false })
    }

    async fn read(&self, incoming: &mut Incoming, limit: u64) -> Result<Received, Unanswered> {
        let received = body::read(incoming, limit, self.site.limits.body).await;
        if matches!(received, Err(Unanswered::Stalled(_))) {
            self.closes.store(true, Ordering::Relaxed);
        }
        received
    }

    /// Notes the answer in the trace and in the log, and ties it to the request.
    fn conclude(
        &self,
        head: &Head,
        outcome: Outcome,
        received: &Received,
        echo: Option<HeaderValue>,
    ) -> Response<AnswerBody> {
        let Outcome { mut response, substatus, win32, user, processed } = outcome;
        if let Some(id) = echo {
            response.headers_mut().insert(REQUEST_ID_HEADER, id);
        }
        let status = response.status().as_u16();
        // http.sys logs what it refuses by itself elsewhere.
        if let Some(log) = self.site.log.as_ref().filter(|_| status != 400) {
            log(&self.entry(head, status, substatus, win32, user.clone()));
        }
        self.env.record(What::ServerAnswered {
            connection: self.number,
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
            server: self.local,
            client: self.peer,
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

/// Length of a request's head in bytes, as it was sent but for spaces.
fn head_length(method: &Method, uri: &Uri, headers: &HeaderMap) -> usize {
    let target = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    method.as_str().len() + target + "  HTTP/1.1\r\n\r\n".len() + fields.sum::<usize>()
}

/// Whether the client lets its connection end with the answer (RFC 9112 9.3).
fn asks_to_close(version: Version, headers: &HeaderMap) -> bool {
    let says = |option: &str| {
        let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(option))
    };
    says("close") || (version == Version::HTTP_10 && !says("keep-alive"))
}
