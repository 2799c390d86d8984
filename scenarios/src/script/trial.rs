//! Tries a call out without a world, to find out whether the function accepts these values.
//!
//! The functions of the language themselves report the values that they refuse, so a lint gives the same messages as a
//! run.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use starlark::ErrorKind;
use starlark::environment::Module;
use starlark::eval::ReturnFileLoader;
use starlark::syntax::AstModule;
use stickler_model::trace::Promises;
use stickler_model::{Action, BalancerSpec, Event, Header, Name, Outcome, Time, Topology, Trace, World, WorldError};
use stickler_runner::Arm;

use super::errors::ScriptError;
use super::session::Session;
use super::{DIALECT, evaluate_syntax, place};
use crate::site::SiteError;
use crate::{Scenario, limits};

/// The name of the balancer in front of the one that is judged.
const FRONT: &str = "front";

/// The name of the partner's DC.
const PARTNER: &str = "dc-partner";

/// The refusal of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: RefusalKind,
    pub(crate) message: String,
    /// The nearest known name, or the list of known names.
    pub(crate) hint: Option<String>,
    /// The name that is unknown.
    pub(crate) name: Option<String>,
}

/// The kind of mistake in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    User,
    Host,
    Value,
}

/// Evaluates statements at a site that has these clients. No request is sent. Returns the site as it is afterwards.
///
/// # Errors
/// A function refuses its arguments.
pub(crate) fn try_out(text: &str, site: Option<&Topology>, clients: &BTreeSet<String>) -> Result<Topology, Refusal> {
    let arm = Arc::new(Names { clients: clients.clone() });
    let scenario = Scenario::new("trial", "trial", "").map_err(|error| other(&error.to_string()))?;
    let session = Session::new(scenario, BalancerSpec::named("control"), 0, arm);
    if let Some(site) = site {
        session.at(site.clone());
    }
    place::begin();
    let outcome = AstModule::parse("trial", text.to_owned(), &DIALECT).and_then(|syntax| {
        let loader = ReturnFileLoader { modules: &HashMap::new() };
        Module::with_temp_heap(|module| evaluate_syntax(&module, syntax, &loader, &session, limits::TICKS).0)
    });
    match outcome {
        Err(error) if !session.is_unsupported() => Err(refusal(&error)),
        _ => Ok(session.site(Topology::clone)),
    }
}

fn refusal(error: &starlark::Error) -> Refusal {
    let script = match error.kind() {
        ErrorKind::Native(error) => error.downcast_ref::<ScriptError>(),
        _ => None,
    };
    let (kind, name) = match script {
        Some(ScriptError::World(WorldError::Unknown { name, .. })) => (RefusalKind::Host, Some(name.clone())),
        Some(ScriptError::Site(SiteError::NoSuchUser { user, .. })) => (RefusalKind::User, Some(user.clone())),
        Some(ScriptError::Unknown(unknown) | ScriptError::Site(SiteError::Unknown(unknown))) => {
            let kind = match unknown.kind {
                "server" => RefusalKind::Host,
                "user" => RefusalKind::User,
                _ => RefusalKind::Value,
            };
            (kind, Some(unknown.given.clone()))
        }
        _ => (RefusalKind::Value, None),
    };
    Refusal { kind, name, ..other(&error.without_diagnostic().to_string()) }
}

/// Returns a refusal with this message. A hint at the end of the message is split off.
fn other(message: &str) -> Refusal {
    let at = ["; did you mean", "; there are: "].iter().filter_map(|hint| message.find(hint)).min();
    let (message, hint) = at.map_or((message, None), |at| (&message[..at], Some(message[at + 2..].to_owned())));
    Refusal { kind: RefusalKind::Value, message: message.to_owned(), hint, name: None }
}

/// Builds worlds that know the names of hosts and clients, and do nothing.
struct Names {
    clients: BTreeSet<String>,
}

impl Arm for Names {
    fn name(&self) -> &'static str {
        "none"
    }

    fn build(&self, topology: Topology, _: &BalancerSpec, _: u64) -> Result<Box<dyn World>, WorldError> {
        topology.check().map_err(|problem| WorldError::Invalid(problem.to_string()))?;
        if let Some(front) = &topology.front {
            stickler_catalogue::find(&front.to_string()).map_err(|error| WorldError::Invalid(error.to_string()))?;
        }
        let named = topology.controllers.iter().map(|controller| controller.name.to_string());
        let mut controllers: Vec<String> = named.collect();
        if controllers.is_empty() {
            controllers.push("dc".to_owned());
        }
        let servers: Vec<String> = topology.servers.iter().map(|server| server.name.to_string()).collect();
        let front = topology.front.as_ref().map(|_| FRONT.to_owned());
        let partner = topology.partner.as_ref().map(|_| PARTNER.to_owned());
        let hosts = servers.iter().cloned().chain(["lb".to_owned()]).chain(controllers).chain(front).chain(partner);
        let world = NamesWorld { hosts: hosts.collect(), clients: self.clients.clone(), servers, topology };
        Ok(Box::new(world))
    }

    fn build_control(&self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError> {
        self.build(topology, &BalancerSpec::named("control"), seed)
    }
}

struct NamesWorld {
    topology: Topology,
    servers: Vec<String>,
    hosts: Vec<String>,
    clients: BTreeSet<String>,
}

impl NamesWorld {
    /// Looks up a host or a client.
    fn find(&self, name: &Name) -> Result<(), WorldError> {
        let is_known = self.clients.contains(name.as_str()) || self.hosts.iter().any(|host| host == name.as_str());
        if is_known { Ok(()) } else { Err(self.unknown("host or client", name, &self.hosts)) }
    }

    fn unknown(&self, kind: &'static str, name: &Name, known: &[String]) -> WorldError {
        let clients = self.clients.iter().filter(|_| kind != "backend");
        let known = known.iter().chain(clients).cloned().collect();
        WorldError::Unknown { kind, name: name.to_string(), known }
    }
}

impl World for NamesWorld {
    fn perform(&mut self, action: Action) -> Result<Outcome, WorldError> {
        match action {
            Action::AddClient(client) if self.hosts.iter().any(|host| host == client.name.as_str()) => {
                Err(WorldError::Duplicate(client.name.to_string()))
            }
            Action::Fault(fault) => fault.hosts().try_for_each(|host| self.find(host)).map(|()| Outcome::Done),
            Action::Drain(host) | Action::Undrain(host) if !self.servers.iter().any(|name| name == host.as_str()) => {
                Err(self.unknown("backend", &host, &self.servers))
            }
            Action::Await(_) | Action::SendRaw(_) | Action::MakeToken { .. } => {
                Err(WorldError::Unsupported("no request is possible".into()))
            }
            _ => Ok(Outcome::Done),
        }
    }

    fn now(&self) -> Time {
        Time::default()
    }

    fn promises(&self) -> Promises {
        Promises::default()
    }

    fn visit(&self, _: &mut dyn FnMut(&Event)) {}

    fn finish(self: Box<Self>) -> Trace {
        let balancer = BalancerSpec::named("control");
        let header = Header { seed: 0, balancer, topology: self.topology, promises: Promises::default() };
        Trace { header, events: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, servers: u32) -> Option<(RefusalKind, String, Option<String>)> {
        let site = stickler_model::standard::site(servers);
        let clients = BTreeSet::from(["alice".to_owned()]);
        let refusal = try_out(text, Some(&site), &clients).err()?;
        Some((refusal.kind, refusal.message, refusal.hint))
    }

    #[test]
    fn names_of_hosts_and_clients_are_those_of_the_site() {
        let (kind, message, hint) = refused("crash('iis3')", 2).unwrap();
        assert_eq!((kind, message.as_str()), (RefusalKind::Host, "there is no host or client called `iis3`"));
        assert!(hint.unwrap().starts_with("there are: iis1, iis2, lb, dc, alice"));
        assert_eq!(refused("crash('iis3')", 3), None);
        assert_eq!(refused("hold('alice', 'lb')", 2), None);
        assert_eq!(refused("drain('lb')", 2).unwrap().0, RefusalKind::Host);
        assert_eq!(refused("configure('iis3', rogue('closes'))", 2).unwrap().0, RefusalKind::Host);
    }

    #[test]
    fn values_and_users_are_checked_by_the_functions_themselves_and_nothing_is_asked() {
        assert_eq!(refused("curl('alise')", 2).unwrap().0, RefusalKind::User);
        assert_eq!(refused("curl('x', user = None).get('/')", 2), None);
        assert_eq!(refused("curl('x', user = None).get('no path')", 2).unwrap().0, RefusalKind::Value);
        assert_eq!(refused("curl('lb', user = None)", 2).unwrap().1, "there is already a client or host called `lb`");
        let site = try_out("site(backends = 5)\npromises()", None, &BTreeSet::new()).unwrap();
        assert_eq!(site.servers.len(), 5);
        let front = try_out("site(front = 'shared-pol')\npromises()", None, &BTreeSet::new()).unwrap_err();
        assert!(front.message.contains("shared-pol"), "{front:?}");
    }
}
