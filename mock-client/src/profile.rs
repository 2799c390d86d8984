//! The behaviour of a client's user agent, expressed in the types of `auth`. The data comes from
//! [`Agent::behaviour`](stickler_model::agent::Agent::behaviour).

use stickler_auth::http::Scheme;
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_model::Profile;
use stickler_model::agent::{Behaviour, EarlyAnswer, Expectation, Mutual, NegotiateBody, NtlmImplementation};
use stickler_model::capabilities::{AuthScheme, Binds, Capabilities, Packages};

/// The behaviour of a user agent. Its fields are those of [`Behaviour`] and [`Capabilities`].
#[derive(Debug, Clone)]
pub struct UserAgent {
    /// The value of the agent's `User-Agent` header.
    pub product: &'static str,
    /// Whether the agent sends the Negotiate leg at once on a connection that is not authenticated, instead of an
    /// anonymous request first. The scheme is then the first of [`UserAgent::schemes`].
    pub preemptive: bool,
    /// The schemes that the agent can use, in order of preference. The order of the server's offers does not matter.
    pub schemes: Vec<Scheme>,
    /// The body that the Negotiate leg carries.
    pub negotiate_body: NegotiateBody,
    /// Whether the agent begins a handshake at once if it requests a part of the site that has challenged it before.
    pub expects_challenge: bool,
    /// Whether the agent restarts the handshake, once, on a new connection when the server closes the connection with
    /// the Challenge leg.
    pub starts_over: bool,
    /// Whether the agent closes the connection after a 401 without a challenge and starts the handshake on a new one.
    pub close_after_first_401: bool,
    /// The packages that the agent has under `Negotiate`.
    pub negotiate: Packages,
    /// Whether the agent assumes that a ticket has authenticated the connection if the answer does not say so.
    pub presumes_persistence: bool,
    /// Whether the agent tries once more with the server's clock if the server reports that the clocks differ too much.
    pub corrects_clock: bool,
    /// The tokens that the agent binds to the TLS channel (RFC 5929).
    pub binds: Binds,
    /// Whether the agent continues with the next scheme if it has no token for the first.
    pub falls_back: bool,
    /// The condition under which the agent asks servers to prove their identity.
    pub mutual: Mutual,
    /// Whether the agent sends its ticket without SPNEGO.
    pub bare_ticket: bool,
    /// Whether the agent sends `Connection: close` with the proof of its user's identity.
    pub closes_with_proof: bool,
    /// Whether the agent opens a second connection beside its first.
    pub preconnects: bool,
    /// The bodies for which the agent waits for `100 Continue`; `None` if it never does.
    pub expectation: Option<Expectation>,
    /// The reaction of the agent to an answer that arrives before it has sent the whole body.
    pub early_answer: EarlyAnswer,
    /// The behaviour of the agent's NTLM implementation.
    pub ntlm: NtlmProfile,
}

impl UserAgent {
    /// Returns the user agent that a profile names.
    pub fn of(profile: Profile) -> Self {
        let behaviour = profile.agent.behaviour();
        let Behaviour { product, capabilities, negotiate_body, starts_over, presumes_persistence, .. } = behaviour;
        let Capabilities { schemes, packages: negotiate, preemptive, binds, falls_back } = capabilities;
        Self {
            product,
            preemptive,
            schemes: schemes.iter().copied().map(http_scheme).collect(),
            negotiate_body,
            expects_challenge: behaviour.expects_challenge,
            starts_over,
            close_after_first_401: profile.close_after_first_401,
            negotiate,
            presumes_persistence,
            corrects_clock: behaviour.corrects_clock,
            binds,
            falls_back,
            mutual: behaviour.mutual,
            bare_ticket: behaviour.bare_ticket,
            closes_with_proof: profile.closes_with_proof,
            preconnects: profile.preconnects,
            expectation: behaviour.expectation,
            early_answer: behaviour.early_answer,
            ntlm: ntlm(behaviour.ntlm),
        }
    }
}

/// Returns the scheme of `auth`, which reads and writes the header fields.
fn http_scheme(scheme: AuthScheme) -> Scheme {
    match scheme {
        AuthScheme::Ntlm => Scheme::Ntlm,
        AuthScheme::Negotiate => Scheme::Negotiate,
        AuthScheme::Nego2 => Scheme::Nego2,
    }
}

fn ntlm(implementation: NtlmImplementation) -> NtlmProfile {
    match implementation {
        NtlmImplementation::Curl => NtlmProfile::curl(),
        NtlmImplementation::Browser => NtlmProfile::browser(),
        NtlmImplementation::Firefox => NtlmProfile::firefox(),
        NtlmImplementation::Wget => NtlmProfile::wget(),
        NtlmImplementation::Mono => NtlmProfile::mono(),
        NtlmImplementation::Windows => NtlmProfile::windows(),
        NtlmImplementation::Ntlm2Session => NtlmProfile::ntlm2_session(),
        NtlmImplementation::NtlmV1 => NtlmProfile::ntlm_v1(),
    }
}
