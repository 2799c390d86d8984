//! The bytes that clients sent unchanged ([`Action::SendRaw`]), and the answers to them.
//!
//! Such bytes carry no id that proves who sent them: they may carry none, or one that belongs to another client. But
//! the action names the client, and the client records each answer. If the application answered, its answer states the
//! server, the connection and the number of the request there, so the server's own events can be assigned to the client
//! too.
//!
//! An id in raw bytes is *forged*. From then on, events that servers record under this id do not count as events of the
//! request that has the id (`believed`). If that request had not ended by then, its fate can no longer be determined,
//! and it is not judged.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use stickler_model::event::Served;
use stickler_model::{
    Action, Event, Identity, Name, Piece, Principal, REQUEST_ID_HEADER, RawSpec, RequestId, Trace, What,
};

use crate::order::Position;
use crate::verdict::Cited;

/// The raw bytes of a trace. A `usize` is an index into the trace's events.
pub(crate) struct RawSends<'t> {
    /// The sends, in order.
    sends: Vec<RawSend<'t>>,
    /// The forged ids whose requests had not ended by then.
    pub(crate) ambiguous: BTreeSet<RequestId>,
}

/// Bytes that a client sent.
pub(crate) struct RawSend<'t> {
    pub(crate) spec: &'t RawSpec,
    /// The user at the client, if there is one.
    pub(crate) user: Option<&'t Principal>,
    /// The event of the action.
    pub(crate) event: usize,
    /// The index of the action among the plan's steps.
    pub(crate) step: usize,
    /// The answers, in order.
    pub(crate) answers: Vec<RawAnswer<'t>>,
}

/// An answer to raw bytes.
pub(crate) struct RawAnswer<'t> {
    pub(crate) event: usize,
    pub(crate) number: u32,
    pub(crate) status: u16,
    pub(crate) served: Option<&'t Served>,
    pub(crate) user: Option<&'t Principal>,
    /// The events at which the server received and answered the request.
    pub(crate) received: Option<usize>,
    pub(crate) answered: Option<usize>,
}

impl<'t> RawSends<'t> {
    /// Collects the raw bytes of a trace and their answers.
    pub(crate) fn read(trace: &'t Trace) -> Self {
        let mut raw = Self { sends: Vec::new(), ambiguous: BTreeSet::new() };
        let mut users: BTreeMap<&Name, &Identity> = BTreeMap::new();
        let mut ended: BTreeSet<RequestId> = BTreeSet::new();
        // The latest receipt and answer under these numbers: they start again when a server restarts.
        let mut received: BTreeMap<(&Name, u32, u32), usize> = BTreeMap::new();
        let mut answered: BTreeMap<(&Name, u32, u32), usize> = BTreeMap::new();
        let mut step = 0;
        for (event, seen) in trace.events.iter().enumerate() {
            match &seen.what {
                What::Action(action) => {
                    match action {
                        Action::AddClient(spec) => users.extend(spec.identity.as_ref().map(|user| (&spec.name, user))),
                        Action::SwitchUser(client, user) => _ = users.insert(client, user),
                        Action::SendRaw(spec) => {
                            raw.ambiguous.extend(forged_ids(spec).into_iter().filter(|id| !ended.contains(id)));
                            let user = users.get(&spec.client).map(|user| &user.principal);
                            raw.sends.push(RawSend { spec, user, event, step, answers: Vec::new() });
                        }
                        _ => {}
                    }
                    step += 1;
                }
                What::RequestEnded { request, .. } => _ = ended.insert(*request),
                What::ServerReceived { connection, number, .. } => {
                    received.insert((&seen.by, *connection, *number), event);
                }
                What::ServerAnswered { connection, number, .. } => {
                    answered.insert((&seen.by, *connection, *number), event);
                }
                What::RawAnswered { number, status, served, user } => {
                    let Some(send) = raw.sends.iter_mut().rfind(|send| send.spec.client == seen.by) else { continue };
                    let found = |events: &BTreeMap<(&Name, u32, u32), usize>| {
                        let Served { server, connection, number } = served.as_ref()?;
                        events.get(&(server, *connection, *number)).copied().filter(|event| event.is_after(send.event))
                    };
                    let (received, answered) = (found(&received), found(&answered));
                    let (number, status) = (*number, *status);
                    let (served, user) = (served.as_ref(), user.as_ref());
                    send.answers.push(RawAnswer { event, number, status, served, user, received, answered });
                }
                _ => {}
            }
        }
        raw
    }

    /// Returns the sends in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &RawSend<'t>> {
        self.sends.iter()
    }
}

impl RawSend<'_> {
    /// Returns the bytes as evidence cites them.
    pub(crate) fn cited(&self) -> Vec<Cited> {
        vec![Cited::Raw { client: self.spec.client.clone(), step: self.step }]
    }

    /// Returns the values of a header field in all lines of the bytes, whichever request they belong to.
    pub(crate) fn values(&self, field: &str) -> Vec<String> {
        values(self.spec, field)
    }

    /// Returns, for each request in the bytes in order, whether it carries this header field. The list ends at the
    /// first request with a body.
    pub(crate) fn requests_with(&self, field: &str) -> Vec<bool> {
        let text = text(self.spec);
        let heads = text.split("\r\n\r\n").filter(|head| !head.is_empty());
        let fields = |head: &str| head.split("\r\n").skip(1).any(|line| value(line, field).is_some());
        heads.take_while(|head| head.contains(" HTTP/1.")).map(fields).collect()
    }
}

impl RawAnswer<'_> {
    /// Returns the events of this answer: at the server and at the client.
    pub(crate) fn events(&self) -> impl Iterator<Item = usize> {
        self.received.into_iter().chain(self.answered).chain([self.event])
    }
}

/// Returns the trace without the ids that servers recorded after raw bytes had carried them: the sender of such a
/// request is unknown. The trace is copied only if there are any.
pub(crate) fn believed(trace: &Trace) -> Cow<'_, Trace> {
    let mut forged: BTreeSet<RequestId> = BTreeSet::new();
    let mut believed = Cow::Borrowed(trace);
    for (index, event) in trace.events.iter().enumerate() {
        if let What::Action(Action::SendRaw(spec)) = &event.what {
            forged.extend(forged_ids(spec));
        } else if server_id(event).is_some_and(|id| forged.contains(&id))
            && let Some(id) = server_id_mut(&mut believed.to_mut().events[index])
        {
            *id = None;
        }
    }
    believed
}

/// Returns the id that a server's event names.
fn server_id(event: &Event) -> Option<RequestId> {
    match event.what {
        What::ServerReceived { request, .. }
        | What::ServerTrusted { request, .. }
        | What::ServerLogon { request, .. }
        | What::ServerTicket { request, .. }
        | What::ServerAnswered { request, .. } => request,
        _ => None,
    }
}

fn server_id_mut(event: &mut Event) -> Option<&mut Option<RequestId>> {
    match &mut event.what {
        What::ServerReceived { request, .. }
        | What::ServerTrusted { request, .. }
        | What::ServerLogon { request, .. }
        | What::ServerTicket { request, .. }
        | What::ServerAnswered { request, .. } => Some(request),
        _ => None,
    }
}

/// Returns the ids that raw bytes carry.
fn forged_ids(spec: &RawSpec) -> Vec<RequestId> {
    values(spec, REQUEST_ID_HEADER).iter().filter_map(|value| RequestId::parse(value.as_bytes())).collect()
}

fn values(spec: &RawSpec, field: &str) -> Vec<String> {
    // A bare line feed ends a line as well (RFC 9112 2.2).
    text(spec).split('\n').filter_map(|line| value(line, field)).map(str::to_owned).collect()
}

/// Returns the value of the header field if this line has that field.
fn value<'l>(line: &'l str, field: &str) -> Option<&'l str> {
    let (name, value) = line.split_once(':')?;
    name.trim().eq_ignore_ascii_case(field).then(|| value.trim())
}

/// Returns the bytes as text, with a placeholder for each token.
fn text(spec: &RawSpec) -> String {
    let mut text = String::new();
    for piece in &spec.bytes {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Bytes(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
            Piece::Token(id) => text.push_str(&id.to_string()),
        }
    }
    text
}
