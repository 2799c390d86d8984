//! The headers of a site that a client records in the trace.

use http::HeaderName;
use stickler_http1::Lookup;
use stickler_model::trace::Promises;
use stickler_model::{Env, RequestId, What};

use crate::cookies;

/// The names of the cookie and of the header that a client records in the trace.
#[derive(Debug, Default)]
pub(crate) struct TracedHeaders {
    /// The balancer's persistence cookie.
    cookie: Option<String>,
    /// The header that the site trusts the balancer to set.
    trusted: Option<HeaderName>,
}

impl TracedHeaders {
    /// Takes the names from the balancer's promises.
    pub(crate) fn new(promises: &Promises) -> Self {
        let trusted = promises.trusted_header.as_ref().and_then(|name| HeaderName::try_from(name.as_str()).ok());
        Self { cookie: promises.cookie.clone(), trusted }
    }

    /// Records the traced headers of a request that is about to be sent.
    pub(crate) fn sending(&self, env: &Env, connection: u32, request: RequestId, headers: &impl Lookup) {
        if let Some(name) = &self.cookie {
            for cookie in headers.all("Cookie") {
                let Some(value) = cookies::find(cookie, name).map(text) else { continue };
                env.record(What::CookieSent { connection, request, value });
            }
        }
        if let Some(name) = &self.trusted {
            for value in headers.all(name.as_str()) {
                env.record(What::ClientClaimed { connection, request, value: text(value) });
            }
        }
    }

    /// Returns the values that an answer sets for the persistence cookie.
    pub(crate) fn received(&self, headers: &impl Lookup) -> Vec<String> {
        let Some(traced) = &self.cookie else { return Vec::new() };
        let cookies = headers.all("Set-Cookie").filter_map(cookies::read);
        cookies.filter(|(name, _)| *name == traced.as_bytes()).map(|(_, value)| text(value)).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
