//! The servers of a farm, each with its settings.

use std::io;
use std::sync::Arc;

use stickler_mock_iis::site::LogSink;
use stickler_mock_iis::{Accounts, Sam, WebSite};
use stickler_model::topology::{Acceptor, DomainSpec, ServerSpec};
use stickler_model::{Clock, Name, Time};
use stickler_tls::ServerTls;

use crate::{Domains, SiteError, SitePki};

/// Why a server cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// The site is to run as an account that does not exist.
    #[error("`{server}` cannot run as `{account}`: the domain has no such account")]
    Account { server: Name, account: String },
    /// The certificate cannot be issued.
    #[error("TLS cannot be set up: {0}")]
    Certificate(#[from] io::Error),
}

impl<E> From<ServerError> for SiteError<E> {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Account { server, account } => Self::Account { server, account },
            ServerError::Certificate(error) => Self::Certificate(error),
        }
    }
}

/// The common data of a site's servers.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) domain: &'a DomainSpec,
    pub(crate) domains: &'a Domains,
    pub(crate) pki: Option<&'a SitePki>,
    pub(crate) log: Option<&'a LogSink>,
}

impl Surroundings<'_> {
    /// Sets up a server, with the certificate that its settings name.
    pub(crate) fn server(&self, spec: &ServerSpec) -> Result<WebSite, ServerError> {
        let site = self.with_log(self.unsecured(spec)?);
        let tls = self.pki.map(|pki| pki.server(spec)).transpose()?.flatten();
        Ok(match tls {
            Some(tls) => site.with_tls(tls),
            None => site,
        })
    }

    /// Sets up a server in place of one with other settings. It keeps the certificate unless the new settings ask for
    /// another.
    pub(crate) fn replaced(
        &self,
        (before, old): (&ServerSpec, &WebSite),
        spec: &ServerSpec,
    ) -> Result<WebSite, ServerError> {
        let site = match old.tls() {
            Some(tls) if before.certificate == spec.certificate => {
                self.with_log(self.unsecured(spec)?).with_tls(tls.clone())
            }
            _ => self.server(spec)?,
        };
        Ok(site.in_place_of(old))
    }

    /// Sets up the authentication of a balancer that terminates it. The balancer authenticates as this server would,
    /// with the server's local accounts and in its name if the server has any, and with the certificate that the
    /// balancer shows.
    pub(crate) fn authenticator(
        &self,
        name: &Name,
        server: &ServerSpec,
        tls: Option<&ServerTls>,
    ) -> Result<WebSite, ServerError> {
        let own = ServerSpec { name: name.clone(), acceptor: Acceptor::Connection, ..server.clone() };
        let site = self.of_machine(&own, &server.machine())?;
        Ok(match tls {
            Some(tls) => site.with_certificate(tls.certificate()),
            None => site,
        })
    }

    /// Sets up a server without TLS. It is a member of the domain unless it is in a workgroup, and has the keys for
    /// tickets if it accepts any.
    fn unsecured(&self, spec: &ServerSpec) -> Result<WebSite, ServerError> {
        self.of_machine(spec, &spec.machine())
    }

    /// The same as `unsecured`, with local accounts that are named after this machine.
    fn of_machine(&self, spec: &ServerSpec, machine: &str) -> Result<WebSite, ServerError> {
        let sam = Sam::new(machine, &spec.accounts);
        let accounts = if spec.workgroup { Accounts::local(sam) } else { self.domains.join(&spec.name).with_sam(sam) };
        let site = WebSite::new(spec, self.domain, accounts);
        if !spec.takes_tickets() {
            return Ok(site);
        }
        let account = spec.ticket_account();
        match self.domains.pdc().directory().service_keys(&account) {
            Some(keys) => Ok(site.with_kerberos(keys)),
            None => Err(ServerError::Account { server: spec.name.clone(), account }),
        }
    }

    fn with_log(&self, site: WebSite) -> WebSite {
        match self.log {
            Some(sink) => site.with_log(Arc::clone(sink)),
            None => site,
        }
    }
}

/// A clock that is ahead of another by a number of seconds. Traces record the world's time nevertheless.
pub(crate) struct SkewedClock {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ahead: i64,
}

impl Clock for SkewedClock {
    fn now(&self) -> Time {
        self.clock.now()
    }

    fn epoch(&self) -> u64 {
        self.clock.epoch().saturating_add_signed(self.ahead)
    }
}
