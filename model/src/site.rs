//! How the site of a server is set up: what an administrator of IIS sees under Windows Authentication.

use serde::{Deserialize, Serialize};

use crate::Principal;

/// Settings of a site, each with IIS's own default. A tracked or trusted acceptor has use for few.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SiteSpec {
    /// The application pool's identity.
    pub pool: AppPool,
    /// `useKernelMode`: http.sys authenticates, as the machine.
    pub kernel_mode: bool,
    /// `useAppPoolCredentials`: in kernel mode, tickets are decrypted with the pool's key after all.
    pub app_pool_credentials: bool,
    /// `authPersistNonNTLM`: Kerberos authenticates its connection, as NTLM always does. Microsoft's pages
    /// contradict each other on the default; the applicationHost.config that is shipped says true.
    pub persist_non_ntlm: bool,
    /// `authPersistSingleRequest`: whoever authenticated has to do so again for the next request.
    pub single_request: bool,
    /// The same for a request with `Via` (IIS 6, `AuthPersistSingleRequestIfProxy`; unknown for IIS 10).
    pub via_ends_persistence: bool,
    /// Which 401 closes its connection.
    pub keep_alive: KeepAlive,
    /// Extended protection.
    pub protection: ProtectionSpec,
    /// `MaxConcurrentApi` of the server's Netlogon service: how many logons it asks its domain for at once. `None`: as its
    /// version of Windows comes ([`IisVersion::max_concurrent_api`](crate::topology::IisVersion::max_concurrent_api)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_api: Option<u16>,
    /// Files below `/files/` with an access list each, which the application opens as the user.
    pub files: Vec<FileSpec>,
}

impl Default for SiteSpec {
    fn default() -> Self {
        Self {
            pool: AppPool::Machine,
            kernel_mode: true,
            app_pool_credentials: false,
            persist_non_ntlm: true,
            single_request: false,
            via_ends_persistence: false,
            keep_alive: KeepAlive::Always,
            protection: ProtectionSpec::default(),
            max_concurrent_api: None,
            files: Vec::new(),
        }
    }
}

impl SiteSpec {
    /// Whether every setting is IIS's default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The account whose key decrypts tickets: the pool's, but in kernel mode the machine's unless
    /// told otherwise. A ticket for another account's name ends in KRB_AP_ERR_MODIFIED.
    pub fn ticket_account(&self) -> &AppPool {
        if self.kernel_mode && !self.app_pool_credentials { &AppPool::Machine } else { &self.pool }
    }
}

/// Who the worker process runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppPool {
    /// ApplicationPoolIdentity, NetworkService, LocalSystem: the machine's account on the network.
    #[default]
    Machine,
    /// A service account of the domain, by its name, which a whole farm can share.
    Service(String),
}

/// Which 401 closes its connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepAlive {
    /// None.
    #[default]
    Always,
    /// That which refuses a token.
    ClosedByFailure,
    /// Each 401 to a token, so the Challenge too: a handshake of two steps never ends.
    ClosedByChallenge,
}

/// Extended protection for authentication (`<extendedProtection>`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProtectionSpec {
    /// `tokenChecking`.
    pub checking: Checking,
    /// `flags`, see the constants.
    pub flags: u32,
    /// `<spn>`: the service names that a client may have authenticated to; none: the server's own.
    pub service_names: Vec<String>,
}

impl ProtectionSpec {
    /// `Proxy`: TLS ends at a proxy, so the service name is checked in place of the binding.
    pub const PROXY: u32 = 1;
    /// `NoServiceNameCheck`.
    pub const NO_SERVICE_NAME_CHECK: u32 = 2;
    /// `AllowDotlessSpn`: names without a dot in the list count.
    pub const ALLOW_DOTLESS_SPN: u32 = 4;
    /// `ProxyCohosting`: some clients come through a proxy, some do not; the binding is checked where the
    /// connection has one, else the service name.
    pub const PROXY_COHOSTING: u32 = 32;

    /// Whether a flag is set.
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// `tokenChecking`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checking {
    /// Not checked.
    #[default]
    None,
    /// Checked where the client sends one.
    Allow,
    /// Checked, and must be there.
    Require,
}

/// A file below `/files/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Its name.
    pub name: String,
    /// Who may read it.
    pub readers: Vec<Principal>,
}
