//! One server as a script describes it: `server()`, or a value that replaces a part of it.

use stickler_model::Name;
use stickler_model::topology::{Acceptor, CertificateSpec, IisVersion, Provider, ServerSpec, SiteSpec, UserSpec};

use super::error::{SiteError, Unknown};

/// The settings in which one server differs. Those that are not given stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerChange {
    pub(crate) acceptor: Option<Acceptor>,
    /// The authentication settings. The other settings of the server's site are in `site`.
    pub(crate) authentication: Option<SiteSpec>,
    pub(crate) site: SiteChange,
    pub(crate) providers: Option<Vec<Provider>>,
    pub(crate) version: Option<IisVersion>,
    pub(crate) certificate: Option<CertificateSpec>,
    pub(crate) clock_skew: Option<i64>,
    pub(crate) workgroup: Option<bool>,
    /// The changed accounts with their passwords; `None` removes an account.
    pub(crate) accounts: Vec<(String, Option<String>)>,
}

/// The settings in which a site differs, apart from authentication.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SiteChange {
    pub(crate) connection_timeout: Option<std::time::Duration>,
    pub(crate) max_field_length: Option<u32>,
    pub(crate) max_request_bytes: Option<u32>,
    pub(crate) anonymous: Option<Vec<String>>,
    pub(crate) anonymous_methods: Option<Vec<String>>,
    pub(crate) anonymous_windows_too: Option<bool>,
}

impl ServerChange {
    /// Changes the settings of a server. `tls` says whether the site has any.
    pub(crate) fn apply(&self, server: &mut ServerSpec, tls: bool) -> Result<(), SiteError> {
        if self.certificate.is_some() && !tls {
            return Err(SiteError::CertificateWithoutTls);
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
                super::check_name(name)?;
                server.accounts.push(UserSpec::new(name, password));
            }
        }
        Ok(())
    }
}

impl SiteChange {
    pub(crate) fn apply(&self, site: &mut SiteSpec) -> Result<(), SiteError> {
        set(&mut site.connection_timeout, self.connection_timeout.as_ref());
        set(&mut site.max_field_length, self.max_field_length.as_ref());
        set(&mut site.max_request_bytes, self.max_request_bytes.as_ref());
        let anonymous = &mut site.anonymous;
        set(&mut anonymous.paths, self.anonymous.as_ref());
        set(&mut anonymous.methods, self.anonymous_methods.as_ref());
        set(&mut anonymous.windows_too, self.anonymous_windows_too.as_ref());
        match anonymous.paths.iter().find(|path| !path.starts_with('/')) {
            Some(path) => Err(SiteError::AnonymousPath(path.chars().take(40).collect())),
            None => Ok(()),
        }
    }
}

/// Returns the server of a name.
pub(crate) fn find<'s>(servers: &'s mut [ServerSpec], name: &str) -> Result<&'s mut ServerSpec, SiteError> {
    let known = servers.iter().map(|server| server.name.to_string()).collect();
    let server = servers.iter_mut().find(|server| server.name == Name::from(name));
    server.ok_or_else(|| Unknown { kind: "server", given: name.to_owned(), known }.into())
}

fn set<T: Clone>(value: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        value.clone_from(given);
    }
}
