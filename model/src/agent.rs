//! The user agents that a client can imitate.
//!
//! The table in `agents!` is the only place that lists them: the enum, the names in traces and scripts, and the
//! behaviours are generated from it. The clients act in accordance with these facts, and the oracle judges in
//! accordance with them.
//!
//! The sources for programs that use WinINET are Microsoft's IEInternals, "Challenge-Response Authentication and
//! Zero-Length Posts" (2010), and KB 251404. For curl, the sources are curl 7.88.1, run against a server that keeps
//! state per connection, and its source code (`lib/http.c`, `lib/http_ntlm.c`, `lib/http_negotiate.c`,
//! `lib/vauth/spnego_gssapi.c`, `tests/data/test176`). For the browser, and for the bodies of clients that send an
//! anonymous request first, the source is Chromium's code (`net/http`, `net/ntlm`). The rows of other programs name
//! their sources.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::capabilities::{AuthScheme, Binds, Capabilities, Packages};
use AuthScheme::{Nego2, Negotiate, Ntlm};

/// The behaviour of a user agent: what it sends, and how it reacts to the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// The value of the agent's `User-Agent` header.
    pub product: &'static str,
    /// The authentication schemes and security packages of the agent.
    pub capabilities: Capabilities,
    /// The body that the Negotiate leg carries.
    pub negotiate_body: NegotiateBody,
    /// Whether the agent begins a handshake immediately on a new connection if it requests a part of the site that has
    /// challenged it before: a folder and everything below it. Otherwise it sends an anonymous request first on each
    /// connection, unless it authenticates pre-emptively anyway.
    pub expects_challenge: bool,
    /// Whether the agent restarts the handshake, once, on a new connection when the server closes the connection with
    /// the Challenge leg. Otherwise the agent gives up, and the 401 is the answer.
    pub starts_over: bool,
    /// Whether the agent assumes that a ticket has authenticated the connection if the answer does not say so
    /// (`Persistent-Auth`, MS-N2HT).
    pub presumes_persistence: bool,
    /// Whether the agent tries once more with the server's clock if the server reports that the clocks differ too much
    /// (MS-KILE 3.4.5, KRB_AP_ERR_SKEW).
    pub corrects_clock: bool,
    /// The condition under which the agent asks servers to prove their identity by an AP-REP (mutual authentication).
    pub mutual: Mutual,
    /// Whether the agent sends its ticket without SPNEGO around it.
    pub bare_ticket: bool,
    /// Whether the agent opens a second connection beside its first, which is idle until a request needs it. A client's
    /// profile can override this.
    pub preconnects: bool,
    /// The NTLM implementation that the agent uses.
    pub ntlm: NtlmImplementation,
    /// Whether the agent stores cookies and sends them back. A client's profile can override this.
    pub cookies: bool,
    /// The bodies for which the agent waits for `100 Continue` (RFC 9110 10.1.1); `None` if it never does.
    pub expectation: Option<Expectation>,
    /// The reaction of the agent to an answer that arrives before it has sent the whole body.
    pub early_answer: EarlyAnswer,
}

/// The conditions under which a user agent sends `Expect: 100-continue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation {
    /// The length in bytes above which the agent sends the field. It also does so if the length is not known.
    pub over: u64,
    /// The time after which the agent sends the body even without a `100 Continue`.
    pub wait: Duration,
}

impl Expectation {
    /// The time that a user agent waits if a script asks it to wait although it would not do so by itself.
    pub const WAIT: Duration = Duration::from_secs(1);

    /// Returns whether the expectation applies to a body of this length; `None` if the length is not known.
    pub fn applies(self, length: Option<u64>) -> bool {
        length.is_none_or(|length| length > self.over)
    }
}

/// The reaction of a user agent to a final answer that arrives before it has sent the whole body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyAnswer {
    /// The agent sends the rest of the body first. Chromium reads no answer before that, except after an error of the
    /// connection (`net/http/http_stream_parser.cc`: `DoSendBody` before `DoReadHeaders`).
    Finishes,
    /// The behaviour of curl (7.88.1, `lib/http.c`): after a status of 300 or more, it sends no more of the body, and
    /// closes the connection after the answer ("HTTP error before end of send, stop sending"). After a 401 that it will
    /// answer, it nevertheless sends the rest ("Keep sending data to get tossed away") if the handshake has begun on
    /// the connection, or if fewer than 2000 bytes are left (`http_perhapsrewind`).
    StopsAtError,
}

impl EarlyAnswer {
    /// Returns whether the client stops sending after an answer with this status, when `left` bytes of the body remain.
    /// `answers_401` says whether it would reply to a 401 with another leg; `begun` says whether a handshake has begun
    /// or was completed on the connection.
    pub fn stops(self, status: u16, left: u64, answers_401: bool, begun: bool) -> bool {
        /// The number of bytes below which sending the rest is cheaper than a new connection.
        const LITTLE: u64 = 2_000;
        match self {
            Self::Finishes => false,
            Self::StopsAtError if status == 401 && answers_401 => !begun && left >= LITTLE,
            Self::StopsAtError => status >= 300,
        }
    }
}

/// The condition under which a user agent asks servers to prove their identity when it presents a ticket (RFC 4121,
/// GSS_C_MUTUAL_FLAG).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutual {
    /// The agent always asks for it.
    Always,
    /// The agent asks for it only if it delegates the user's credentials.
    WithDelegation,
    /// The agent never asks for it.
    Never,
}

impl Mutual {
    /// Returns whether the agent asks for it, given whether it delegates.
    pub const fn asks(self, delegates: bool) -> bool {
        match self {
            Self::Always => true,
            Self::WithDelegation => delegates,
            Self::Never => false,
        }
    }
}

/// The body of the Negotiate leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NegotiateBody {
    /// The agent sends `Content-Length: 0`, unless the method is GET or HEAD; the Authenticate leg carries the body. If
    /// the server does not require authentication, the agent sends the request again with its body and without a token.
    Probe,
    /// The agent sends the whole body, as on every leg.
    Whole,
    /// The agent sends `Content-Length: 0` if it expects a challenge, unless the method is GET or HEAD; the
    /// Authenticate leg carries the body. If the server does not require authentication there, the agent treats its
    /// answer as the final one, and the body is lost.
    Withheld,
}

/// An implementation of NTLM. The crate `auth` has the flags, fields and responses of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NtlmImplementation {
    /// The implementation in curl.
    Curl,
    /// The implementation in Chromium.
    Browser,
    /// The implementation in Firefox.
    Firefox,
    /// The implementation in wget, which is NTLMv1.
    Wget,
    /// The implementations in Mono and in Perl's `Authen::NTLM`, which are NTLMv1.
    Mono,
    /// The implementation in Windows (SSPI).
    Windows,
    /// The implementation in an old version of Windows, which sends NTLM2 session responses.
    Ntlm2Session,
    /// The implementation in a very old version of Windows, which sends NTLMv1 and LM responses.
    NtlmV1,
}

/// Defines the user agents from the rows of a table. Each row has the variant, its name in traces and scripts, and its
/// behaviour.
macro_rules! agents {
    ($($(#[$doc:meta])+ $variant:ident, $name:literal => $behaviour:expr;)+) => {
        /// A user agent that a client imitates.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Agent {
            $($(#[$doc])+ #[serde(rename = $name)] $variant,)+
        }

        impl Agent {
            /// The name of each user agent in traces and scripts.
            pub const ALL: &[(&str, Self)] = &[$(($name, Self::$variant)),+];

            /// Returns the user agent's name in traces and scripts.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Returns the behaviour of this user agent.
            pub const fn behaviour(self) -> Behaviour {
                match self {
                    $(Self::$variant => $behaviour,)+
                }
            }
        }
    };
}

agents! {
    /// curl 7.88.1 with `--ntlm`.
    ///
    /// curl sends the Negotiate leg at once, with an empty body. After the handshake it sends no `Authorization` on
    /// that connection; a 401 there restarts the handshake ("NTLM auth restarted"). A 401 to the Authenticate leg ends
    /// the handshake ("NTLM handshake rejected"), and so does a Challenge leg that closes the connection.
    Curl, "curl" => Behaviour {
        product: "curl/7.88.1",
        capabilities: Capabilities {
            schemes: &[Ntlm],
            packages: Packages::Kerberos,
            preemptive: true,
            binds: Binds::NEITHER,
            falls_back: false,
        },
        negotiate_body: NegotiateBody::Probe,
        expects_challenge: false,
        starts_over: false,
        presumes_persistence: false,
        corrects_clock: false,
        // `Curl_auth_decode_spnego_message` in `lib/vauth/spnego_gssapi.c` passes TRUE for mutual authentication.
        mutual: Mutual::Always,
        bare_ticket: false,
        preconnects: false,
        ntlm: NtlmImplementation::Curl,
        cookies: false,
        // `EXPECT_100_THRESHOLD` in `lib/http.h`, and `set->expect_100_timeout` in `lib/url.c`.
        expectation: Some(Expectation { over: 1024 * 1024, wait: Duration::from_secs(1) }),
        early_answer: EarlyAnswer::StopsAtError,
    };
    /// curl 7.88.1 with `--negotiate -u :`, linked with MIT krb5.
    ///
    /// Since it has only one scheme, it sends a ticket at once, together with the body. Afterwards it sends a fresh
    /// ticket with every request, unless the answer contains `Persistent-Auth: true`: then it sends none until a 401.
    /// Without a ticket it continues without credentials (since 7.64.1), and GSS-API does not try again with another
    /// clock. It does not use channel binding: curl does so with GSS-API only since 8.10 (pull request 13098), and
    /// never with its own NTLM.
    CurlNegotiate, "curl_negotiate" => Behaviour {
        capabilities: Capabilities {
            schemes: &[Negotiate],
            ..Agent::Curl.capabilities()
        },
        negotiate_body: NegotiateBody::Whole,
        ..Agent::Curl.behaviour()
    };
    /// curl 7.88.1 with `--anyauth -u USER:PASSWORD`, linked with MIT krb5.
    ///
    /// The client sends an anonymous request first, with the whole body, and then picks the strongest scheme that the
    /// 401 offers: Negotiate before NTLM (`pickoneauth` in `lib/http.c`). The client does not change the scheme
    /// afterwards: without a ticket, the 401 is the answer.
    CurlAnyauth, "curl_anyauth" => Behaviour {
        capabilities: Capabilities {
            schemes: &[Negotiate, Ntlm],
            preemptive: false,
            ..Agent::Curl.capabilities()
        },
        ..Agent::Curl.behaviour()
    };
    /// A browser modelled on Chromium on Windows.
    ///
    /// The browser sends an anonymous request first, and the whole body on each leg. It prefers Negotiate: with
    /// Kerberos if it gets a ticket, otherwise with raw NTLM, as on Windows. It supports `Nego2`, which Chromium lacks,
    /// for sites that offer nothing else, as WinINet does. It ignores `Persistent-Auth` unless the value is negative. A
    /// real browser prompts for another password after a 401 to the Authenticate leg. This one has only one password,
    /// tries it once, and treats that 401 as the answer.
    Browser, "browser" => Behaviour {
        product: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chromium",
        capabilities: Capabilities {
            schemes: &[Negotiate, Ntlm, Nego2],
            packages: Packages::KerberosOrNtlm,
            preemptive: false,
            binds: Binds::BOTH,
            falls_back: false,
        },
        negotiate_body: NegotiateBody::Whole,
        expects_challenge: false,
        starts_over: true,
        presumes_persistence: true,
        corrects_clock: true,
        // `net/http/http_auth_sspi_win.cc`: ISC_REQ_MUTUAL_AUTH is set together with ISC_REQ_DELEGATE, and never alone.
        mutual: Mutual::WithDelegation,
        bare_ticket: false,
        preconnects: false,
        ntlm: NtlmImplementation::Browser,
        cookies: true,
        expectation: None,
        early_answer: EarlyAnswer::Finishes,
    };
    /// Programs that use WinINET: Internet Explorer, Edge in IE mode, Office.
    ///
    /// The agent behaves like the browser, with two differences. Once a folder of the site has challenged it, it begins
    /// each new connection with the Negotiate leg for that folder and everything below it. It holds a body back until
    /// the challenge has arrived, so that it does not send the body twice. If the server does not ask for a logon, the
    /// server gets only an empty request.
    Wininet, "wininet" => Behaviour {
        product: "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
        negotiate_body: NegotiateBody::Withheld,
        expects_challenge: true,
        // The real behaviour is not known. The agent is assumed to ask always.
        mutual: Mutual::Always,
        ntlm: NtlmImplementation::Windows,
        ..Agent::Browser.behaviour()
    };
    /// Chromium on Linux: MIT krb5 for Negotiate, its own NTLM.
    ///
    /// With GSS-API, the agent may ask for delegation, but never for mutual authentication (`DelegationTypeToFlag` in
    /// `net/http/http_auth_gssapi_posix.cc`). It passes no channel binding (`GSS_C_NO_CHANNEL_BINDINGS` there), but its
    /// own NTLM does pass one. Without a ticket, it changes to NTLM if the 401 offers NTLM too (`HttpAuthController`,
    /// which disables the scheme and chooses again). It opens a second connection to the site of a page: "open minimum
    /// 2 sockets to the main frame host" (`chrome/browser/predictors/loading_predictor.cc`).
    ChromiumLinux, "chromium_linux" => Behaviour {
        product: "Mozilla/5.0 (X11; Linux x86_64) Chromium",
        capabilities: Capabilities {
            schemes: &[Negotiate, Ntlm],
            packages: Packages::Kerberos,
            preemptive: false,
            binds: Binds { ntlm: true, kerberos: false },
            falls_back: true,
        },
        corrects_clock: false,
        mutual: Mutual::Never,
        preconnects: true,
        ..Agent::Browser.behaviour()
    };
    /// Firefox on Linux: MIT krb5 for Negotiate, its own NTLM.
    ///
    /// Firefox may ask for delegation, but for nothing else (`nsHttpNegotiateAuth::ChallengeReceived` in
    /// `extensions/auth`). It uses no channel binding: its NTLM has neither channel binding nor a MIC
    /// (`security/manager/ssl/nsNTLMAuthModule.cpp`). It authenticates only when asked, and continues with the next
    /// scheme if one has no token to offer (`nsHttpChannelAuthProvider::GetCredentials`). Its behaviour is not known if
    /// a server closes the connection with its challenge; it is assumed to do the same as Chromium.
    FirefoxLinux, "firefox_linux" => Behaviour {
        product: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        capabilities: Capabilities { binds: Binds::NEITHER, ..Agent::ChromiumLinux.capabilities() },
        preconnects: false,
        ntlm: NtlmImplementation::Firefox,
        ..Agent::ChromiumLinux.behaviour()
    };
    /// GNU wget 1.21, which sends an anonymous request first and answers an NTLM challenge with NTLMv1
    /// (`src/http-ntlm.c`).
    ///
    /// The connection is then authenticated, and wget sends no further tokens on it. It keeps cookies for the length of
    /// a run.
    Wget, "wget" => Behaviour {
        product: "Wget/1.21.3",
        capabilities: Capabilities { preemptive: false, ..Agent::Curl.capabilities() },
        negotiate_body: NegotiateBody::Whole,
        ntlm: NtlmImplementation::Wget,
        cookies: true,
        expectation: None,
        early_answer: EarlyAnswer::Finishes,
        ..Agent::Curl.behaviour()
    };
    /// A program on Mono's `HttpWebRequest`: NTLMv1 and LM responses, after an anonymous request
    /// (`Mono.Http.NtlmClient`, whose `CanPreAuthenticate` is false). The body of the Negotiate leg is not known; it is
    /// assumed to be the whole body.
    Mono, "mono" => Behaviour {
        product: "Mono",
        ntlm: NtlmImplementation::Mono,
        cookies: false,
        ..Agent::Wget.behaviour()
    };
    /// A Perl program that uses `LWP::UserAgent` with persistent connections. Like Mono, it sends NTLMv1 and LM
    /// responses after an anonymous request (`LWP::Authen::Ntlm`, and `Authen::NTLM` 1.09, whose default is version 1).
    Lwp, "lwp" => Behaviour {
        product: "libwww-perl/6.68",
        ..Agent::Mono.behaviour()
    };
    /// A Python program with `requests-kerberos`: it sends its ticket without SPNEGO, after an anonymous request.
    ///
    /// The program binds the ticket to TLS (`send_cbt`), and requires the server to prove its identity
    /// (`mutual_authentication=REQUIRED`). pyspnego makes the token with the protocol `kerberos`, which does not use
    /// SPNEGO (`requests_kerberos/kerberos_.py`). The program keeps cookies, as a `requests.Session` does.
    RequestsKerberos, "requests_kerberos" => Behaviour {
        product: "python-requests/2.31.0",
        capabilities: Capabilities {
            schemes: &[Negotiate],
            preemptive: false,
            binds: Binds { ntlm: false, kerberos: true },
            ..Agent::Curl.capabilities()
        },
        negotiate_body: NegotiateBody::Whole,
        bare_ticket: true,
        cookies: true,
        expectation: None,
        early_answer: EarlyAnswer::Finishes,
        ..Agent::Curl.behaviour()
    };
}

impl Agent {
    /// Returns the authentication schemes and security packages of this user agent.
    pub const fn capabilities(self) -> Capabilities {
        self.behaviour().capabilities
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curl_stops_at_an_error_unless_that_is_part_of_a_handshake() {
        let curl = EarlyAnswer::StopsAtError;
        assert!(!curl.stops(200, 9_999, true, true));
        assert!(curl.stops(302, 9_999, true, true) && curl.stops(413, 1, true, true));
        assert!(curl.stops(401, 1, false, true), "it has no answer to this 401");
        assert!(!curl.stops(401, 9_999, true, true), "the handshake has begun");
        assert!(curl.stops(401, 2_000, true, false) && !curl.stops(401, 1_999, true, false));
        assert!(!EarlyAnswer::Finishes.stops(500, 9_999, false, false));
    }

    #[test]
    fn curl_waits_with_long_bodies_and_those_of_unknown_length() {
        let curl = Agent::Curl.behaviour().expectation.unwrap();
        assert!(!curl.applies(Some(1024 * 1024)) && curl.applies(Some(1024 * 1024 + 1)) && curl.applies(None));
    }

    #[test]
    fn servers_are_asked_to_prove_themselves_by_some_agents_only() {
        let asks = |agent: Agent| [false, true].map(|delegates| agent.behaviour().mutual.asks(delegates));
        assert_eq!(asks(Agent::CurlNegotiate), [true, true]);
        assert_eq!(asks(Agent::Browser), [false, true]);
        assert_eq!(asks(Agent::ChromiumLinux), [false, false]);
        assert_eq!(asks(Agent::FirefoxLinux), [false, false]);
    }

    #[test]
    fn the_name_of_an_agent_is_the_one_in_traces() {
        for (name, agent) in Agent::ALL {
            assert_eq!(serde_json::to_string(agent).unwrap(), format!("\"{name}\""));
        }
    }
}
