//! Draws sequence diagrams, which show the messages between participants on each TCP connection, and the users as whom
//! requests were served.
//!
//! ```text
//! Trace ──story──▶ a row for each event ──fold──▶ Diagram ──┬─▶ text       for a terminal of any width
//!  + verdicts      (or a few of them)     Focus             ├─▶ mermaid    for Markdown
//!                                                           └─▶ svg        for pages
//! ```
//!
//! A [`Diagram`] consists of data only: participants, TCP connections, users, findings, and rows in the order of time.
//! Every format renders all of it. Its text is safe to show on a line ([`escape`](stickler_model::escape)) and has a
//! bounded length.

mod fold;
mod labels;
mod layout;
mod mermaid;
mod story;
mod svg;
mod text;

use std::ops::Range;

use stickler_model::{Time, Trace};
use stickler_oracle::{Evidence, Grade, Requirement, Verdict};

pub use svg::STYLE;

/// The events of a run in a form that a diagram can show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagram {
    /// The title, such as the scenario and the balancer.
    pub title: String,
    /// The columns, from left to right: clients, balancers, servers, DCs.
    pub participants: Vec<Participant>,
    /// The users that occur. The number of a user is its index.
    pub users: Vec<String>,
    /// The TCP connections, each as the client or the server at its end sees it.
    pub connections: Vec<Connection>,
    /// The violations that are marked.
    pub findings: Vec<Finding>,
    /// The rows, in the order of time.
    pub rows: Vec<Row>,
}

/// A participant of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// The name of the participant in the trace.
    pub name: String,
    /// The kind of the participant.
    pub kind: Kind,
    /// Further details, such as the mechanism of a balancer; empty if there are none.
    pub detail: String,
    /// The user who sits at a client when it is added; `None` if nobody does, and for all other participants.
    pub user: Option<usize>,
}

/// The kind of a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A client.
    Client,
    /// A balancer: the one under test, or the one in front of it.
    Balancer,
    /// A server.
    Server,
    /// A domain controller.
    Controller,
}

/// A TCP connection as one of its ends sees it. The downstream and the upstream connection of a balancer are different
/// connections, each with the number that its observer gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The participant that sees the connection, a client or a server.
    pub at: usize,
    /// The number that this participant gives to the connection.
    pub number: u32,
    /// The rows from the opening of the connection to its end. If the diagram does not have the row of the opening or
    /// of the end, the range starts at the first row or ends at the last one.
    pub rows: Range<usize>,
    /// Whether the end of the connection was observed.
    pub ended: bool,
    /// The users to whom this side attributes the connection, each with the first row for which this holds. For a
    /// client, this is the user who sits there; for a server, the user who has authenticated on the connection. Before
    /// the first entry, the connection belongs to nobody.
    pub users: Vec<(usize, Option<usize>)>,
}

/// A violation that the diagram marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The requirement that was violated or not followed.
    pub requirement: Requirement,
    /// The grade, which distinguishes a violated MUST from a SHOULD that was not followed.
    pub grade: Grade,
    /// The description of the violation in one sentence.
    pub sentence: String,
}

impl Finding {
    /// Returns the headline of the finding: `ID-1 violated`.
    pub fn headline(&self) -> String {
        let verb = if self.grade == Grade::NonStrict { "not followed" } else { "violated" };
        format!("{} {verb}", self.requirement)
    }
}

/// A row of the diagram, which shows one or more events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The time of the row.
    pub at: Time,
    /// The content of the row.
    pub step: Step,
    /// The findings that the row helps to prove, as indices.
    pub proves: Vec<usize>,
    /// The events of the trace that the row shows, as indices.
    pub events: Vec<usize>,
}

/// The content of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A message from one participant to another.
    Arrow(Arrow),
    /// A note about the participants from the first to the last of a range.
    Note {
        /// The first participant of the range.
        from: usize,
        /// The last participant of the range, which may be the first.
        to: usize,
        /// The subject of the note.
        about: About,
        /// The text of the note.
        text: String,
    },
    /// The end of a connection.
    Closed {
        /// The connection that ends.
        connection: usize,
        /// The way in which the connection ends.
        text: String,
    },
    /// A mark after the last row that proves a finding.
    Found {
        /// The finding that has been proved.
        finding: usize,
    },
    /// A group of events that do not matter to the findings, or only repeat earlier rows.
    Folded {
        /// The number of events.
        events: usize,
    },
}

/// The subject of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// An action of the script: time passes, or another user takes a seat.
    Action,
    /// A fault, or its repair.
    Fault,
    /// A decision of the balancer.
    Decision,
    /// An observation of a client, a server or a DC.
    Seen,
}

/// A message from one participant to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrow {
    /// The participant that sends the message.
    pub from: usize,
    /// The participant that receives the message.
    pub to: usize,
    /// The kind of the message.
    pub kind: Message,
    /// The text of the arrow.
    pub text: String,
    /// The decision of the balancer about the message; empty if there is none.
    pub aside: String,
    /// The connection that carries the message, as the client or the server at its end sees it.
    pub connection: Option<usize>,
    /// The user who sits at the client that sent a request, or the user whom an answer is meant for. `None` stands for
    /// nobody.
    pub user: Option<usize>,
}

/// The kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The opening of a TCP connection.
    Opening,
    /// An HTTP request, or raw bytes from a client.
    Request,
    /// An answer to a request.
    Answer,
    /// A question to a DC.
    Question,
    /// The answer of a DC.
    Decision,
}

/// The focus of a diagram. Rows that do not matter to it are folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// The first piece of evidence of each requirement that the balancer violates. If there is none, repetitions are
    /// folded.
    Findings,
    /// One piece of evidence of one requirement, by its index among the evidence against the balancer.
    Evidence(Requirement, usize),
}

impl Focus {
    /// Returns the pieces of evidence that a diagram with this focus marks.
    pub fn chosen(self, verdicts: &[Verdict]) -> Vec<(&Verdict, &Evidence)> {
        let bad = verdicts.iter().filter(|verdict| matches!(verdict.grade, Grade::Violated | Grade::NonStrict));
        let piece = |verdict: &Verdict| match self {
            Self::Findings => Some(0),
            Self::Evidence(requirement, place) => (requirement == verdict.requirement).then_some(place),
        };
        let chosen = |verdict| Some((verdict, Verdict::against_balancer(verdict).nth(piece(verdict)?)?));
        bad.filter_map(chosen).collect()
    }
}

impl Diagram {
    /// Draws a run under a title.
    pub fn of(title: &str, trace: &Trace, verdicts: &[Verdict], focus: Focus) -> Self {
        let chosen = focus.chosen(verdicts);
        fold::fold(title, story::tell(trace, &chosen), &chosen)
    }

    /// Returns the diagram as text with lines of at most `width` columns. A width below 40 counts as 40. Words are kept
    /// whole.
    pub fn text(&self, width: usize) -> String {
        text::render(self, width)
    }

    /// Returns the diagram as a `sequenceDiagram` of Mermaid.
    pub fn mermaid(&self) -> String {
        mermaid::render(self)
    }

    /// Returns the diagram as a complete SVG document, which contains its style for light and dark and refers to
    /// nothing else.
    pub fn svg(&self) -> String {
        svg::render(self, true)
    }

    /// Returns the diagram as SVG for an HTML page that contains the [`STYLE`] once for all of its diagrams.
    pub fn svg_without_style(&self) -> String {
        svg::render(self, false)
    }

    /// Returns the name of the participant with this index.
    fn named(&self, participant: usize) -> &str {
        &self.participants[participant].name
    }

    /// Returns the name of a user, or "nobody" if there is none.
    fn user(&self, user: Option<usize>) -> &str {
        user.map_or("nobody", |user| &self.users[user])
    }

    /// Returns the connections whose user changes at this row, each with its new user.
    fn taken_from(&self, row: usize) -> impl Iterator<Item = (&Connection, Option<usize>)> {
        self.connections.iter().filter_map(move |connection| {
            let change = connection.users.iter().position(|(from, _)| *from == row)?;
            let before = change.checked_sub(1).and_then(|before| connection.users[before].1);
            let now = connection.users[change].1;
            // The user of a client's connection at its opening is not news, because the column's head shows that user.
            let is_news = self.participants[connection.at].kind == Kind::Server || change > 0;
            (now != before && is_news).then_some((connection, now))
        })
    }

    /// Returns the text of a row, without its place and its participants.
    fn words(&self, index: usize) -> String {
        let text = match &self.rows[index].step {
            Step::Arrow(Arrow { kind: Message::Opening, text, connection, .. }) => match connection {
                Some(connection) => format!("opens TCP connection {}{text}", self.connections[*connection].number),
                None => format!("opens a TCP connection{text}"),
            },
            Step::Arrow(Arrow { text, aside, .. }) if !aside.is_empty() => format!("{text} ({aside})"),
            Step::Arrow(Arrow { text, .. }) | Step::Note { text, .. } => text.clone(),
            Step::Closed { connection, text } => {
                format!("connection {} {text}", self.connections[*connection].number)
            }
            Step::Found { finding } => {
                format!("{}: {}", self.findings[*finding].headline(), self.findings[*finding].sentence)
            }
            Step::Folded { events } => folded(*events),
        };
        self.taken_from(index).fold(text, |text, (connection, user)| {
            let (number, user) = (connection.number, self.user(user));
            format!("{text}; from here, connection {number} is {user}'s")
        })
    }
}

fn folded(events: usize) -> String {
    format!("... {events} event{} folded", if events == 1 { "" } else { "s" })
}
