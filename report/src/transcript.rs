//! Renders traces as text: the messages on each connection, their senders, and the users as whom servers processed
//! requests.
//!
//! Text that peers sent is escaped here ([`escape`]): each line stays one line, and the text cannot control a terminal.

use std::borrow::Cow;
use std::fmt::{self, Formatter, Write as _};

use stickler_model::action::{CheckChange, CrowdSpec};
use stickler_model::event::{Closed, Credentials, Event, Leg, Served, What};
use stickler_model::{Action, Piece, Principal, RawSpec, RequestId, Trace, escape};
use stickler_oracle::Evidence;

/// The maximum number of events that evidence lists. Further events are only counted.
const MOST_EVENTS: usize = 16;

/// Returns the summary of a violation, followed by the events that prove it, with one line for each event.
pub fn evidence(trace: &Trace, evidence: &Evidence) -> String {
    let mut text = format!("{}\n", escape::line(&evidence.summary));
    for event in evidence.events.iter().take(MOST_EVENTS).filter_map(|&index| trace.events.get(index)) {
        let _ = writeln!(text, "    {}", line(event));
    }
    if let Some(more) = evidence.events.len().checked_sub(MOST_EVENTS + 1) {
        let _ = writeln!(text, "    ... and {} more events", more + 1);
    }
    text
}

/// Returns the events of a trace with these indices, with one line for each event, up to the maximum number.
pub fn lines(trace: &Trace, events: &[usize]) -> Vec<String> {
    events.iter().take(MOST_EVENTS).filter_map(|&index| trace.events.get(index)).map(line).collect()
}

/// Returns every event of a run, with one line for each event. Lines of events in `marked` (indices, in order) start
/// with `>`.
pub fn whole(trace: &Trace, marked: &[usize]) -> String {
    let mut text = String::new();
    for (index, event) in trace.events.iter().enumerate() {
        let mark = if marked.binary_search(&index).is_ok() { '>' } else { ' ' };
        let _ = writeln!(text, "{mark} {}", line(event));
    }
    text
}

/// Returns one event as one line: the time, the observer and the observation.
pub fn line(event: &Event) -> String {
    let line = format!("{:>12}  {:<10} {}", event.at.to_string(), event.by, Saw(&event.what));
    match escape::line(&line) {
        Cow::Borrowed(_) => line,
        Cow::Owned(escaped) => escaped,
    }
}

/// Returns the observation in words, without escaping.
pub(crate) fn words(event: &Event) -> String {
    Saw(&event.what).to_string()
}

/// An observation that is displayed in words.
struct Saw<'a>(&'a What);

impl fmt::Display for Saw<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            What::Action(action) => action_line(f, action),
            What::RequestStarted { .. }
            | What::ClientConnected { .. }
            | What::ClientSent { .. }
            | What::ClientReceived { .. }
            | What::CookieReceived { .. }
            | What::CookieSent { .. }
            | What::ClientClaimed { .. }
            | What::RequestAbandoned { .. }
            | What::RawAnswered { .. }
            | What::RequestEnded { .. } => client_line(f, self.0),
            What::ClientClosed { connection, how } | What::ServerClosed { connection, how } => {
                write!(f, "connection {connection} is gone ({})", closed(*how))
            }
            What::ClientSecured { connection, certificate, http2 } => {
                let protocol = if *http2 { "HTTP/2" } else { "HTTP/1.1" };
                write!(f, "TLS on connection {connection} with certificate {certificate}, {protocol}")
            }
            What::ServerSecured { connection, certificate } => {
                write!(f, "TLS on connection {connection} as certificate {certificate}")
            }
            What::Repeated { like, last, times, until } => {
                write!(f, "the same as on connection {like} {times} times more, until {until} and connection {last}")
            }
            What::DcLogon { server, account, status, bad_count, .. } => write!(
                f,
                "logon of {account} at {server}: NTSTATUS {status:08X}, {bad_count} failed since the last good one"
            ),
            What::DcPassedOn { server, account, to, status, .. } => {
                write!(f, "logon of {account} at {server}: passed on to {to}, NTSTATUS {status:08X}")
            }
            What::DcTicket { client, service, etype, error } => {
                write!(f, "ticket of {} for {service:?}: ", client.as_ref().map_or("nobody", Principal::as_str))?;
                if *error == 0 { write!(f, "issued, etype {etype}") } else { write!(f, "KRB-ERROR {error}") }
            }
            What::ServerAccepted { .. }
            | What::ServerReceived { .. }
            | What::ServerTrusted { .. }
            | What::SenderNamed { .. }
            | What::ServerLogon { .. }
            | What::ServerTicket { .. }
            | What::ServerAnswered { .. } => server_line(f, self.0),
            What::Decision { downstream, upstream, backend, request, decision } => {
                write!(f, "downstream {downstream}")?;
                if let Some(upstream) = upstream {
                    write!(f, ", upstream {upstream}")?;
                }
                if let Some(backend) = backend {
                    write!(f, " to {backend}")?;
                }
                if let Some(request) = request {
                    write!(f, ", {request}")?;
                }
                write!(f, ": {decision}")
            }
            What::FlowOpened { client, source, backend } => {
                write!(f, "flow of {client} goes to {backend} as {source}")
            }
        }
    }
}

fn client_line(f: &mut Formatter<'_>, what: &What) -> fmt::Result {
    match what {
        What::RequestStarted { request, identity, credentials, method, path, length, .. } => {
            let credentials = match credentials {
                Credentials::None => "",
                Credentials::Valid => " with good credentials",
                Credentials::Wrong => " with wrong credentials",
            };
            write!(f, "{request}: {method} {path}, {length} bytes, as {}{credentials}", user(identity.as_ref()))
        }
        What::ClientConnected { connection, local } => write!(f, "opens connection {connection} from {local}"),
        What::ClientSent { connection, request, leg, length } => {
            write!(f, "sends {request} on its connection {connection}: {}, {length} bytes", leg_name(*leg))
        }
        What::ClientReceived { connection, request, echoed, status, challenge, user: seen } => {
            write!(f, "receives {status} for {request} on its connection {connection}")?;
            if *challenge {
                f.write_str(" with a Challenge")?;
            }
            match echoed {
                None => f.write_str(", not from a server")?,
                Some(other) if other != request => write!(f, ", WHICH ANSWERS {other}")?,
                Some(_) => {}
            }
            seen.as_ref().map_or(Ok(()), |seen| write!(f, ", served as {seen}"))
        }
        What::CookieReceived { connection, request, value } => {
            write!(f, "receives the cookie {value:?} for {request} on its connection {connection}")
        }
        What::CookieSent { connection, request, value } => {
            write!(f, "sends the cookie {value:?} with {request} on its connection {connection}")
        }
        What::ClientClaimed { connection, request, value } => {
            write!(f, "claims to be {value:?} in {request} on its connection {connection}")
        }
        What::RequestAbandoned { request } => write!(f, "is over while {request} is under way"),
        What::RawAnswered { number, status, served, user } => {
            write!(f, "receives {status} as answer {number} to its bytes")?;
            if let Some(Served { server, connection, number }) = served {
                write!(
                    f,
                    ", by {server} as request {number} of its connection {connection}, {}",
                    self::user(user.as_ref())
                )?;
            }
            Ok(())
        }
        What::RequestEnded { request, status: Some(status), .. } => write!(f, "{request} ends with {status}"),
        What::RequestEnded { request, error, .. } => {
            write!(f, "{request} ends without an answer: {}", error.as_deref().unwrap_or("unknown"))
        }
        _ => Ok(()),
    }
}

fn server_line(f: &mut Formatter<'_>, what: &What) -> fmt::Result {
    match what {
        What::ServerAccepted { connection, peer } => write!(f, "accepts connection {connection} from {peer}"),
        What::ServerReceived { connection, number, request, leg } => {
            write!(f, "connection {connection}, request {number}: receives {} of {}", leg_name(*leg), id(*request))
        }
        What::ServerTrusted { connection, number, request, value } => {
            write!(f, "connection {connection}, request {number}: trusts the header of {}: {value:?}", id(*request))
        }
        What::SenderNamed { connection, number, name } => {
            write!(f, "connection {connection}, request {number}: the sender says that it is {name:?}")
        }
        What::ServerLogon { connection, request, account, status, .. } => {
            write!(f, "connection {connection}: logon of {account} for {}: NTSTATUS {status:08X}", id(*request))
        }
        What::ServerTicket { connection, request, client, service, error } => {
            write!(
                f,
                "connection {connection}: ticket of {} for {service:?} with {}",
                client.as_ref().map_or("somebody", Principal::as_str),
                id(*request)
            )?;
            match error {
                0 => f.write_str(": accepted"),
                1..128 => write!(f, ": refused with Kerberos error {error}"),
                _ => write!(f, ": refused with {error:08X}"),
            }
        }
        What::ServerAnswered {
            connection, number, request, status, substatus, win32, user: taken, processed, ..
        } => {
            let id = id(*request);
            write!(f, "connection {connection}, request {number}: answers {id} with {status} {substatus} {win32}")?;
            if *processed { write!(f, ", processed as {}", user(taken.as_ref())) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

fn action_line(f: &mut Formatter<'_>, action: &Action) -> fmt::Result {
    match action {
        Action::AddClient(client) => {
            let identity = client.identity.as_ref().map(|identity| &identity.principal);
            write!(
                f,
                "add client {} ({}) with the credentials of {}",
                client.name,
                client.profile.agent.name(),
                user(identity)
            )
        }
        Action::Start { request, .. } => write!(f, "{} starts {} {}", request.client, request.method, request.path),
        Action::Await(request) => write!(f, "wait for {request}"),
        Action::Crowd(crowd) => {
            let CrowdSpec { clients, first, requests, think, path } = crowd;
            let people = clients.len();
            write!(
                f,
                "{people} clients start to ask for {path}, {requests} times each from {first} on, {think:?} apart"
            )
        }
        Action::MakeToken { id, client } => write!(f, "{client} makes the token {id}, and does not send it"),
        Action::SendRaw(raw) => raw_line(f, raw),
        Action::Advance(time) => write!(f, "let {time:?} pass"),
        Action::AwaitChecks(wait) => {
            let change = match wait.change {
                CheckChange::Down => "the failure",
                CheckChange::Up => "the return",
            };
            write!(f, "wait until health checks have noticed {change}")
        }
        Action::Disconnect(client) => write!(f, "{client} closes its connections"),
        Action::SwitchUser(client, identity) => write!(f, "{} takes the seat at {client}", identity.principal),
        Action::Drain(host) => write!(f, "drain {host}"),
        Action::Undrain(host) => write!(f, "{host} is in full use again"),
        Action::Configure(server) => write!(f, "{} is set up anew, and IIS is started again", server.name),
        Action::Fault(fault) => write!(f, "{fault}"),
    }
}

fn user(principal: Option<&Principal>) -> &str {
    principal.map_or("anonymous", Principal::as_str)
}

fn id(request: Option<RequestId>) -> String {
    request.map_or_else(|| "a request without id".to_owned(), |request| request.to_string())
}

const fn leg_name(leg: Leg) -> &'static str {
    match leg {
        Leg::Anonymous => "no credentials",
        Leg::Negotiate => "the Negotiate leg",
        Leg::Authenticate => "the Authenticate leg",
        Leg::Ticket => "a ticket",
        Leg::Malformed => "a malformed token",
    }
}

const fn closed(how: Closed) -> &'static str {
    match how {
        Closed::Here => "closed by itself",
        Closed::ByPeer => "closed by the peer",
        Closed::Broken => "broken",
    }
}

fn raw_line(f: &mut Formatter<'_>, raw: &RawSpec) -> fmt::Result {
    write!(f, "{} sends ", raw.client)?;
    for (index, piece) in raw.bytes.iter().enumerate() {
        let and = if index == 0 { "" } else { ", " };
        match piece {
            Piece::Text(text) => write!(f, "{and}{} bytes", text.len())?,
            Piece::Bytes(bytes) => write!(f, "{and}{} bytes", bytes.len())?,
            Piece::Token(id) => write!(f, "{and}the token {id}")?,
        }
    }
    f.write_str(" on a bare connection")
}
