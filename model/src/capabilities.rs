//! What a user agent is able to do when a site asks it to authenticate.
//!
//! The capabilities follow from the [`Agent`](crate::agent::Agent), whose table has the sources. They are not part of a
//! trace.

use std::time::Duration;

use crate::topology::{ClientSpec, Provider};

/// How long a KDC has to answer one message of a client.
pub const KDC_PATIENCE: Duration = Duration::from_secs(5);

/// How long a client does not ask a KDC again that did not answer (Windows: `FarKdcTimeout` and the locator's negative
/// cache, 45 s by default).
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
    /// Whether the agent binds its tokens to the server's TLS certificate (RFC 5929 4), in either package.
    pub binds: bool,
}

/// An authentication scheme that carries tokens of a Windows security package, by its name on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthScheme {
    /// `NTLM` (MS-NTHT).
    Ntlm,
    /// `Negotiate` (RFC 4559).
    Negotiate,
    /// `Nego2` (MS-N2HT): behaves as `Negotiate`.
    Nego2,
}

/// The security packages that a user agent has under `Negotiate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packages {
    /// Kerberos in SPNEGO, as MIT krb5 encodes it. Without a ticket the agent sends no token.
    Kerberos,
    /// What Windows has: Kerberos is preferred to NTLM in SPNEGO. Without a ticket the agent sends raw NTLM.
    KerberosOrNtlm,
}

impl Capabilities {
    /// Returns whether the agent can log on with NTLM where a server offers this provider.
    pub fn has_ntlm_for(&self, provider: Provider) -> bool {
        self.schemes.contains(&provider.scheme())
            && match provider {
                Provider::Ntlm => true,
                Provider::Negotiate | Provider::Nego2 => self.packages == Packages::KerberosOrNtlm,
                Provider::NegotiateKerberos => false,
            }
    }

    /// Returns whether the agent can log on with Kerberos where a server offers this provider.
    pub fn has_kerberos_for(&self, provider: Provider) -> bool {
        provider != Provider::Ntlm && self.schemes.contains(&provider.scheme())
    }
}

impl ClientSpec {
    /// Returns whether the client can log on with NTLM where a server offers this provider.
    pub fn has_ntlm_for(&self, provider: Provider) -> bool {
        self.profile.agent.capabilities().has_ntlm_for(provider)
    }

    /// Returns whether the client can, and may, log on with Kerberos where a server offers this provider.
    pub fn has_kerberos_for(&self, provider: Provider) -> bool {
        !self.no_kerberos && self.profile.agent.capabilities().has_kerberos_for(provider)
    }

    /// Returns whether the client binds its tokens to the TLS certificate that it was shown.
    pub fn binds(&self) -> bool {
        self.profile.agent.capabilities().binds
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
        use Agent::{Browser, Curl, CurlNegotiate};
        use Provider::{Nego2, Negotiate, NegotiateKerberos, Ntlm};
        let rows = [
            // Agent, provider, NTLM, Kerberos.
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
        ];
        for (agent, provider, ntlm, kerberos) in rows {
            let can = agent.capabilities();
            let actual = (can.has_ntlm_for(provider), can.has_kerberos_for(provider));
            assert_eq!(actual, (ntlm, kerberos), "{agent:?} {provider:?}");
        }
    }
}
