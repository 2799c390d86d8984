//! The remedies for sites that mix users up, or on which they cannot log on.
//!
//! Caddy's own transport keeps idle connections by the server's address, for all clients; with `keepalive off`, each
//! request has its own connection
//! (<https://caddyserver.com/docs/caddyfile/directives/reverse_proxy#the-http-transport>). The transport for NTLM is a
//! separate module: <https://github.com/caddyserver/ntlm-transport>.

use crate::{Remedy, Site};

/// Returns the choices for a site.
pub(super) fn remedies(site: &Site) -> Vec<Remedy> {
    let own = if site.base == "caddy-no-keepalive" {
        "Caddy itself has no setting that helps: with connections kept users are mixed up, and with each used once, as here, nobody can \
         log on with NTLM"
    } else {
        "Caddy itself has no setting that helps: `keepalive off` ends the mixing, but also makes every NTLM logon fail"
    };
    let choices = [
        own,
        "a Caddy that is built with the module github.com/caddyserver/ntlm-transport, `transport http_ntlm`, and one server or \
         `lb_policy ip_hash`: its connections are a client's own by the client's address and port, so that whoever gets both after \
         a NAT gets the connection too",
        "another product in front of the servers that keeps a server's connection its client's own: HAProxy with `http-reuse never`, \
         or a balancer of connections (HAProxy with `mode tcp`, nginx with the module stream)",
        "Kerberos alone, with NTLM switched off and `authPersistNonNTLM=\"false\"` in IIS, so that each request authenticates itself; \
         it then works over any connection",
    ];
    choices.map(|choice| Remedy::Choice(choice.to_owned())).into()
}
