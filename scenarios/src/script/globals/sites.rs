//! What a script says of the site: its servers, domains and DCs.

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
    /// Describes the site. It stands before the first client, and once.
    ///
    /// What is not given stays as it is without `site()`, or as IIS has it.
    ///
    /// # Arguments
    /// * `backends`: How many servers there are, called `iis1`, `iis2` and so on.
    /// * `users`: Users of the domain with their passwords, beside those of the standard directory or in their place.
    /// * `forbidden`: Users whom the application refuses after a good logon (401.3).
    /// * `groups`: How many domain local groups users are members of. Each makes the tickets of its members 40 bytes longer.
    /// * `services`: Service accounts, or machines (`"iis1$"`), with their service principal names.
    /// * `delegation`: Those of `services` that are trusted to act on for their users.
    /// * `lockout`: How many wrong passwords lock an account, from 1 to 999. Nothing locks one if unsaid.
    /// * `latency_us`: How long a packet takes, each way, in microseconds.
    /// * `jitter_us`: How much longer a packet may take, as the seed draws, in microseconds.
    /// * `providers`: What IIS offers, in its order: `"NTLM"`, `"Negotiate"`, `"Negotiate:Kerberos"`, `"Nego2"`. NTLM alone if unsaid.
    /// * `iis`: The version: `"iis6"` or `"iis10"`.
    /// * `authentication`: How IIS authenticates: `windows_authentication(...)`.
    /// * `files`: Files that the application opens below `/files/` as its user, each with the users who may read it.
    /// * `acceptor`: Servers that are not IIS: `tracked(...)`, `trusted_header(...)` or `rogue(...)`.
    /// * `servers`: What differs at a server, by its name: `server(...)`, `windows_authentication(...)`, or one that is not IIS.
    /// * `front`: A second balancer in front of the one that is judged: the name of a mechanism.
    /// * `tls`: TLS, and what a balancer at which it ends has behind it: `"own"` certificates of the servers, the `"same"` one as its
    ///   own, or `"plain"` HTTP.
    /// * `http2`: Whether HTTP/2 is offered, by the servers as well. It needs `tls`.
    /// * `between`: What the balancer of `front` has between it and the other, where TLS ends at it: TLS `"again"`, or `"plain"` HTTP.
    /// * `controllers`: The DCs of the domain, `controller(...)`, in the order in which servers ask them.
    /// * `partner`: A second domain: `partner(...)`.
    /// * `broken`: Why nobody can log on at this site, whatever balancer is in front of it, in one line of at most 200 characters.
    ///   What fails there is then not the balancer's fault.
    /// * `connection_timeout`: After how many seconds IIS closes an idle connection (`connectionTimeout`, 120 by default).
    /// * `max_field_length`: The longest header field of a request that http.sys takes, in bytes, from 64 to 65534
    ///   (`MaxFieldLength`, 16384 by default). A longer one is answered 400.
    /// * `max_request_bytes`: The longest request line with all header fields that http.sys takes, in bytes, from 256 to 16777216
    ///   (`MaxRequestBytes`, 16384 by default).
    /// * `anonymous`: Paths that need no logon, with all below them.
    /// * `anonymous_methods`: Methods that need no logon.
    /// * `anonymous_windows_too`: Whether whoever has logged on is known in the anonymous part as well. Nobody is known there if not.
    /// * `workgroup`: Whether the servers are in no domain. They take NTLM with accounts of their own: `alice` is `.\alice` at the
    ///   client, and `IIS1\alice` at iis1.
    /// * `accounts`: The accounts of each server with their passwords. In a workgroup, those of the directory if unsaid.
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

    /// Says how servers authenticate (`<windowsAuthentication>`), for `site()`, `server()` and `configure()`.
    ///
    /// # Arguments
    /// * `pool`: The identity of the application pool: `"machine"`, or the account that it runs as.
    /// * `kernel_mode`: Whether http.sys authenticates, as the machine (`useKernelMode`).
    /// * `app_pool_credentials`: Whether tickets are decrypted with the pool's key in kernel mode (`useAppPoolCredentials`).
    /// * `persist_non_ntlm`: Whether a ticket authenticates its connection, as NTLM always does, or its request alone
    ///   (`authPersistNonNTLM`).
    /// * `single_request`: Whether every request has to authenticate (`authPersistSingleRequest`).
    /// * `via_ends_persistence`: Whether a request with a `Via` header has to authenticate each time.
    /// * `keep_alive`: When the server keeps a connection open: `"always"`; not behind an answer that refuses a token
    ///   (`"closed-by-failure"`); behind no 401 to a token, so that no handshake of two steps ends (`"closed-by-challenge"`); `"never"`.
    /// * `token_checking`: Extended protection (`tokenChecking`): `"none"`, `"allow"` or `"require"`.
    /// * `protection_flags`: Flags of extended protection: `"Proxy"`, `"NoServiceNameCheck"`, `"AllowDotlessSpn"`, `"ProxyCohosting"`.
    /// * `service_names`: Service names that extended protection takes.
    /// * `max_concurrent_api`: How many logons a server asks its DC for at once (`MaxConcurrentApi`): 10 by default, and 2 for `iis6`.
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

    /// Says what differs at one server, for `site(servers = ...)` and `configure()`. What is not given is as the site has it.
    ///
    /// # Arguments
    /// * `acceptor`: A server that is not IIS.
    /// * `authentication`: How it authenticates: `windows_authentication(...)`.
    /// * `providers`: What it offers, in its order.
    /// * `iis`: Its version: `"iis6"` or `"iis10"`.
    /// * `certificate`: The certificate that it shows: its `"own"`, the `"same"` as the balancer's, one that has `"expired"`, one of
    ///   the `"other-name"`, or `"as-site"`. It needs `site(tls = ...)`.
    /// * `clock_skew`: How many seconds its clock is ahead, or behind where it is less than 0.
    /// * `connection_timeout`: After how many seconds it closes an idle connection.
    /// * `max_field_length`: The longest header field that it takes, in bytes.
    /// * `max_request_bytes`: The longest request line with all header fields that it takes, in bytes.
    /// * `anonymous`: Paths that need no logon there.
    /// * `anonymous_methods`: Methods that need no logon there.
    /// * `anonymous_windows_too`: Whether whoever has logged on is known in the anonymous part as well.
    /// * `workgroup`: Whether it is in no domain.
    /// * `accounts`: Its own accounts with their passwords, over those that the site gives it. `None` takes an account away.
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
    /// * `name`: The name of its host.
    /// * `slow_ms`: How long it takes for each logon, in milliseconds.
    /// * `lacks`: Accounts that it does not have yet.
    /// * `outdated`: Accounts of which it has an older password.
    /// * `max_concurrent_api`: How many logons it asks another DC for at once.
    /// * `requires_checksum`: Whether its KDC refuses a request without a checksum, as RFC 4120 and Samba do, and Windows does not.
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
    /// * `users`: The names of its users.
    /// * `trust`: The trust between the two domains: it `"holds"`, is `"broken"`, or there is `"none"`.
    /// * `password`: The password of the trust, at `CORP` where it is broken.
    /// * `claims`: The domain that its DC claims its users to be of, where that is another one.
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

    /// Describes a server that looks its users up in a table of its own, for `site()` and `configure()`.
    ///
    /// # Arguments
    /// * `header`: The request header whose value it looks up. The other end of the connection if unsaid.
    /// * `check`: What it compares beside that: `"nothing"`, the client's `"address"`, or a `"token"` that it has given out.
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

    /// Describes a server that takes the user from a request header, which the balancer sets.
    ///
    /// # Arguments
    /// * `name`: The header.
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
    /// * `how`: `"garbage"` (no HTTP), `"half-head"`, `"half-body"`, `"wrong-length"`, `"header-flood"`, `"silent"` or `"closes"`.
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

/// Why a site is broken.
fn reason(given: String) -> Result<String, ScriptError> {
    if is_reason(&given) { Ok(given) } else { Err(ScriptError::BadReason) }
}

/// Dictionaries of lists, as plain ones.
fn lists(given: Option<UnpackDictEntries<String, UnpackListOrTuple<String>>>) -> Vec<(String, Vec<String>)> {
    given.map(|given| given.entries.into_iter().map(|(name, list)| (name, list.items)).collect()).unwrap_or_default()
}

fn timeout(seconds: Option<UnpackFloat>) -> Result<Option<Duration>, ScriptError> {
    seconds.map(|time| timer("connection_timeout", time.0, MAX_TIMER)).transpose()
}

/// A limit of http.sys, in bytes.
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

/// The flags of extended protection.
fn flags(given: &[String]) -> Result<u32, Unknown> {
    given.iter().try_fold(0, |flags, name| Ok(flags | one_of("flag of extended protection", name, &FLAGS)?))
}
