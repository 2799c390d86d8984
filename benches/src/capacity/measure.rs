//! Measures one site under one load.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use stickler_model::action::CrowdSpec;
use stickler_model::topology::{ControllerSpec, Provider};
use stickler_model::{
    Action, BalancerSpec, ClientSpec, Name, Plan, Profile, RequestId, Time, Topology, Trace, What, standard,
};
use stickler_oracle::Effort;
use stickler_runner::play;
use stickler_sim::SimArm;

/// The way in which users authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// NTLM: a connection is authenticated, at the price of a logon at the DC.
    Ntlm,
    /// Kerberos under Negotiate, where IIS remembers the user of a connection (`authPersistNonNTLM`).
    Kerberos,
    /// Kerberos under Negotiate, where each request carries a ticket.
    KerberosEachRequest,
}

impl Scheme {
    /// All schemes.
    pub const ALL: [Self; 3] = [Self::Ntlm, Self::Kerberos, Self::KerberosEachRequest];
}

impl fmt::Display for Scheme {
    /// Writes the name of the scheme as it appears in tables and plots.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ntlm => "NTLM",
            Self::Kerberos => "Kerberos",
            Self::KerberosEachRequest => "Kerberos, each request",
        })
    }
}

/// The load on a site of two servers.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// The way in which users authenticate.
    pub scheme: Scheme,
    /// The mechanism between users and servers.
    pub balancer: &'static str,
    /// The number of users, each with an account and a browser.
    pub users: u32,
    /// The number of requests that each user sends, one after the other.
    pub requests: u32,
    /// The pause before each request, on average.
    pub think: Duration,
    /// The time for which the servers keep an idle connection (`connectionTimeout`; 120 s by default).
    pub idle: Duration,
    /// The time that the DC takes for a logon.
    pub logon: Duration,
    /// The number of logons for which each server asks the DC at once (`MaxConcurrentApi`).
    pub at_once: u16,
}

impl Load {
    /// Returns the default load: a hundred users send ten requests each, ten seconds apart on average, to servers with the
    /// default settings of Windows Server.
    pub const fn usual(scheme: Scheme, balancer: &'static str) -> Self {
        Self {
            scheme,
            balancer,
            users: 100,
            requests: 10,
            think: Duration::from_secs(10),
            idle: Duration::from_mins(2),
            logon: Duration::ZERO,
            at_once: 10,
        }
    }
}

/// The costs of a load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Costs {
    /// The number of pages that users requested.
    pub asked: u32,
    /// The number of pages that users received.
    pub served: u32,
    /// The number of HTTP requests that browsers sent for these pages.
    pub http_requests: u32,
    /// The number of NTLM logons that the DC decided.
    pub logons: u32,
    /// The number of requests for tickets that the DC answered.
    pub dc_tickets: u32,
    /// The number of tickets that the servers checked.
    pub ticket_checks: u32,
    /// The number of connections that browsers opened.
    pub client_connections: u32,
    /// The number of connections that servers accepted.
    pub server_connections: u32,
    /// The time that each page took, in ascending order.
    pub times: Vec<Duration>,
}

impl Costs {
    /// Returns the time within which this percentage of the pages was answered.
    pub fn percentile(&self, percent: usize) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times.get((self.times.len() * percent / 100).min(last)).copied().unwrap_or_default()
    }
}

/// Plays a load and counts its costs.
///
/// # Panics
/// The simulation refuses a step, which would be a bug in this function.
pub fn costs(load: &Load) -> Costs {
    let trace = play(&plan(load), &SimArm).unwrap_or_else(|error| panic!("{load:?}: {error}"));
    count(&trace)
}

fn plan(load: &Load) -> Plan {
    let names: Vec<String> = (1..=load.users).map(standard::numbered).collect();
    let clients: Vec<Name> = names.iter().map(|name| Name::from(name.as_str())).collect();
    let client = |name: &Name| ClientSpec::new(name.clone(), Profile::BROWSER, Some(standard::identity(name.as_str())));
    let mut steps: Vec<Action> = clients.iter().map(|name| Action::AddClient(client(name))).collect();
    let crowd =
        CrowdSpec { clients, first: RequestId(1), requests: load.requests, think: load.think, path: "/".to_owned() };
    let ids: Vec<RequestId> = crowd.ids().collect();
    steps.push(Action::Crowd(crowd));
    steps.extend(ids.into_iter().map(Action::Await));
    Plan { seed: 1, balancer: BalancerSpec::named(load.balancer), topology: site(load, names), steps }
}

fn site(load: &Load, names: Vec<String>) -> Topology {
    let mut site = standard::site(2);
    let new = names.into_iter().filter(|name| standard::domain().users.iter().all(|user| user.name != *name));
    site.domain.users.extend(new.map(standard::account));
    for server in &mut site.servers {
        server.site.connection_timeout = load.idle;
        server.site.max_concurrent_api = Some(load.at_once);
    }
    if !load.logon.is_zero() {
        site.controllers = vec![ControllerSpec { slow: Some(load.logon), ..ControllerSpec::new("dc".into()) }];
    }
    if load.scheme != Scheme::Ntlm {
        standard::accept_tickets(&mut site, &[Provider::Negotiate]);
        for server in &mut site.servers {
            server.site.persist_non_ntlm = load.scheme == Scheme::Kerberos;
        }
    }
    site
}

fn count(trace: &Trace) -> Costs {
    let total = Effort::of(trace).total;
    let mut costs = Costs {
        http_requests: total.http_requests,
        logons: total.logons,
        dc_tickets: total.dc_tickets,
        ticket_checks: total.ticket_checks,
        ..Costs::default()
    };
    let mut started: BTreeMap<RequestId, Time> = BTreeMap::new();
    for event in &trace.events {
        match event.what {
            What::RequestStarted { request, .. } => {
                costs.asked += 1;
                started.insert(request, event.at);
            }
            What::RequestEnded { request, status, .. } => {
                costs.served += u32::from(status == Some(200));
                costs.times.extend(started.get(&request).map(|&at| event.at - at));
            }
            What::ClientConnected { .. } => costs.client_connections += 1,
            What::ServerAccepted { .. } => costs.server_connections += 1,
            _ => {}
        }
    }
    costs.times.sort_unstable();
    costs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(scheme: Scheme, balancer: &'static str) -> Costs {
        costs(&Load { users: 5, requests: 4, ..Load::usual(scheme, balancer) })
    }

    #[test]
    fn ntlm_costs_a_logon_for_each_connection_and_tickets_cost_none() {
        let ntlm = small(Scheme::Ntlm, "l4-nat");
        assert_eq!((ntlm.asked, ntlm.served), (20, 20));
        assert_eq!(ntlm.logons, ntlm.client_connections);
        assert_eq!(ntlm.dc_tickets, 0);
        let kerberos = small(Scheme::Kerberos, "l4-nat");
        assert_eq!((kerberos.served, kerberos.logons), (20, 0));
        assert!(kerberos.dc_tickets >= 5, "each user asks for a ticket");
    }

    #[test]
    fn a_ticket_with_each_request_costs_checks_and_no_more_tickets() {
        let (once, each) = (small(Scheme::Kerberos, "l4-nat"), small(Scheme::KerberosEachRequest, "l4-nat"));
        assert_eq!((each.served, each.dc_tickets), (20, once.dc_tickets));
        assert!(each.ticket_checks > once.ticket_checks, "{} and {}", each.ticket_checks, once.ticket_checks);
    }

    #[test]
    fn a_connection_that_servers_close_early_costs_another_logon() {
        let load = Load { users: 5, requests: 4, think: Duration::from_mins(1), ..Load::usual(Scheme::Ntlm, "l4-nat") };
        let short = costs(&Load { idle: Duration::from_secs(10), ..load });
        let long = costs(&Load { idle: Duration::from_hours(1), ..load });
        assert_eq!(long.logons, 5);
        assert!(short.logons > 10, "{}", short.logons);
    }

    #[test]
    fn logons_wait_where_few_are_asked_for_at_once() {
        let load = Load {
            users: 20,
            requests: 1,
            think: Duration::from_millis(1),
            logon: Duration::from_millis(100),
            ..Load::usual(Scheme::Ntlm, "l4-nat")
        };
        let (few, many) = (costs(&Load { at_once: 1, ..load }), costs(&Load { at_once: 150, ..load }));
        // Twenty users log on at two servers, and each logon takes a tenth of a second.
        assert!(few.percentile(100) >= Duration::from_millis(900), "{:?}", few.percentile(100));
        assert!(many.percentile(100) < Duration::from_millis(200), "{:?}", many.percentile(100));
    }
}
