//! The client, which carries out exchanges on its own connections, and records what it sends and receives.
//!
//! Each request in flight has a connection, and idle connections are reused. A request that runs out of time, or whose
//! future is dropped, closes its connection. A client with its own port ([`ClientSpec::port`]) has only one connection
//! at a time, and its requests wait for each other.
//!
//! When another user takes over, a connection that the previous user authenticated is authenticated again with its next
//! request. That request begins with the Negotiate leg at once.
//!
//! With TLS ([`Client::with_tls`]), tokens are bound to the certificate that the server shows, if the agent does that.
//! Requests share one HTTP/2 connection if [`ClientSpec::http2`] allows it.
//!
//! With a KDC ([`Client::with_kdc`]), the client gets tickets for the service `HTTP/` and the site's name, and keeps
//! them until another user takes over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method};
use stickler_auth::http::{Scheme, format_token};
use stickler_http1::Fields;
use stickler_model::action::MAX_ANSWER_HEAD;
use stickler_model::event::Credentials;
use stickler_model::payload::Digest;
use stickler_model::sync::Lock;
use stickler_model::trace::Promises;
use stickler_model::{Answer, ClientSpec, Env, Identity, RequestId, RequestSpec, What};
use stickler_net::Net;
use stickler_tls::ClientTls;
use tokio::time::timeout;

use crate::agent::{Exchange, MethodKind, Send, Step};
use crate::error::NoAnswer;
use crate::pool::ConnectionPool;
use crate::profile::UserAgent;
use crate::secure::Secure;
use crate::session::{UserSession, host_name};
use crate::tickets::service;
use crate::traced::TracedHeaders;
use crate::transfer::{Environment, Shared, Task};

/// A user agent on one host. Clones are handles on the same user agent.
#[derive(Clone)]
pub struct Client<N: Net> {
    shared: Arc<Shared<N>>,
    limits: RequestLimits,
    environment: Environment,
}

/// The limits of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// The time from start to end, on the world's clock.
    pub time: Duration,
    /// The number of HTTP requests for one request of the script.
    pub requests: u32,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { time: ClientSpec::PATIENCE, requests: 8 }
    }
}

impl<N: Net> Client<N> {
    /// Creates a client on the host of `net`, which connects to `target` and refers to it as `host_header`. This is the
    /// value of the `Host` field and, without the port, the service name in NTLM.
    pub fn new(net: N, env: Env, spec: &ClientSpec, target: SocketAddr, host_header: String) -> Self {
        let agent = UserAgent::of(spec.profile);
        let shared = Shared {
            net,
            env,
            product: HeaderValue::from_static(agent.product),
            session: Lock::new(Arc::new(UserSession::new(0, spec.identity.as_ref(), &agent, &host_header))),
            agent: Arc::new(agent),
            jar: spec.profile.cookies.then(Lock::default),
            turn: spec.port.map(|_| tokio::sync::Mutex::default()),
            target,
            host: HeaderValue::try_from(host_header.as_str()).ok(),
            service: service(host_name(&host_header)).filter(|_| !spec.no_kerberos),
            delegates: spec.delegates,
            skew: spec.clock_skew,
            http2: spec.http2,
            host_header,
            challenged: Lock::default(),
            pool: Arc::new(ConnectionPool::new(spec.keep_alive)),
        };
        let time = spec.patience.unwrap_or(ClientSpec::PATIENCE);
        let limits = RequestLimits { time, ..RequestLimits::default() };
        Self { shared: Arc::new(shared), limits, environment: Environment::default() }
    }

    /// Makes the client record the site's persistence cookie and trusted header, which the balancer's promises name.
    #[must_use]
    pub fn with_promises(mut self, promises: &Promises) -> Self {
        self.environment.traced = Arc::new(TracedHeaders::new(promises));
        self
    }

    /// Adds the KDC of a realm, at a TCP address. The first one must be that of the user's realm; others are asked when
    /// it refers to them.
    #[must_use]
    pub fn with_kdc(mut self, address: SocketAddr, realm: &str) -> Self {
        Arc::make_mut(&mut self.environment.kdcs).add(realm, address);
        self
    }

    /// Makes the client use TLS with the server named in its `Host`. It offers HTTP/2 if both `tls` and
    /// [`ClientSpec::http2`] do.
    #[must_use]
    pub fn with_tls(mut self, tls: ClientTls) -> Self {
        let secure = Secure::new(tls, host_name(&self.shared.host_header), self.shared.http2);
        self.environment.tls = Some(Arc::new(secure));
        self
    }

    /// Sets the limits of each request.
    #[must_use]
    pub fn with_limits(mut self, limits: RequestLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Carries out a request, authenticating as the profile does, and returns the answer, which may be an error.
    /// Records everything under `id`, which every leg carries. `credentials` says whether the directory accepts the
    /// client's identity at present; it is recorded in the trace and has no other effect.
    ///
    /// The request belongs to the user who is at the client when this function is called, even if its future is polled
    /// much later.
    pub fn request(
        &self,
        id: RequestId,
        spec: &RequestSpec,
        credentials: Credentials,
    ) -> impl Future<Output = Answer> + use<N> {
        let session = Arc::clone(&self.shared.session.lock());
        // Kilobytes, which the caller would move into a task, and that onto the heap.
        Box::pin(self.clone().request_of(session, id, spec.clone(), credentials))
    }

    async fn request_of(
        self,
        session: Arc<UserSession>,
        id: RequestId,
        spec: RequestSpec,
        credentials: Credentials,
    ) -> Answer {
        let Self { shared, limits, environment } = &self;
        let spec = &spec;
        let started = shared.env.clock.now();
        shared.record_start(id, spec, credentials, &session, &environment.kdcs);
        let mut requests = 0;
        let run = async {
            let task = Task::new(id, spec, session, environment)?;
            shared.run(&task, &mut requests, limits.requests).await
        };
        let outcome = timeout(limits.time, run).await;
        let outcome = outcome.unwrap_or(Err(NoAnswer::Timeout(limits.time)));
        let mut answer = Answer {
            request: id,
            status: None,
            error: None,
            requests,
            elapsed: shared.env.clock.now() - started,
            application: None,
            body_length: 0,
            body_digest: Digest::EMPTY,
            headers: Vec::new(),
        };
        match outcome {
            Ok(received) => {
                answer.status = Some(received.status);
                answer.headers = head_of(&received.fields);
                answer.application = received.content.application;
                (answer.body_length, answer.body_digest) = (received.content.length, received.content.digest);
            }
            Err(error) => answer.error = Some(error.to_string()),
        }
        let (status, error) = (answer.status, answer.error.clone());
        shared.env.record(What::RequestEnded { request: id, status, error });
        answer
    }

    /// Returns the first token that the client would send under `Negotiate`, as the value of `Authorization`; `None` if
    /// it has no credentials, or neither a ticket nor a replacement for one. Only a KDC is asked.
    pub async fn first_token(&self) -> Option<String> {
        let shared = &*self.shared;
        let session = Arc::clone(&shared.session.lock());
        let exchange = Exchange::new(shared.agent.clone(), session.initiator.clone(), MethodKind::of(&Method::GET));
        let mut exchange = exchange.with_kerberos(shared.service.is_some() && !self.environment.kdcs.is_empty());
        let mut step = exchange.reauthenticate(Scheme::Negotiate);
        if let Step::Ticket(_) = step {
            let offer = shared.offer(&session, &self.environment).await;
            step = exchange.ticket(offer, &shared.context(None));
        }
        match step {
            Step::Send(Send { token: Some(token), .. }) => Some(format_token(token.scheme, &token.token)),
            Step::Send(_) | Step::Ticket(_) | Step::Answer => None,
        }
    }

    /// Replaces the user. Later requests belong to the new user; requests in flight still belong to the previous one.
    pub fn switch_user(&self, identity: &Identity) {
        let shared = &*self.shared;
        let mut session = shared.session.lock();
        let number = session.number + 1;
        *session = Arc::new(UserSession::new(number, Some(identity), &shared.agent, &shared.host_header));
    }

    /// Closes all connections. Requests in flight on them end with an error; the next request opens a new connection.
    pub fn disconnect(&self) {
        self.shared.pool.close();
    }
}

/// Returns the fields of a head as text, up to [`MAX_ANSWER_HEAD`] bytes.
fn head_of(fields: &Fields) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut length = 0;
    let fits = fields.iter().take_while(|(name, value)| {
        length += name.len() + value.len();
        length <= MAX_ANSWER_HEAD
    });
    fits.map(|(name, value)| (text(name), text(value))).collect()
}
