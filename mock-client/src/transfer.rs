//! The execution of one request by a client: all its legs, on connections from the client's pool.

use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};

use h2::Reason;
use http::HeaderValue;
use http_body_util::BodyExt as _;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::http::{AuthToken, DEFAULT_TOKEN_LIMIT, Scheme, parse_challenges};
use stickler_auth::kerberos::PrincipalName;
use stickler_auth::spnego::KerberosOffer;
use stickler_http1::{Fields, Lookup as _, ReadError, ResponseHead};
use stickler_model::agent::Expectation;
use stickler_model::event::Credentials;
use stickler_model::sync::Lock;
use stickler_model::topology::Http2;
use stickler_model::{BodySending, Env, Leg, Payload, RequestId, RequestSpec, What};
use stickler_net::{Net, Stream};

use crate::agent::{Body, Exchange, Loss, MethodKind, Response, Send, Step, Target};
use crate::connection::{Connection, Sender};
use crate::cookies::Jar;
use crate::error::{Cause, InvalidRequest, NoAnswer};
use crate::http1::{self, After, Broken, Upload};
use crate::message::{Reader, Received, Template, echoed};
use crate::pool::ConnectionPool;
use crate::profile::UserAgent;
use crate::secure::{Secure, reset_by_peer};
use crate::session::{Holder, UserSession};
use crate::tickets::{Kdcs, TokenContext};
use crate::traced::TracedHeaders;

/// The maximum number of folders of a site that a client remembers as having challenged it.
const MOST_FOLDERS: usize = 100;

/// The state that the clones of a client share.
pub(crate) struct Shared<N: Net> {
    pub(crate) net: N,
    pub(crate) env: Env,
    pub(crate) agent: Arc<UserAgent>,
    /// The value of `User-Agent`.
    pub(crate) product: HeaderValue,
    pub(crate) session: Lock<Arc<UserSession>>,
    /// The cookies; `None` if the client keeps none.
    pub(crate) jar: Option<Lock<Jar>>,
    /// The lock that the current request holds if the client can have only one connection.
    pub(crate) turn: Option<tokio::sync::Mutex<()>>,
    pub(crate) target: SocketAddr,
    pub(crate) host_header: String,
    /// The host as a header's value; `None` if HTTP does not allow it.
    pub(crate) host: Option<HeaderValue>,
    /// The site's service name; `None` if the site has none, or if the client may not use Kerberos.
    pub(crate) service: Option<PrincipalName>,
    pub(crate) delegates: bool,
    /// The number of seconds by which the client's clock is ahead.
    pub(crate) skew: i64,
    pub(crate) http2: Http2,
    /// The folders of the site that have challenged the client
    /// ([`Behaviour::expects_challenge`](stickler_model::agent::Behaviour)).
    pub(crate) challenged: Lock<Vec<(String, Scheme)>>,
    pub(crate) pool: Arc<ConnectionPool<N::Stream>>,
}

/// The parts of a client's configuration that depend on its site and domain.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    pub(crate) traced: Arc<TracedHeaders>,
    pub(crate) kdcs: Arc<Kdcs>,
    pub(crate) tls: Option<Arc<Secure>>,
}

/// One request, in the form that all its legs share.
pub(crate) struct Task<'a> {
    template: Template<'a>,
    spec: &'a RequestSpec,
    session: Arc<UserSession>,
    environment: &'a Environment,
}

/// The kind of connection that a request uses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    /// An HTTP/2 connection that several requests share, if the server supports that.
    Shared,
    /// An HTTP/1.1 connection for this request alone.
    Exclusive,
}

/// The answer to one leg, read to its end.
pub(crate) struct LegAnswer {
    pub(crate) status: u16,
    offers: Vec<AuthToken>,
    /// Whether the next leg may use the same connection.
    keeps_alive: bool,
    /// Whether the next leg leaves an HTTP/2 connection.
    leaves_http2: bool,
    /// The fields of its head.
    pub(crate) fields: Fields,
    pub(crate) content: Received,
}

/// An answer that was read to its end.
struct Reply {
    status: u16,
    fields: Fields,
    after: After,
    content: Received,
}

/// The reason why a leg has no answer.
enum Failure {
    /// The connection was lost before an answer came. The request may be sent again if that is safe.
    Lost(Loss, Cause),
    /// The server requires HTTP/1.1, and has not processed the request.
    Http1Required,
    /// The error would occur on any other connection as well.
    Final(NoAnswer),
}

impl From<NoAnswer> for Failure {
    fn from(error: NoAnswer) -> Self {
        Self::Final(error)
    }
}

impl From<InvalidRequest> for Failure {
    fn from(error: InvalidRequest) -> Self {
        Self::Final(error.into())
    }
}

impl<'a> Task<'a> {
    /// Parses a request of a session.
    ///
    /// # Errors
    /// HTTP does not allow the request.
    pub(crate) fn new(
        id: RequestId,
        spec: &'a RequestSpec,
        session: Arc<UserSession>,
        environment: &'a Environment,
    ) -> Result<Self, InvalidRequest> {
        Ok(Self { template: Template::new(id, spec)?, spec, session, environment })
    }

    /// Returns the kind of connection that the request uses at first. The settings for sending a body apply only to
    /// HTTP/1.1.
    fn transport(&self) -> Transport {
        let tls = self.environment.tls.as_ref().filter(|_| self.spec.sending == BodySending::default());
        if tls.is_some_and(|tls| tls.may_multiplex()) { Transport::Shared } else { Transport::Exclusive }
    }

    /// Begins the exchange on a connection.
    fn begin<S: Stream>(&self, exchange: &mut Exchange, connection: &Connection<S>, expects: Option<Scheme>) -> Step {
        let known = connection.known();
        match known.holder.filter(|holder| holder.session != self.session.number) {
            Some(Holder { scheme, .. }) => exchange.reauthenticate(scheme),
            None => match expects.filter(|_| !known.authenticated) {
                Some(scheme) => exchange.begin_expecting(scheme),
                None => exchange.begin(known.authenticated),
            },
        }
    }
}

impl<N: Net> Shared<N> {
    /// Carries out all legs of a request. Counts them in `requests`, and gives up after `max` of them.
    pub(crate) async fn run(&self, task: &Task<'_>, requests: &mut u32, max: u32) -> Result<LegAnswer, NoAnswer> {
        let _turn = match &self.turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        let method = MethodKind::of(task.template.method());
        let exchange = Exchange::new(self.agent.clone(), task.session.initiator.clone(), method);
        let mut exchange = exchange.with_kerberos(self.service.is_some() && !task.environment.kdcs.is_empty());
        let mut transport = task.transport();
        let mut connection = self.connection(task, transport).await?;
        let (mut step, mut last) = (task.begin(&mut exchange, &connection, self.expected(task)), None);
        loop {
            let send = match step {
                Step::Send(send) => send,
                Step::Ticket(target) => {
                    let offer = self.offer(&task.session, task.environment).await;
                    let reconnects = target == Target::New && offer.is_some();
                    if reconnects {
                        drop(connection);
                        connection = self.connect(task, transport).await?;
                    }
                    step = exchange.ticket(offer, &self.context(connection.binding()));
                    if let (true, Step::Send(send)) = (reconnects, &mut step) {
                        send.connection = Target::Same;
                    }
                    continue;
                }
                Step::Answer => break,
            };
            if send.connection == Target::New {
                drop(connection);
                connection = self.connect(task, transport).await?;
            }
            if *requests == max {
                return Err(NoAnswer::GaveUp(max));
            }
            step = match self.leg(task, &send, &mut connection, requests).await {
                Ok(answer) => {
                    let leaves = connection.is_shared() && !answer.keeps_alive;
                    let response = last.insert(answer).as_response();
                    let step = exchange.take_response(response, &self.context(connection.binding()));
                    if leaves && step != Step::Answer {
                        transport = self.leave_http2(task, &connection);
                    }
                    step
                }
                Err(Failure::Http1Required) => {
                    transport = self.leave_http2(task, &connection);
                    drop(connection);
                    connection = self.connection(task, transport).await?;
                    task.begin(&mut exchange, &connection, self.expected(task))
                }
                Err(Failure::Lost(loss, error)) => {
                    exchange.connection_lost(loss).ok_or_else(|| NoAnswer::Lost(error))?
                }
                Err(Failure::Final(error)) => return Err(error),
            };
        }
        if let (true, Some(tickets), Some(service)) = (exchange.ticket_refused(), &task.session.tickets, &self.service)
        {
            tickets.forget(service).await;
        }
        let answer = last.ok_or(NoAnswer::NothingSent)?;
        if answer.keeps_alive {
            self.pool.keep(&self.net, connection);
        }
        Ok(answer)
    }

    /// Returns the scheme in which a challenge is expected for a request, if the user agent expects one.
    fn expected(&self, task: &Task<'_>) -> Option<Scheme> {
        let path = task.template.path();
        let challenged = self.challenged.lock();
        challenged.iter().find(|(folder, _)| path.starts_with(&**folder)).map(|&(_, scheme)| scheme)
    }

    /// Remembers that the site has challenged a request in this scheme, if the user agent does that.
    fn learn_challenge(&self, task: &Task<'_>, scheme: Scheme) {
        if !self.agent.expects_challenge {
            return;
        }
        let path = task.template.path();
        let folder = &path[..=path.rfind('/').unwrap_or(0)];
        let mut challenged = self.challenged.lock();
        challenged.retain(|(known, _)| !known.starts_with(folder));
        if challenged.len() < MOST_FOLDERS && challenged.iter().all(|(known, _)| !folder.starts_with(&**known)) {
            challenged.push((folder.to_owned(), scheme));
        }
    }

    /// Returns the user's ticket for the site, if one is available.
    pub(crate) async fn offer(&self, session: &UserSession, environment: &Environment) -> Option<Arc<KerberosOffer>> {
        let (tickets, service) = (session.tickets.as_ref()?, self.service.as_ref()?);
        let mutual = self.agent.mutual.asks(self.delegates);
        tickets.ticket(&self.context(None), &environment.kdcs, service, self.delegates, mutual).await
    }

    /// Switches a request to HTTP/1.1. Closes the HTTP/2 connection if the client can have only one.
    fn leave_http2(&self, task: &Task<'_>, connection: &Connection<N::Stream>) -> Transport {
        if let Some(tls) = &task.environment.tls {
            tls.left(self.turn.is_some());
        }
        if self.turn.is_some() {
            connection.close();
        }
        Transport::Exclusive
    }

    /// Sends one HTTP request, and reads the answer to its end.
    async fn leg(
        &self,
        task: &Task<'_>,
        send: &Send,
        connection: &mut Connection<N::Stream>,
        requests: &mut u32,
    ) -> Result<LegAnswer, Failure> {
        let host = self.host.as_ref().ok_or(InvalidRequest::Host)?;
        let id = task.template.id();
        let cookie = self.jar().and_then(|jar| jar.header());
        let upload = self.upload(task, send, connection);
        let mut fields = task.template.fields(send, host, &self.product, cookie, &upload);
        let closes = self.agent.closes_with_proof && matches!(send.leg, Leg::Authenticate | Leg::Ticket);
        if closes && !connection.is_shared() {
            fields.push("Connection", "close");
        }
        let proven = connection.known().proven;
        // After an early answer, or an end that was not announced, the connection may be closed already.
        if !connection.take() {
            return Err(Failure::Lost(Loss { proven, unsent: true }, ReadError::Ended.into()));
        }
        if let Sender::Http2(sender) = connection.sender()
            && let Err(error) = sender.ready().await
        {
            return Err(Unread::Http2 { unsent: true, error }.on(connection, proven));
        }
        *requests += 1;
        connection.learn(|known| known.authenticated &= send.leg == Leg::Anonymous);
        task.environment.traced.sending(&self.env, connection.number(), id, &fields);
        let length = upload.payload.len();
        self.env.record(What::ClientSent { connection: connection.number(), request: id, leg: send.leg, length });
        let reply = if connection.is_shared() {
            self.over_http2(task, &fields, upload.payload, connection).await
        } else {
            self.over_http1(task, &fields, upload, connection).await
        };
        let reply = reply.map_err(|failure| failure.on(connection, proven))?;
        connection.learn(|known| {
            known.proven = true;
            if matches!(send.leg, Leg::Authenticate | Leg::Ticket) {
                let stays = send.leg == Leg::Authenticate || self.persists(&reply.fields);
                known.authenticated = stays && reply.status != 401;
                let holder = |token: &AuthToken| Holder { session: task.session.number, scheme: token.scheme };
                known.holder = send.token.as_ref().map(holder);
            }
        });
        let mut answer = self.receive(task, connection, reply);
        answer.keeps_alive &= !closes;
        Ok(answer)
    }

    /// Returns the way in which a leg sends its body.
    fn upload<'a>(&self, task: &Task<'a>, send: &Send, connection: &Connection<N::Stream>) -> Upload<'a> {
        if send.body == Body::Empty {
            return Upload::nothing();
        }
        let RequestSpec { body: payload, sending, .. } = task.spec;
        let has_body = sending.chunked || !payload.is_empty();
        // The length of a body in chunks is not known.
        let length = if sending.chunked { None } else { Some(payload.len()) };
        let own = self.agent.expectation.filter(|expectation| expectation.applies(length)).map(|own| own.wait);
        let waits = match sending.expect {
            None => own,
            Some(false) => None,
            Some(true) => Some(self.agent.expectation.map_or(Expectation::WAIT, |own| own.wait)),
        };
        Upload {
            payload,
            chunked: sending.chunked,
            waits: waits.filter(|_| has_body),
            rate: sending.limit_rate,
            early: self.agent.early_answer,
            answers_401: task.session.initiator.is_some() && send.leg != Leg::Authenticate,
            begun: send.token.is_some() || connection.known().authenticated,
        }
    }

    /// Sends a request over HTTP/1.1, and reads the answer to its end.
    async fn over_http1(
        &self,
        task: &Task<'_>,
        fields: &Fields,
        upload: Upload<'_>,
        connection: &mut Connection<N::Stream>,
    ) -> Result<Reply, Unread> {
        let link = Arc::clone(connection.link());
        let Sender::Http1 { wire: Some(wire), .. } = connection.sender() else { return Err(Unread::Closed) };
        task.template.write(fields, wire.output());
        let head_only = task.template.method() == http::Method::HEAD;
        let exchange = async {
            let mut exchange = http1::Exchange::new(wire, upload);
            let mut head = ResponseHead::default();
            exchange.head(&mut head).await.map_err(|error| Unread::http1(error, 0))?;
            let mut reader = Reader::new(head.fields());
            let after = exchange.body(&head, head_only, |data| {
                reader.take(data);
                true
            });
            let after = after.await;
            let after = after.map_err(|error| Unread::http1(error, reader.length()))?;
            Ok(Reply { status: head.status(), after, content: reader.finish(), fields: head.into_fields() })
        };
        tokio::select! {
            biased;
            () = link.interrupted() => Err(Unread::Closed),
            reply = exchange => reply,
        }
    }

    /// Sends a request over HTTP/2, and reads the answer to its end.
    async fn over_http2(
        &self,
        task: &Task<'_>,
        fields: &Fields,
        payload: &Payload,
        connection: &mut Connection<N::Stream>,
    ) -> Result<Reply, Unread> {
        let request = task.template.http2(fields, payload).map_err(Unread::Invalid)?;
        let Sender::Http2(sender) = connection.sender() else { return Err(Unread::Closed) };
        let answer = sender.try_send_request(request).await.map_err(|mut error| {
            let unsent = error.take_message().is_some();
            Unread::Http2 { unsent, error: error.into_error() }
        })?;
        let status = answer.status().as_u16();
        let mut fields = Fields::default();
        for (name, value) in answer.headers() {
            fields.push(name.as_str(), value);
        }
        let (mut reader, mut body) = (Reader::new(&fields), answer.into_body());
        while let Some(frame) = body.frame().await {
            let length = reader.length();
            let frame = frame.map_err(|error| NoAnswer::Truncated { length, error: error.into() });
            if let Ok(data) = frame.map_err(Unread::Final)?.into_data() {
                reader.take(&data);
            }
        }
        Ok(Reply { status, fields, after: After::Open, content: reader.finish() })
    }

    /// Records an answer.
    fn receive(&self, task: &Task<'_>, connection: &Connection<N::Stream>, reply: Reply) -> LegAnswer {
        let Reply { status, fields, after, content } = reply;
        let request = task.template.id();
        if after == After::Ends {
            connection.announced();
        }
        let offers = if status == 401 { offers(&fields) } else { Vec::new() };
        if let Some(mut jar) = self.jar() {
            fields.all("Set-Cookie").for_each(|cookie| jar.keep(cookie));
        }
        if let Some(offer) = offers.iter().find(|offer| !offer.token.is_empty()) {
            self.learn_challenge(task, offer.scheme);
        }
        for value in task.environment.traced.received(&fields) {
            self.env.record(What::CookieReceived { connection: connection.number(), request, value });
        }
        self.env.record(What::ClientReceived {
            connection: connection.number(),
            request,
            echoed: echoed(&fields),
            status,
            challenge: offers.iter().any(|offer| !offer.token.is_empty()),
            user: content.application.as_ref().and_then(|application| application.user.clone()),
        });
        let challenged = connection.is_shared() && status == 401;
        let tls = task.environment.tls.as_ref().filter(|_| challenged);
        let leaves_http2 = tls.is_some_and(|tls| tls.leaves_when_challenged());
        let keeps_alive = after == After::Open && !leaves_http2;
        LegAnswer { status, offers, keeps_alive, leaves_http2, fields, content }
    }

    /// Returns a connection for a request: an open one, or a new one.
    async fn connection(&self, task: &Task<'_>, transport: Transport) -> Result<Connection<N::Stream>, NoAnswer> {
        let _turn = self.pool.turn(transport == Transport::Shared).await;
        let mut open = self.pool.shared().filter(|_| transport == Transport::Shared);
        if open.is_none() {
            open = self.pool.idle();
        }
        if let Some(connection) = open {
            return Ok(connection);
        }
        let first = self.pool.is_empty();
        let connection = self.open(task, transport).await?;
        if first && self.agent.preconnects && !connection.is_shared() && self.turn.is_none() {
            self.preconnect(task);
        }
        Ok(connection)
    }

    /// Opens another connection beside the first, and keeps it for a request that needs one.
    fn preconnect(&self, task: &Task<'_>) {
        let (pool, net, env, target) = (Arc::clone(&self.pool), self.net.clone(), self.env.clone(), self.target);
        let tls = task.environment.tls.clone();
        self.net.spawn(async move {
            let tls = tls.as_ref().map(|tls| tls.handshake(false));
            // A failure to open the connection is ignored, because nothing depends on it.
            if let Ok(connection) = pool.open(&net, &env, target, tls).await {
                pool.keep(&net, connection);
            }
        });
    }

    /// Returns a new connection, or the connection to share if there is one.
    async fn connect(&self, task: &Task<'_>, transport: Transport) -> Result<Connection<N::Stream>, NoAnswer> {
        let _turn = self.pool.turn(transport == Transport::Shared).await;
        match self.pool.shared().filter(|_| transport == Transport::Shared) {
            Some(connection) => Ok(connection),
            None => self.open(task, transport).await,
        }
    }

    async fn open(&self, task: &Task<'_>, transport: Transport) -> Result<Connection<N::Stream>, NoAnswer> {
        let tls = task.environment.tls.as_ref().map(|tls| tls.handshake(transport == Transport::Shared));
        let target = self.target;
        let opened = self.pool.open(&self.net, &self.env, target, tls).await;
        opened.map_err(|error| NoAnswer::NoConnection { target, error })
    }

    /// Returns whether a ticket has authenticated its connection, according to the answer (MS-N2HT 3.1.5).
    fn persists(&self, fields: &Fields) -> bool {
        let stated = fields.first("Persistent-Auth").map(|value| value.eq_ignore_ascii_case(b"true"));
        stated.unwrap_or(self.agent.presumes_persistence)
    }

    /// Returns the context for making a token on a connection with this channel binding.
    pub(crate) fn context(&self, binding: Option<ChannelBinding>) -> TokenContext<'_, N> {
        TokenContext { net: &self.net, env: &self.env, skew: self.skew, binding }
    }

    fn jar(&self) -> Option<MutexGuard<'_, Jar>> {
        self.jar.as_ref().map(Lock::lock)
    }

    /// Records the start of a request.
    pub(crate) fn record_start(
        &self,
        id: RequestId,
        spec: &RequestSpec,
        credentials: Credentials,
        session: &UserSession,
        kdcs: &Kdcs,
    ) {
        let ready = self.agent.schemes.first() == Some(&Scheme::Ntlm) || (self.service.is_some() && !kdcs.is_empty());
        self.env.record(What::RequestStarted {
            request: id,
            identity: session.identity.clone(),
            credentials,
            preemptive: self.agent.preemptive && session.initiator.is_some() && ready,
            method: spec.method.clone(),
            path: spec.path.clone(),
            length: spec.body.len(),
            digest: spec.body.digest(),
        });
    }
}

impl LegAnswer {
    fn as_response(&self) -> Response<'_> {
        let Self { status, offers, keeps_alive, leaves_http2, .. } = self;
        Response { status: *status, offers, keeps_alive: *keeps_alive, leaves_http2: *leaves_http2 }
    }
}

/// Returns the offers in `WWW-Authenticate`. User agents ignore a header that they cannot parse.
fn offers(fields: &Fields) -> Vec<AuthToken> {
    parse_challenges(fields.all("WWW-Authenticate"), DEFAULT_TOKEN_LIMIT).unwrap_or_default()
}

/// The reason why an answer could not be read.
enum Unread {
    /// An error over HTTP/1.1 occurred before the head of an answer was complete.
    Http1(ReadError),
    /// An error over HTTP/2 occurred before an answer; `unsent` says whether no part of the request was sent.
    Http2 { unsent: bool, error: hyper::Error },
    /// HTTP/2 does not allow the request.
    Invalid(InvalidRequest),
    /// The client closed the connection.
    Closed,
    /// The answer broke off.
    Final(NoAnswer),
}

impl Unread {
    /// Classifies an error of an exchange over HTTP/1.1, after this many bytes of the answer's body.
    fn http1(error: Broken, length: usize) -> Self {
        match error {
            Broken::NoHead(error) => Self::Http1(error),
            Broken::InBody(error) => Self::Final(NoAnswer::Truncated { length, error: error.into() }),
        }
    }

    /// Returns the meaning of the error for the request. `proven` says whether the connection had delivered an answer
    /// before.
    fn on<S: Stream>(self, connection: &Connection<S>, proven: bool) -> Failure {
        let loss = Loss { proven, unsent: false };
        match self {
            Self::Invalid(error) => error.into(),
            Self::Final(error) => error.into(),
            Self::Closed => NoAnswer::Closed.into(),
            Self::Http1(_) | Self::Http2 { .. } if connection.closed_here() => NoAnswer::Closed.into(),
            Self::Http1(error) if error.is_malformed() => NoAnswer::Malformed(error.into()).into(),
            Self::Http1(error) => Failure::Lost(loss, error.into()),
            Self::Http2 { unsent, error } => match reset_by_peer(&error) {
                Some(Reason::HTTP_1_1_REQUIRED) => Failure::Http1Required,
                // RFC 9113 8.7: the server has not processed any part of the request.
                Some(Reason::REFUSED_STREAM) => Failure::Lost(Loss { unsent: true, ..loss }, error.into()),
                _ if error.is_parse() => NoAnswer::Malformed(error.into()).into(),
                _ => Failure::Lost(Loss { unsent, ..loss }, error.into()),
            },
        }
    }
}
