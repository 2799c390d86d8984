//! In what user agents differ, as data.
//!
//! Sources: curl 7.88.1, run against a server that keeps state per connection, and its source
//! (`lib/http.c`, `lib/http_ntlm.c`, `tests/data/test176`); Chromium's source (`net/http`,
//! `net/ntlm`) for the browser, with the rule for bodies of clients that ask anonymously first. curl
//! `--negotiate`: its source (`lib/http_negotiate.c`, `lib/vauth/spnego_gssapi.c`).

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
    /// What it can do under `Negotiate`.
    pub negotiate: Packages,
    /// Whether it takes a connection for authenticated by a ticket where the answer does not say
    /// (`Persistent-Auth`, MS-N2HT).
    pub presumes_persistence: bool,
    /// Whether it tries once more with the server's clock when that finds its own too far off
    /// (MS-KILE 3.4.5, KRB_AP_ERR_SKEW).
    pub corrects_clock: bool,
    /// Whether it binds its tokens to TLS (RFC 5929), in either package.
    pub binds: bool,
    /// The habits of its NTLM.
    pub ntlm: ntlm::profile::NtlmProfile,
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

/// The packages that a user agent has under `Negotiate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packages {
    /// Kerberos in SPNEGO, as MIT krb5 makes it; without a ticket it sends none.
    Kerberos,
    /// What Windows has: Kerberos before NTLM in SPNEGO; without a ticket, raw NTLM.
    KerberosOrNtlm,
}

impl UserAgent {
    /// The user agent that a profile names.
    pub fn of(profile: Profile) -> Self {
        let agent = match profile.agent {
            Agent::Curl => Self::curl(),
            Agent::CurlNegotiate => Self::curl_negotiate(),
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
            negotiate: Packages::Kerberos,
            presumes_persistence: false,
            corrects_clock: false,
            binds: false,
            ntlm: ntlm::profile::NtlmProfile::curl(),
        }
    }

    /// curl 7.88.1 `--negotiate -u :`, with MIT krb5.
    ///
    /// With one scheme to choose from it sends a ticket at once, and the body with it. Afterwards it
    /// sends a fresh ticket with every request, unless the answer said `Persistent-Auth: true`: then
    /// none, until a 401. Without a ticket it goes on without credentials (since 7.64.1), and GSS-API
    /// does not try again with another clock. It binds nothing to TLS: with GSS-API curl does so since
    /// 8.10 (pull request 13098), with its own NTLM never.
    pub fn curl_negotiate() -> Self {
        Self { schemes: &[Scheme::Negotiate], negotiate_body: NegotiateBody::Whole, ..Self::curl() }
    }

    /// A browser, after Chromium.
    ///
    /// It prefers Negotiate, with Kerberos where it gets a ticket, else with raw NTLM, as Windows makes
    /// it; `Nego2`, which Chromium lacks, it knows for sites that offer nothing else, as WinINet does.
    /// `Persistent-Auth` it does not read, unless that denies. A real browser prompts for another
    /// password after a 401 to the Authenticate leg; this one has one password, tries it once, and
    /// takes that 401 for the answer.
    pub fn browser() -> Self {
        Self {
            product: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chromium",
            preemptive: false,
            schemes: &[Scheme::Negotiate, Scheme::Ntlm, Scheme::Nego2],
            negotiate_body: NegotiateBody::Whole,
            starts_over: true,
            close_after_first_401: false,
            negotiate: Packages::KerberosOrNtlm,
            presumes_persistence: true,
            corrects_clock: true,
            binds: true,
            ntlm: ntlm::profile::NtlmProfile::browser(),
        }
    }
}
