//! The means of authentication that a user agent has when a site asks it to authenticate.
//!
//! The capabilities follow from the [`Agent`](crate::agent::Agent), whose table has the sources. They are not part of a
//! trace.

use std::time::Duration;

use crate::event::Leg;
use crate::topology::{ClientSpec, Provider};

/// The time within which a KDC must answer one message of a client.
pub const KDC_PATIENCE: Duration = Duration::from_secs(5);

/// The time for which a client does not ask a KDC again after the KDC did not answer (Windows: `FarKdcTimeout` and the
/// locator's negative cache, 45 s by default).
pub const KDC_LEFT_ALONE: Duration = Duration::from_secs(45);

/// The means by which a user agent can authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The authentication schemes that the agent can use, in its order of preference.
    pub schemes: &'static [AuthScheme],
    /// The security packages that the agent has under [`AuthScheme::Negotiate`] and [`AuthScheme::Nego2`].
    pub packages: Packages,
    /// Whether the agent sends a token of its preferred scheme with the first request on a connection, without
    /// having been asked for one.
    pub preemptive: bool,
    /// The tokens that the agent binds to the server's TLS certificate.
    pub binds: Binds,
    /// Whether the agent continues with the next scheme that a server offers if it has no token for the first.
    /// Otherwise it uses only the first of its own schemes that the server offers.
    pub falls_back: bool,
}

/// The tokens that a user agent binds to the server's TLS certificate (RFC 5929 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binds {
    /// Whether the agent binds its NTLM tokens.
    pub ntlm: bool,
    /// Whether the agent binds its Kerberos tickets.
    pub kerberos: bool,
}

impl Binds {
    /// The agent binds no token.
    pub const NEITHER: Self = Self { ntlm: false, kerberos: false };
    /// The agent binds tokens of both kinds.
    pub const BOTH: Self = Self { ntlm: true, kerberos: true };
}

/// An authentication scheme that carries tokens of a Windows security package, by its name on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthScheme {
    /// `NTLM` (MS-NTHT).
    Ntlm,
    /// `Negotiate` (RFC 4559).
    Negotiate,
    /// `Nego2` (MS-N2HT), which behaves like `Negotiate`.
    Nego2,
}

/// The security packages that a user agent has under `Negotiate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packages {
    /// Kerberos in SPNEGO, as MIT krb5 encodes it. Without a ticket the agent sends no token.
    Kerberos,
    /// The packages of Windows: SPNEGO prefers Kerberos to NTLM. Without a ticket the agent sends raw NTLM.
    KerberosOrNtlm,
}

impl Capabilities {
    /// Returns whether the agent can log on with NTLM if a server offers this provider.
    pub fn has_ntlm_for(&self, provider: Provider) -> bool {
        self.schemes.contains(&provider.scheme())
            && match provider {
                Provider::Ntlm => true,
                Provider::Negotiate | Provider::Nego2 => self.packages == Packages::KerberosOrNtlm,
                Provider::NegotiateKerberos => false,
            }
    }

    /// Returns whether the agent can log on with Kerberos if a server offers this provider.
    pub fn has_kerberos_for(&self, provider: Provider) -> bool {
        provider != Provider::Ntlm && self.schemes.contains(&provider.scheme())
    }
}

impl ClientSpec {
    /// Returns whether the client can log on with NTLM if a server offers this provider.
    pub fn has_ntlm_for(&self, provider: Provider) -> bool {
        self.profile.agent.capabilities().has_ntlm_for(provider)
    }

    /// Returns whether the client is able and allowed to log on with Kerberos if a server offers this provider.
    pub fn has_kerberos_for(&self, provider: Provider) -> bool {
        !self.no_kerberos && self.profile.agent.capabilities().has_kerberos_for(provider)
    }

    /// Returns whether the token of this leg is bound to the TLS certificate that the client was shown.
    pub fn binds(&self, leg: Leg) -> bool {
        let binds = self.profile.agent.capabilities().binds;
        if leg == Leg::Ticket { binds.kerberos } else { binds.ntlm }
    }

    /// Returns those providers of a server that the client tries: all of them, or only those of the client's first
    /// scheme that the server offers.
    pub fn tried<'p>(&self, providers: &'p [Provider]) -> impl Iterator<Item = Provider> + use<'p> {
        let Capabilities { schemes, falls_back, .. } = self.profile.agent.capabilities();
        let offered = |scheme: &&AuthScheme| providers.iter().any(|provider| provider.scheme() == **scheme);
        let first = schemes.iter().find(offered).copied();
        providers.iter().copied().filter(move |provider| falls_back || Some(provider.scheme()) == first)
    }
}

impl Provider {
    /// Returns the scheme under whose name a server offers this provider.
    pub const fn scheme(self) -> AuthScheme {
        match self {
            Self::Ntlm => AuthScheme::Ntlm,
            Self::Negotiate | Self::NegotiateKerberos => AuthScheme::Negotiate,
            Self::Nego2 => AuthScheme::Nego2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Agent;

    #[test]
    fn each_agent_has_the_packages_of_its_schemes_at_each_provider() {
        use Agent::{Browser, ChromiumLinux, Curl, CurlAnyauth, CurlNegotiate, RequestsKerberos, Wget};
        use Provider::{Nego2, Negotiate, NegotiateKerberos, Ntlm};
        let rows = [
            // The columns are: agent, provider, NTLM, Kerberos.
            (Curl, Ntlm, true, false),
            (Curl, Negotiate, false, false),
            (Curl, NegotiateKerberos, false, false),
            (Curl, Nego2, false, false),
            (CurlNegotiate, Ntlm, false, false),
            (CurlNegotiate, Negotiate, false, true),
            (CurlNegotiate, NegotiateKerberos, false, true),
            (CurlNegotiate, Nego2, false, false),
            (Browser, Ntlm, true, false),
            (Browser, Negotiate, true, true),
            (Browser, NegotiateKerberos, false, true),
            (Browser, Nego2, true, true),
            (ChromiumLinux, Ntlm, true, false),
            (ChromiumLinux, Negotiate, false, true),
            (CurlAnyauth, Ntlm, true, false),
            (CurlAnyauth, Negotiate, false, true),
            (Wget, Negotiate, false, false),
            (RequestsKerberos, Negotiate, false, true),
        ];
        for (agent, provider, ntlm, kerberos) in rows {
            let can = agent.capabilities();
            let actual = (can.has_ntlm_for(provider), can.has_kerberos_for(provider));
            assert_eq!(actual, (ntlm, kerberos), "{agent:?} {provider:?}");
        }
    }

    fn client(agent: Agent) -> ClientSpec {
        ClientSpec::new("alice".into(), crate::Profile::of(agent), None)
    }

    #[test]
    fn an_agent_that_does_not_fall_back_stays_with_the_first_of_its_schemes_that_is_offered() {
        use Provider::{Negotiate, NegotiateKerberos, Ntlm};
        let tried = |agent, providers: &[Provider]| client(agent).tried(providers).collect::<Vec<_>>();
        for agent in [Agent::Browser, Agent::CurlAnyauth] {
            assert_eq!(tried(agent, &[Ntlm, NegotiateKerberos]), [NegotiateKerberos], "{agent:?}");
            assert_eq!(tried(agent, &[Ntlm]), [Ntlm], "{agent:?}");
        }
        for agent in [Agent::ChromiumLinux, Agent::FirefoxLinux] {
            assert_eq!(tried(agent, &[Negotiate, Ntlm]), [Negotiate, Ntlm], "{agent:?}");
        }
        assert_eq!(tried(Agent::Wget, &[Negotiate, Ntlm]), [Ntlm]);
        assert_eq!(tried(Agent::Wget, &[Negotiate]), []);
    }

    #[test]
    fn chromium_on_linux_binds_ntlm_and_no_tickets() {
        let binds = |agent| [Leg::Authenticate, Leg::Ticket].map(|leg| client(agent).binds(leg));
        assert_eq!(binds(Agent::Browser), [true, true]);
        assert_eq!(binds(Agent::ChromiumLinux), [true, false]);
        assert_eq!(binds(Agent::FirefoxLinux), [false, false]);
        assert_eq!(binds(Agent::RequestsKerberos), [false, true]);
    }
}
