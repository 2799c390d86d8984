//! ID-4 and ID-5: the user that a site takes a client for, because of a header or a second logon.
//!
//! **ID-4** applies where the site trusts a header (`trusted_header` is declared). It is put to the test by each
//! client's request that carries a claim in that header and reaches a server. It is violated if a server trusts exactly
//! the value that the client claimed, and takes the request for a user who is not the client's own with valid
//! credentials: then the value can only have come from the client. A client that claims the truth proves nothing,
//! because the balancer may have written the same. Claims in bytes that a client sends unchanged count in the same way,
//! by the answers that an application gave to them.
//!
//! **ID-5** is put to the test by each Authenticate leg or ticket that is taken for the client's user, if the client
//! was taken for another user of its own before. It is violated if
//! * a later request of the client, in the name of the new user, is taken for the former one; or
//! * the connection that got its identity in this way, and keeps it, serves another client's request under an identity
//!   that is not that client's.

use std::collections::BTreeMap;

use stickler_model::event::Credentials;
use stickler_model::{Name, Principal, What};

use crate::finding::Finding;
use crate::index::Index;
use crate::raw::RawSend;
use crate::requests::{Answered, Request, ServerConnection};
use crate::verdict::Failure;

/// Judges ID-4.
pub(crate) fn id4_client_claims_are_not_trusted(index: &Index<'_>) -> Finding {
    let Some(header) = &index.promises().trusted_header else { return Finding::not_applicable() };
    let mut finding = Finding::default();
    for send in index.raw.iter() {
        judge_raw_claims(index, send, header, &mut finding);
    }
    for request in index.requests() {
        let mut claimed: Option<(usize, &str)> = None;
        let mut trusted: Option<usize> = None;
        let mut reached = false;
        for &event in &request.events {
            match index.what(event) {
                What::ClientClaimed { value, .. } => claimed = Some((event, value)),
                What::ServerReceived { .. } => reached |= claimed.is_some(),
                What::ServerTrusted { value, .. } => {
                    trusted = claimed.is_some_and(|(_, claim)| claim == value).then_some(event);
                }
                What::ServerAnswered { .. } => {
                    let Some(answer) = index.answer(event) else { continue };
                    let taken = answer.taken_for().filter(|_| !is_own(request, &answer));
                    if let (Some((claim, value)), Some(trusted), Some(user)) = (claimed, trusted.take(), taken) {
                        let (server, connection) = answer.at;
                        let summary = format!(
                            "{server} took {}'s request {} on connection {connection} for {user}, \
                             by the header {value:?} that the client itself had sent",
                            request.client, request.id,
                        );
                        finding.violate(Failure::WrongUser, request.cited(), summary, vec![claim, trusted, event]);
                    }
                }
                _ => {}
            }
        }
        if reached {
            finding.exercise();
        }
    }
    finding
}

/// Judges raw bytes in which a client claims a user in the header that the site trusts. The answers of the application
/// decide.
fn judge_raw_claims(index: &Index<'_>, send: &RawSend<'_>, header: &str, finding: &mut Finding) {
    let claims = send.values(header);
    for answer in send.answers.iter().filter(|_| !claims.is_empty()) {
        let (Some(answered), Some(received)) = (answer.answered, answer.received) else { continue };
        finding.exercise();
        // The server records whom it trusts between the receipt and the answer.
        let trusted = (received..answered).rev().find(|&event| match index.what(event) {
            What::ServerTrusted { connection, number, value, .. } => {
                let served = answer.served.is_some_and(|served| {
                    (&served.server, served.connection, served.number) == (index.by(event), *connection, *number)
                });
                served && claims.contains(value)
            }
            _ => false,
        });
        let taken = answer.user.filter(|&user| send.user != Some(user));
        if let (Some(trusted), Some(user)) = (trusted, taken) {
            let client = &send.spec.client;
            let summary = format!(
                "{} took the bytes of {client} for {user}, by the header {header} that the client itself had sent",
                index.by(answered),
            );
            let events = answer.events().chain([send.event, trusted]).collect();
            finding.violate(Failure::WrongUser, send.cited(), summary, events);
        }
    }
}

/// Judges ID-5.
pub(crate) fn id5_reauthentication_changes_one_client(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    let mut state = Id5State::default();
    for (event, seen) in index.events() {
        if let What::ServerAccepted { connection, .. } = seen.what {
            // The numbers start again when a server restarts.
            state.changed_on.remove(&(&seen.by, connection));
        }
        let Some(answer) = index.answer(event) else { continue };
        let (Some(user), Some(request)) = (answer.taken_for(), index.request(answer.request)) else { continue };
        if answer.is_logon() {
            state.changed_on.remove(&answer.at);
        }
        if is_own(request, &answer) {
            state.note_own(index, request, &answer, &mut finding);
        } else {
            state.judge_other(request, user, &answer, &mut finding);
        }
    }
    finding
}

/// Returns whether the server took the request for the client's own user with valid credentials.
fn is_own(request: &Request<'_>, answer: &Answered<'_>) -> bool {
    request.credentials == Credentials::Valid && answer.taken_for() == request.identity
}

/// The state of ID-5 while a trace is being read.
#[derive(Default)]
struct Id5State<'t> {
    /// The user that each client was last correctly taken for, by client.
    current: BTreeMap<&'t Name, &'t Principal>,
    /// The former user of a client whose user changed, and the answer that changed it, by client.
    before: BTreeMap<&'t Name, (&'t Principal, usize)>,
    /// The client and the answer of such a change, by the server's connection that has its identity from it.
    changed_on: BTreeMap<ServerConnection<'t>, (&'t Name, usize)>,
}

impl<'t> Id5State<'t> {
    fn note_own(&mut self, index: &Index<'t>, request: &Request<'t>, answer: &Answered<'t>, finding: &mut Finding) {
        let Some(user) = answer.taken_for() else { return };
        let current = self.current.entry(request.client).or_insert(user);
        if *current == user || !answer.is_logon() {
            return;
        }
        finding.exercise();
        self.before.insert(request.client, (*current, answer.event));
        if index.authenticates(answer) {
            self.changed_on.insert(answer.at, (request.client, answer.event));
        }
        *current = user;
    }

    fn judge_other(&self, request: &Request<'t>, user: &Principal, answer: &Answered<'t>, finding: &mut Finding) {
        let (client, id, (server, connection)) = (request.client, request.id, answer.at);
        if let Some(&(old, changed)) = self.before.get(client)
            && old == user
            && self.current.get(client).copied() == request.identity
        {
            let summary = format!(
                "{client}'s request {id} was processed as {user} by {server} on connection {connection}, \
                 though {client} had authenticated as another user since",
            );
            finding.violate(Failure::WrongUser, request.cited(), summary, vec![changed, answer.event]);
        }
        if let Some(&(changer, changed)) = self.changed_on.get(&answer.at)
            && changer != client
        {
            let summary = format!(
                "{client}'s request {id} was processed as {user} by {server} on connection {connection}, \
                 to which {changer} had given that identity by authenticating anew",
            );
            finding.violate(Failure::WrongUser, request.cited(), summary, vec![changed, answer.event]);
        }
    }
}
