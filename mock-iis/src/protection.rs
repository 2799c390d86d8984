//! Extended protection: the part of a token that is compared with its connection. The module is pure.
//!
//! With TLS, this part is the channel binding. Without TLS, it is the name of the service that the client intends to
//! reach. Behind a proxy that terminates TLS, the client binds its token to the proxy's certificate, which a server
//! cannot compare. The flag `Proxy` makes the server check the service name instead.

use stickler_auth::kerberos::ap;
use stickler_auth::ntlm::acceptor::{AcceptorConfig, TokenChecking};
use stickler_model::topology::{Checking, ProtectionSpec};

/// The parts that are compared, and the strictness of the comparison.
pub(crate) struct Protection {
    binding: TokenChecking,
    service: TokenChecking,
    names: Vec<String>,
}

impl Protection {
    /// Returns the settings for connections with or without a channel binding, to a server with these names.
    pub(crate) fn of(spec: &ProtectionSpec, bound: bool, hosts: &[String]) -> Self {
        let checking = match spec.checking {
            Checking::None => TokenChecking::None,
            Checking::Allow => TokenChecking::Allow,
            Checking::Require => TokenChecking::Require,
        };
        let by_binding = bound && !spec.has(ProtectionSpec::PROXY);
        let by_name = !by_binding && !spec.has(ProtectionSpec::NO_SERVICE_NAME_CHECK);
        let when = |compared| if compared { checking } else { TokenChecking::None };
        Self { binding: when(by_binding), service: when(by_name), names: names(spec, hosts) }
    }

    /// Applies the settings to the acceptors of both packages.
    pub(crate) fn apply(self, ntlm: &mut AcceptorConfig, kerberos: Option<&mut ap::AcceptorConfig>) {
        if let Some(kerberos) = kerberos {
            (kerberos.channel_binding, kerberos.service_name) = (self.binding, self.service);
            kerberos.service_names.clone_from(&self.names);
        }
        (ntlm.channel_binding, ntlm.service_name, ntlm.service_names) = (self.binding, self.service, self.names);
    }
}

/// Returns the accepted service names: those of the list, or the server's own.
fn names(spec: &ProtectionSpec, hosts: &[String]) -> Vec<String> {
    if spec.service_names.is_empty() {
        return hosts.iter().map(|host| format!("HTTP/{host}")).collect();
    }
    let counts = |name: &&String| name.contains('.') || spec.has(ProtectionSpec::ALLOW_DOTLESS_SPN);
    spec.service_names.iter().filter(counts).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(flags: u32, bound: bool) -> (TokenChecking, TokenChecking) {
        let spec = ProtectionSpec { checking: Checking::Require, flags, service_names: Vec::new() };
        let protection = Protection::of(&spec, bound, &[]);
        (protection.binding, protection.service)
    }

    #[test]
    fn tls_has_its_binding_compared_and_anything_else_the_service_name() {
        use TokenChecking::{None, Require};
        assert_eq!(checks(0, true), (Require, None));
        assert_eq!(checks(0, false), (None, Require));
        assert_eq!(checks(ProtectionSpec::PROXY, true), (None, Require));
        assert_eq!(checks(ProtectionSpec::PROXY_COHOSTING, true), (Require, None));
        assert_eq!(checks(ProtectionSpec::PROXY_COHOSTING, false), (None, Require));
        assert_eq!(checks(ProtectionSpec::NO_SERVICE_NAME_CHECK, false), (None, None));
    }

    #[test]
    fn a_name_without_a_dot_counts_only_if_allowed() {
        let service_names = vec!["HTTP/www".to_owned(), "HTTP/www.corp.example".to_owned()];
        let spec = |flags| ProtectionSpec { service_names: service_names.clone(), flags, ..ProtectionSpec::default() };
        assert_eq!(names(&spec(0), &[]), ["HTTP/www.corp.example"]);
        assert_eq!(names(&spec(ProtectionSpec::ALLOW_DOTLESS_SPN), &[]), service_names);
        let own = ProtectionSpec::default();
        assert_eq!(names(&own, &["iis1".to_owned()]), ["HTTP/iis1"]);
    }
}
