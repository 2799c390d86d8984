//! How user agents differ, as data. What they are able to do is in [`Agent::capabilities`], which the oracle reads as
//! well; the rest of their behaviour is here.
//!
//! Sources: curl 7.88.1, run against a server that keeps state per connection, and its source
//! (`lib/http.c`, `lib/http_ntlm.c`, `tests/data/test176`); Chromium's source (`net/http`,
//! `net/ntlm`) for the browser, with the rule for bodies of clients that ask anonymously first. curl
//! `--negotiate`: its source (`lib/http_negotiate.c`, `lib/vauth/spnego_gssapi.c`).

use stickler_auth::http::Scheme;
use stickler_auth::ntlm;
use stickler_model::Profile;
use stickler_model::capabilities::{AuthScheme, Capabilities, Packages};
use stickler_model::topology::Agent;

/// The behaviour of a user agent.
#[derive(Debug, Clone)]
pub struct UserAgent {
    /// The value of its `User-Agent` header.
    pub product: &'static str,
    /// Whether it sends the Negotiate leg at once on a connection that is not authenticated, instead of an anonymous
    /// request first. Its scheme is then the first of [`UserAgent::schemes`].
    pub preemptive: bool,
    /// The schemes that it can use, in order of preference. The order of the server's offers does not matter.
    pub schemes: Vec<Scheme>,
    /// What the Negotiate leg carries as its body.
    pub negotiate_body: NegotiateBody,
    /// Whether it restarts the handshake, once, on a new connection when the server closes the connection with the
    /// Challenge leg. Otherwise it gives up, and the 401 is the answer.
    pub starts_over: bool,
    /// Whether it closes the connection after a 401 without a challenge and starts the handshake on
    /// a new one.
    pub close_after_first_401: bool,
    /// The packages that it has under `Negotiate`.
    pub negotiate: Packages,
    /// Whether it assumes that a ticket has authenticated the connection if the answer does not say so
    /// (`Persistent-Auth`, MS-N2HT).
    pub presumes_persistence: bool,
    /// Whether it tries once more with the server's clock if the server reports too great a difference (MS-KILE 3.4.5,
    /// KRB_AP_ERR_SKEW).
    pub corrects_clock: bool,
    /// Whether it binds its tokens to the TLS channel (RFC 5929), in either package.
    pub binds: bool,
    /// The behaviour of its NTLM implementation.
    pub ntlm: ntlm::profile::NtlmProfile,
}

/// The body of the Negotiate leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NegotiateBody {
    /// `Content-Length: 0`, unless the method is GET or HEAD; the Authenticate leg carries the body. If the server does
    /// not require authentication, the request is sent again, without a token and with its body.
    Probe,
    /// The whole body, as on every leg.
    Whole,
}

impl UserAgent {
    /// Returns the user agent that a profile names.
    pub fn of(profile: Profile) -> Self {
        let agent = match profile.agent {
            Agent::Curl => Self::curl(),
            Agent::CurlNegotiate => Self::curl_negotiate(),
            Agent::Browser => Self::browser(),
        };
        Self { close_after_first_401: profile.close_after_first_401, ..agent }
    }

    /// Returns curl 7.88.1 with `--ntlm`.
    ///
    /// It sends no `Authorization` after the handshake on a connection; a 401 there restarts the handshake
    /// ("NTLM auth restarted"). A 401 to the Authenticate leg ends it ("NTLM handshake rejected"),
    /// and so does one that closes the connection with the Challenge leg.
    pub fn curl() -> Self {
        let Capabilities { schemes, packages: negotiate, preemptive, binds } = Agent::Curl.capabilities();
        Self {
            product: "curl/7.88.1",
            preemptive,
            schemes: http_schemes(schemes),
            negotiate_body: NegotiateBody::Probe,
            starts_over: false,
            close_after_first_401: false,
            negotiate,
            presumes_persistence: false,
            corrects_clock: false,
            binds,
            ntlm: ntlm::profile::NtlmProfile::curl(),
        }
    }

    /// Returns curl 7.88.1 with `--negotiate -u :`, linked with MIT krb5.
    ///
    /// Since it has only one scheme, it sends a ticket at once, together with the body. Afterwards it sends a fresh
    /// ticket with every request, unless the answer contains `Persistent-Auth: true`: then it sends none until a 401.
    /// Without a ticket it continues without credentials (since 7.64.1), and GSS-API does not try again with another
    /// clock. It binds nothing to TLS: with GSS-API curl does so since 8.10 (pull request 13098), with its own NTLM
    /// never.
    pub fn curl_negotiate() -> Self {
        let Capabilities { schemes, packages: negotiate, preemptive, binds } = Agent::CurlNegotiate.capabilities();
        let schemes = http_schemes(schemes);
        Self { schemes, negotiate, preemptive, binds, negotiate_body: NegotiateBody::Whole, ..Self::curl() }
    }

    /// Returns a browser modelled on Chromium.
    ///
    /// It prefers Negotiate: with Kerberos if it gets a ticket, otherwise with raw NTLM, as on Windows. It supports
    /// `Nego2`, which Chromium lacks, for sites that offer nothing else, as WinINet does. It ignores `Persistent-Auth`
    /// unless the value is negative. A real browser prompts for another password after a 401 to the Authenticate leg;
    /// this one has only one password, tries it once, and takes that 401 as the answer.
    pub fn browser() -> Self {
        let Capabilities { schemes, packages: negotiate, preemptive, binds } = Agent::Browser.capabilities();
        Self {
            product: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chromium",
            preemptive,
            schemes: http_schemes(schemes),
            negotiate_body: NegotiateBody::Whole,
            starts_over: true,
            close_after_first_401: false,
            negotiate,
            presumes_persistence: true,
            corrects_clock: true,
            binds,
            ntlm: ntlm::profile::NtlmProfile::browser(),
        }
    }
}

/// Translates the model's schemes into those of `auth`, which reads and writes the header fields.
fn http_schemes(schemes: &[AuthScheme]) -> Vec<Scheme> {
    let http = |scheme: &AuthScheme| match scheme {
        AuthScheme::Ntlm => Scheme::Ntlm,
        AuthScheme::Negotiate => Scheme::Negotiate,
        AuthScheme::Nego2 => Scheme::Nego2,
    };
    schemes.iter().map(http).collect()
}
