//! The expectations of a script about its answers, which fail if an answer is another user's.

use std::collections::BTreeMap;

use stickler_model::{Action, Name, Plan, Principal, RequestId, Topology};
use stickler_oracle::Requirement;

use super::Finding;
use super::text::{Call, list, string};

/// The users who may be served with the answer to each request: those who were at its client while the request was
/// pending. A request for which they cannot be determined in advance is left out.
#[derive(Default)]
pub(super) struct Expectations {
    users: BTreeMap<RequestId, Vec<Option<Principal>>>,
}

impl Expectations {
    /// Returns the expectations by which a script shows a finding. For a finding about identity, they say that nobody
    /// is served as somebody else.
    pub(super) fn of(plan: &Plan, finding: Option<&Finding>) -> Self {
        if !finding.is_some_and(|finding| is_about_identity(finding.requirement)) {
            return Self::default();
        }
        let mut expectations = Self::default();
        let mut seats: BTreeMap<&Name, Option<Principal>> = BTreeMap::new();
        let mut under_way: BTreeMap<RequestId, &Name> = BTreeMap::new();
        for step in &plan.steps {
            match step {
                Action::AddClient(client) => {
                    seats.insert(&client.name, client.identity.as_ref().map(|identity| identity.principal.clone()));
                }
                Action::Start { id, request } => expectations.start(*id, &request.client, &seats, &mut under_way),
                Action::Crowd(crowd) => {
                    let asking = crowd.clients.iter().flat_map(|name| (0..crowd.requests).map(move |_| name));
                    crowd.ids().zip(asking).for_each(|(id, name)| expectations.start(id, name, &seats, &mut under_way));
                }
                Action::Await(id) => drop(under_way.remove(id)),
                Action::SwitchUser(client, identity) => {
                    seats.insert(client, Some(identity.principal.clone()));
                    for (id, _) in under_way.iter().filter(|(_, name)| **name == client) {
                        expectations.users.entry(*id).or_default().push(Some(identity.principal.clone()));
                    }
                }
                _ => {}
            }
        }
        let knows =
            |users: &Vec<Option<Principal>>| users.iter().flatten().all(|user| is_spelled_so(user, &plan.topology));
        expectations.users.retain(|_, users| knows(users));
        expectations
    }

    fn start<'p>(
        &mut self,
        id: RequestId,
        client: &'p Name,
        seats: &BTreeMap<&Name, Option<Principal>>,
        under_way: &mut BTreeMap<RequestId, &'p Name>,
    ) {
        under_way.insert(id, client);
        self.users.insert(id, vec![seats.get(client).cloned().flatten()]);
    }

    /// Returns the call that follows the answer to a request: `expect(user = ["CORP\\alice", None])`.
    pub(super) fn call(&self, request: RequestId) -> Option<Call> {
        let users: Vec<&Principal> = self.users.get(&request)?.iter().flatten().collect();
        let call = Call::new("expect");
        if users.is_empty() {
            return Some(call.and("user", "None"));
        }
        let mut names: Vec<String> = Vec::new();
        for name in users.into_iter().map(|user| string(user.as_str())) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Some(call.and("user", list(names.into_iter().chain(["None".to_owned()]))))
    }

    /// Returns whether the expectation for each of these requests is the one that `call` returns for the user at its
    /// client.
    pub(super) fn are_of_one_user(&self, mut requests: impl Iterator<Item = RequestId>) -> bool {
        requests.all(|id| self.users.get(&id).is_some_and(|users| users.len() == 1))
    }
}

/// Returns whether a requirement is about the user as whom a request is processed.
fn is_about_identity(requirement: Requirement) -> bool {
    requirement.id().starts_with("ID-")
}

/// Returns whether servers show the user by exactly this text: an account of a domain, in the directory's spelling.
fn is_spelled_so(user: &Principal, topology: &Topology) -> bool {
    let partner = topology.partner.iter().map(|partner| &partner.domain);
    let mut domains = std::iter::once(&topology.domain).chain(partner);
    let joined = topology.servers.iter().all(|server| !server.workgroup && server.accounts.is_empty());
    joined
        && domains.any(|domain| {
            domain.netbios == user.domain() && domain.users.iter().any(|account| account.name == user.user())
        })
}
