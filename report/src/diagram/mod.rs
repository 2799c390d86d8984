//! Sequence diagrams: who sent what to whom over which TCP connection, and as whom it was served.
//!
//! ```text
//! Trace ──story──▶ a row for each event ──fold──▶ Diagram ──┬─▶ text       for a terminal of any width
//!  + verdicts      (or a few of them)     Focus             ├─▶ mermaid    for Markdown
//!                                                           └─▶ svg        for pages
//! ```
//!
//! A [`Diagram`] is data alone: participants, TCP connections, users, findings, and rows in the order of time. Every format
//! renders all of it. Text in it is what a line can show ([`escape`](stickler_model::escape)), and of bounded length.

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

/// What happened in a run, as a picture can show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagram {
    /// What is shown, such as the scenario and the balancer.
    pub title: String,
    /// The columns, from left to right: clients, balancers, servers, DCs.
    pub participants: Vec<Participant>,
    /// The users that occur, each with a number, which is its index.
    pub users: Vec<String>,
    /// The TCP connections, each as the client or the server at its end sees it.
    pub connections: Vec<Connection>,
    /// The violations that are marked.
    pub findings: Vec<Finding>,
    /// What happened, in the order of time.
    pub rows: Vec<Row>,
}

/// Who takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// The name that the trace has for it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// More about it: of a balancer, its mechanism; empty where there is nothing to say.
    pub detail: String,
    /// The user who sits at a client when it is added; `None` where nobody does, and for all others.
    pub user: Option<usize>,
}

/// What a participant is.
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

/// A TCP connection as one of its ends sees it. The two sides of a balancer are different connections, each with the number
/// that its observer gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The participant that sees it, a client or a server.
    pub at: usize,
    /// The number that this participant gives it.
    pub number: u32,
    /// The rows from its opening to its end. Where the diagram has no row for one of these, those from the first or up to the
    /// last that there are.
    pub rows: Range<usize>,
    /// Whether it was seen to end.
    pub ended: bool,
    /// As whose this side takes the connection, each from one row on: at a client, the user who sits there; at a server, the
    /// user whom it has authenticated there. Nobody's before the first one.
    pub users: Vec<(usize, Option<usize>)>,
}

/// A violation that the diagram marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The requirement.
    pub requirement: Requirement,
    /// Whether it is a MUST that was violated, or a SHOULD that was not followed.
    pub grade: Grade,
    /// The violation in one sentence.
    pub sentence: String,
}

impl Finding {
    /// Returns what a mark says: `ID-1 violated`.
    pub fn headline(&self) -> String {
        let verb = if self.grade == Grade::NonStrict { "not followed" } else { "violated" };
        format!("{} {verb}", self.requirement)
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// When.
    pub at: Time,
    /// What it was.
    pub step: Step,
    /// The findings that it helps to prove.
    pub proves: Vec<usize>,
    /// The events of the trace that it shows, by their indices.
    pub events: Vec<usize>,
}

/// What a row shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Something goes from one participant to another.
    Arrow(Arrow),
    /// Something that concerns the participants from the first to the last of these.
    Note {
        /// The first participant.
        from: usize,
        /// The last participant, which may be the first.
        to: usize,
        /// What kind of thing it is.
        about: About,
        /// What it is.
        text: String,
    },
    /// A connection ends.
    Closed {
        /// The connection.
        connection: usize,
        /// How.
        text: String,
    },
    /// All that proves this finding has been shown.
    Found {
        /// The finding.
        finding: usize,
    },
    /// Events that do not matter to the findings, or that only repeat what was shown.
    Folded {
        /// The number of events.
        events: usize,
    },
}

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// What the script asks for: time passes, another user takes a seat.
    Action,
    /// Something breaks, or is mended.
    Fault,
    /// What the balancer decided.
    Decision,
    /// What a client, a server or a DC saw.
    Seen,
}

/// Something that goes from one participant to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrow {
    /// Where it comes from.
    pub from: usize,
    /// Where it goes to.
    pub to: usize,
    /// What it is.
    pub kind: Message,
    /// What it says.
    pub text: String,
    /// What the balancer decided about it; empty where it says nothing of that.
    pub aside: String,
    /// The connection over which it goes, as the client or the server at its end sees it.
    pub connection: Option<usize>,
    /// Of a request, the user who sits at the client that sent it; of an answer, the user whom it is for. `None`: nobody.
    pub user: Option<usize>,
}

/// What an arrow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// A TCP connection is opened.
    Opening,
    /// An HTTP request, or bytes that a client sends as they are.
    Request,
    /// The answer to one.
    Answer,
    /// A question to a DC.
    Question,
    /// The answer of a DC.
    Decision,
}

/// What a diagram is about: what does not matter to that is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// The first piece of evidence of each requirement that the balancer violates. Where there is none, what repeats is folded.
    Findings,
    /// This piece of evidence of this requirement, by its place among those against the balancer.
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
    /// Draws a run. `title` says what it is.
    pub fn of(title: &str, trace: &Trace, verdicts: &[Verdict], focus: Focus) -> Self {
        let chosen = focus.chosen(verdicts);
        fold::fold(title, story::tell(trace, &chosen), &chosen)
    }

    /// Returns the diagram as text of at most `width` columns, and at least 40. Words are kept whole.
    pub fn text(&self, width: usize) -> String {
        text::render(self, width)
    }

    /// Returns the diagram as a `sequenceDiagram` of Mermaid.
    pub fn mermaid(&self) -> String {
        mermaid::render(self)
    }

    /// Returns the diagram as a document of SVG that stands alone: with its style, for light and dark, and without any reference
    /// to something else.
    pub fn svg(&self) -> String {
        svg::render(self, true)
    }

    /// Returns the same for a page of HTML that has the [`STYLE`] once, for all of its diagrams.
    pub fn svg_without_style(&self) -> String {
        svg::render(self, false)
    }

    /// Returns the participant that is called this.
    fn named(&self, participant: usize) -> &str {
        &self.participants[participant].name
    }

    /// Returns the name of a user; nobody's for none.
    fn user(&self, user: Option<usize>) -> &str {
        user.map_or("nobody", |user| &self.users[user])
    }

    /// Returns the connections that this side takes as another user's from this row on.
    fn taken_from(&self, row: usize) -> impl Iterator<Item = (&Connection, Option<usize>)> {
        self.connections.iter().filter_map(move |connection| {
            let change = connection.users.iter().position(|(from, _)| *from == row)?;
            let before = change.checked_sub(1).and_then(|before| connection.users[before].1);
            let now = connection.users[change].1;
            // Whose a client's connection is when it is opened stands above its column.
            let is_news = self.participants[connection.at].kind == Kind::Server || change > 0;
            (now != before && is_news).then_some((connection, now))
        })
    }

    /// Returns what a row says in words, without where it is and who takes part.
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
