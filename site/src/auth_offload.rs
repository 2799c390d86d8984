//! The authentication of clients by a balancer that terminates it.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use stickler_lb_core::{DownstreamId, Edit, Protocol, RequestHead};
use stickler_lb_proxy::{self as lb, BoxFuture};
use stickler_mock_iis::{AuthOutcome, FrontEndAuthenticator, WebSite};
use stickler_model::Env;
use stickler_net::Net;

/// Authenticates each downstream connection against a DC, and names its user to the backends in a request header.
///
/// A value that a client sends in that header is never forwarded (ID-4), and neither are the client's credentials,
/// which are meant for the balancer. Clients that use HTTP/2 are told to use HTTP/1.1.
pub struct AuthOffload {
    authenticator: FrontEndAuthenticator,
    header: HeaderName,
}

impl AuthOffload {
    /// Creates the gate of a balancer that runs on `net`. It authenticates with the account and the providers of
    /// `site`.
    ///
    /// # Errors
    /// Returns `header` if it is not a field name.
    pub fn gate<N: Net>(net: &N, env: Env, site: Arc<WebSite>, header: &str) -> Result<Arc<dyn lb::Gate>, String> {
        let header = HeaderName::try_from(header).map_err(|_| header.to_owned())?;
        Ok(Arc::new(Self { authenticator: FrontEndAuthenticator::new(net, env, site), header }))
    }
}

impl lb::Gate for AuthOffload {
    fn admit<'a>(&'a self, downstream: DownstreamId, head: &'a RequestHead<'a>) -> BoxFuture<'a, lb::Admission> {
        Box::pin(async move {
            // http.sys does the same: authentication belongs to a connection, and the handshakes of two of its streams would
            // end each other (Microsoft, "HTTP/2 on IIS": Windows authentication falls back to HTTP/1.1).
            if matches!(head.protocol, Protocol::Http2 { .. }) {
                return lb::Admission::Http1Required;
            }
            match self.authenticator.authenticate(downstream.0.into(), head.headers).await {
                AuthOutcome::Authenticated(user) => {
                    // A principal is text, and a text with a control character is not a valid name.
                    let Ok(name) = HeaderValue::try_from(user.as_str()) else {
                        return lb::Admission::Answer(answer(StatusCode::FORBIDDEN, &[]));
                    };
                    lb::Admission::Pass(vec![Edit::Set(self.header.clone(), name), Edit::Remove(AUTHORIZATION)])
                }
                AuthOutcome::Refused { status, challenges } => lb::Admission::Answer(answer(status, &challenges)),
            }
        })
    }

    fn closed(&self, downstream: DownstreamId) {
        self.authenticator.closed(downstream.0.into());
    }
}

fn answer(status: StatusCode, challenges: &[HeaderValue]) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    for challenge in challenges {
        response.headers_mut().append(WWW_AUTHENTICATE, challenge.clone());
    }
    response
}
