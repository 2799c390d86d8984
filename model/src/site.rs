//! The settings of a server's web site. An administrator of IIS finds most of them under Windows Authentication.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bounds::{MAX_TIMER, timer, within};
use crate::{ActionProblem, Principal};

/// The settings of a web site. The defaults are those of IIS. A tracked or trusted acceptor uses only a few of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SiteSpec {
    /// The identity of the application pool.
    pub pool: AppPool,
    /// Whether http.sys authenticates, as the machine's account (`useKernelMode`).
    pub kernel_mode: bool,
    /// Whether tickets are decrypted with the pool's key even in kernel mode (`useAppPoolCredentials`).
    pub app_pool_credentials: bool,
    /// Whether Kerberos authenticates its connection, as NTLM always does (`authPersistNonNTLM`). Microsoft's pages
    /// contradict one another about the default. It is true in the `applicationHost.config` that Microsoft ships.
    pub persist_non_ntlm: bool,
    /// Whether each request has to authenticate again (`authPersistSingleRequest`).
    pub single_request: bool,
    /// Whether each request with `Via` has to authenticate again (IIS 6, `AuthPersistSingleRequestIfProxy`; unknown for
    /// IIS 10).
    pub via_ends_persistence: bool,
    /// The answers after which the server closes the connection.
    pub keep_alive: KeepAlive,
    /// The time after which the server closes an idle connection (`connectionTimeout`).
    #[serde(skip_serializing_if = "is_default_timeout")]
    pub connection_timeout: Duration,
    /// The maximum length of a header field of a request, in bytes (`MaxFieldLength` of the server's http.sys).
    #[serde(skip_serializing_if = "is_default_length")]
    pub max_field_length: u32,
    /// The maximum length of the request line with all header fields, in bytes (`MaxRequestBytes` of the server's
    /// http.sys). A longer request, or one with a longer field, is answered 400 before any authentication.
    #[serde(skip_serializing_if = "is_default_length")]
    pub max_request_bytes: u32,
    /// The parts of the site that need no logon.
    #[serde(skip_serializing_if = "AnonymousSpec::is_nothing")]
    pub anonymous: AnonymousSpec,
    /// The settings of extended protection.
    pub protection: ProtectionSpec,
    /// The maximum number of logons that the server sends to its domain at once (`MaxConcurrentApi` of its Netlogon
    /// service). `None`: the default of its version of Windows
    /// ([`IisVersion::max_concurrent_api`](crate::topology::IisVersion::max_concurrent_api)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_api: Option<u16>,
    /// The files below `/files/`, each with an access list, which the application opens as the user.
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
    /// The default `connectionTimeout` of IIS (Microsoft, "Limits for a Web Site": `00:02:00`).
    pub const CONNECTION_TIMEOUT: Duration = Duration::from_mins(2);

    /// The default `MaxFieldLength` and `MaxRequestBytes` of http.sys, in bytes, if the registry does not set them
    /// (Microsoft, KB 820129 "Http.sys registry settings for Windows").
    pub const MAX_HEAD: u32 = 16_384;
    /// The range of `MaxFieldLength`, in bytes (KB 820129).
    pub const FIELD_LENGTHS: RangeInclusive<u32> = 64..=65_534;
    /// The range of `MaxRequestBytes`, in bytes (KB 820129).
    pub const REQUEST_BYTES: RangeInclusive<u32> = 256..=16_777_216;

    /// Returns whether every setting has IIS's default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the timers and the limits.
    pub(crate) fn check(&self) -> Result<(), ActionProblem> {
        within("`max_field_length`", self.max_field_length, Self::FIELD_LENGTHS)?;
        within("`max_request_bytes`", self.max_request_bytes, Self::REQUEST_BYTES)?;
        timer("`connection_timeout`", self.connection_timeout, MAX_TIMER)
    }

    /// Returns the account whose key decrypts tickets. It is the pool's account; in kernel mode it is the machine's,
    /// unless the settings say otherwise. A ticket for another account's name results in KRB_AP_ERR_MODIFIED.
    pub fn ticket_account(&self) -> &AppPool {
        if self.kernel_mode && !self.app_pool_credentials { &AppPool::Machine } else { &self.pool }
    }
}

/// The account that the worker process runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppPool {
    /// ApplicationPoolIdentity, NetworkService or LocalSystem, which are the machine's account on the network.
    #[default]
    Machine,
    /// A service account of the domain, by name, which a whole farm can share.
    Service(String),
}

/// The answers after which a server closes the connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepAlive {
    /// No answer closes the connection.
    #[default]
    Always,
    /// An answer that refuses a token closes the connection.
    ClosedByFailure,
    /// Each 401 to a token closes the connection. The Challenge is such a 401, so a handshake of two steps never
    /// completes.
    ClosedByChallenge,
    /// Every answer closes the connection, because HTTP keep-alives are off (`<httpProtocol allowKeepAlive="false">`).
    /// An NTLM handshake never completes, since the Challenge ends its connection; each request needs a ticket of its
    /// own.
    Never,
}

/// The parts of a site that need no logon, because anonymous authentication is enabled there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnonymousSpec {
    /// Paths, each of which includes everything below it: `/public`, `/health`.
    pub paths: Vec<String>,
    /// Methods that need no logon on any path. An example is `OPTIONS`, since IIS's CORS module answers a preflight
    /// before any authentication.
    pub methods: Vec<String>,
    /// Whether Windows authentication is enabled in these parts too. Without it, a token is ignored there, and every
    /// request is anonymous, even if a user has authenticated on the connection. The connection still belongs to that
    /// user. With it, a token counts, and a request without a token belongs to the connection's user: http.sys keeps
    /// the credentials of a connection for its later requests (`HTTP_SERVER_AUTHENTICATION_INFO`,
    /// `DisableNTLMCredentialCaching`), and the anonymous user applies only if there is no other.
    pub windows_too: bool,
}

impl AnonymousSpec {
    /// Returns whether everything needs a logon.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether a request needs no logon. `path` comes without its query. IIS ignores case when it compares
    /// paths.
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

/// The settings of extended protection for authentication (`<extendedProtection>`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProtectionSpec {
    /// The rule for checking the channel binding (`tokenChecking`).
    pub checking: Checking,
    /// The flags; see the constants (`flags`).
    pub flags: u32,
    /// The service names to which a client may have authenticated (`<spn>`). Empty: the server's own names.
    pub service_names: Vec<String>,
}

impl ProtectionSpec {
    /// The flag `Proxy`: TLS ends at a proxy, so the service name is checked instead of the channel binding.
    pub const PROXY: u32 = 1;
    /// The flag `NoServiceNameCheck`: the service name is not checked.
    pub const NO_SERVICE_NAME_CHECK: u32 = 2;
    /// The flag `AllowDotlessSpn`: names without a dot in the list count.
    pub const ALLOW_DOTLESS_SPN: u32 = 4;
    /// The flag `ProxyCohosting`: some clients come through a proxy and some do not. The channel binding is checked if
    /// the connection has one, and the service name otherwise.
    pub const PROXY_COHOSTING: u32 = 32;

    /// Returns whether a flag is set.
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// The rule by which a server checks the channel binding (`tokenChecking`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checking {
    /// The binding is not checked.
    #[default]
    None,
    /// The binding is checked if the client sends one.
    Allow,
    /// The client must send a binding, which is checked.
    Require,
}

/// The longest time that `/slow/SECONDS` takes.
pub const MAX_SLOW_PAGE: Duration = Duration::from_hours(1);

/// Returns the time that the application takes to serve a page `/slow/SECONDS`, with or without a query. The case of
/// letters does not matter. Returns `None` for any other path.
pub fn slow_page(path: &str) -> Option<Duration> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let (folder, seconds) = path.strip_prefix('/')?.split_once('/')?;
    let is_number = seconds.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = seconds.parse().ok().filter(|_| is_number && folder.eq_ignore_ascii_case("slow"))?;
    Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= MAX_SLOW_PAGE)
}

/// A file below `/files/`, with its access list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// The name of the file.
    pub name: String,
    /// The users who may read the file.
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
