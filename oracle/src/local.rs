//! The local accounts of servers, under one name for each user.
//!
//! A server in a workgroup has local accounts, and names them itself: a user who logs on as alice is `IIS1\alice` at
//! iis1 and `IIS2\alice` at iis2. The client may have been given a third domain, or none. The owner of an account is the
//! person who knows its password. Therefore accounts with the same name and the same password are one user, and those
//! with a different password are a different user, whatever their servers call them. [`named_alike`] replaces each
//! account with the first identity that the trace has for that name and password, so the rest of the oracle need not
//! know about this.

use std::borrow::Cow;
use std::collections::BTreeMap;

use stickler_model::topology::{ServerSpec, Topology};
use stickler_model::{Action, Identity, Name, Principal, Trace, What};

/// Returns the trace with one name for each user of local accounts. The trace is copied only if servers have such
/// accounts.
pub(crate) fn named_alike(trace: Cow<'_, Trace>) -> Cow<'_, Trace> {
    let configured = trace.events.iter().filter_map(|event| match &event.what {
        What::Action(Action::Configure(server)) => Some(&**server),
        _ => None,
    });
    if trace.header.topology.servers.iter().chain(configured).all(|server| server.accounts.is_empty()) {
        return trace;
    }
    let mut trace = trace.into_owned();
    let mut users = Users::new(&trace);
    for event in &mut trace.events {
        match &mut event.what {
            What::Action(Action::AddClient(spec)) => {
                if let Some(identity) = &mut spec.identity {
                    users.seat(&spec.name, identity);
                }
            }
            What::Action(Action::SwitchUser(client, identity)) => users.seat(client, identity),
            What::Action(Action::Configure(server)) => _ = users.servers.insert(server.machine(), (**server).clone()),
            What::RequestStarted { identity: Some(identity), .. } => {
                // A request of the previous user may still be in progress, but that user is no longer at the client.
                if let Some(seated) = users.seated.get(&event.by).filter(|seated| seated.0 == *identity) {
                    *identity = seated.1.clone();
                }
            }
            What::ServerAnswered { user: Some(user), .. }
            | What::ClientReceived { user: Some(user), .. }
            | What::RawAnswered { user: Some(user), .. } => users.rename(user),
            _ => {}
        }
    }
    Cow::Owned(trace)
}

/// Returns whether a user belongs to a domain that servers of this site know.
pub(crate) fn is_of_domain(topology: &Topology, user: &Principal) -> bool {
    let partner = topology.partner.iter().map(|partner| &partner.domain);
    let any_joined = topology.servers.iter().any(|server| !server.workgroup);
    let mut known = std::iter::once(&topology.domain).chain(partner).flat_map(|domain| [&domain.netbios, &domain.dns]);
    any_joined && known.any(|name| name.eq_ignore_ascii_case(user.domain()))
}

/// The users by their name and password.
struct Users {
    topology: Topology,
    /// The servers by the name of their machine.
    servers: BTreeMap<String, ServerSpec>,
    /// The users by name in lower case, and password.
    by_secret: BTreeMap<(String, String), Principal>,
    /// The user at each client: the name that the user was given, and the name that the user has here.
    seated: BTreeMap<Name, (Principal, Principal)>,
}

impl Users {
    fn new(trace: &Trace) -> Self {
        let topology = trace.header.topology.clone();
        let servers = topology.servers.iter().map(|server| (server.machine(), server.clone())).collect();
        let monitor = topology.monitor.clone();
        let mut users = Self { topology, servers, by_secret: BTreeMap::new(), seated: BTreeMap::new() };
        if let Some(identity) = &monitor {
            users.note(identity);
        }
        for event in &trace.events {
            match &event.what {
                What::Action(Action::AddClient(spec)) => spec.identity.iter().for_each(|identity| users.note(identity)),
                What::Action(Action::SwitchUser(_, identity)) => users.note(identity),
                _ => {}
            }
        }
        users
    }

    /// Records the name of the user who knows this password. If another user has the same name, the domain gets a number.
    fn note(&mut self, identity: &Identity) {
        let secret = secret(identity.principal.user(), &identity.password);
        if self.by_secret.contains_key(&secret) {
            return;
        }
        let same = self.by_secret.values().filter(|known| **known == identity.principal).count();
        let name = if same == 0 {
            identity.principal.clone()
        } else {
            let others = self.by_secret.keys().filter(|(name, _)| *name == secret.0).count();
            Principal::new(&format!("{}{}", identity.principal.domain(), others + 1), identity.principal.user())
        };
        self.by_secret.insert(secret, name);
    }

    /// Seats a user at a client. A user of a domain keeps the name that was given.
    fn seat(&mut self, client: &Name, identity: &mut Identity) {
        let given = identity.principal.clone();
        if !is_of_domain(&self.topology, &given)
            && let Some(name) = self.by_secret.get(&secret(given.user(), &identity.password))
        {
            identity.principal = name.clone();
        }
        self.seated.insert(client.clone(), (given, identity.principal.clone()));
    }

    /// Renames a user whom a server has named itself.
    fn rename(&self, user: &mut Principal) {
        let Some(server) = self.servers.get(&user.domain().to_uppercase()) else { return };
        let name = user.user().to_lowercase();
        let account = server.accounts.iter().find(|account| account.name.to_lowercase() == name);
        if let Some(known) = account.and_then(|account| self.by_secret.get(&secret(&name, &account.password))) {
            *user = known.clone();
        }
    }
}

fn secret(name: &str, password: &str) -> (String, String) {
    (name.to_lowercase(), password.to_owned())
}
