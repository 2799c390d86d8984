//! The remedies for sites that mix users up, or on which they cannot log on.
//!
//! mod_proxy has no setting that gives each client its own connection: with `enablereuse=on`, the default, all clients
//! of the process share connections, and with `disablereuse=on` each request has its own, over which nobody can log on
//! with NTLM (<https://httpd.apache.org/docs/2.4/mod/mod_proxy.html#proxypass>).

use crate::{Remedy, Site};

/// Returns the choices for a site.
pub(super) fn remedies(site: &Site) -> Vec<Remedy> {
    let closes = if site.base == "httpd-disablereuse" {
        "httpd itself has no setting that helps: with connections reused users are mixed up, and with each used once, as here, nobody \
         can log on with NTLM"
    } else {
        "httpd itself has no setting that helps: `disablereuse=on` ends the mixing, but also makes every NTLM logon fail"
    };
    let choices = [
        closes,
        "another product in front of the servers that keeps a server's connection its client's own: HAProxy with `http-reuse never`, or \
         nginx with the module stream",
        "a balancer of connections (HAProxy with `mode tcp`, nginx with the module stream, the kernel's NAT), which passes them on whole; \
         nothing that reads requests works there then",
        "Kerberos alone, with NTLM switched off and `authPersistNonNTLM=\"false\"` in IIS, so that each request authenticates itself; \
         it then works over any connection",
    ];
    choices.map(|choice| Remedy::Choice(choice.to_owned())).into()
}
