//! A client: carries exchanges out on connections of its own, and notes what it saw.
//!
//! One connection for each request in flight; idle ones are used again. A request that runs out of
//! time, or whose future is dropped, closes its connection. With a port of its own
//! ([`ClientSpec::port`]) it has one connection at a time, and requests wait for their turn.
//!
//! When another user takes the seat, a connection that the one before had authenticated is
//! authenticated anew with its next request: that begins with the Negotiate leg at once.
//!
//! With TLS ([`Client::with_tls`]) its tokens are bound to the certificate that it was shown, where the
//! agent does that. Requests share one connection of HTTP/2, as far as [`ClientSpec::http2`] goes.
//!
//! With a KDC ([`Client::with_kdc`]) it gets tickets for `HTTP/` and the site's name, and keeps them as
//! long as the user stays.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use h2::Reason;
use http::header::{SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyper::body::Incoming;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::http::{AuthToken, DEFAULT_TOKEN_LIMIT, Scheme, format_token, parse_challenges};
use stickler_auth::kerberos::PrincipalName;
use stickler_auth::spnego::KerberosOffer;
use stickler_model::event::Credentials;
use stickler_model::payload::Digest;
use stickler_model::topology::Http2;
use stickler_model::trace::Promises;
use stickler_model::{Answer, ClientSpec, Env, Identity, Leg, RequestId, RequestSpec, What};
use stickler_net::Net;
use stickler_tls::ClientTls;
use tokio::time::timeout;

use crate::agent::{Exchange, Heard, Lost, MethodKind, On, Send, Step};
use crate::connection::{Connection, Connections};
use crate::cookies::Jar;
use crate::message::{Received, Template, describe, echoed, http2, keeps_alive, read};
use crate::profile::UserAgent;
use crate::seat::{Holder, Seat, Watch, host_name};
use crate::secure::{Secure, reset_by_peer};
use crate::tickets::{Host, Kdcs, service};

/// A user agent on one host. Clones are handles on the same one.
#[derive(Clone)]
pub struct Client<N> {
    inner: Arc<Inner<N>>,
    limits: Limits,
    around: Around,
}

/// What a client is told of its surroundings.
#[derive(Clone, Default)]
struct Around {
    watch: Arc<Watch>,
    kdcs: Arc<Kdcs>,
    tls: Option<Arc<Secure>>,
}

/// What a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time from start to end, on the world's clock.
    pub time: Duration,
    /// HTTP requests for one request of the script.
    pub requests: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(30), requests: 8 }
    }
}

struct Inner<N> {
    net: N,
    env: Env,
    agent: Arc<UserAgent>,
    product: HeaderValue,
    seat: Mutex<Arc<Seat>>,
    /// `None` where it keeps no cookies.
    jar: Option<Mutex<Jar>>,
    /// Held by the request whose turn it is, where there can be one connection only.
    turn: Option<tokio::sync::Mutex<()>>,
    target: SocketAddr,
    host_header: String,
    host: Option<HeaderValue>,
    /// The site's name to a KDC; `None` where it has none, or the client may not use Kerberos.
    service: Option<PrincipalName>,
    delegates: bool,
    /// Seconds that its clock is ahead.
    skew: i64,
    http2: Http2,
    connections: Arc<Connections>,
}

/// One request, as all its legs share it.
struct Task<'a> {
    template: Template<'a>,
    seat: Arc<Seat>,
    around: &'a Around,
}

/// Which way a request goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Over a connection of HTTP/2 that it shares, if the server has that.
    Shared,
    /// Over a connection of HTTP/1.1 of its own.
    Own,
}

/// An answer to one leg, read to its end.
struct Response {
    status: u16,
    offers: Vec<AuthToken>,
    /// Whether what follows may go over its connection.
    keeps_alive: bool,
    content: Received,
}

/// Why a leg has no answer.
enum Failure {
    /// The connection was lost before an answer came.
    Lost(Lost, String),
    /// The server wants it over HTTP/1.1, and has done nothing with it.
    Http1Required,
    /// Anything that another connection would not mend.
    Final(String),
}

impl<N: Net> Client<N> {
    /// A client on the host of `net`, which asks `target` and calls it `host_header` (`Host`, and
    /// without its port the service name in NTLM).
    pub fn new(net: N, env: Env, spec: &ClientSpec, target: SocketAddr, host_header: String) -> Self {
        let agent = UserAgent::of(spec.profile);
        let inner = Inner {
            net,
            env,
            product: HeaderValue::from_static(agent.product),
            seat: Mutex::new(Arc::new(Seat::new(0, spec.identity.as_ref(), &agent, &host_header))),
            agent: Arc::new(agent),
            jar: spec.profile.cookies.then(Mutex::default),
            turn: spec.port.map(|_| tokio::sync::Mutex::default()),
            target,
            host: HeaderValue::try_from(host_header.as_str()).ok(),
            service: service(host_name(&host_header)).filter(|_| !spec.no_kerberos),
            delegates: spec.delegates,
            skew: spec.clock_skew,
            http2: spec.http2,
            host_header,
            connections: Arc::default(),
        };
        Self { inner: Arc::new(inner), limits: Limits::default(), around: Around::default() }
    }

    /// The same client, which notes what it receives and sends of the site's persistence cookie and
    /// trusted header, as the balancer's promises name them.
    #[must_use]
    pub fn with_promises(mut self, promises: &Promises) -> Self {
        self.around.watch = Arc::new(Watch::new(promises));
        self
    }

    /// The same client, which knows the KDC of this realm, at a TCP port. The first that it is told of
    /// is that of its user's realm; others are asked when the first refers to them.
    #[must_use]
    pub fn with_kdc(mut self, address: SocketAddr, realm: &str) -> Self {
        Arc::make_mut(&mut self.around.kdcs).add(realm, address);
        self
    }

    /// The same client, which has TLS with the server that goes by its `Host`. HTTP/2 is offered where both `tls`
    /// and [`ClientSpec::http2`] have it.
    #[must_use]
    pub fn with_tls(mut self, tls: ClientTls) -> Self {
        let secure = Secure::new(tls, host_name(&self.inner.host_header), self.inner.http2);
        self.around.tls = Some(Arc::new(secure));
        self
    }

    /// The same client with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Asks, authenticates as the profile does, and gives the answer back: an error is an answer
    /// too. Notes all of it under `id`, which goes out with every leg. `credentials` says whether the
    /// directory accepts the client's identity now; it goes into the trace and changes nothing else.
    pub async fn request(&self, id: RequestId, spec: &RequestSpec, credentials: Credentials) -> Answer {
        let Inner { env, .. } = &*self.inner;
        let started = env.clock.now();
        let seat = Arc::clone(&self.inner.seat());
        self.inner.record_start(id, spec, credentials, (&seat, &self.around.kdcs));
        let mut requests = 0;
        let run = self.inner.run((id, spec), (seat, &self.around), &mut requests, self.limits.requests);
        let outcome = timeout(self.limits.time, run).await;
        let outcome = outcome.unwrap_or_else(|_| Err(format!("timed out after {} s", self.limits.time.as_secs_f64())));
        let mut answer = Answer {
            request: id,
            status: None,
            error: None,
            requests,
            elapsed: env.clock.now() - started,
            application: None,
            body_length: 0,
            body_digest: Digest::EMPTY,
        };
        match outcome {
            Ok(Response { status, content, .. }) => {
                answer.status = Some(status);
                answer.application = content.application;
                (answer.body_length, answer.body_digest) = (content.length, content.digest);
            }
            Err(error) => answer.error = Some(error),
        }
        let (status, error) = (answer.status, answer.error.clone());
        env.record(What::RequestEnded { request: id, status, error });
        answer
    }

    /// The token with which it would begin to authenticate under `Negotiate`, as `Authorization` carries it; `None`
    /// where it has no credentials, or neither a ticket nor anything in its place. Nothing is sent but to a KDC.
    pub async fn first_token(&self) -> Option<String> {
        let inner = &*self.inner;
        let seat = Arc::clone(&inner.seat());
        let exchange = Exchange::new(inner.agent.clone(), seat.initiator.clone(), MethodKind::of(&Method::GET));
        let mut exchange = exchange.with_kerberos(inner.service.is_some() && !self.around.kdcs.is_empty());
        let mut step = exchange.begin_anew(Scheme::Negotiate);
        if let Step::Ticket(_) = step {
            step = exchange.ticket(inner.offer(&seat, &self.around).await, &inner.here(None));
        }
        match step {
            Step::Send(Send { token: Some(token), .. }) => Some(format_token(token.scheme, &token.token)),
            Step::Send(_) | Step::Ticket(_) | Step::Answer => None,
        }
    }

    /// Another user takes the seat: later requests are this one's. Those under way stay the other's.
    pub fn switch_user(&self, identity: &Identity) {
        let inner = &*self.inner;
        let mut seat = inner.seat();
        *seat = Arc::new(Seat::new(seat.number + 1, Some(identity), &inner.agent, &inner.host_header));
    }

    /// Closes all connections. A request in flight on one of them ends with an error; the next one
    /// opens a new connection.
    pub fn disconnect(&self) {
        self.inner.connections.close();
    }
}

impl<N: Net> Inner<N> {
    /// All legs of a request, counted in `requests`.
    async fn run(
        &self,
        (id, spec): (RequestId, &RequestSpec),
        (seat, around): (Arc<Seat>, &Around),
        requests: &mut u32,
        most: u32,
    ) -> Result<Response, String> {
        let task = Task { template: Template::new(id, spec)?, seat, around };
        let _turn = match &self.turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        let kind = MethodKind::of(task.template.method());
        let exchange = Exchange::new(self.agent.clone(), task.seat.initiator.clone(), kind);
        let mut exchange = exchange.with_kerberos(self.service.is_some() && !around.kdcs.is_empty());
        let mut way = self.way(&task);
        let mut connection = self.connection(&task, way).await?;
        let (mut step, mut heard) = (task.begin(&mut exchange, &connection), None);
        loop {
            let send = match step {
                Step::Send(send) => send,
                Step::Ticket(on) => {
                    let offer = self.offer(&task.seat, task.around).await;
                    let anew = on == On::New && offer.is_some();
                    if anew {
                        drop(connection);
                        connection = self.connect(&task, way).await?;
                    }
                    step = exchange.ticket(offer, &self.here(connection.binding));
                    if let (true, Step::Send(send)) = (anew, &mut step) {
                        send.connection = On::Same;
                    }
                    continue;
                }
                Step::Answer => break,
            };
            if send.connection == On::New {
                drop(connection);
                connection = self.connect(&task, way).await?;
            }
            if *requests == most {
                return Err(format!("gave up after {most} HTTP requests"));
            }
            step = match self.leg(&task, &send, &mut connection, requests).await {
                Ok(response) => {
                    let leaves = connection.is_shared() && !response.keeps_alive;
                    let step = exchange.heard(heard.insert(response).heard(), &self.here(connection.binding));
                    if leaves && step != Step::Answer {
                        way = self.leave(&task, &connection);
                    }
                    step
                }
                Err(Failure::Http1Required) => {
                    way = self.leave(&task, &connection);
                    drop(connection);
                    connection = self.connection(&task, way).await?;
                    task.begin(&mut exchange, &connection)
                }
                Err(Failure::Lost(lost, why)) => exchange.lost(lost).ok_or(why)?,
                Err(Failure::Final(why)) => return Err(why),
            };
        }
        if let (true, Some(wallet), Some(service)) = (exchange.ticket_refused(), &task.seat.wallet, &self.service) {
            wallet.forget(service).await;
        }
        let response = heard.ok_or("nothing was sent, so nothing came back")?;
        if response.keeps_alive {
            self.connections.keep(connection);
        }
        Ok(response)
    }

    /// The user's ticket for the site, if there is one to be had.
    async fn offer(&self, seat: &Seat, around: &Around) -> Option<Arc<KerberosOffer>> {
        let (wallet, service) = (seat.wallet.as_ref()?, self.service.as_ref()?);
        wallet.ticket(&self.here(None), &around.kdcs, service, self.delegates).await
    }

    /// Which way a request goes at first.
    fn way(&self, task: &Task<'_>) -> Way {
        let preemptive = self.agent.preemptive && task.seat.initiator.is_some();
        let multiplex = task.around.tls.as_ref().is_some_and(|tls| tls.may_multiplex(preemptive));
        if multiplex { Way::Shared } else { Way::Own }
    }

    /// A request leaves HTTP/2. Where there can be one connection only, that one closes.
    fn leave(&self, task: &Task<'_>, connection: &Connection) -> Way {
        if let Some(tls) = &task.around.tls {
            tls.left(self.turn.is_some());
        }
        if self.turn.is_some() {
            connection.close();
        }
        Way::Own
    }

    /// Sends one HTTP request, and reads the answer to its end.
    async fn leg(
        &self,
        task: &Task<'_>,
        send: &Send,
        connection: &mut Connection,
        requests: &mut u32,
    ) -> Result<Response, Failure> {
        let host = self.host.as_ref();
        let host = host.ok_or_else(|| Failure::Final("the host header is not valid in HTTP".into()))?;
        let id = task.template.id();
        let cookie = self.jar().and_then(|jar| jar.header());
        let (mut request, length) = task.template.request(send, host, &self.product, cookie);
        if connection.is_shared() {
            request = http2(request).map_err(Failure::Final)?;
        }
        let proven = connection.known().proven;
        // After an early answer the rest of the request's body may still be on its way out.
        let ready = connection.ready().await;
        ready.map_err(|error| lost(connection, Lost { proven, unsent: true }, &error))?;
        *requests += 1;
        connection.learn(|known| known.authenticated &= send.leg == Leg::Anonymous);
        task.around.watch.sending(&self.env, connection.number, id, request.headers());
        self.env.record(What::ClientSent { connection: connection.number, request: id, leg: send.leg, length });
        let answer = connection.send(request).await.map_err(|mut error| {
            let unsent = error.take_message().is_some();
            lost(connection, Lost { proven, unsent }, error.error())
        })?;
        connection.learn(|known| {
            known.proven = true;
            if matches!(send.leg, Leg::Authenticate | Leg::Ticket) {
                let stays = send.leg == Leg::Authenticate || self.persists(answer.headers());
                known.authenticated = stays && answer.status() != StatusCode::UNAUTHORIZED;
                known.holder = send.token.as_ref().map(|token| Holder { seat: task.seat.number, scheme: token.scheme });
            }
        });
        self.receive(task, connection, answer).await.map_err(Failure::Final)
    }

    /// Reads an answer to its end, and notes it.
    async fn receive(
        &self,
        task: &Task<'_>,
        connection: &Connection,
        answer: http::Response<Incoming>,
    ) -> Result<Response, String> {
        let request = task.template.id();
        let keeps_alive = keeps_alive(&answer);
        if !keeps_alive {
            connection.announced();
        }
        let status = answer.status();
        let offers = if status == StatusCode::UNAUTHORIZED { offers(answer.headers()) } else { Vec::new() };
        let echoed = echoed(answer.headers());
        if let Some(mut jar) = self.jar() {
            answer.headers().get_all(SET_COOKIE).iter().for_each(|cookie| jar.keep(cookie.as_bytes()));
        }
        let cookies = task.around.watch.received(answer.headers());
        let content = read(answer).await?;
        for value in cookies {
            self.env.record(What::CookieReceived { connection: connection.number, request, value });
        }
        self.env.record(What::ClientReceived {
            connection: connection.number,
            request,
            echoed,
            status: status.as_u16(),
            challenge: offers.iter().any(|offer| !offer.token.is_empty()),
            user: content.application.as_ref().and_then(|application| application.user.clone()),
        });
        let tls = task.around.tls.as_ref().filter(|_| connection.is_shared() && status == StatusCode::UNAUTHORIZED);
        let keeps_alive = keeps_alive && !tls.is_some_and(|tls| tls.leaves_when_challenged());
        Ok(Response { status: status.as_u16(), offers, keeps_alive, content })
    }

    /// A connection for a request: one that is there, or a new one.
    async fn connection(&self, task: &Task<'_>, way: Way) -> Result<Connection, String> {
        let _turn = self.connections.turn(way == Way::Shared).await;
        let mut there = self.connections.shared().filter(|_| way == Way::Shared);
        if there.is_none() {
            there = self.connections.idle().await;
        }
        match there {
            Some(connection) => Ok(connection),
            None => self.open(task, way).await,
        }
    }

    /// A new connection; but where there is one to share, that is it.
    async fn connect(&self, task: &Task<'_>, way: Way) -> Result<Connection, String> {
        let _turn = self.connections.turn(way == Way::Shared).await;
        match self.connections.shared().filter(|_| way == Way::Shared) {
            Some(connection) => Ok(connection),
            None => self.open(task, way).await,
        }
    }

    async fn open(&self, task: &Task<'_>, way: Way) -> Result<Connection, String> {
        let tls = task.around.tls.as_ref().map(|tls| tls.handshake(way == Way::Shared));
        let opened = self.connections.open(&self.net, &self.env, self.target, tls).await;
        opened.map_err(|error| format!("no connection to {}: {}", self.target, describe(&error)))
    }

    /// Whether a ticket has authenticated its connection, as the answer says (MS-N2HT 3.1.5).
    fn persists(&self, headers: &HeaderMap) -> bool {
        let said = headers.get("persistent-auth").map(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
        said.unwrap_or(self.agent.presumes_persistence)
    }

    /// The host, with a connection of this binding in use.
    fn here(&self, binding: Option<ChannelBinding>) -> Host<'_, N> {
        Host { net: &self.net, env: &self.env, skew: self.skew, binding }
    }

    /// No code that can panic runs under these locks.
    fn seat(&self) -> MutexGuard<'_, Arc<Seat>> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn jar(&self) -> Option<MutexGuard<'_, Jar>> {
        self.jar.as_ref().map(|jar| jar.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record_start(&self, id: RequestId, spec: &RequestSpec, credentials: Credentials, (seat, kdcs): (&Seat, &Kdcs)) {
        let ready = self.agent.schemes.first() == Some(&Scheme::Ntlm) || (self.service.is_some() && !kdcs.is_empty());
        self.env.record(What::RequestStarted {
            request: id,
            identity: seat.identity.clone(),
            credentials,
            preemptive: self.agent.preemptive && seat.initiator.is_some() && ready,
            method: spec.method.clone(),
            path: spec.path.clone(),
            length: spec.body.len(),
            digest: spec.body.digest(),
        });
    }
}

impl Task<'_> {
    /// Begins on this connection.
    fn begin(&self, exchange: &mut Exchange, connection: &Connection) -> Step {
        let known = connection.known();
        match known.holder.filter(|holder| known.authenticated && holder.seat != self.seat.number) {
            Some(Holder { scheme, .. }) => exchange.begin_anew(scheme),
            None => exchange.begin(known.authenticated),
        }
    }
}

impl Response {
    fn heard(&self) -> Heard<'_> {
        Heard { status: self.status, offers: &self.offers, keeps_alive: self.keeps_alive }
    }
}

/// What `WWW-Authenticate` offers. User agents ignore one that they cannot read.
fn offers(headers: &HeaderMap) -> Vec<AuthToken> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().map(HeaderValue::as_bytes);
    parse_challenges(values, DEFAULT_TOKEN_LIMIT).unwrap_or_default()
}

/// What hyper's error on a connection means.
fn lost(connection: &Connection, how: Lost, error: &hyper::Error) -> Failure {
    let reset = reset_by_peer(error);
    if reset == Some(Reason::HTTP_1_1_REQUIRED) {
        Failure::Http1Required
    } else if reset == Some(Reason::REFUSED_STREAM) {
        // RFC 9113 8.7: none of it was processed.
        Failure::Lost(Lost { unsent: true, ..how }, format!("no answer: {}", describe(error)))
    } else if connection.closed_here() {
        Failure::Final("the client closed its connections".into())
    } else if error.is_parse() {
        Failure::Final(format!("the answer is not HTTP: {}", describe(error)))
    } else {
        Failure::Lost(how, format!("no answer: {}", describe(error)))
    }
}
