//! Converts the observations of clients to rows.

use stickler_model::event::{Event, RequestId, Served, What};
use stickler_model::{Principal, RawSpec};

use super::{Subject, Teller, Told};
use crate::diagram::labels::{self, foreign};
use crate::diagram::{About, Arrow, Message};

impl<'t> Teller<'t> {
    pub(super) fn client(&mut self, index: usize, event: &'t Event, by: usize, what: &'t What) -> bool {
        match what {
            What::RequestStarted { request, identity, method, path, .. } => {
                self.starts(index, by, *request, identity.as_ref(), format!("{} {}", foreign(method), foreign(path)))
            }
            What::ClientConnected { connection, .. } => {
                let connection = self.connect(by, *connection);
                let text = String::new();
                let arrow = Arrow {
                    from: by,
                    to: self.entry,
                    kind: Message::Opening,
                    text,
                    aside: String::new(),
                    connection: Some(connection),
                    user: self.seats.get(&by).copied().flatten(),
                };
                self.arrow(event, arrow, vec![index], Subject { client: Some(by), ..Subject::default() });
                true
            }
            What::ClientSecured { connection, http2, .. } => {
                self.secured(index, by, *connection, if *http2 { ", TLS, HTTP/2" } else { ", TLS" })
            }
            What::ClientClosed { connection, how } => self.ends(index, event, by, *connection, labels::closed(*how)),
            What::ClientSent { connection, request, leg, length } => {
                self.sends(index, event, by, (*connection, *request), (labels::leg(*leg), *length))
            }
            What::ClientReceived { .. } => self.receives(index, event, by, what),
            What::CookieReceived { request, value, .. } => {
                self.waits(index, *request, &format!(", sets a cookie {}", foreign(value)))
            }
            What::CookieSent { request, value, .. } => {
                self.waits(index, *request, &format!(", with the cookie {}", foreign(value)))
            }
            What::ClientClaimed { request, value, .. } => {
                self.waits(index, *request, &format!(", claims to be {}", foreign(value)))
            }
            What::RequestEnded { request, status: Some(_), .. } => {
                let received = self.requests.get(request).and_then(|told| told.received);
                self.join(received, index, "")
            }
            What::RequestEnded { request, error, .. } => {
                let why = foreign(error.as_deref().unwrap_or("unknown"));
                self.tells(index, event, by, *request, &format!("{request} ends without an answer: {why}"))
            }
            What::RequestAbandoned { request } => {
                self.tells(index, event, by, *request, &format!("the plan is over while {request} is under way"))
            }
            What::RawAnswered { .. } => self.raw_answered(index, event, by, what),
            _ => false,
        }
    }

    fn starts(
        &mut self,
        index: usize,
        client: usize,
        request: RequestId,
        identity: Option<&'t Principal>,
        heading: String,
    ) -> bool {
        let user = self.user(identity);
        self.seats.insert(client, user);
        if self.story.participants[client].user.is_none() && !self.asking.contains_key(&client) {
            self.story.participants[client].user = user;
        }
        let order = self.asking.len() + self.requests.len();
        self.asking.insert(client, (order, request));
        let told = Told {
            client,
            user,
            heading: Some(heading),
            waiting: vec![index],
            extra: String::new(),
            leg: "",
            decision: None,
            answered: None,
            received: None,
        };
        self.requests.entry(request).or_insert(told);
        true
    }

    /// Keeps an event for the row of the next HTTP request or answer of its client. Returns whether the request is
    /// known.
    fn waits(&mut self, index: usize, request: RequestId, words: &str) -> bool {
        let Some(told) = self.requests.get_mut(&request) else { return false };
        told.waiting.push(index);
        told.extra.push_str(words);
        true
    }

    /// Returns the events that were kept for the request, in order, followed by the event itself, and their text.
    fn waited(&mut self, request: RequestId, index: usize) -> (Vec<usize>, String) {
        let Some(told) = self.requests.get_mut(&request) else { return (vec![index], String::new()) };
        let mut events = std::mem::take(&mut told.waiting);
        events.push(index);
        (events, std::mem::take(&mut told.extra))
    }

    fn sends(
        &mut self,
        index: usize,
        event: &'t Event,
        by: usize,
        (connection, request): (u32, RequestId),
        (leg, length): (&'static str, u64),
    ) -> bool {
        let connection = self.connection(by, connection);
        let (events, extra) = self.waited(request, index);
        let (mut heading, mut user) = (None, self.seats.get(&by).copied().flatten());
        if let Some(told) = self.requests.get_mut(&request) {
            (told.leg, user, told.answered) = (leg, told.user, None);
            heading = told.heading.take();
        }
        let heading = heading.map(|heading| format!("{heading}, ")).unwrap_or_default();
        let body = if length > 0 { format!(", {length} bytes") } else { String::new() };
        let text = format!("{request}: {heading}{leg}{body}{extra}");
        let arrow = Arrow {
            from: by,
            to: self.entry,
            kind: Message::Request,
            text,
            aside: String::new(),
            connection: Some(connection),
            user,
        };
        let subject = Subject { client: Some(by), request: Some(request), ..Subject::default() };
        self.arrow(event, arrow, events, subject);
        true
    }

    fn receives(&mut self, index: usize, event: &'t Event, by: usize, what: &'t What) -> bool {
        let What::ClientReceived { connection, request, echoed, status, challenge, user } = what else { return false };
        let connection = self.connection(by, *connection);
        let (events, extra) = self.waited(*request, index);
        let challenge = if *challenge { ", NTLM Challenge" } else { "" };
        let (mut from, mut words) = (self.exit, String::new());
        match echoed {
            None => (from, words) = (self.entry, ", not from a server".to_owned()),
            Some(other) if other != request => words = format!(", which answers {other}"),
            Some(_) => {}
        }
        if user.is_some() {
            words.push_str(" as ");
            words.push_str(&labels::user(user.as_ref()));
        }
        let text = format!("{request}: {status}{challenge}{words}{extra}");
        let user = self.user(user.as_ref());
        let arrow = Arrow {
            from,
            to: by,
            kind: Message::Answer,
            text,
            aside: String::new(),
            connection: Some(connection),
            user,
        };
        let subject = Subject { client: Some(by), request: Some(*request), ..Subject::default() };
        let row = self.arrow(event, arrow, events, subject);
        let answered = self.requests.get_mut(request).and_then(|told| {
            told.received = Some(row);
            told.answered
        });
        // Only the client observes that the token is a Challenge.
        if let (Some(answered), Some(_), false) = (answered, echoed, challenge.is_empty()) {
            self.add(answered, challenge);
        }
        true
    }

    /// Appends words to the text of an arrow.
    fn add(&mut self, row: usize, words: &str) {
        if let Some(Some(draft)) = self.story.rows.get_mut(row)
            && let crate::diagram::Step::Arrow(arrow) = &mut draft.row.step
            && !arrow.text.contains(words)
        {
            arrow.text.push_str(words);
        }
    }

    /// Adds a note about a request at its client, together with the text that was kept for an arrow that never came.
    fn tells(&mut self, index: usize, event: &'t Event, by: usize, request: RequestId, text: &str) -> bool {
        let (events, extra) = self.waited(request, index);
        let heading = self.requests.get_mut(&request).and_then(|told| told.heading.take());
        let heading = heading.map(|heading| format!("{request}: {heading}; ")).unwrap_or_default();
        let subject = Subject { client: Some(by), request: Some(request), ..Subject::default() };
        let row = self.note(index, event, Some((by, by)), About::Seen, format!("{heading}{text}{extra}"), subject);
        if let Some(draft) = &mut self.story.rows[row] {
            draft.row.events = events;
        }
        true
    }

    pub(super) fn sends_raw(&mut self, index: usize, event: &'t Event, raw: &'t RawSpec) -> bool {
        let Some(&by) = self.names.get(&raw.client) else { return false };
        let text = super::words(event);
        let user = self.seats.get(&by).copied().flatten();
        let arrow = Arrow {
            from: by,
            to: self.entry,
            kind: Message::Request,
            text,
            aside: String::new(),
            connection: None,
            user,
        };
        self.arrow(event, arrow, vec![index], Subject { client: Some(by), ..Subject::default() });
        true
    }

    fn raw_answered(&mut self, index: usize, event: &'t Event, by: usize, what: &'t What) -> bool {
        let What::RawAnswered { number, status, served, user } = what else { return false };
        let (from, place) = match served {
            Some(Served { server, connection, number }) => {
                let (server, user) = (foreign(server.as_str()), labels::user(user.as_ref()));
                (self.exit, format!(", by {server} as request {number} of its connection {connection}, as {user}"))
            }
            None => (self.entry, String::new()),
        };
        let text = format!("answer {number} to its bytes: {status}{place}");
        let user = self.user(user.as_ref());
        let arrow = Arrow { from, to: by, kind: Message::Answer, text, aside: String::new(), connection: None, user };
        self.arrow(event, arrow, vec![index], Subject { client: Some(by), ..Subject::default() });
        true
    }
}
