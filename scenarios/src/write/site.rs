//! Writes the site and its servers.

use std::time::Duration;

use stickler_model::Topology;
use stickler_model::topology::{
    Acceptor, AppPool, ControllerSpec, Provider, ServerSpec, SiteSpec, TlsSpec, Tracked, TrackedBy,
};

use super::Inexpressible;
use super::text::{self, Call, Expression, dictionary, list, milliseconds, seconds, string, strings};
use crate::site::names::{
    BETWEEN, CERTIFICATES, CHECKINGS, CHECKS, FLAGS, KEEP_ALIVES, PROVIDERS, ROGUES, TRUSTS, UPSTREAMS, VERSIONS,
    name_of,
};
use crate::site::{Partner, ServerChange, Site, SiteChange, TRUST_PASSWORD, Trust, is_reason, pool};

/// Writes `site(...)`.
///
/// # Errors
/// A property of the site cannot be expressed in a script.
pub(super) fn site(topology: &Topology) -> Result<String, Inexpressible> {
    let unknown = "site() cannot produce it from the standard site";
    let site = Site::of(topology).ok_or(Inexpressible(unknown))?;
    let call = directory(Call::new("site").and("backends", site.backends.to_string()), &site)?;
    let call = services(call, &site)?;
    let call = servers(link(call, &site)?, &site)?;
    let call = front(call, &site)?;
    Ok(text::statement(None, &[domains(call, &site)?]))
}

/// Writes `configure(...)` with the settings that turn one server into the other.
///
/// # Errors
/// A property of the other server cannot be expressed in a script.
pub(super) fn configure(from: &ServerSpec, to: &ServerSpec, tls: bool) -> Result<Call, Inexpressible> {
    let change = ServerChange::between(from, to);
    let mut server = from.clone();
    if change.apply(&mut server, tls).is_err() || server != *to {
        return Err(Inexpressible("server() cannot express this set-up of the server"));
    }
    Ok(Call::new("configure").with(string(to.name.as_str())).with(server_call(&change)?))
}

/// Adds the accounts of the site.
fn directory(call: Call, site: &Site) -> Result<Call, Inexpressible> {
    if site.lockout.is_some_and(|count| !(1..=999).contains(&count)) {
        return Err(Inexpressible("accounts are locked out after 1 to 999 failed logons, or never"));
    }
    let users = passwords(&site.users)?;
    let groups = site.groups.iter().map(|(name, count)| (name, count.to_string()));
    Ok(call
        .and_any("users", users)
        .and_any("forbidden", names(&site.forbidden))
        .and_any("groups", entries(groups)?)
        .and_any("lockout", site.lockout.map(|count| count.to_string())))
}

fn link(call: Call, site: &Site) -> Result<Call, Inexpressible> {
    let microseconds = |time: Duration, default: Duration| {
        let whole = Duration::from_micros(time.as_micros() as u64);
        if whole != time {
            return Err(Inexpressible("a link's time is not a whole number of microseconds"));
        }
        Ok((time != default).then(|| time.as_micros().to_string()))
    };
    let default = stickler_model::topology::LinkSpec::default();
    let latency = microseconds(site.link.latency, default.latency)?;
    let jitter = microseconds(site.link.jitter, default.jitter)?;
    Ok(call.and_any("latency_us", latency).and_any("jitter_us", jitter))
}

fn services(call: Call, site: &Site) -> Result<Call, Inexpressible> {
    Ok(call
        .and_any("providers", site.providers.as_deref().map(providers).transpose()?)
        .and_any("iis", version(site.version)?)
        .and_any("services", lists(&site.services)?)
        .and_any("delegation", names(&site.delegation))
        .and_any("files", lists(&site.files)?))
}

fn lists(lists: &[(String, Vec<String>)]) -> Result<Option<Expression>, Inexpressible> {
    entries(lists.iter().map(|(name, list)| (name, strings(list))))
}

fn version(version: stickler_model::topology::IisVersion) -> Result<Option<String>, Inexpressible> {
    let name = string(named(version, &VERSIONS)?);
    Ok((version != <_>::default()).then_some(name))
}

/// Adds the settings that the servers have in common, and those in which single servers differ.
fn servers(call: Call, site: &Site) -> Result<Call, Inexpressible> {
    let settings = (site.settings != SiteSpec { files: site.settings.files.clone(), ..SiteSpec::default() })
        .then(|| authentication(&site.settings))
        .transpose()?;
    let acceptor = (!site.acceptor.is_connection()).then(|| acceptor(&site.acceptor)).transpose()?;
    let accounts = site.accounts.as_deref().map(passwords).transpose()?;
    let call = call
        .and_any("authentication", settings)
        .and_any("acceptor", acceptor)
        .and_truth("workgroup", site.workgroup.then_some(true))
        .and_any("accounts", accounts.map(|accounts| accounts.unwrap_or_else(|| "{}".into())));
    let call = parts(call, &site.change)?;
    let differ = site.servers.iter().map(|(name, change)| Ok((name, server_call(change)?)));
    let differ: Vec<(&String, Call)> = differ.collect::<Result<_, Inexpressible>>()?;
    Ok(call.and_any("servers", entries(differ)?))
}

fn front(call: Call, site: &Site) -> Result<Call, Inexpressible> {
    let call = call.and_any("front", site.front.as_deref().map(string));
    let Some(TlsSpec { upstream, http2, between }) = site.tls else { return Ok(call) };
    let between = (between != <_>::default()).then_some(between);
    if between.is_some() && site.front.is_none() {
        return Err(Inexpressible("a connection between two balancers needs a balancer in front"));
    }
    let between = between.map(|between| named(between, &BETWEEN)).transpose()?.map(string);
    Ok(call
        .and("tls", string(named(upstream, &UPSTREAMS)?))
        .and_truth("http2", http2.then_some(true))
        .and_any("between", between))
}

fn domains(call: Call, site: &Site) -> Result<Call, Inexpressible> {
    if site.broken.as_deref().is_some_and(|reason| !is_reason(reason)) {
        return Err(Inexpressible("the reason why the site is broken is not one line of at most 200 characters"));
    }
    let controllers = site.controllers.iter().map(controller).collect::<Result<Vec<_>, _>>()?;
    Ok(call
        .and_any("controllers", (!controllers.is_empty()).then(|| list(controllers)))
        .and_any("partner", site.partner.as_ref().map(partner).transpose()?)
        .and_any("broken", site.broken.as_deref().map(string)))
}

fn controller(controller: &ControllerSpec) -> Result<Call, Inexpressible> {
    let ControllerSpec { name, slow, lacks, outdated, max_concurrent_api, requires_checksum } = controller;
    let call = Call::new("controller")
        .with(string(name.as_str()))
        .and_any("slow_ms", slow.map(milliseconds).transpose()?)
        .and_any("lacks", names(lacks))
        .and_any("outdated", names(outdated))
        .and_any("max_concurrent_api", max_concurrent_api.map(|calls| calls.to_string()))
        .and_truth("requires_checksum", requires_checksum.then_some(true));
    Ok(call)
}

fn partner(partner: &Partner) -> Result<Call, Inexpressible> {
    let trust = (partner.trust != Trust::Holds).then_some(partner.trust);
    let call = Call::new("partner")
        .with(strings(&partner.users))
        .and_any("trust", trust.map(|trust| named(trust, &TRUSTS)).transpose()?.map(string))
        .and_any("password", (partner.password != TRUST_PASSWORD).then(|| string(&partner.password)))
        .and_any("claims", partner.claims.as_deref().map(string));
    Ok(call)
}

/// Writes `windows_authentication(...)`.
fn authentication(site: &SiteSpec) -> Result<Call, Inexpressible> {
    let default = SiteSpec::default();
    let differs = |value: bool, default: bool| (value != default).then_some(value);
    let name = match &site.pool {
        AppPool::Machine => None,
        AppPool::Service(name) if pool(name) == site.pool => Some(string(name)),
        AppPool::Service(_) => return Err(Inexpressible("an account of a pool has the name of the machine's account")),
    };
    let keep_alive = (site.keep_alive != default.keep_alive).then_some(site.keep_alive);
    let checking = (site.protection.checking != default.protection.checking).then_some(site.protection.checking);
    let call = Call::new("windows_authentication")
        .and_any("pool", name)
        .and_truth("kernel_mode", differs(site.kernel_mode, default.kernel_mode))
        .and_truth("app_pool_credentials", differs(site.app_pool_credentials, default.app_pool_credentials))
        .and_truth("persist_non_ntlm", differs(site.persist_non_ntlm, default.persist_non_ntlm))
        .and_truth("single_request", differs(site.single_request, default.single_request))
        .and_truth("via_ends_persistence", differs(site.via_ends_persistence, default.via_ends_persistence))
        .and_any("keep_alive", keep_alive.map(|keep| named(keep, &KEEP_ALIVES)).transpose()?.map(string))
        .and_any("token_checking", checking.map(|checking| named(checking, &CHECKINGS)).transpose()?.map(string))
        .and_any("protection_flags", flags(site.protection.flags)?)
        .and_any("service_names", names(&site.protection.service_names))
        .and_any("max_concurrent_api", site.max_concurrent_api.map(|calls| calls.to_string()));
    Ok(call)
}

fn flags(flags: u32) -> Result<Option<Expression>, Inexpressible> {
    let given: Vec<&(&str, u32)> = FLAGS.iter().filter(|(_, flag)| flags & flag != 0).collect();
    if given.iter().map(|(_, flag)| flag).sum::<u32>() != flags {
        return Err(Inexpressible("a flag of extended protection has no name"));
    }
    Ok(names(&given.iter().map(|(name, _)| *name).collect::<Vec<_>>()))
}

/// Writes the settings in which one server differs: `server(...)`, or a call that may replace it.
fn server_call(change: &ServerChange) -> Result<Call, Inexpressible> {
    let settings = change.authentication.as_ref().map(authentication).transpose()?;
    let acceptor = change.acceptor.as_ref().map(acceptor).transpose()?;
    let alone = |part: ServerChange| part == *change;
    if alone(ServerChange { authentication: change.authentication.clone(), ..ServerChange::default() })
        && let Some(settings) = settings
    {
        return Ok(settings);
    }
    if alone(ServerChange { acceptor: change.acceptor.clone(), ..ServerChange::default() })
        && let Some(acceptor) = acceptor
    {
        return Ok(acceptor);
    }
    let accounts = change
        .accounts
        .iter()
        .map(|(name, password)| (name, password.as_deref().map_or_else(|| "None".to_owned(), string)));
    let call = Call::new("server")
        .and_any("acceptor", acceptor)
        .and_any("authentication", settings)
        .and_any("providers", change.providers.as_deref().map(providers).transpose()?)
        .and_any("iis", change.version.map(|version| named(version, &VERSIONS)).transpose()?.map(string))
        .and_any("certificate", change.certificate.map(|name| named(name, &CERTIFICATES)).transpose()?.map(string))
        .and_any("clock_skew", change.clock_skew.map(|skew| skew.to_string()));
    let call =
        parts(call, &change.site)?.and_truth("workgroup", change.workgroup).and_any("accounts", entries(accounts)?);
    Ok(call)
}

/// Adds the settings of a site apart from authentication that differ from the defaults.
fn parts(call: Call, change: &SiteChange) -> Result<Call, Inexpressible> {
    Ok(call
        .and_any("connection_timeout", change.connection_timeout.map(seconds).transpose()?)
        .and_any("max_field_length", change.max_field_length.map(|bytes| bytes.to_string()))
        .and_any("max_request_bytes", change.max_request_bytes.map(|bytes| bytes.to_string()))
        .and_any("anonymous", change.anonymous.as_deref().map(strings))
        .and_any("anonymous_methods", change.anonymous_methods.as_deref().map(strings))
        .and_truth("anonymous_windows_too", change.anonymous_windows_too))
}

fn acceptor(acceptor: &Acceptor) -> Result<Call, Inexpressible> {
    let call = match acceptor {
        Acceptor::Connection => {
            return Err(Inexpressible("a script cannot make a single server an IIS server"));
        }
        Acceptor::TrustedHeader(name) => Call::new("trusted_header").with(string(name)),
        Acceptor::Rogue(how) => Call::new("rogue").with(string(named(*how, &ROGUES)?)),
        Acceptor::Tracked(Tracked { by, check }) => {
            let header = match by {
                TrackedBy::Peer => None,
                TrackedBy::Header(name) => Some(string(name)),
            };
            let check = (*check != <_>::default()).then_some(*check);
            let check = check.map(|check| named(check, &CHECKS)).transpose()?.map(string);
            Call::new("tracked").and_any("header", header).and_any("check", check)
        }
    };
    Ok(call)
}

fn providers(providers: &[Provider]) -> Result<Expression, Inexpressible> {
    let names = providers.iter().map(|provider| Ok(string(named(*provider, &PROVIDERS)?)));
    Ok(list(names.collect::<Result<Vec<_>, Inexpressible>>()?))
}

fn passwords(users: &[(String, String)]) -> Result<Option<Expression>, Inexpressible> {
    entries(users.iter().map(|(name, password)| (name, string(password))))
}

/// Returns a dictionary, or `None` if it would be empty.
fn entries<'k, T: Into<Expression>>(
    entries: impl IntoIterator<Item = (&'k String, T)>,
) -> Result<Option<Expression>, Inexpressible> {
    let mut entries = entries.into_iter().map(|(key, value)| (key, value.into())).peekable();
    if entries.peek().is_none() { Ok(None) } else { dictionary(entries).map(Some) }
}

/// Returns a list of names, or `None` if it would be empty.
fn names<T: AsRef<str>>(names: &[T]) -> Option<Expression> {
    (!names.is_empty()).then(|| strings(names))
}

fn named<T: Copy + PartialEq>(value: T, known: &[(&'static str, T)]) -> Result<&'static str, Inexpressible> {
    name_of(value, known).ok_or(Inexpressible("one of its values has no name"))
}
