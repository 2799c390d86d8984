//! What a script says of one server: `server()`, or what stands for a part of it.

use starlark::values::{Value, ValueLike as _};
use stickler_model::Name;
use stickler_model::topology::{Acceptor, CertificateSpec, IisVersion, Provider, ServerSpec, SiteSpec, UserSpec};

use super::errors::ScriptError;
use super::values;

/// What differs at one server; what is not given stays as it is.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerChange {
    pub(super) acceptor: Option<Acceptor>,
    /// How it authenticates; the rest of its site is given below.
    pub(super) authentication: Option<SiteSpec>,
    pub(super) site: SiteChange,
    pub(super) providers: Option<Vec<Provider>>,
    pub(super) version: Option<IisVersion>,
    pub(super) certificate: Option<CertificateSpec>,
    pub(super) clock_skew: Option<i64>,
    pub(super) workgroup: Option<bool>,
    /// Accounts with their passwords; `None`: the server has no such account.
    pub(super) accounts: Vec<(String, Option<String>)>,
}

/// What differs at a site beside authentication.
#[derive(Debug, Clone, Default)]
pub(super) struct SiteChange {
    pub(super) connection_timeout: Option<std::time::Duration>,
    pub(super) max_field_length: Option<u32>,
    pub(super) max_request_bytes: Option<u32>,
    pub(super) anonymous: Option<Vec<String>>,
    pub(super) anonymous_methods: Option<Vec<String>>,
    pub(super) anonymous_windows_too: Option<bool>,
}

impl ServerChange {
    /// What a value stands for: `server()`, `windows_authentication()`, or a server that is not IIS.
    pub(super) fn of(value: Value<'_>) -> Result<Self, ScriptError> {
        if let Some(server) = value.downcast_ref::<values::Server>() {
            return Ok(server.0.clone());
        }
        if let Some(settings) = value.downcast_ref::<values::Settings>() {
            return Ok(Self { authentication: Some(settings.0.clone()), ..Self::default() });
        }
        if let Some(acceptor) = value.downcast_ref::<values::Acceptor>() {
            return Ok(Self { acceptor: Some(acceptor.0.clone()), ..Self::default() });
        }
        let expected = "server(...), windows_authentication(...), tracked(), trusted_header() or rogue()";
        Err(ScriptError::Type { expected, found: value.to_repr() })
    }

    /// Changes the settings of a server. `tls` says whether the site has any.
    pub(super) fn apply(&self, server: &mut ServerSpec, tls: bool) -> Result<(), ScriptError> {
        if self.certificate.is_some() && !tls {
            return Err(ScriptError::CertificateWithoutTls);
        }
        set(&mut server.acceptor, self.acceptor.as_ref());
        set(&mut server.providers, self.providers.as_ref());
        set(&mut server.version, self.version.as_ref());
        set(&mut server.certificate, self.certificate.as_ref());
        set(&mut server.clock_skew, self.clock_skew.as_ref());
        set(&mut server.workgroup, self.workgroup.as_ref());
        if let Some(authentication) = &self.authentication {
            let before = std::mem::replace(&mut server.site, authentication.clone());
            let site = &mut server.site;
            (site.files, site.anonymous) = (before.files, before.anonymous);
            site.connection_timeout = before.connection_timeout;
            site.max_field_length = before.max_field_length;
            site.max_request_bytes = before.max_request_bytes;
        }
        self.site.apply(&mut server.site)?;
        for (name, password) in &self.accounts {
            let same = |user: &UserSpec| user.name.eq_ignore_ascii_case(name);
            server.accounts.retain(|user| !same(user));
            if let Some(password) = password {
                super::site::check_name(name)?;
                server.accounts.push(UserSpec::new(name, password));
            }
        }
        Ok(())
    }
}

impl SiteChange {
    pub(super) fn apply(&self, site: &mut SiteSpec) -> Result<(), ScriptError> {
        set(&mut site.connection_timeout, self.connection_timeout.as_ref());
        set(&mut site.max_field_length, self.max_field_length.as_ref());
        set(&mut site.max_request_bytes, self.max_request_bytes.as_ref());
        let anonymous = &mut site.anonymous;
        set(&mut anonymous.paths, self.anonymous.as_ref());
        set(&mut anonymous.methods, self.anonymous_methods.as_ref());
        set(&mut anonymous.windows_too, self.anonymous_windows_too.as_ref());
        match anonymous.paths.iter().find(|path| !path.starts_with('/')) {
            Some(path) => Err(ScriptError::AnonymousPath(path.chars().take(40).collect())),
            None => Ok(()),
        }
    }
}

/// Finds a server by its name.
pub(super) fn find<'s>(servers: &'s mut [ServerSpec], name: &str) -> Result<&'s mut ServerSpec, ScriptError> {
    let known = servers.iter().map(|server| server.name.to_string()).collect();
    let server = servers.iter_mut().find(|server| server.name == Name::from(name));
    server.ok_or_else(|| ScriptError::Unknown { kind: "server", given: name.to_owned(), known })
}

fn set<T: Clone>(value: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        value.clone_from(given);
    }
}
