//! The specification of one server of a farm: everything in which it can differ from the others.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bounds::{MAX_CREDENTIAL, MAX_TIME, bounded};
use crate::request::{OWN_FIELDS, is_field_name};
use crate::topology::{Acceptor, AppPool, IisVersion, Provider, SiteSpec, UserSpec, is_false, is_zero};
use crate::{ActionProblem, Identity, Name};

/// The fields that clients send by themselves, in addition to [`OWN_FIELDS`].
const SENT_FIELDS: [&str; 4] = ["accept", "cookie", "content-type", "user-agent"];

/// One server of the farm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSpec {
    /// The host's name.
    pub name: Name,
    /// The providers that `WWW-Authenticate` offers, in order.
    pub providers: Vec<Provider>,
    /// The version of IIS, which determines the codes in the server's log.
    pub version: IisVersion,
    /// The connection or key that the server ties an authenticated user to.
    #[serde(default, skip_serializing_if = "Acceptor::is_connection")]
    pub acceptor: Acceptor,
    /// The settings of the server's web site.
    #[serde(default, skip_serializing_if = "SiteSpec::is_default")]
    pub site: SiteSpec,
    /// The certificate that the server shows if it speaks TLS.
    #[serde(default, skip_serializing_if = "CertificateSpec::is_as_site")]
    pub certificate: CertificateSpec,
    /// The number of seconds by which the server's clock is ahead of the world's; negative if it is behind.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clock_skew: i64,
    /// Whether the server is in a workgroup instead of a domain. Such a server knows its local accounts only, asks no
    /// DC, and cannot read tickets.
    #[serde(default, skip_serializing_if = "is_false")]
    pub workgroup: bool,
    /// The local accounts of the server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<UserSpec>,
}

/// The certificate that a server shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateSpec {
    /// The certificate that the site's TLS settings give its servers ([`UpstreamTls`](crate::topology::UpstreamTls)).
    #[default]
    AsSite,
    /// A certificate of the server's own, for its own name and the site's.
    Own,
    /// A copy of the certificate and key that the balancer uses.
    Same,
    /// A certificate of the server's own that has expired.
    Expired,
    /// A certificate of the server's own for a name that is neither the server's nor the site's.
    OtherName,
}

impl CertificateSpec {
    /// Returns whether a peer that checks the certificate refuses it. Every user agent and every balancer here checks
    /// it (RFC 5280 6.1.3, RFC 9110 4.3.4; curl ends with 60, Chromium shows `NET::ERR_CERT_DATE_INVALID` or
    /// `NET::ERR_CERT_COMMON_NAME_INVALID`).
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Expired | Self::OtherName)
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this shape")]
    fn is_as_site(&self) -> bool {
        *self == Self::AsSite
    }
}

impl ServerSpec {
    /// Returns whether the server offers a provider under which it accepts Kerberos tickets.
    pub fn takes_tickets(&self) -> bool {
        !self.workgroup && self.providers.iter().any(|provider| *provider != Provider::Ntlm)
    }

    /// Returns the maximum number of logons that the server sends to its domain at once.
    pub fn max_concurrent_api(&self) -> u16 {
        self.site.max_concurrent_api.unwrap_or(self.version.max_concurrent_api())
    }

    /// Returns the account whose keys decrypt tickets: the machine's own, for example `iis1$`, or a service account.
    pub fn ticket_account(&self) -> String {
        match self.site.ticket_account() {
            AppPool::Machine => format!("{}$", self.name),
            AppPool::Service(account) => account.clone(),
        }
    }

    /// Returns the NetBIOS name of the server's machine, which is its name in upper case.
    pub fn machine(&self) -> String {
        self.name.as_str().to_uppercase()
    }

    /// Returns whether the server itself has an account with this name and password. The domain that the user names
    /// does not matter, since a server treats an unknown domain as its own (MS-NLMP 3.2.5.1.2).
    pub fn has_account(&self, identity: &Identity) -> bool {
        let name = identity.principal.user().to_lowercase();
        self.accounts.iter().any(|user| user.name.to_lowercase() == name && user.password == identity.password)
    }

    /// Checks that a server can have these settings.
    ///
    /// # Errors
    /// [`ActionProblem`] names the first setting that no server can have.
    pub(crate) fn check(&self) -> Result<(), ActionProblem> {
        if !Name::is_plain(self.name.as_str()) {
            return Err(ActionProblem::Name(self.name.as_str().chars().take(40).collect()));
        }
        if let Some(header) = self.acceptor.trusted_header() {
            let mut sent = OWN_FIELDS.iter().map(|(own, _)| *own).chain(SENT_FIELDS);
            if sent.any(|own| own.eq_ignore_ascii_case(header)) || !is_field_name(header) {
                return Err(ActionProblem::TrustedHeader(header.chars().take(40).collect()));
            }
        }
        if self.accounts.iter().any(|user| user.name.len().max(user.password.len()) > MAX_CREDENTIAL) {
            return Err(ActionProblem::Credential);
        }
        bounded("`clock_skew`, either way,", Duration::from_secs(self.clock_skew.unsigned_abs()), MAX_TIME)?;
        self.site.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Principal, standard};

    #[test]
    fn an_account_of_the_machine_is_found_whatever_the_domain_that_the_user_names() {
        let account = |name: &str| UserSpec::new(name, "Secret");
        let server = ServerSpec { accounts: vec![account("Alice")], ..standard::server("iis1".into()) };
        let has = |domain: &str, user: &str, password: &str| {
            server.has_account(&Identity { principal: Principal::new(domain, user), password: password.into() })
        };
        assert!(has(".", "alice", "Secret") && has("IIS2", "ALICE", "Secret"));
        assert!(!has(".", "alice", "secret") && !has(".", "bob", "Secret"));
    }

    #[test]
    fn a_server_in_a_workgroup_takes_no_ticket() {
        let server = ServerSpec { providers: vec![Provider::Negotiate], ..standard::server("iis1".into()) };
        assert!(server.takes_tickets());
        assert!(!ServerSpec { workgroup: true, ..server }.takes_tickets());
    }
}
