//! The agent that logs on for a health check.

use std::io;
use std::sync::Arc;

use http::StatusCode;
use stickler_lb_core::Backend;
use stickler_lb_proxy::health::{LogonAgent, LogonResult};
use stickler_lb_proxy::{BoxFuture, UpstreamTls};
use stickler_mock_client::{Check, check_on};
use stickler_model::{Env, Identity};
use stickler_net::Net;
use stickler_tls::Secured;

/// The maximum length of the part of a page that a check reads, in bytes.
const PAGE: usize = 64 * 1024;

/// Logs on to a backend for [`Probe::Logon`](stickler_lb_core::health::Probe::Logon), on a separate connection that
/// never serves a client.
pub struct CheckUser<N> {
    net: N,
    env: Env,
    host: String,
    identity: Identity,
    tls: Option<UpstreamTls>,
}

impl<N: Net> CheckUser<N> {
    /// Creates an agent that connects over `net`, names the site `host` in its requests and logs on as `identity`. It
    /// uses TLS if the backends do. Randomness and time for the tokens come from `env`.
    pub fn agent(net: N, env: Env, host: String, identity: Identity, tls: Option<UpstreamTls>) -> Arc<dyn LogonAgent> {
        Arc::new(Self { net, env, host, identity, tls })
    }

    async fn connect(&self, backend: &Backend) -> io::Result<Secured<N::Stream>> {
        let stream = self.net.connect(backend.address).await?;
        match &self.tls {
            None => Ok(Secured::Plain(stream)),
            Some(tls) => tls.connect(backend, stream).await,
        }
    }
}

impl<N: Net> LogonAgent for CheckUser<N> {
    fn log_on<'a>(&'a self, backend: &'a Backend, uri: &'a str) -> BoxFuture<'a, LogonResult> {
        let wanted = Check { host: &self.host, uri, identity: Some(&self.identity), keep: PAGE };
        Box::pin(async move {
            let Ok(stream) = self.connect(backend).await else { return LogonResult::Unanswered };
            let Ok(checked) = check_on(stream, &self.env, &wanted).await else { return LogonResult::Unanswered };
            let Ok(status) = StatusCode::from_u16(checked.status) else { return LogonResult::Unanswered };
            LogonResult::Answered { status, logged_on: checked.logged_on, body: checked.body.into() }
        })
    }
}
