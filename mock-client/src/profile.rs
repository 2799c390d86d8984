//! In what user agents differ, as data.
//!
//! Sources: curl 7.88.1, run against a server that keeps state per connection, and its source
//! (`lib/http.c`, `lib/http_ntlm.c`, `tests/data/test176`); Chromium's source (`net/http`,
//! `net/ntlm`) for the browser, with the rule for bodies of clients that ask anonymously first.

use stickler_auth::http::Scheme;
use stickler_auth::ntlm;
use stickler_model::Profile;
use stickler_model::topology::Agent;

/// The habits of a user agent.
#[derive(Debug, Clone)]
pub struct UserAgent {
    /// Its `User-Agent`.
    pub product: &'static str,
    /// Whether it sends the Negotiate leg at once where it knows the connection as not
    /// authenticated, instead of asking anonymously first. Its scheme is then the first of
    /// [`UserAgent::schemes`].
    pub preemptive: bool,
    /// The schemes it can use, the one it likes best first; the order of the server's offers does
    /// not count.
    pub schemes: &'static [Scheme],
    /// What the Negotiate leg carries in place of the body.
    pub negotiate_body: NegotiateBody,
    /// Whether it starts over, once, on a new connection when the server closes the connection with
    /// the Challenge leg. Otherwise it gives up, and the 401 is the answer.
    pub starts_over: bool,
    /// Whether it closes the connection after a 401 without a challenge and starts the handshake on
    /// a new one.
    pub close_after_first_401: bool,
    /// The habits of its NTLM.
    pub ntlm: ntlm::profile::Profile,
}

/// What the Negotiate leg of a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NegotiateBody {
    /// `Content-Length: 0`, unless the method is GET or HEAD; the body goes with the Authenticate
    /// leg. Should the server not ask for authentication, the request is sent again, without a
    /// token and with its body.
    Probe,
    /// The whole body, as on every leg.
    Whole,
}

impl UserAgent {
    /// The user agent that a profile names.
    pub fn of(profile: Profile) -> Self {
        let agent = match profile.agent {
            Agent::Curl => Self::curl(),
            Agent::Browser => Self::browser(),
        };
        Self { close_after_first_401: profile.close_after_first_401, ..agent }
    }

    /// curl 7.88.1 `--ntlm`.
    ///
    /// No `Authorization` after the handshake on its connection; a 401 there restarts the handshake
    /// ("NTLM auth restarted"). A 401 to the Authenticate leg ends it ("NTLM handshake rejected"),
    /// and so does one that closes the connection with the Challenge leg.
    pub fn curl() -> Self {
        Self {
            product: "curl/7.88.1",
            preemptive: true,
            schemes: &[Scheme::Ntlm],
            negotiate_body: NegotiateBody::Probe,
            starts_over: false,
            close_after_first_401: false,
            ntlm: ntlm::profile::Profile::curl(),
        }
    }

    /// A browser, after Chromium.
    ///
    /// It prefers Negotiate, whose token here is raw NTLM. A real browser prompts for another
    /// password after a 401 to the Authenticate leg; this one has one password, tries it once, and
    /// takes that 401 for the answer.
    pub fn browser() -> Self {
        Self {
            product: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chromium",
            preemptive: false,
            schemes: &[Scheme::Negotiate, Scheme::Ntlm],
            negotiate_body: NegotiateBody::Whole,
            starts_over: true,
            close_after_first_401: false,
            ntlm: ntlm::profile::Profile::browser(),
        }
    }
}
