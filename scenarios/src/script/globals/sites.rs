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
pub(in super::super) fn sites(builder: &mut GlobalsBuilder) {
    /// Describes the site; before the first client, and once. What is not given stays as it is:
    /// two backends, the standard directory, no lockout, 250 us of latency each way, no jitter, no TLS.
    /// `groups` says how many groups users are members of, which makes their tickets longer; `services` are accounts with
    /// their service principal names, those of `delegation` trusted to act on for their users; `files` what the application
    /// opens below `/files/`, with who may read it. `tls` says what a balancer at which TLS ends has behind it: `own`,
    /// `same` (its certificate) or `plain`; `between` what the balancer of `front` has between it and the other, where TLS ends
    /// at it: `again`, or `plain`. `controllers` are the DCs, in the order in which servers ask them; `partner` is
    /// a second domain. `broken` says why nobody can log on at this site whatever balancer is in front of it: what fails
    /// there is then not the balancer's fault. `servers` says what differs at one: `server()`, or
    /// `windows_authentication()`, or one that is not IIS. The parts below the paths of `anonymous`, and the methods of
    /// `anonymous_methods`, need no logon; with `anonymous_windows_too` who has logged on is known there as well.
    /// `workgroup`: the servers are in no domain, and have the accounts of `accounts`, by default those of the directory.
    /// `connection_timeout` is in seconds; `max_field_length` and `max_request_bytes` are limits of http.sys, in bytes.
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

    /// How the servers authenticate (`<windowsAuthentication>`), each setting as IIS has it if unsaid. `pool` is `machine`,
    /// or the account that the application pool runs as; `keep_alive` is `always`, `closed-by-failure`, `closed-by-challenge` or
    /// `never`; `token_checking` is `none`, `allow` or `require`; `max_concurrent_api` is how many logons a server asks its
    /// domain for at once.
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

    /// For `site(servers=)` and `configure()`: what differs at one server, each setting as the site has it if unsaid.
    /// `acceptor` is a server that is not IIS; `certificate` is `own`, `same` (the balancer's), `expired`, `other-name`, or
    /// `as-site`; `clock_skew` is how many seconds its clock is ahead; `accounts` are its own, with their passwords, over
    /// those of the site, and None takes one away; in a `workgroup` it knows no other.
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

    /// For `site(controllers=)`: a DC that takes `slow_ms` for each logon, that lacks accounts, or has older passwords of
    /// accounts (`outdated`), or that asks another DC for `max_concurrent_api` logons at once. `requires_checksum`: whether
    /// its KDC refuses a request without a checksum (RFC 4120, Samba; Windows does not).
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

    /// For `site(partner=)`: the domain PARTNER with these users, on the DC `dc-partner`. Its trust with CORP `holds`, is
    /// `broken`, or there is `none`; `password` is that of the trust, at CORP where it is broken. With `claims` its DC vouches for users of that domain.
    fn partner(
        users: UnpackListOrTuple<String>,
        #[starlark(require = named, default = "holds")] trust: &str,
        #[starlark(require = named, default = TRUST_PASSWORD)] password: &str,
        #[starlark(require = named)] claims: Option<String>,
    ) -> starlark::Result<Partner> {
        let trust = one_of("state of a trust", trust, &TRUSTS)?;
        Ok(Partner(site::Partner { users: users.items, trust, password: password.to_owned(), claims }))
    }

    /// For `site(acceptor=)` and `site(servers=)`: a server that looks users up in a table of its own, by the
    /// connection's other end or by the value of `header`; `check` is `nothing`, `address` or `token`.
    fn tracked(
        #[starlark(require = named)] header: Option<String>,
        #[starlark(require = named, default = "nothing")] check: &str,
    ) -> starlark::Result<Acceptor> {
        let by = header.map_or(TrackedBy::Peer, TrackedBy::Header);
        let check = one_of("check", check, &CHECKS)?;
        Ok(Acceptor(topology::Acceptor::Tracked(Tracked { by, check })))
    }

    /// A server that takes the user from this request header, which the balancer sets.
    fn trusted_header(name: String) -> starlark::Result<Acceptor> {
        Ok(Acceptor(topology::Acceptor::TrustedHeader(name)))
    }

    /// A server that misbehaves: `garbage`, `half-head`, `half-body`, `wrong-length`, `header-flood`, `silent` or
    /// `closes`.
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
