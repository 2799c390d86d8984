//! Converts the observations of servers, DCs and balancers to rows.

use stickler_model::event::{Decided, Event, Leg, What};
use stickler_model::{Name, RequestId};

use super::{BALANCER, Draft, FRONT, Subject, Teller};
use crate::diagram::labels::{self, foreign};
use crate::diagram::{About, Arrow, Message, Step};

impl<'t> Teller<'t> {
    pub(super) fn server(&mut self, index: usize, event: &'t Event, by: usize, what: &'t What) -> bool {
        match what {
            What::ServerAccepted { connection, .. } => {
                let connection = self.connect(by, *connection);
                let arrow = Arrow {
                    from: self.exit,
                    to: by,
                    kind: Message::Opening,
                    text: String::new(),
                    aside: String::new(),
                    connection: Some(connection),
                    user: None,
                };
                self.arrow(event, arrow, vec![index], Subject::default());
                true
            }
            What::ServerSecured { connection, .. } => self.secured(index, by, *connection, ", TLS"),
            What::ServerClosed { connection, how } => self.ends(index, event, by, *connection, labels::closed(*how)),
            What::ServerReceived { connection, request, leg, .. } => {
                self.reaches(index, event, by, *connection, *request, *leg)
            }
            What::ServerTrusted { connection, request, value, .. } => {
                let text = format!("trusts the header: {}", foreign(value));
                self.seen(index, event, by, *connection, *request, text)
            }
            What::SenderNamed { connection, name, .. } => {
                self.seen(index, event, by, *connection, None, format!("the sender says that it is {}", foreign(name)))
            }
            What::ServerLogon { connection, request, logon, account, status } => {
                let text = labels::logon(*status);
                let subject = Subject { connection: Some(self.connection(by, *connection)), ..self.about(*request) };
                if let Some(dc) = self.decided_by(&event.by, *logon, &subject) {
                    let arrow = Arrow {
                        from: dc,
                        to: by,
                        kind: Message::Decision,
                        text,
                        aside: String::new(),
                        connection: None,
                        user: None,
                    };
                    self.arrow(event, arrow, vec![index], subject);
                    true
                } else {
                    let account = labels::user(Some(account));
                    self.seen(index, event, by, *connection, *request, format!("logon of {account}: {text}"))
                }
            }
            What::ServerTicket { connection, request, client, service, error } => {
                let of =
                    client.as_ref().map(|client| format!(" of {}", labels::user(Some(client)))).unwrap_or_default();
                let verdict = if *error == 0 { "accepted".to_owned() } else { labels::ticket_error(*error) };
                let text = format!("ticket{of} for {}: {verdict}", foreign(service));
                self.seen(index, event, by, *connection, *request, text)
            }
            What::ServerAnswered { .. } => self.answers(index, event, by, what),
            What::Repeated { .. } => {
                self.note(index, event, Some((by, by)), About::Seen, super::words(event), Subject::default());
                true
            }
            _ => false,
        }
    }

    /// Adds a note about an observation on a server's connection.
    fn seen(
        &mut self,
        index: usize,
        event: &'t Event,
        by: usize,
        connection: u32,
        request: Option<RequestId>,
        text: String,
    ) -> bool {
        let subject = Subject { connection: Some(self.connection(by, connection)), ..self.about(request) };
        self.note(index, event, Some((by, by)), About::Seen, text, subject);
        true
    }

    /// Adds an arrow for the arrival of a request at a server, together with the balancer's decision.
    fn reaches(
        &mut self,
        index: usize,
        event: &'t Event,
        by: usize,
        connection: u32,
        request: Option<RequestId>,
        leg: Leg,
    ) -> bool {
        let connection = self.connection(by, connection);
        let told = request.and_then(|request| self.requests.get_mut(&request));
        let (user, decision) = told.map_or((None, None), |told| (told.user, told.decision.take()));
        let mut events = vec![index];
        let text = format!("{}: {}", labels::request(request), labels::leg(leg));
        let mut aside = String::new();
        if let Some(Draft { row, .. }) = self.take(decision) {
            events.splice(..0, row.events);
            if let Step::Note { text: words, .. } = row.step {
                let words = words.split_once(": ").map_or(&*words, |(_, words)| words);
                aside = format!("{} {words}", self.story.participants[self.exit].name);
            }
        }
        let arrow =
            Arrow { from: self.exit, to: by, kind: Message::Request, text, aside, connection: Some(connection), user };
        let subject = self.about(request);
        self.arrow(event, arrow, events, subject);
        true
    }

    fn answers(&mut self, index: usize, event: &'t Event, by: usize, what: &'t What) -> bool {
        let What::ServerAnswered { connection, request, leg, status, substatus, user, processed, .. } = what else {
            return false;
        };
        let number = *connection;
        let connection = self.connection(by, number);
        // The user counts if an application ran, or if the server refused exactly this user (401.3).
        let taken = *processed || *substatus == 3;
        let served = if taken { format!(" as {}", labels::user(user.as_ref())) } else { String::new() };
        let text = format!("{}: {status}{served}", labels::request(*request));
        let is_proof = matches!(leg, Leg::Authenticate | Leg::Ticket);
        let user = self.user(user.as_ref().filter(|_| taken));
        let arrow = Arrow {
            from: by,
            to: self.exit,
            kind: Message::Answer,
            text,
            aside: String::new(),
            connection: Some(connection),
            user,
        };
        let subject = self.about(*request);
        let row = self.arrow(event, arrow, vec![index], subject);
        if let Some(told) = request.and_then(|request| self.requests.get_mut(&request)) {
            (told.answered, told.decision) = (Some(row), None);
        }
        match user {
            _ if !self.remembers(&event.by, *leg) => self.takes(connection, row, None),
            Some(user) => self.takes(connection, row, Some(user)),
            // An anonymous part of the site leaves the connection's user unchanged.
            None if is_proof || (*leg == Leg::Anonymous && *status == 401) => self.takes(connection, row, None),
            None => {}
        }
        true
    }

    /// Returns whether a server remembers the user who authenticated in this leg, for the rest of the connection.
    fn remembers(&self, server: &Name, leg: Leg) -> bool {
        self.servers.get(server).is_none_or(|server| {
            let persists = leg != Leg::Ticket || server.site.persist_non_ntlm;
            server.acceptor.is_connection() && !server.site.single_request && persists
        })
    }

    pub(super) fn balancer(&mut self, index: usize, event: &'t Event, by: usize, what: &'t What) -> bool {
        match what {
            What::FlowOpened { client, backend, .. } => {
                let text = format!("sends the connection from {client} to {}", foreign(backend.as_str()));
                self.note(index, event, Some((by, by)), About::Decision, text, Subject::default());
                true
            }
            What::Decision { request, decision, .. } => self.decides(index, event, by, *request, *decision),
            _ => false,
        }
    }

    fn decides(
        &mut self,
        index: usize,
        event: &'t Event,
        by: usize,
        request: Option<RequestId>,
        decision: Decided,
    ) -> bool {
        let words = labels::decided(decision);
        let subject = self.about(request);
        let told = request.and_then(|request| self.requests.get_mut(&request));
        let is_under_test = event.by.as_str() == BALANCER;
        if event.by.as_str() == FRONT && labels::routes(decision) && decision != Decided::Wait {
            let (user, leg) = told.map_or((None, ""), |told| (told.user, told.leg));
            let text = format!("{}: {leg}", labels::request(request));
            let aside = format!("{FRONT} {words}");
            let arrow = Arrow { from: by, to: self.exit, kind: Message::Request, text, aside, connection: None, user };
            self.arrow(event, arrow, vec![index], subject);
            return true;
        }
        let answered = told.as_ref().and_then(|told| told.answered);
        if is_under_test && !labels::routes(decision) && answered.is_some() {
            let words = format!("{} {words}", self.story.participants[by].name);
            return self.comment(answered, index, &words);
        }
        let prefix = request.map(|request| format!("{request}: ")).unwrap_or_default();
        // If there are several decisions on the way to a server, the last one is told with the request.
        let row = self.story.rows.len();
        if let Some(told) = told.filter(|_| is_under_test && labels::routes(decision)) {
            (told.decision, told.answered) = (Some(row), None);
        }
        self.note(index, event, Some((by, by)), About::Decision, format!("{prefix}{words}"), subject);
        true
    }

    pub(super) fn controller(&mut self, index: usize, event: &'t Event, by: usize, what: &'t What) -> bool {
        match what {
            What::DcLogon { server, logon, account, status, .. } => {
                self.logons.entry((server, *logon)).or_default().push(self.story.rows.len());
                let text = format!("logon of {}", labels::user(Some(account)));
                let user = self.user(Some(account).filter(|_| *status == 0));
                self.asked(index, event, by, server, text, user)
            }
            What::DcPassedOn { server, logon, account, to, passed, .. } => {
                let mut rows = self.logons.remove(&(&event.by, *passed)).unwrap_or_default();
                rows.push(self.story.rows.len());
                self.logons.entry((server, *logon)).or_default().append(&mut rows);
                let account = labels::user(Some(account));
                let (dc, to) = (foreign(event.by.as_str()), foreign(to));
                let text = format!("logon of {account}, which {dc} passes on to {to}");
                self.asked(index, event, by, server, text, None)
            }
            What::DcTicket { client, service, error, .. } => {
                let outcome = if *error == 0 { String::new() } else { format!(": {}", labels::ticket_error(*error)) };
                let text = format!("ticket for {}{outcome}", foreign(service));
                let user = self.user(client.as_ref());
                let Some(to) = self.who_asked(user) else {
                    self.note(index, event, Some((by, by)), About::Seen, text, Subject::default());
                    return true;
                };
                let arrow =
                    Arrow { from: by, to, kind: Message::Decision, text, aside: String::new(), connection: None, user };
                let request = self.asking.get(&to).map(|(_, request)| *request);
                self.arrow(event, arrow, vec![index], Subject { client: Some(to), request, ..Subject::default() });
                true
            }
            _ => false,
        }
    }

    /// Returns the DC that decided on this logon. The rows of its questions get the subject of the answer.
    fn decided_by(&mut self, server: &'t Name, logon: u64, subject: &Subject) -> Option<usize> {
        let mut dc = None;
        for row in self.logons.remove(&(server, logon))? {
            if let Some(Some(draft)) = self.story.rows.get_mut(row) {
                draft.subject = subject.clone();
                if let Step::Arrow(Arrow { to, .. }) = draft.row.step {
                    dc = Some(to);
                }
            }
        }
        dc
    }

    /// Adds an arrow for the question of a server, or of another DC, to a DC.
    fn asked(
        &mut self,
        index: usize,
        event: &'t Event,
        by: usize,
        server: &'t Name,
        text: String,
        user: Option<usize>,
    ) -> bool {
        let Some(&from) = self.names.get(server).filter(|from| **from != by) else {
            self.note(index, event, Some((by, by)), About::Seen, text, Subject::default());
            return true;
        };
        let arrow = Arrow { from, to: by, kind: Message::Question, text, aside: String::new(), connection: None, user };
        self.arrow(event, arrow, vec![index], Subject::default());
        true
    }

    /// Returns the client that started the latest request in a user's name.
    fn who_asked(&self, user: Option<usize>) -> Option<usize> {
        let theirs = self.asking.iter().filter(|(client, _)| self.seats.get(client).copied().flatten() == user);
        theirs.max_by_key(|(_, (order, _))| *order).map(|(client, _)| *client).filter(|_| user.is_some())
    }
}
