//! The functions that describe the site: its servers, domains and DCs.

#![expect(
    clippy::too_many_arguments,
    clippy::unnecessary_wraps,
    reason = "a script's function has as many named arguments as it needs, and Starlark wants a Result of each"
)]

use std::ops::RangeInclusive;
use std::time::Duration;

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::dict::UnpackDictEntries;
use starlark::values::float::UnpackFloat;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::none::{NoneOr, NoneType};
use stickler_model::Name;
use stickler_model::bounds::{MAX_TIME, MAX_TIMER};
use stickler_model::standard::MAX_BACKENDS;
use stickler_model::topology::{
    self, ControllerSpec, LinkSpec, ProtectionSpec, Provider, SiteSpec, TlsSpec, Tracked, TrackedBy,
};
use stickler_model::topology_problem::{MAX_CONCURRENT_API, MAX_GROUPS, MAX_LATENCY, MAX_SLOW};

use super::super::errors::ScriptError;
use super::super::session::Session;
use super::super::values::{Acceptor, Controller, Partner, Server, Settings, server_change};
use super::{in_range, one_of, timer};
use crate::site::names::{
    BETWEEN, CERTIFICATES, CHECKINGS, CHECKS, FLAGS, KEEP_ALIVES, PROVIDERS, ROGUES, TRUSTS, UPSTREAMS, VERSIONS,
};
use crate::site::{self, ServerChange, Site, SiteChange, TRUST_PASSWORD, Unknown, check_name, is_reason, pool};

#[starlark_module]
pub(super) fn sites(builder: &mut GlobalsBuilder) {
    /// Describes the site. The call comes before the first client, and only once.
    ///
    /// A setting that is not given has the value that it has without `site()`, or IIS's default.
    ///
    /// # Arguments
    /// * `backends`: The number of servers, which are called `iis1`, `iis2` and so on.
    /// * `users`: Users of the domain with their passwords, in addition to the standard directory. A user who is
    ///   already in the directory gets the given password.
    /// * `forbidden`: Users whom the application refuses after a successful logon (401.3).
    /// * `groups`: The number of domain local groups of which a user is a member. Each makes the user's tickets 40
    ///   bytes longer.
    /// * `services`: Service accounts, or machines (`"iis1$"`), with their service principal names.
    /// * `delegation`: The accounts among `services` that are trusted for delegation, so that they may act for their
    ///   users.
    /// * `lockout`: The number of wrong passwords that lock an account, from 1 to 999. By default, no account is ever
    ///   locked.
    /// * `latency_us`: The time that a packet takes in each direction, in microseconds.
    /// * `jitter_us`: The maximum additional time that a packet may take, in microseconds. The seed draws it for each
    ///   packet.
    /// * `providers`: The providers that IIS offers, in its order: `"NTLM"`, `"Negotiate"`, `"Negotiate:Kerberos"`,
    ///   `"Nego2"`. The default is NTLM alone.
    /// * `iis`: The version of IIS: `"iis6"` or `"iis10"`.
    /// * `authentication`: The authentication settings of IIS: `windows_authentication(...)`.
    /// * `files`: Files below `/files/` that the application opens with the rights of its user, each with the users who
    ///   may read it.
    /// * `acceptor`: A kind of server other than IIS, for all servers: `tracked(...)`, `trusted_header(...)` or
    ///   `rogue(...)`.
    /// * `servers`: The settings in which single servers differ, by the server's name: `server(...)`,
    ///   `windows_authentication(...)`, or a server that is not IIS.
    /// * `front`: A second balancer in front of the one that is judged: the name of a mechanism.
    /// * `tls`: Turns TLS on, and says how a balancer that terminates TLS connects to the servers: by TLS with their
    ///   `"own"` certificates, by TLS with the `"same"` certificate as the balancer's, or by `"plain"` HTTP.
    /// * `http2`: Whether HTTP/2 is offered, also by the servers. It requires `tls`.
    /// * `between`: The protocol between the balancer of `front` and the judged one, if the balancer of `front`
    ///   terminates TLS: TLS `"again"`, or `"plain"` HTTP.
    /// * `controllers`: The DCs of the domain, `controller(...)`, in the order in which servers ask them.
    /// * `partner`: A second domain: `partner(...)`.
    /// * `broken`: The reason why nobody can log on at this site, whatever balancer is in front of it, in one line of
    ///   at most 200 characters. Failures at such a site are not the balancer's fault.
    /// * `connection_timeout`: The time after which IIS closes an idle connection, in seconds (`connectionTimeout`, 120
    ///   by default).
    /// * `max_field_length`: The maximum length of a header field of a request, in bytes, from 64 to 65534
    ///   (`MaxFieldLength` of http.sys, 16384 by default). A longer field is answered with 400.
    /// * `max_request_bytes`: The maximum length of the request line with all header fields, in bytes, from 256 to
    ///   16777216 (`MaxRequestBytes` of http.sys, 16384 by default).
    /// * `anonymous`: Paths that need no logon, including everything below them.
    /// * `anonymous_methods`: Methods that need no logon.
    /// * `anonymous_windows_too`: Whether a user who has logged on keeps that identity in the anonymous part. Otherwise
    ///   everybody is anonymous there.
    /// * `workgroup`: Whether the servers are in no domain. They then accept NTLM with their own accounts: `alice`
    ///   is `.\alice` at the client, and `IIS1\alice` at iis1.
    /// * `accounts`: The accounts of each server with their passwords. In a workgroup, the default is the accounts of
    ///   the directory.
    ///
    /// Examples:
    /// ```python
    /// site(backends = 3, lockout = 5, tls = "own", servers = {"iis2": server(certificate = "expired")})
    /// ```
    fn site<'v>(
        #[starlark(require = named, default = 2)] backends: i64,
        #[starlark(require = named)] users: Option<UnpackDictEntries<String, String>>,
        #[starlark(require = named)] forbidden: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named)] groups: Option<UnpackDictEntries<String, i64>>,
        #[starlark(require = named)] services: Option<UnpackDictEntries<String, UnpackListOrTuple<String>>>,
        #[starlark(require = named)] delegation: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named, default = NoneOr::None)] lockout: NoneOr<i64>,
        #[starlark(require = named, default = 250)] latency_us: i64,
        #[starlark(require = named, default = 0)] jitter_us: i64,
        #[starlark(require = named)] providers: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named, default = "iis10")] iis: &str,
        #[starlark(require = named)] authentication: Option<&'v Settings>,
        #[starlark(require = named)] files: Option<UnpackDictEntries<String, UnpackListOrTuple<String>>>,
        #[starlark(require = named)] acceptor: Option<&'v Acceptor>,
        #[starlark(require = named)] servers: Option<UnpackDictEntries<String, Value<'v>>>,
        #[starlark(require = named)] front: Option<String>,
        #[starlark(require = named)] tls: Option<String>,
        #[starlark(require = named, default = false)] http2: bool,
        #[starlark(require = named)] between: Option<&str>,
        #[starlark(require = named)] controllers: Option<UnpackListOrTuple<&'v Controller>>,
        #[starlark(require = named)] partner: Option<&'v Partner>,
        #[starlark(require = named)] broken: Option<String>,
        #[starlark(require = named)] connection_timeout: Option<UnpackFloat>,
        #[starlark(require = named)] max_field_length: Option<i64>,
        #[starlark(require = named)] max_request_bytes: Option<i64>,
        #[starlark(require = named)] anonymous: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named)] anonymous_methods: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named)] anonymous_windows_too: Option<bool>,
        #[starlark(require = named, default = false)] workgroup: bool,
        #[starlark(require = named)] accounts: Option<UnpackDictEntries<String, String>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        if between.is_some() && (front.is_none() || tls.is_none()) {
            return Err(ScriptError::BetweenWithoutFront.into());
        }
        let site = Site {
            backends: in_range("backends", backends, 1, MAX_BACKENDS.into())? as u32,
            users: users.map(|users| users.entries).unwrap_or_default(),
            forbidden: forbidden.map(|names| names.items).unwrap_or_default(),
            groups: groups
                .map(|groups| groups.entries)
                .unwrap_or_default()
                .into_iter()
                .map(|(name, count)| Ok((name, in_range("groups", count, 0, MAX_GROUPS.into())? as u16)))
                .collect::<Result<_, ScriptError>>()?,
            services: lists(services),
            delegation: delegation.map(|names| names.items).unwrap_or_default(),
            lockout: lockout
                .into_option()
                .map(|count| in_range("lockout", count, 1, 999))
                .transpose()?
                .map(|count| count as u32),
            link: LinkSpec {
                latency: microseconds("latency_us", latency_us)?,
                jitter: microseconds("jitter_us", jitter_us)?,
            },
            providers: self::providers(providers)?,
            version: one_of("version of IIS", iis, &VERSIONS)?,
            settings: authentication.map(|settings| settings.0.clone()).unwrap_or_default(),
            files: lists(files),
            acceptor: acceptor.map(|acceptor| acceptor.0.clone()).unwrap_or_default(),
            servers: servers
                .map(|servers| servers.entries)
                .unwrap_or_default()
                .into_iter()
                .map(|(name, value)| Ok((name, server_change(value)?)))
                .collect::<Result<_, ScriptError>>()?,
            change: SiteChange {
                connection_timeout: timeout(connection_timeout)?,
                max_field_length: bytes("max_field_length", max_field_length, SiteSpec::FIELD_LENGTHS)?,
                max_request_bytes: bytes("max_request_bytes", max_request_bytes, SiteSpec::REQUEST_BYTES)?,
                anonymous: anonymous.map(|paths| paths.items),
                anonymous_methods: anonymous_methods.map(|methods| methods.items),
                anonymous_windows_too,
            },
            workgroup,
            accounts: accounts.map(|accounts| accounts.entries),
            front,
            tls: match tls {
                Some(upstream) => Some(TlsSpec {
                    upstream: one_of("way of TLS", &upstream, &UPSTREAMS)?,
                    http2,
                    between: between.map(|way| one_of("way of TLS", way, &BETWEEN)).transpose()?.unwrap_or_default(),
                }),
                None if http2 => return Err(ScriptError::Http2WithoutTls.into()),
                None => None,
            },
            controllers: controllers
                .map(|list| list.items.into_iter().map(|controller| controller.0.clone()).collect())
                .unwrap_or_default(),
            partner: partner.map(|partner| partner.0.clone()),
            broken: broken.map(reason).transpose()?,
        };
        let mut checked = Ok(());
        Session::of(eval).set_site(|topology| checked = site.apply(topology))?;
        Ok(checked.map(|()| NoneType)?)
    }

    /// Describes the authentication of servers (`<windowsAuthentication>`), for `site()`, `server()` and `configure()`.
    ///
    /// # Arguments
    /// * `pool`: The identity of the application pool: `"machine"`, or the account under which it runs.
    /// * `kernel_mode`: Whether http.sys authenticates, with the machine's account (`useKernelMode`).
    /// * `app_pool_credentials`: Whether tickets are decrypted with the key of the application pool in kernel mode
    ///   (`useAppPoolCredentials`).
    /// * `persist_non_ntlm`: Whether a ticket authenticates its connection, as NTLM always does. Otherwise it
    ///   authenticates a single request (`authPersistNonNTLM`).
    /// * `single_request`: Whether every request has to authenticate again (`authPersistSingleRequest`).
    /// * `via_ends_persistence`: Whether a request with a `Via` header always has to authenticate again.
    /// * `keep_alive`: The answers after which the server keeps a connection open: `"always"`; all except one that
    ///   refuses a token (`"closed-by-failure"`); all except a 401 to a token, so that no handshake of two steps
    ///   completes (`"closed-by-challenge"`); `"never"`.
    /// * `token_checking`: The mode of extended protection (`tokenChecking`): `"none"`, `"allow"` or `"require"`.
    /// * `protection_flags`: The flags of extended protection: `"Proxy"`, `"NoServiceNameCheck"`, `"AllowDotlessSpn"`,
    ///   `"ProxyCohosting"`.
    /// * `service_names`: The service names that extended protection accepts.
    /// * `max_concurrent_api`: The number of logons for which a server asks its DC at the same time
    ///   (`MaxConcurrentApi`): 10 by default, and 2 for `iis6`.
    ///
    /// # Returns
    /// The settings.
    ///
    /// Examples:
    /// ```python
    /// site(authentication = windows_authentication(pool = "svc-web", kernel_mode = False))
    /// ```
    fn windows_authentication(
        #[starlark(require = named, default = "machine")] pool: &str,
        #[starlark(require = named, default = true)] kernel_mode: bool,
        #[starlark(require = named, default = false)] app_pool_credentials: bool,
        #[starlark(require = named, default = true)] persist_non_ntlm: bool,
        #[starlark(require = named, default = false)] single_request: bool,
        #[starlark(require = named, default = false)] via_ends_persistence: bool,
        #[starlark(require = named, default = "always")] keep_alive: &str,
        #[starlark(require = named, default = "none")] token_checking: &str,
        #[starlark(require = named)] protection_flags: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named)] service_names: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named)] max_concurrent_api: Option<i64>,
    ) -> starlark::Result<Settings> {
        Ok(Settings(SiteSpec {
            pool: self::pool(pool),
            kernel_mode,
            app_pool_credentials,
            persist_non_ntlm,
            single_request,
            via_ends_persistence,
            keep_alive: one_of("way to keep connections", keep_alive, &KEEP_ALIVES)?,
            protection: ProtectionSpec {
                checking: one_of("way to check tokens", token_checking, &CHECKINGS)?,
                flags: flags(&protection_flags.map(|flags| flags.items).unwrap_or_default())?,
                service_names: service_names.map(|names| names.items).unwrap_or_default(),
            },
            max_concurrent_api: max_concurrent_api.map(calls).transpose()?,
            ..SiteSpec::default()
        }))
    }

    /// Describes the settings in which one server differs, for `site(servers = ...)` and `configure()`. A setting that
    /// is not given is that of the site.
    ///
    /// # Arguments
    /// * `acceptor`: A kind of server other than IIS.
    /// * `authentication`: The authentication settings of the server: `windows_authentication(...)`.
    /// * `providers`: The providers that the server offers, in its order.
    /// * `iis`: The version of IIS: `"iis6"` or `"iis10"`.
    /// * `certificate`: The certificate that the server presents: its `"own"`, the `"same"` as the balancer's, one that
    ///   has `"expired"`, one with the `"other-name"`, or `"as-site"`. It requires `site(tls = ...)`.
    /// * `clock_skew`: The number of seconds by which the server's clock is ahead. A negative number means that it is
    ///   behind.
    /// * `connection_timeout`: The time after which the server closes an idle connection, in seconds.
    /// * `max_field_length`: The maximum length of a header field that the server accepts, in bytes.
    /// * `max_request_bytes`: The maximum length of the request line with all header fields that the server accepts, in
    ///   bytes.
    /// * `anonymous`: Paths that need no logon at this server.
    /// * `anonymous_methods`: Methods that need no logon at this server.
    /// * `anonymous_windows_too`: Whether a user who has logged on keeps that identity in the anonymous part.
    /// * `workgroup`: Whether the server is in no domain.
    /// * `accounts`: The server's own accounts with their passwords, in addition to those that the site gives it.
    ///   `None` removes an account.
    ///
    /// # Returns
    /// The settings.
    ///
    /// Examples:
    /// ```python
    /// site(servers = {"iis2": server(clock_skew = 600, accounts = {"bob": None})})
    /// ```
    fn server<'v>(
        #[starlark(require = named)] acceptor: Option<&'v Acceptor>,
        #[starlark(require = named)] authentication: Option<&'v Settings>,
        #[starlark(require = named)] providers: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named)] iis: Option<&str>,
        #[starlark(require = named)] certificate: Option<&str>,
        #[starlark(require = named)] clock_skew: Option<i64>,
        #[starlark(require = named)] connection_timeout: Option<UnpackFloat>,
        #[starlark(require = named)] max_field_length: Option<i64>,
        #[starlark(require = named)] max_request_bytes: Option<i64>,
        #[starlark(require = named)] anonymous: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named)] anonymous_methods: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named)] anonymous_windows_too: Option<bool>,
        #[starlark(require = named)] workgroup: Option<bool>,
        #[starlark(require = named)] accounts: Option<UnpackDictEntries<String, NoneOr<String>>>,
    ) -> starlark::Result<Server> {
        if let Some(skew) = clock_skew {
            in_range("clock_skew, either way", skew.saturating_abs(), 0, MAX_TIME.as_secs())?;
        }
        let accounts = accounts.map(|accounts| accounts.entries).unwrap_or_default();
        Ok(Server(ServerChange {
            acceptor: acceptor.map(|acceptor| acceptor.0.clone()),
            authentication: authentication.map(|settings| settings.0.clone()),
            site: SiteChange {
                connection_timeout: timeout(connection_timeout)?,
                max_field_length: bytes("max_field_length", max_field_length, SiteSpec::FIELD_LENGTHS)?,
                max_request_bytes: bytes("max_request_bytes", max_request_bytes, SiteSpec::REQUEST_BYTES)?,
                anonymous: anonymous.map(|paths| paths.items),
                anonymous_methods: anonymous_methods.map(|methods| methods.items),
                anonymous_windows_too,
            },
            providers: self::providers(providers)?,
            version: iis.map(|iis| one_of("version of IIS", iis, &VERSIONS)).transpose()?,
            certificate: certificate.map(|name| one_of("certificate", name, &CERTIFICATES)).transpose()?,
            clock_skew,
            workgroup,
            accounts: accounts.into_iter().map(|(name, password)| (name, password.into_option())).collect(),
        }))
    }

    /// Describes a domain controller, for `site(controllers = ...)`.
    ///
    /// # Arguments
    /// * `name`: The name of the DC's host.
    /// * `slow_ms`: The time that the DC takes for each logon, in milliseconds.
    /// * `lacks`: Accounts that the DC does not have yet.
    /// * `outdated`: Accounts of which the DC has an older password.
    /// * `max_concurrent_api`: The number of logons for which the DC asks another DC at the same time.
    /// * `requires_checksum`: Whether the KDC refuses a request without a checksum. RFC 4120 and Samba do so; Windows
    ///   does not.
    ///
    /// # Returns
    /// The domain controller.
    ///
    /// Examples:
    /// ```python
    /// site(controllers = [controller("dc", slow_ms = 60000), controller("dc2")])
    /// ```
    fn controller(
        name: &str,
        #[starlark(require = named, default = 0)] slow_ms: i64,
        #[starlark(require = named)] lacks: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named)] outdated: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named)] max_concurrent_api: Option<i64>,
        #[starlark(require = named, default = false)] requires_checksum: bool,
    ) -> starlark::Result<Controller> {
        check_name(name)?;
        let slow = Duration::from_millis(in_range("slow_ms", slow_ms, 0, MAX_SLOW.as_millis() as u64)?);
        Ok(Controller(ControllerSpec {
            name: Name::from(name),
            slow: (!slow.is_zero()).then_some(slow),
            lacks: lacks.map(|names| names.items).unwrap_or_default(),
            outdated: outdated.map(|names| names.items).unwrap_or_default(),
            max_concurrent_api: max_concurrent_api.map(calls).transpose()?,
            requires_checksum,
        }))
    }

    /// Describes a second domain, `PARTNER`, on the DC `dc-partner`, for `site(partner = ...)`.
    ///
    /// # Arguments
    /// * `users`: The names of the domain's users.
    /// * `trust`: The trust between the two domains: it `"holds"`, it is `"broken"`, or there is `"none"`.
    /// * `password`: The password of the trust. If the trust is broken, only `CORP` has this password.
    /// * `claims`: The domain to which the partner's DC claims that its users belong, if it is another one.
    ///
    /// # Returns
    /// The domain.
    ///
    /// Examples:
    /// ```python
    /// site(partner = partner(["paula"], trust = "broken"))
    /// ```
    fn partner(
        users: UnpackListOrTuple<String>,
        #[starlark(require = named, default = "holds")] trust: &str,
        #[starlark(require = named, default = TRUST_PASSWORD)] password: &str,
        #[starlark(require = named)] claims: Option<String>,
    ) -> starlark::Result<Partner> {
        let trust = one_of("state of a trust", trust, &TRUSTS)?;
        Ok(Partner(site::Partner { users: users.items, trust, password: password.to_owned(), claims }))
    }

    /// Describes a server that looks users up in its own table, for `site()` and `configure()`.
    ///
    /// # Arguments
    /// * `header`: The request header whose value is the key of the table. By default, the key is the other end of the
    ///   connection.
    /// * `check`: The additional check of the server: `"nothing"`, the client's `"address"`, or a `"token"` that the
    ///   server has issued.
    ///
    /// # Returns
    /// The server.
    ///
    /// Examples:
    /// ```python
    /// site(acceptor = tracked(header = "Jespa-Connection-Id", check = "token"))
    /// ```
    fn tracked(
        #[starlark(require = named)] header: Option<String>,
        #[starlark(require = named, default = "nothing")] check: &str,
    ) -> starlark::Result<Acceptor> {
        let by = header.map_or(TrackedBy::Peer, TrackedBy::Header);
        let check = one_of("check", check, &CHECKS)?;
        Ok(Acceptor(topology::Acceptor::Tracked(Tracked { by, check })))
    }

    /// Describes a server that takes the user from a request header that the balancer sets.
    ///
    /// # Arguments
    /// * `name`: The name of the header.
    ///
    /// # Returns
    /// The server.
    ///
    /// Examples:
    /// ```python
    /// site(acceptor = trusted_header("X-Remote-User"))
    /// ```
    fn trusted_header(name: String) -> starlark::Result<Acceptor> {
        Ok(Acceptor(topology::Acceptor::TrustedHeader(name)))
    }

    /// Describes a server that misbehaves.
    ///
    /// # Arguments
    /// * `how`: The misbehaviour: `"garbage"` (no HTTP), `"half-head"`, `"half-body"`, `"wrong-length"`,
    ///   `"header-flood"`, `"silent"` or `"closes"`.
    ///
    /// # Returns
    /// The server.
    ///
    /// Examples:
    /// ```python
    /// site(servers = {"iis2": rogue("half-body")})
    /// ```
    fn rogue(how: &str) -> starlark::Result<Acceptor> {
        Ok(Acceptor(topology::Acceptor::Rogue(one_of("way to misbehave", how, &ROGUES)?)))
    }
}

/// Checks the reason why a site is broken.
fn reason(given: String) -> Result<String, ScriptError> {
    if is_reason(&given) { Ok(given) } else { Err(ScriptError::BadReason) }
}

/// Converts dictionaries of lists to plain lists of pairs.
fn lists(given: Option<UnpackDictEntries<String, UnpackListOrTuple<String>>>) -> Vec<(String, Vec<String>)> {
    given.map(|given| given.entries.into_iter().map(|(name, list)| (name, list.items)).collect()).unwrap_or_default()
}

fn timeout(seconds: Option<UnpackFloat>) -> Result<Option<Duration>, ScriptError> {
    seconds.map(|time| timer("connection_timeout", time.0, MAX_TIMER)).transpose()
}

/// Checks a limit of http.sys, in bytes.
fn bytes(argument: &'static str, given: Option<i64>, range: RangeInclusive<u32>) -> Result<Option<u32>, ScriptError> {
    let (least, most) = range.into_inner();
    given.map(|given| Ok(in_range(argument, given, least.into(), most.into())? as u32)).transpose()
}

fn providers(names: Option<UnpackListOrTuple<String>>) -> Result<Option<Vec<Provider>>, Unknown> {
    names.map(|names| names.items.iter().map(|name| one_of("provider", name, &PROVIDERS)).collect()).transpose()
}

fn microseconds(argument: &'static str, given: i64) -> Result<Duration, ScriptError> {
    in_range(argument, given, 0, MAX_LATENCY.as_micros() as u64).map(Duration::from_micros)
}

fn calls(given: i64) -> Result<u16, ScriptError> {
    in_range("max_concurrent_api", given, 1, MAX_CONCURRENT_API.into()).map(|calls| calls as u16)
}

/// Returns the flags of extended protection, by their names.
fn flags(given: &[String]) -> Result<u32, Unknown> {
    given.iter().try_fold(0, |flags, name| Ok(flags | one_of("flag of extended protection", name, &FLAGS)?))
}
