//! How the site of a server is set up: what an administrator of IIS sees under Windows Authentication.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bounds::{MAX_TIMER, timer, within};
use crate::{ActionProblem, Principal};

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
    /// Which answers close their connection.
    pub keep_alive: KeepAlive,
    /// `connectionTimeout`: how long a connection may be idle before the server closes it.
    #[serde(skip_serializing_if = "is_default_timeout")]
    pub connection_timeout: Duration,
    /// `MaxFieldLength` of the server's http.sys: the longest header field of a request, in bytes.
    #[serde(skip_serializing_if = "is_default_length")]
    pub max_field_length: u32,
    /// `MaxRequestBytes` of the server's http.sys: the longest request line with all header fields, in bytes. A longer request
    /// is answered 400 before anybody authenticates, as is one with a longer field.
    #[serde(skip_serializing_if = "is_default_length")]
    pub max_request_bytes: u32,
    /// The parts of the site that need no logon.
    #[serde(skip_serializing_if = "AnonymousSpec::is_nothing")]
    pub anonymous: AnonymousSpec,
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
            connection_timeout: Self::CONNECTION_TIMEOUT,
            max_field_length: Self::MAX_HEAD,
            max_request_bytes: Self::MAX_HEAD,
            anonymous: AnonymousSpec::default(),
            protection: ProtectionSpec::default(),
            max_concurrent_api: None,
            files: Vec::new(),
        }
    }
}

impl SiteSpec {
    /// `connectionTimeout` of IIS (Microsoft, "Limits for a Web Site": `00:02:00`).
    pub const CONNECTION_TIMEOUT: Duration = Duration::from_mins(2);

    /// `MaxFieldLength` and `MaxRequestBytes` of http.sys, in bytes, where the registry says nothing (Microsoft, KB 820129
    /// "Http.sys registry settings for Windows").
    pub const MAX_HEAD: u32 = 16_384;
    /// What `MaxFieldLength` may be, in bytes (KB 820129).
    pub const FIELD_LENGTHS: RangeInclusive<u32> = 64..=65_534;
    /// What `MaxRequestBytes` may be, in bytes (KB 820129).
    pub const REQUEST_BYTES: RangeInclusive<u32> = 256..=16_777_216;

    /// Whether every setting is IIS's default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Checks its timers and its limits.
    pub(crate) fn check(&self) -> Result<(), ActionProblem> {
        within("`max_field_length`", self.max_field_length, Self::FIELD_LENGTHS)?;
        within("`max_request_bytes`", self.max_request_bytes, Self::REQUEST_BYTES)?;
        timer("`connection_timeout`", self.connection_timeout, MAX_TIMER)
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

/// Which answers close their connection.
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
    /// Every answer: HTTP keep-alives are off (`<httpProtocol allowKeepAlive="false">`). NTLM never ends, since the Challenge
    /// goes with its connection; each request needs a ticket of its own.
    Never,
}

/// The parts of a site that need no logon: anonymous authentication is enabled there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnonymousSpec {
    /// Paths, each with all that is below it: `/public`, `/health`.
    pub paths: Vec<String>,
    /// Methods, on every path: `OPTIONS`, as IIS's CORS module answers a preflight before anybody authenticates.
    pub methods: Vec<String>,
    /// Whether Windows authentication is enabled there as well. Without it a token is ignored there, and every request is
    /// nobody's, whoever has authenticated on the connection; the connection stays that user's. With it a token counts, and
    /// a request without one is that user's: http.sys keeps the credentials of a connection for its later requests
    /// (`HTTP_SERVER_AUTHENTICATION_INFO`, `DisableNTLMCredentialCaching`), and the anonymous user steps in only where
    /// there is no other.
    pub windows_too: bool,
}

impl AnonymousSpec {
    /// Whether everything needs a logon.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a request needs no logon. `path` is without its query; IIS compares paths without case.
    pub fn covers(&self, method: &str, path: &str) -> bool {
        let below = |part: &String| {
            let part = part.trim_end_matches('/');
            path.get(..part.len()).is_some_and(|start| start.eq_ignore_ascii_case(part))
                && (path.len() == part.len() || path[part.len()..].starts_with('/'))
        };
        self.methods.iter().any(|anonymous| anonymous == method) || self.paths.iter().any(below)
    }
}

fn is_default_timeout(time: &Duration) -> bool {
    *time == SiteSpec::CONNECTION_TIMEOUT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this shape")]
fn is_default_length(bytes: &u32) -> bool {
    *bytes == SiteSpec::MAX_HEAD
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

/// The longest that `/slow/SECONDS` takes.
pub const MAX_SLOW_PAGE: Duration = Duration::from_hours(1);

/// Returns how long a page of the application takes: `/slow/SECONDS`, in whatever case, with or without a query; `None` for any
/// other path.
pub fn slow_page(path: &str) -> Option<Duration> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let (folder, seconds) = path.strip_prefix('/')?.split_once('/')?;
    let is_number = seconds.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = seconds.parse().ok().filter(|_| is_number && folder.eq_ignore_ascii_case("slow"))?;
    Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= MAX_SLOW_PAGE)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anonymous_part_is_a_folder_with_all_below_it_or_a_method() {
        let text = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let anonymous =
            AnonymousSpec { paths: text(&["/public/", "/health"]), methods: text(&["OPTIONS"]), windows_too: false };
        for (method, path, covered) in [
            ("GET", "/public", true),
            ("POST", "/Public/a/b", true),
            ("GET", "/health", true),
            ("GET", "/healthy", false),
            ("GET", "/", false),
            ("OPTIONS", "/", true),
            ("options", "/", false),
        ] {
            assert_eq!(anonymous.covers(method, path), covered, "{method} {path}");
        }
        assert!(!AnonymousSpec::default().covers("GET", "/"));
        let all = AnonymousSpec { paths: text(&["/"]), ..AnonymousSpec::default() };
        assert!(all.covers("GET", "/") && all.covers("GET", "/x"));
    }
}
