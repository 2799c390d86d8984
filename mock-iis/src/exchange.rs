//! Processes one request on one connection: decides on it, asks the DC, lets the application read the body, and records
//! each of these steps. The decision depends only on the head.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use stickler_auth::status::Win32;
use stickler_http1::{Lookup as _, RequestHead};
use stickler_model::action::AppAnswer;
use stickler_model::event::Closed;
use stickler_model::topology::{IisVersion, KeepAlive};
use stickler_model::{Env, Leg, MAX_SENDER, Principal, REQUEST_ID_HEADER, RequestId, SENDER_HEADER, Time, What};

use crate::WebSite;
use crate::acceptance::{Accepted, Decider, Denied, ReceivedRequest};
use crate::answer::{Answer, AnswerBody, Stamp};
use crate::app::{self, Opened, Resource};
use crate::authn::{RequestIdentity, Unauthorized};
use crate::authority::Authority;
use crate::body::{Received, RequestBody, Unanswered};
use crate::codes::ACL;
use crate::credentials::Presented;
use crate::http_sys::{self, Reason};
use crate::log::Entry;
use crate::web_socket;

/// One TCP connection.
pub(crate) struct Connection {
    env: Env,
    site: Arc<WebSite>,
    authentication: Authentication,
    endpoints: Endpoints,
    /// The number of requests so far.
    requests: AtomicU32,
}

/// The means by which a connection determines the senders of its requests.
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

/// A request that is being answered.
struct Asked<'a> {
    /// The request's number on its connection.
    number: u32,
    id: Option<RequestId>,
    leg: Leg,
    received: Time,
    head: &'a RequestHead,
}

/// The answer to a request, and the data that the trace and the log record about it.
struct Outcome {
    answer: Answer,
    substatus: u16,
    win32: u32,
    user: Option<Principal>,
    processed: bool,
    /// The part of the body that the application received.
    received: Received,
}

impl Connection {
    pub(crate) fn new(env: Env, site: Arc<WebSite>, authentication: Authentication, endpoints: Endpoints) -> Self {
        Self { env, site, authentication, endpoints, requests: AtomicU32::new(0) }
    }

    /// Returns the answer to a request. The body is read only if the application reads it.
    ///
    /// # Errors
    /// The error is the reason why there is no answer.
    pub(crate) async fn answer(
        &self,
        head: &RequestHead,
        http2: bool,
        body: &mut impl RequestBody,
    ) -> Result<Answer, Unanswered> {
        let presented = Presented::read(head.fields(), self.site.head.field);
        let echo = head.fields().first(REQUEST_ID_HEADER);
        let asked = Asked {
            number: self.requests.fetch_add(1, Ordering::Relaxed).wrapping_add(1),
            id: echo.and_then(RequestId::parse),
            leg: presented.leg(),
            received: self.env.clock.now(),
            head,
        };
        self.env.record(What::ServerReceived {
            connection: self.endpoints.number,
            number: asked.number,
            request: asked.id,
            leg: asked.leg,
        });
        self.note_sender(&asked);
        // Windows authentication is not possible over HTTP/2, whose streams may belong to several clients. http.sys
        // makes the client send the request again over HTTP/1.1 (RFC 9113 7; Microsoft, "HTTP/2 on IIS").
        let http1_only = http2 && self.authentication.decider.is_own();
        let http1_required = || Unanswered::Http1Required(h2::Reason::HTTP_1_1_REQUIRED.into());
        if http1_only && asked.leg != Leg::Anonymous {
            return Err(http1_required());
        }
        let unacceptable = (presented == Presented::Unacceptable).then_some(Reason::Header);
        let reason = http_sys::refuses(head, http2, self.site.head).or(unacceptable);
        let mut outcome = if let Some(reason) = reason {
            Outcome::refused(Answer::http_sys(reason), 0)
        } else {
            // A client that closes its connection meanwhile gets no answer.
            let accepted = tokio::select! {
                biased;
                accepted = self.accept(&asked, &presented) => accepted,
                how = body.gone() => return Err(Unanswered::Gone(how)),
            };
            match accepted {
                Ok(accepted) => self.process(&asked, accepted, body).await?,
                Err(Denied::Unauthorized(refused)) => self.refuse(&refused, None),
                Err(Denied::Unnamed) => Outcome::refused(Answer::forbidden(), Win32::ACCESS_DENIED.0),
                Err(Denied::Unacceptable) => Outcome::refused(Answer::http_sys(Reason::FieldLength), 0),
            }
        };
        if http1_only && outcome.answer.status == 401 {
            return Err(http1_required());
        }
        // The rest of the body is dropped, unless it is too long. In that case, the connection closes.
        outcome.answer.closes |= body.announced() > self.site.limits.drain;
        outcome.answer.closes |= self.site.keep_alive == KeepAlive::Never;
        outcome.answer.echo(echo);
        Ok(self.conclude(&asked, outcome))
    }

    /// Answers an HTTP/2 request. If the request is refused, the body is read first, because otherwise hyper would
    /// reset the stream.
    pub(crate) async fn answer_http2(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, Unanswered> {
        let (parts, mut body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or(parts.uri.path(), http::uri::PathAndQuery::as_str);
        let mut head = RequestHead::new(parts.method.as_str(), target);
        for (name, value) in &parts.headers {
            head.push(name.as_str(), value);
        }
        let answer = self.answer(&head, true, &mut body).await?;
        if body.announced() <= self.site.limits.drain {
            body.read(self.site.limits.body).await?;
        }
        Ok(answer.into_http2(self.stamp()))
    }

    /// Returns the author and the time of an answer that begins now.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { version: self.site.version, unix_seconds: self.env.clock.unix_seconds() }
    }

    /// Returns the number of requests so far.
    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns the site to which the connection belongs.
    pub(crate) fn site(&self) -> &WebSite {
        &self.site
    }

    /// Returns the environment of the server.
    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// Returns the connection's number in the trace.
    pub(crate) fn number(&self) -> u32 {
        self.endpoints.number
    }

    /// Records that the connection has ended, and forgets everything that was tied to it.
    pub(crate) fn closed(&self, how: Closed) {
        self.authentication.decider.closed(self.endpoints.peer);
        self.env.record(What::ServerClosed { connection: self.endpoints.number, how });
    }

    /// Records the name that the sender of a request gives itself.
    fn note_sender(&self, asked: &Asked<'_>) {
        if let Some(name) = sender(asked.head) {
            let (connection, number) = (self.endpoints.number, asked.number);
            self.env.record(What::SenderNamed { connection, number, name: name.to_owned() });
        }
    }

    /// Determines the sender of a request, unless the path needs no logon.
    async fn accept(&self, asked: &Asked<'_>, presented: &Presented) -> Result<Accepted, Denied> {
        let anonymous = &self.site.anonymous;
        let covered = anonymous.covers(asked.head.method(), asked.head.path());
        let open = covered && self.authentication.decider.is_own();
        if open && !anonymous.windows_too {
            return Ok(Accepted::anonymous());
        }
        let Endpoints { number: connection, peer, .. } = self.endpoints;
        let &Asked { number, id, head, .. } = asked;
        let received = ReceivedRequest { connection, number, id, peer, headers: head.fields(), presented };
        let Authentication { authority, decider } = &self.authentication;
        match decider.decide(authority, &received).await {
            Err(Denied::Unauthorized(_)) if open && *presented == Presented::Nothing => Ok(Accepted::anonymous()),
            decided => decided,
        }
    }

    /// Runs the application for the sender, unless an ACL refuses the sender.
    async fn process(
        &self,
        asked: &Asked<'_>,
        Accepted { identity: RequestIdentity { user, delegated, completes }, cookie }: Accepted,
        body: &mut impl RequestBody,
    ) -> Result<Outcome, Unanswered> {
        let (resource, opened) = self.resource(asked.head.path(), user.as_ref());
        let forbidden = resource == Resource::Forbidden
            || opened == Some(Opened::Refused)
            || user.as_ref().is_some_and(|user| self.site.forbidden.contains(user));
        let mut outcome = if forbidden {
            let (win32, challenge, ticket) = (Win32::ACCESS_DENIED.0, None, None);
            let refused = Unauthorized { substatus: ACL, win32, challenge, refused: false, ticket };
            self.refuse(&refused, user)
        } else {
            let received = body.read(self.site.limits.body).await?;
            if let Resource::Slow(time) = resource {
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(time) => {}
                    how = body.gone() => return Err(Unanswered::Gone(how)),
                }
            }
            let hop = (resource == Resource::Hop).then(|| app::second_hop(user.as_ref(), delegated));
            self.run(asked, resource, user, hop, received)
        };
        if let Some(done) = completes.filter(|_| !forbidden) {
            outcome.answer.complete(&done);
        }
        if let Some(cookie) = cookie {
            outcome.answer.set_cookie(cookie);
        }
        Ok(outcome)
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
        asked: &Asked<'_>,
        resource: Resource,
        user: Option<Principal>,
        hop: Option<String>,
        received: Received,
    ) -> Outcome {
        /// The Windows error ERROR_FILE_NOT_FOUND, which IIS logs with 404.
        const FILE_NOT_FOUND: u32 = 2;
        let (answer, win32, processed) = match resource {
            Resource::Bytes(length) => {
                (Answer::application("application/octet-stream", AnswerBody::Pattern { sent: 0, length }), 0, true)
            }
            Resource::Missing => (Answer::not_found(), FILE_NOT_FOUND, false),
            Resource::Echo
            | Resource::Slow(_)
            | Resource::File
            | Resource::Hop
            | Resource::Forbidden
            | Resource::Socket => {
                let json = app::render(&AppAnswer {
                    server: self.site.name.clone(),
                    connection: self.endpoints.number,
                    number: asked.number,
                    user: user.clone(),
                    method: asked.head.method().to_owned(),
                    path: asked.head.path_and_query().to_owned(),
                    length: received.length,
                    digest: received.digest,
                    hop,
                });
                // IIS 8.0 is the first version that supports WebSocket (Microsoft, "IIS 8.0 WebSocket Protocol
                // Support").
                let may_switch = resource == Resource::Socket && self.site.version != IisVersion::Iis6;
                if may_switch { socket(asked.head, json) } else { page(json) }
            }
        };
        Outcome { answer, substatus: 0, win32, user, processed, received }
    }

    /// Answers 401.
    fn refuse(&self, refused: &Unauthorized, user: Option<Principal>) -> Outcome {
        let schemes = &self.site.auth.schemes;
        let goes_on = refused.challenge.is_some() && !refused.refused;
        let kernel = self.site.kernel_mode() && self.authentication.decider.is_own();
        let mut answer = if goes_on && kernel {
            Answer::challenged_by_http_sys(refused, schemes)
        } else {
            Answer::unauthorized(refused, schemes)
        };
        answer.closes = self.ends(refused);
        let &Unauthorized { substatus, win32, .. } = refused;
        Outcome { substatus, user, ..Outcome::refused(answer, win32) }
    }

    /// Returns whether a 401 closes the connection, which ends any handshake on it.
    fn ends(&self, refused: &Unauthorized) -> bool {
        match self.site.keep_alive {
            // With keep-alives off, `answer` closes the connection after every answer, not only after a 401.
            KeepAlive::Always | KeepAlive::Never => false,
            KeepAlive::ClosedByFailure => refused.refused,
            KeepAlive::ClosedByChallenge => refused.refused || refused.challenge.is_some(),
        }
    }

    /// Records the answer in the trace and in the log.
    fn conclude(&self, asked: &Asked<'_>, outcome: Outcome) -> Answer {
        let Outcome { answer, substatus, win32, user, processed, received } = outcome;
        let status = answer.status;
        if let Some(log) = self.site.log.as_ref().filter(|_| !answer.is_refused_by_http_sys()) {
            log(&self.entry(asked, status, substatus, win32, user.clone()));
        }
        self.env.record(What::ServerAnswered {
            connection: self.endpoints.number,
            number: asked.number,
            request: asked.id,
            leg: asked.leg,
            status,
            substatus,
            win32,
            user,
            processed,
            length: received.length,
            digest: received.digest,
        });
        answer
    }

    fn entry(&self, asked: &Asked<'_>, status: u16, substatus: u16, win32: u32, user: Option<Principal>) -> Entry {
        let head = asked.head;
        Entry {
            unix_seconds: self.env.clock.unix_seconds(),
            server: self.endpoints.local,
            client: self.endpoints.peer,
            method: head.method().to_owned(),
            stem: head.path().to_owned(),
            query: head.query().map(str::to_owned),
            user,
            agent: head.fields().first("User-Agent").map(|agent| app::text(agent).into_owned()),
            status,
            substatus,
            win32,
            time_taken: (self.env.clock.now() - asked.received).as_millis() as u64,
        }
    }
}

impl Outcome {
    /// Returns a refusal: the application did not run, and nobody read the body.
    fn refused(answer: Answer, win32: u32) -> Self {
        Self { answer, substatus: 0, win32, user: None, processed: false, received: Received::NOTHING }
    }
}

/// Returns the application's answer, ERROR_SUCCESS for the log, and `true`, because the request was processed.
fn page(json: Bytes) -> (Answer, u32, bool) {
    (Answer::application("application/json", AnswerBody::whole(json)), 0, true)
}

/// Returns the answer to a request for `/socket`: a WebSocket if it asks for one.
fn socket(head: &RequestHead, json: Bytes) -> (Answer, u32, bool) {
    match web_socket::Asked::of(head) {
        web_socket::Asked::Nothing => page(json),
        web_socket::Asked::Socket(accept) => (Answer::switching(accept, AnswerBody::whole(json)), 0, true),
        web_socket::Asked::OtherVersion => (Answer::no_socket(true), 0, false),
        web_socket::Asked::Malformed => (Answer::no_socket(false), 0, false),
    }
}

/// Returns the name that the sender of a request gives itself: in a header field, or in the query of the path, for a
/// browser that cannot set fields. A percent-encoded value does not count as a name.
fn sender(head: &RequestHead) -> Option<&str> {
    let field = head.fields().first(SENDER_HEADER).and_then(|name| std::str::from_utf8(name).ok());
    let pairs = head.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let in_query = || pairs.filter(|(name, _)| *name == SENDER_HEADER).map(|(_, value)| value).next();
    let name = field.map(str::trim).or_else(|| in_query().filter(|name| !name.contains(['%', '+'])))?;
    (1..=MAX_SENDER).contains(&name.len()).then_some(name)
}
