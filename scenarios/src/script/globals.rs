//! The functions that a script calls.

#![expect(
    clippy::too_many_arguments,
    clippy::unnecessary_wraps,
    reason = "a script's function has as many named arguments as it needs, and Starlark wants a Result of each"
)]

use std::time::Duration;

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::dict::{AllocDict, UnpackDictEntries};
use starlark::values::float::UnpackFloat;
use starlark::values::list::AllocList;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::structs::AllocStruct;
use stickler_model::action::{CheckChange, CheckWait, Fault};
use stickler_model::agent::Agent;
use stickler_model::bounds::{MAX_BODY, MAX_PATIENCE, MAX_TIME, MAX_TIMER, MIN_TIMER};
use stickler_model::standard::MAX_BACKENDS;
use stickler_model::topology::{
    self, ControllerSpec, LinkSpec, ProtectionSpec, Provider, SiteSpec, TlsSpec, Tracked, TrackedBy,
};
use stickler_model::topology_problem::{MAX_CONCURRENT_API, MAX_GROUPS, MAX_LATENCY, MAX_SLOW};
use stickler_model::trace::{NoneLeft, SpreadUnit};
use stickler_model::{ClientSpec, Event, Name, Principal, Profile, What, escape};
use stickler_oracle::Cost;

use super::errors::ScriptError;
use super::server::{ServerChange, SiteChange};
use super::session::Session;
use super::site::{
    self, CERTIFICATES, CHECKINGS, CHECKS, HTTP2, KEEP_ALIVES, PROVIDERS, ROGUES, Site, TRUSTS, UPSTREAMS, VERSIONS,
    check_name, flags, identity, one_of, pool,
};
use super::values::{Acceptor, Body, Client, Controller, Partner, Pending, Response, Server, Settings};

/// The changes that health checks notice, as a script names them.
const CHECK_CHANGES: [(&str, CheckChange); 2] = [("down", CheckChange::Down), ("up", CheckChange::Up)];

/// Longest reason for `site(broken=)`, in characters.
pub(super) const MAX_REASON: usize = 200;

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    /// Describes the site; before the first client, and once. What is not given stays as it is:
    /// two backends, the standard directory, no lockout, 250 us of latency each way, no jitter, no TLS.
    /// `groups` says how many groups users are members of, which makes their tickets longer; `services` are accounts with
    /// their service principal names, those of `delegation` trusted to act on for their users; `files` what the application
    /// opens below `/files/`, with who may read it. `tls` says what a balancer at which TLS ends has behind it: `own`,
    /// `same` (its certificate) or `plain`. `controllers` are the DCs, in the order in which servers ask them; `partner` is
    /// a second domain. `broken` says why nobody can log on at this site whatever balancer is in front of it: what fails
    /// there is then not the balancer's fault. `servers` says what differs at one: `server()`, or
    /// `windows_authentication()`, or one that is not IIS. The parts below the paths of `anonymous`, and the methods of
    /// `anonymous_methods`, need no logon; with `anonymous_windows_too` who has logged on is known there as well.
    /// `workgroup`: the servers are in no domain, and have the accounts of `accounts`, by default those of the directory.
    /// `connection_timeout` is in seconds.
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
        #[starlark(require = named)] controllers: Option<UnpackListOrTuple<&'v Controller>>,
        #[starlark(require = named)] partner: Option<&'v Partner>,
        #[starlark(require = named)] broken: Option<String>,
        #[starlark(require = named)] connection_timeout: Option<UnpackFloat>,
        #[starlark(require = named)] anonymous: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named)] anonymous_methods: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named)] anonymous_windows_too: Option<bool>,
        #[starlark(require = named, default = false)] workgroup: bool,
        #[starlark(require = named)] accounts: Option<UnpackDictEntries<String, String>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
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
                .map(|(name, value)| Ok((name, ServerChange::of(value)?)))
                .collect::<Result<_, ScriptError>>()?,
            change: site_change(connection_timeout, anonymous, anonymous_methods, anonymous_windows_too)?,
            workgroup,
            accounts: accounts.map(|accounts| accounts.entries),
            front,
            tls: match tls {
                Some(upstream) => Some(TlsSpec { upstream: one_of("way of TLS", &upstream, &UPSTREAMS)?, http2 }),
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
            site: site_change(connection_timeout, anonymous, anonymous_methods, anonymous_windows_too)?,
            providers: self::providers(providers)?,
            version: iis.map(|iis| one_of("version of IIS", iis, &VERSIONS)).transpose()?,
            certificate: certificate.map(|name| one_of("certificate", name, &CERTIFICATES)).transpose()?,
            clock_skew,
            workgroup,
            accounts: accounts.into_iter().map(|(name, password)| (name, password.into_option())).collect(),
        }))
    }

    /// For `site(controllers=)`: a DC that takes `slow_ms` for each logon, that lacks accounts, or has older passwords of
    /// accounts (`outdated`), or that asks another DC for `max_concurrent_api` logons at once.
    fn controller(
        name: &str,
        #[starlark(require = named, default = 0)] slow_ms: i64,
        #[starlark(require = named)] lacks: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named)] outdated: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named)] max_concurrent_api: Option<i64>,
    ) -> starlark::Result<Controller> {
        check_name(name)?;
        let slow = Duration::from_millis(in_range("slow_ms", slow_ms, 0, MAX_SLOW.as_millis() as u64)?);
        Ok(Controller(ControllerSpec {
            name: Name::from(name),
            slow: (!slow.is_zero()).then_some(slow),
            lacks: lacks.map(|names| names.items).unwrap_or_default(),
            outdated: outdated.map(|names| names.items).unwrap_or_default(),
            max_concurrent_api: max_concurrent_api.map(calls).transpose()?,
        }))
    }

    /// For `site(partner=)`: the domain PARTNER with these users, on the DC `dc-partner`. Its trust with CORP `holds`, is
    /// `broken`, or there is `none`. With `claims` its DC vouches for users of that domain.
    fn partner(
        users: UnpackListOrTuple<String>,
        #[starlark(require = named, default = "holds")] trust: &str,
        #[starlark(require = named)] claims: Option<String>,
    ) -> starlark::Result<Partner> {
        let trust = one_of("state of a trust", trust, &TRUSTS)?;
        Ok(Partner(site::Partner { users: users.items, trust, claims }))
    }

    /// Adds a client that behaves as `curl --ntlm`. As for every client, `patience` is how many seconds it waits for an answer,
    /// `keep_alive` how many it keeps an idle connection. `user` is a name of the directory, the client's
    /// own if unsaid, or None for nobody; `password` is the directory's if unsaid. With `cookies` it
    /// has a cookie jar. `at` is a client whose host, and address, it shares; `port` the port that it
    /// connects from.
    fn curl<'v>(
        name: &str,
        #[starlark(require = named)] user: Option<NoneOr<String>>,
        #[starlark(require = named)] password: Option<String>,
        #[starlark(require = named, default = false)] cookies: bool,
        #[starlark(require = named)] at: Option<&'v Client>,
        #[starlark(require = named)] port: Option<i64>,
        #[starlark(require = named)] patience: Option<UnpackFloat>,
        #[starlark(require = named)] keep_alive: Option<UnpackFloat>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        let profile = Profile { cookies, ..Profile::CURL };
        Ok(add_client(eval, (name, user, password), |spec| {
            spec.profile = profile;
            set_timers(spec, patience, keep_alive)?;
            set_source(spec, at, port)
        })?)
    }

    /// Adds a client that behaves as `curl --negotiate -u :`: it has tickets, and nothing else.
    fn curl_negotiate<'v>(
        name: &str,
        #[starlark(require = named)] user: Option<NoneOr<String>>,
        #[starlark(require = named)] password: Option<String>,
        #[starlark(require = named, default = false)] delegates: bool,
        #[starlark(require = named, default = 0)] clock_skew: i64,
        #[starlark(require = named)] host: Option<String>,
        #[starlark(require = named, default = "never")] http2: &str,
        #[starlark(require = named)] patience: Option<UnpackFloat>,
        #[starlark(require = named)] keep_alive: Option<UnpackFloat>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        Ok(add_client(eval, (name, user, password), |spec| {
            spec.profile = Profile::CURL_NEGOTIATE;
            set_timers(spec, patience, keep_alive)?;
            negotiates(spec, (delegates, clock_skew), host, http2)
        })?)
    }

    /// Adds a client that behaves as a browser. Where `kerberos` is false it may not use that; `clock_skew` is how many
    /// seconds its clock is ahead; `host` is what it calls the site; with `delegates` it lets servers act as its user.
    fn browser<'v>(
        name: &str,
        #[starlark(require = named)] user: Option<NoneOr<String>>,
        #[starlark(require = named)] password: Option<String>,
        #[starlark(require = named, default = false)] close_after_first_401: bool,
        #[starlark(require = named, default = true)] cookies: bool,
        #[starlark(require = named)] at: Option<&'v Client>,
        #[starlark(require = named)] port: Option<i64>,
        #[starlark(require = named, default = true)] kerberos: bool,
        #[starlark(require = named, default = false)] delegates: bool,
        #[starlark(require = named, default = 0)] clock_skew: i64,
        #[starlark(require = named)] host: Option<String>,
        #[starlark(require = named, default = "never")] http2: &str,
        #[starlark(require = named)] patience: Option<UnpackFloat>,
        #[starlark(require = named)] keep_alive: Option<UnpackFloat>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        let profile = Profile { close_after_first_401, cookies, ..Profile::BROWSER };
        Ok(add_client(eval, (name, user, password), |spec| {
            (spec.profile, spec.no_kerberos) = (profile, !kerberos);
            set_source(spec, at, port)?;
            set_timers(spec, patience, keep_alive)?;
            negotiates(spec, (delegates, clock_skew), host, http2)
        })?)
    }

    /// Adds a client that behaves as the user agent `kind`. The arguments are those of `browser`; where `cookies` is not
    /// given, the user agent decides.
    fn client<'v>(
        name: &str,
        kind: &str,
        #[starlark(require = named)] user: Option<NoneOr<String>>,
        #[starlark(require = named)] password: Option<String>,
        #[starlark(require = named, default = false)] close_after_first_401: bool,
        #[starlark(require = named)] cookies: Option<bool>,
        #[starlark(require = named)] at: Option<&'v Client>,
        #[starlark(require = named)] port: Option<i64>,
        #[starlark(require = named, default = true)] kerberos: bool,
        #[starlark(require = named, default = false)] delegates: bool,
        #[starlark(require = named, default = 0)] clock_skew: i64,
        #[starlark(require = named)] host: Option<String>,
        #[starlark(require = named, default = "never")] http2: &str,
        #[starlark(require = named)] patience: Option<UnpackFloat>,
        #[starlark(require = named)] keep_alive: Option<UnpackFloat>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        let profile = Profile::of(one_of("kind of client", kind, Agent::ALL)?);
        let cookies = cookies.unwrap_or(profile.cookies);
        Ok(add_client(eval, (name, user, password), |spec| {
            (spec.profile, spec.no_kerberos) = (Profile { close_after_first_401, cookies, ..profile }, !kerberos);
            set_source(spec, at, port)?;
            set_timers(spec, patience, keep_alive)?;
            negotiates(spec, (delegates, clock_skew), host, http2)
        })?)
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

    /// What the balancer declares about itself: `checks` (with `interval`, `timeout`, `notice_down` and `notice_up` in
    /// seconds, `logs_on`), `persistence` in seconds, `spread` (with `unit`, which is `requests` or `connections`, `percent`,
    /// `units` and `weights`), `cookie`, `trusted_header`, `out_after_failures` in seconds; None where it declares nothing.
    /// `services` is a list, each with its `prefix` and its `backends`; it is empty where every backend serves everything.
    /// `none_left` is the status of an answer while no backend is left, None where the connection is closed.
    fn promises<'v>(eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Value<'v>> {
        let promises = Session::of(eval).promises()?;
        let heap = eval.heap();
        let none = Value::new_none();
        let text = |text: Option<String>| text.map_or(none, |text| heap.alloc(text));
        let seconds = |time: Duration| heap.alloc(time.as_secs_f64());
        let checks = promises.checks.map_or(none, |checks| {
            heap.alloc(AllocStruct([
                ("interval", seconds(checks.interval)),
                ("timeout", seconds(checks.timeout)),
                ("notice_down", seconds(checks.notice_down())),
                ("notice_up", seconds(checks.notice_up())),
                ("logs_on", Value::new_bool(checks.user.is_some())),
            ]))
        });
        let none_left = match promises.none_left {
            NoneLeft::Status(status) => heap.alloc(i32::from(status)),
            NoneLeft::Closed => none,
        };
        let spread = promises.spread.map_or(none, |spread| {
            let unit = match spread.unit {
                SpreadUnit::Requests => "requests",
                SpreadUnit::Connections => "connections",
            };
            heap.alloc(AllocStruct([
                ("unit", heap.alloc(unit)),
                ("percent", heap.alloc(spread.percent)),
                ("units", heap.alloc(spread.units)),
                (
                    "weights",
                    heap.alloc(AllocDict(spread.weights.iter().map(|(name, weight)| (name.as_str(), *weight)))),
                ),
            ]))
        });
        let services = promises.services.iter().map(|service| {
            let backends = service.backends.iter().map(Name::as_str);
            AllocStruct([
                ("prefix", heap.alloc(service.prefix.as_str())),
                ("backends", heap.alloc(AllocList(backends))),
            ])
        });
        Ok(heap.alloc(AllocStruct([
            ("checks", checks),
            ("persistence", promises.persistence.map_or(none, seconds)),
            ("spread", spread),
            ("cookie", text(promises.cookie)),
            ("trusted_header", text(promises.trusted_header)),
            ("none_left", none_left),
            ("out_after_failures", promises.out_after_failures.map_or(none, seconds)),
            ("services", heap.alloc(AllocList(services))),
        ])))
    }

    /// What was counted so far: HTTP `requests` that clients sent, pass-through `logons` at the DC, `tickets` that it was
    /// asked for, and `ticket_checks`, tickets that servers decided on.
    fn counts<'v>(eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Value<'v>> {
        let mut cost = Cost::default();
        Session::of(eval).visit(&mut |event| cost += Cost::of(&event.what))?;
        Ok(eval.heap().alloc(AllocStruct([
            ("requests", cost.http_requests),
            ("logons", cost.logons),
            ("tickets", cost.dc_tickets),
            ("ticket_checks", cost.ticket_checks),
        ])))
    }

    /// What the application logged, request by request: the `id` that the request carried, the `user` that it was served
    /// as, the `backend`. A response has the same `id`: so a mix-up is found in the field.
    fn app_log<'v>(eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Vec<Value<'v>>> {
        let (heap, mut log) = (eval.heap(), Vec::new());
        Session::of(eval).visit(&mut |Event { by, what, .. }| {
            if let What::ServerAnswered { request, user, processed: true, .. } = what {
                let text = |text: Option<&str>| text.map_or(Value::new_none(), |text| heap.alloc(text));
                let id = request.map(|id| id.to_string());
                let user = user.as_ref().map(Principal::as_str);
                let backend = heap.alloc(by.as_str());
                log.push(heap.alloc(AllocStruct([
                    ("id", text(id.as_deref())),
                    ("user", text(user)),
                    ("backend", backend),
                ])));
            }
        })?;
        Ok(log)
    }

    /// What servers heard of the logons that they asked a DC for: `server`, `account`, and the NTSTATUS in hexadecimal.
    fn logon_log<'v>(eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Vec<Value<'v>>> {
        let (heap, mut log) = (eval.heap(), Vec::new());
        Session::of(eval).visit(&mut |Event { by, what, .. }| {
            if let What::ServerLogon { account, status, .. } = what {
                let entry = [
                    ("server", heap.alloc(by.as_str())),
                    ("account", heap.alloc(account.as_str())),
                    ("status", heap.alloc(format!("{status:08X}"))),
                ];
                log.push(heap.alloc(AllocStruct(entry)));
            }
        })?;
        Ok(log)
    }

    /// A body of that many bytes, of a fixed pattern.
    fn bytes_of(count: i64) -> starlark::Result<Body> {
        Ok(Body { length: in_range("count", count, 0, MAX_BODY)? })
    }

    /// Waits for each of the requests; their answers, in the same order.
    fn wait_all<'v>(
        requests: UnpackListOrTuple<&'v Pending>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Vec<Value<'v>>> {
        let answers =
            requests.items.into_iter().map(|request| request.answer(eval)).collect::<Result<Vec<Response>, _>>()?;
        Ok(answers.into_iter().map(|answer| eval.heap().alloc(answer)).collect())
    }

    /// Lets time pass.
    fn advance<'v>(
        #[starlark(default = UnpackFloat(0.0))] seconds: UnpackFloat,
        #[starlark(require = named, default = UnpackFloat(0.0))] ms: UnpackFloat,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        Session::of(eval).advance(time("the time in seconds", seconds.0 + ms.0 / 1_000.0)?)?;
        Ok(NoneType)
    }

    /// Lets time pass until the balancer's health checks must have noticed that a backend is `down`, or `up` again, and
    /// `extra` seconds more; `otherwise` seconds where the balancer declares no checks.
    fn await_checks<'v>(
        change: &str,
        #[starlark(require = named, default = UnpackFloat(1.0))] extra: UnpackFloat,
        #[starlark(require = named, default = UnpackFloat(60.0))] otherwise: UnpackFloat,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let change = one_of("change that checks notice", change, &CHECK_CHANGES)?;
        let (extra, otherwise) = (time("extra", extra.0)?, time("otherwise", otherwise.0)?);
        Session::of(eval).await_checks(CheckWait { change, extra, otherwise })?;
        Ok(NoneType)
    }

    /// Ends a host's process; its kernel closes the connections.
    fn crash(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Crash(host.into()))
    }

    /// A host falls silent; nobody is told.
    fn power_loss(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::PowerLoss(host.into()))
    }

    /// Starts a host's process again.
    fn restart(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Restart(host.into()))
    }

    /// A host's process stops in its tracks: connections are accepted, and nobody answers.
    fn hang(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Hang(host.into()))
    }

    /// A process that hangs goes on.
    fn resume(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Resume(host.into()))
    }

    /// The balancer drains a backend: what is bound to it stays, nothing new comes.
    fn drain(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        Session::of(eval).drain(host.into(), true)?;
        Ok(NoneType)
    }

    /// A drained backend is in full use again.
    fn undrain(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        Session::of(eval).drain(host.into(), false)?;
        Ok(NoneType)
    }

    /// Sets a server up anew, as `site(servers=)` would, over what it has now, and starts IIS again (`iisreset`): its
    /// connections end.
    fn configure<'v>(host: &str, server: Value<'v>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        Session::of(eval).configure(host, &ServerChange::of(server)?)?;
        Ok(NoneType)
    }

    /// Packets between two hosts wait, in both directions.
    fn hold(one: &str, other: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Hold(one.into(), other.into()))
    }

    /// Packets held between two hosts arrive.
    fn release(one: &str, other: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Release(one.into(), other.into()))
    }

    /// A forged RST ends every connection between two hosts.
    fn reset(one: &str, other: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Reset(one.into(), other.into()))
    }

    /// Notes that a condition does not hold. The script goes on either way.
    fn expect<'v>(
        condition: Value<'v>,
        #[starlark(default = "")] message: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        Session::of(eval).expects();
        if !condition.to_bool() {
            let at = eval.call_stack_top_location().map_or_else(super::statement, |call| super::bytes(call.span));
            let message = if message.is_empty() { "expectation does not hold" } else { message };
            Session::of(eval).fail(at, message.to_owned(), Some(condition.to_repr()));
        }
        Ok(NoneType)
    }
}

/// Adds a client of that name; `describe` says what it is.
fn add_client(
    eval: &Evaluator<'_, '_, '_>,
    (name, user, password): (&str, Option<NoneOr<String>>, Option<String>),
    describe: impl FnOnce(&mut ClientSpec) -> Result<(), ScriptError>,
) -> Result<Client, ScriptError> {
    check_name(name)?;
    let session = Session::of(eval);
    let identity = match user.map(NoneOr::into_option) {
        Some(None) if password.is_some() => return Err(ScriptError::PasswordOfNobody),
        Some(None) => None,
        Some(Some(user)) => Some(session.site(|topology| identity(topology, &user, password))?),
        None => Some(session.site(|topology| identity(topology, name, password))?),
    };
    let name = Name::from(name);
    let mut spec = ClientSpec::new(name.clone(), Profile::CURL, identity);
    describe(&mut spec)?;
    session.add_client(spec)?;
    Ok(Client { name })
}

/// Why a site is broken: a line that fits a report.
fn reason(given: String) -> Result<String, ScriptError> {
    let fits = (1..=MAX_REASON).contains(&given.chars().count()) && escape::line(&given) == given;
    if fits && !given.trim().is_empty() { Ok(given) } else { Err(ScriptError::BadReason) }
}

/// Dictionaries of lists, as plain ones.
fn lists(given: Option<UnpackDictEntries<String, UnpackListOrTuple<String>>>) -> Vec<(String, Vec<String>)> {
    given.map(|given| given.entries.into_iter().map(|(name, list)| (name, list.items)).collect()).unwrap_or_default()
}

fn fault(eval: &Evaluator<'_, '_, '_>, fault: Fault) -> starlark::Result<NoneType> {
    Session::of(eval).fault(fault)?;
    Ok(NoneType)
}

/// Sets the client whose address this one shares, and the port that it connects from.
fn set_source(spec: &mut ClientSpec, at: Option<&Client>, port: Option<i64>) -> Result<(), ScriptError> {
    let port = port.map(|port| in_range("port", port, 1024, 65_535)).transpose()?;
    (spec.at, spec.port) = (at.map(Client::name), port.map(|port| port as u16));
    Ok(())
}

/// What clients have in common that can get tickets.
fn negotiates(
    spec: &mut ClientSpec,
    (delegates, skew): (bool, i64),
    host: Option<String>,
    http2: &str,
) -> Result<(), ScriptError> {
    in_range("clock_skew, either way", skew.saturating_abs(), 0, MAX_TIME.as_secs())?;
    (spec.delegates, spec.clock_skew, spec.host) = (delegates, skew, host);
    spec.http2 = one_of("way with HTTP/2", http2, &HTTP2)?;
    Ok(())
}

/// Sets how long a client waits, and keeps connections.
fn set_timers(
    spec: &mut ClientSpec,
    patience: Option<UnpackFloat>,
    keep_alive: Option<UnpackFloat>,
) -> Result<(), ScriptError> {
    spec.patience = patience.map(|time| timer("patience", time.0, MAX_PATIENCE)).transpose()?;
    spec.keep_alive = keep_alive.map(|time| timer("keep_alive", time.0, MAX_TIMER)).transpose()?;
    Ok(())
}

/// What of a site differs beside authentication.
fn site_change(
    connection_timeout: Option<UnpackFloat>,
    anonymous: Option<UnpackListOrTuple<String>>,
    anonymous_methods: Option<UnpackListOrTuple<String>>,
    anonymous_windows_too: Option<bool>,
) -> Result<SiteChange, ScriptError> {
    let timeout = connection_timeout.map(|time| timer("connection_timeout", time.0, MAX_TIMER));
    Ok(SiteChange {
        connection_timeout: timeout.transpose()?,
        anonymous: anonymous.map(|paths| paths.items),
        anonymous_methods: anonymous_methods.map(|methods| methods.items),
        anonymous_windows_too,
    })
}

fn providers(names: Option<UnpackListOrTuple<String>>) -> Result<Option<Vec<Provider>>, ScriptError> {
    names.map(|names| names.items.iter().map(|name| one_of("provider", name, &PROVIDERS)).collect()).transpose()
}

/// A timer that a script gives in seconds: never nothing, which would switch it off or act at once.
fn timer(argument: &'static str, seconds: f64, most: Duration) -> Result<Duration, ScriptError> {
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| (MIN_TIMER..=most).contains(time));
    time.ok_or_else(|| ScriptError::Timer { argument, given: seconds.to_string(), high: most.as_secs() })
}

fn microseconds(argument: &'static str, given: i64) -> Result<Duration, ScriptError> {
    in_range(argument, given, 0, MAX_LATENCY.as_micros() as u64).map(Duration::from_micros)
}

/// A time that a script gives in seconds.
fn time(argument: &'static str, seconds: f64) -> Result<Duration, ScriptError> {
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= MAX_TIME);
    time.ok_or_else(|| ScriptError::OutOfRange {
        argument,
        given: seconds.to_string(),
        low: 0,
        high: MAX_TIME.as_secs(),
    })
}

fn calls(given: i64) -> Result<u16, ScriptError> {
    in_range("max_concurrent_api", given, 1, MAX_CONCURRENT_API.into()).map(|calls| calls as u16)
}

fn in_range(argument: &'static str, given: i64, low: u64, high: u64) -> Result<u64, ScriptError> {
    let number = u64::try_from(given).ok().filter(|number| (low..=high).contains(number));
    number.ok_or_else(|| ScriptError::OutOfRange { argument, given: given.to_string(), low, high })
}
