//! Renames the clients of a plan after their users.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::bounds::MAX_NAME;
use stickler_model::{Action, ClientSpec, Name, Plan};

/// The name of a client without credentials.
const NOBODY: &str = "mallory";

/// Returns the plan with each client named after its first user: `alice`, `alice2`, and `mallory` for a
/// client without credentials. A client keeps its name if the user's name is not possible for a client.
///
/// The results of a seed depend on the names of the clients. The returned plan is therefore another plan, and need not
/// show what the first one does. Play it before you rely on it.
#[must_use]
pub fn named_after_users(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    let names = names(&plan);
    plan.steps.iter_mut().for_each(|step| rename(step, &names));
    plan
}

/// Returns the new name of each client.
fn names(plan: &Plan) -> BTreeMap<Name, Name> {
    let clients: Vec<&ClientSpec> = plan.steps.iter().filter_map(client).collect();
    let hosts = plan.topology.servers.iter().map(|server| &server.name);
    let hosts = hosts.chain(plan.topology.controllers.iter().map(|controller| &controller.name));
    let mut taken: BTreeSet<Name> = hosts.cloned().chain(["lb", "front", "dc", "dc-partner"].map(Name::from)).collect();
    taken.extend(clients.iter().filter(|client| user(client).is_none()).map(|client| client.name.clone()));
    let mut names = BTreeMap::new();
    for client in clients {
        let Some(user) = user(client) else { continue };
        let numbered = (2..).map(|number: u32| Name::from(format!("{user}{number}")));
        let mut wanted = std::iter::once(Name::from(user)).chain(numbered);
        let name = wanted.find(|name| taken.insert(name.clone())).unwrap_or_else(|| client.name.clone());
        names.insert(client.name.clone(), name);
    }
    names
}

fn client(step: &Action) -> Option<&ClientSpec> {
    match step {
        Action::AddClient(client) => Some(client),
        _ => None,
    }
}

/// Returns the name of the user at a client; `None` if that name, followed by a number, is not possible as the name of
/// a client.
fn user(client: &ClientSpec) -> Option<&str> {
    let user = client.identity.as_ref().map_or(NOBODY, |identity| identity.principal.user());
    (Name::is_plain(user) && user.len() + 5 <= MAX_NAME).then_some(user)
}

fn rename(step: &mut Action, names: &BTreeMap<Name, Name>) {
    let new = |name: &mut Name| {
        if let Some(new) = names.get(name) {
            name.clone_from(new);
        }
    };
    match step {
        Action::AddClient(client) => {
            new(&mut client.name);
            client.at.iter_mut().for_each(new);
        }
        Action::Start { request, .. } => new(&mut request.client),
        Action::Crowd(crowd) => crowd.clients.iter_mut().for_each(new),
        Action::SendRaw(raw) => new(&mut raw.client),
        Action::MakeToken { client, .. } | Action::Disconnect(client) | Action::SwitchUser(client, _) => new(client),
        // The hosts of clients have the names of the clients.
        Action::Fault(fault) => fault.hosts_mut().for_each(new),
        Action::Await(_)
        | Action::Advance(_)
        | Action::AwaitChecks(_)
        | Action::Drain(_)
        | Action::Undrain(_)
        | Action::Configure(_) => {}
    }
}
