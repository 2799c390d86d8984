//! Renders the diagram as SVG.
//!
//! A bar is a TCP connection, on the line of the client or the server that sees it; the downstream and the upstream
//! connection of a balancer are two bars. A colour is a user everywhere. On a client's bar, it is the user who sits
//! there; on a server's bar, the user who has authenticated on the connection; on a request, the user who sent it; on
//! an answer, the user whom it is meant for. Red marks a violation only. The text repeats everything that colours show.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

use super::layout::wrap;
use super::{About, Arrow, Connection, Diagram, Kind, Message, Row, Step};

/// The style that [`Diagram::svg_without_style`] needs. Its colours are custom properties of `.stickler-diagram`, for
/// light and dark, and a page may override them. The style is always the same, so a content security policy can allow
/// it by its hash.
pub const STYLE: &str = include_str!("svg.css");

/// The number of users that have a colour. Further users are grey, and the text names them.
const COLOURS: usize = 8;

const LEFT: usize = 92;
const RIGHT: usize = 24;
const LINE: usize = 16;
const BAR: usize = 10;
/// The distance between neighbouring bars of the same participant, in pixels.
const SLOT: usize = 15;
/// The maximum number of connections that are drawn side by side.
const MOST_SLOTS: usize = 4;
const BOX: usize = 44;

/// The approximate width of a character, in pixels.
const CHARACTER: usize = 7;

pub(super) fn render(diagram: &Diagram, styled: bool) -> String {
    let layout = Layout::of(diagram);
    let mut out = String::new();
    let (width, height) = (layout.width, layout.height);
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"stickler-diagram\" role=\"img\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\"><title>{}</title><desc>{}</desc>",
        escaped(&diagram.title),
        escaped(&description(diagram))
    );
    if styled {
        let _ = write!(out, "<style>{STYLE}</style>");
    }
    let _ = write!(out, "<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>");
    let drawing = Drawing { diagram, layout, out };
    drawing.draw()
}

/// Returns the description for readers who do not see the picture.
fn description(diagram: &Diagram) -> String {
    let count = |kind| diagram.participants.iter().filter(|participant| participant.kind == kind).count();
    let mut text = format!(
        "Sequence diagram: {}, {}, {}, {}.",
        counted(count(Kind::Client), "client"),
        counted(count(Kind::Server), "server"),
        counted(diagram.connections.len(), "TCP connection"),
        counted(diagram.rows.len(), "row")
    );
    for finding in &diagram.findings {
        let _ = write!(text, " {}: {}.", finding.headline(), finding.sentence);
    }
    text
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The positions of all elements, in pixels.
struct Layout {
    width: usize,
    height: usize,
    /// The middles of the participants' columns.
    columns: Vec<usize>,
    /// The top of the columns, below the legend.
    top: usize,
    /// The top of each row, followed by the bottom of the last one.
    rows: Vec<usize>,
    /// The words of each row, in lines.
    words: Vec<Words>,
    /// The slot of each connection's bar among those of its participant.
    slots: Vec<usize>,
    legend: Vec<String>,
}

/// The words of a row, in lines.
#[derive(Default)]
struct Words {
    text: Vec<String>,
    /// The decision of the balancer about the message, in lines.
    aside: Vec<String>,
}

impl Words {
    fn lines(&self) -> usize {
        self.text.len() + self.aside.len()
    }
}

impl Layout {
    fn of(diagram: &Diagram) -> Self {
        let columns = columns(diagram);
        let slots = slots(&diagram.connections);
        let last = columns.last().copied().unwrap_or(LEFT);
        let width = (last + 190 + RIGHT).max(560);
        let inner = width - LEFT - RIGHT;
        let legend = wrap(
            "Bar: a TCP connection, at the client or the server at its end. Colour: the user; of a client's bar, who sits there; \
             of a server's, whom the server authenticated on it; of a request, who sent it; of an answer, whom it is for.",
            inner / 6,
        );
        let top = 44 + LINE * legend.len() + 30;
        let mut rows = Vec::with_capacity(diagram.rows.len() + 1);
        let (mut words, mut y) = (Vec::new(), top + BOX + 14);
        for (index, row) in diagram.rows.iter().enumerate() {
            rows.push(y);
            let lines = row_words(diagram, index, &columns, inner);
            y += match &row.step {
                Step::Arrow(_) | Step::Note { .. } => LINE * lines.lines() + 14,
                Step::Closed { .. } => LINE * lines.lines() + 6,
                Step::Found { .. } => LINE * (lines.lines() + 1) + 26,
                Step::Folded { .. } => 30,
            };
            words.push(lines);
        }
        rows.push(y);
        Self { width, height: y + 24, columns, top, rows, words, slots, legend }
    }
}

/// Returns the middles of the columns, whose distances are sufficient for most texts between them.
fn columns(diagram: &Diagram) -> Vec<usize> {
    let count = diagram.participants.len();
    let mut gaps = vec![130_usize; count.saturating_sub(1)];
    let name = |participant: usize| {
        let one = &diagram.participants[participant];
        let detail = if one.kind == Kind::Client { diagram.user(one.user) } else { &one.detail };
        one.name.width().max(detail.width()) * CHARACTER + 24
    };
    for (left, gap) in gaps.iter_mut().enumerate() {
        *gap = (*gap).max(name(left).midpoint(name(left + 1)) + 12).min(230);
    }
    for row in &diagram.rows {
        let Step::Arrow(Arrow { from, to, text, aside, .. }) = &row.step else { continue };
        let (left, right) = ((*from).min(*to), (*from).max(*to));
        let wanted = (text.width().max(aside.width()) * CHARACTER + 40).min(270);
        let there: usize = gaps[left..right].iter().sum();
        if let Some(last) = gaps[left..right].last_mut() {
            *last += wanted.saturating_sub(there);
        }
    }
    let first = LEFT + diagram.participants.first().map_or(60, |_| name(0) / 2);
    let mut columns = vec![first];
    for gap in gaps {
        columns.push(columns.last().copied().unwrap_or(first) + gap);
    }
    columns.truncate(count.max(1));
    columns
}

/// Returns the widest gap between columns that an arrow crosses. The arrow's text is placed there, because the gap
/// contains no bar.
fn widest_gap(columns: &[usize], from: usize, to: usize) -> (usize, usize) {
    let crossed = &columns[from.min(to)..=from.max(to)];
    let gaps = crossed.windows(2).map(|gap| (gap[0], gap[1]));
    // If several gaps have the same width, the last one is taken, which is next to the balancer or the server.
    gaps.max_by_key(|(left, right)| right - left).unwrap_or((columns[from], columns[from]))
}

/// Assigns a slot to each connection, beside other connections that the same participant has at the same time.
fn slots(connections: &[Connection]) -> Vec<usize> {
    let mut slots: Vec<usize> = Vec::new();
    for (index, one) in connections.iter().enumerate() {
        let taken: Vec<usize> = (0..index)
            .filter(|&other| {
                let other = &connections[other];
                other.at == one.at && other.rows.start < one.rows.end && one.rows.start < other.rows.end
            })
            .map(|other| slots[other])
            .collect();
        let free = (0..MOST_SLOTS).find(|slot| !taken.contains(slot));
        slots.push(free.unwrap_or(index % MOST_SLOTS));
    }
    slots
}

/// Returns the words of a row, in lines that fit the available width.
fn row_words(diagram: &Diagram, index: usize, columns: &[usize], inner: usize) -> Words {
    let row = &diagram.rows[index];
    let text = match &row.step {
        Step::Arrow(Arrow { from, to, kind, text, aside, connection, .. }) => {
            let (left, right) = widest_gap(columns, *from, *to);
            let room = (right - left).saturating_sub(36);
            let text = match (kind, connection) {
                (Message::Opening, Some(connection)) => {
                    format!("opens TCP connection {}{text}", diagram.connections[*connection].number)
                }
                (Message::Opening, None) => format!("opens a TCP connection{text}"),
                _ => text.clone(),
            };
            let width = (room / CHARACTER).max(14);
            let aside = if aside.is_empty() { Vec::new() } else { wrap(aside, width) };
            return Words { text: wrap(&text, width), aside };
        }
        Step::Note { from, to, text, .. } => {
            let room = if from == to { 200 } else { columns[*from].abs_diff(columns[*to]) };
            wrap(text, (room / CHARACTER).max(26))
        }
        Step::Closed { connection, text } => {
            // The text stands beside the bar, and has to end before the bars of the next participant.
            let Connection { at, number, .. } = &diagram.connections[*connection];
            let room = columns.get(at + 1).map_or(200, |next| next - columns[*at]).saturating_sub(44);
            wrap(&format!("connection {number} {text}"), (room / CHARACTER).clamp(12, 26))
        }
        Step::Found { finding } => wrap(&diagram.findings[*finding].sentence, inner / CHARACTER),
        Step::Folded { events } => vec![super::folded(*events)],
    };
    Words { text, aside: Vec::new() }
}

struct Drawing<'d> {
    diagram: &'d Diagram,
    layout: Layout,
    out: String,
}

impl Drawing<'_> {
    fn draw(mut self) -> String {
        self.head();
        self.bands();
        self.lanes();
        self.bars();
        for (index, row) in self.diagram.rows.iter().enumerate() {
            self.row(index, row);
        }
        self.out.push_str("</svg>\n");
        self.out
    }

    fn text(&mut self, x: usize, y: usize, class: &str, text: &str) {
        let _ = write!(self.out, "<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{}</text>", escaped(text));
    }

    /// Draws the title, the legend and the participants.
    fn head(&mut self) {
        self.text(20, 28, "title", &self.diagram.title.clone());
        let legend = std::mem::take(&mut self.layout.legend);
        for (line, words) in legend.iter().enumerate() {
            self.text(20, 50 + LINE * line, "decision", words);
        }
        let mut x = 20;
        let y = 50 + LINE * legend.len();
        let names: Vec<(Option<usize>, String)> = (0..self.diagram.users.len())
            .map(Some)
            .chain([None])
            .map(|user| (user, self.diagram.user(user).to_owned()))
            .take(COLOURS + 1)
            .collect();
        for (user, name) in names {
            let width = name.width() * CHARACTER + 34;
            if x + width > self.layout.width {
                break;
            }
            let _ = write!(
                self.out,
                "<g class=\"{}\"><rect class=\"{}\" x=\"{x}\" y=\"{}\" width=\"{BAR}\" height=\"12\"/></g>",
                colour(user),
                if user.is_some() { "whose" } else { "bar" },
                y - 10
            );
            self.text(x + 16, y, "", &name);
            x += width;
        }
    }

    /// Draws the bands behind rows that prove a finding.
    fn bands(&mut self) {
        for (index, row) in self.diagram.rows.iter().enumerate() {
            if row.proves.is_empty() || matches!(row.step, Step::Found { .. }) {
                continue;
            }
            let (y, height) = (self.layout.rows[index], self.layout.rows[index + 1] - self.layout.rows[index]);
            let width = self.layout.width;
            let _ = write!(
                self.out,
                "<rect class=\"band\" x=\"0\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/><rect class=\"tick\" x=\"0\" y=\"{y}\" width=\"5\" height=\"{height}\"/>"
            );
        }
    }

    fn lanes(&mut self) {
        let (top, bottom) = (self.layout.top, self.layout.height - 16);
        for (index, participant) in self.diagram.participants.iter().enumerate() {
            let x = self.layout.columns[index];
            let detail = match participant.kind {
                Kind::Client => self.diagram.user(participant.user).to_owned(),
                Kind::Balancer => participant.detail.clone(),
                Kind::Server => "server".to_owned(),
                Kind::Controller => "domain controller".to_owned(),
            };
            let width = participant.name.width().max(detail.width()) * CHARACTER + 22;
            let left = x.saturating_sub(width / 2);
            let _ = write!(
                self.out,
                "<line class=\"lane\" x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{bottom}\"/><rect class=\"box\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{BOX}\" rx=\"6\"/>",
                top + BOX
            );
            if participant.kind == Kind::Client {
                let class = if participant.user.is_some() { "whose" } else { "bar" };
                let _ = write!(
                    self.out,
                    "<g class=\"{}\"><rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"4\"/></g>",
                    colour(participant.user),
                    left + 4,
                    top + BOX - 6,
                    width - 8
                );
            }
            self.text(x, top + 17, "name", &participant.name.clone());
            self.text(x, top + 33, "detail", &detail);
        }
    }

    /// Returns the middle of a connection's bar.
    fn bar(&self, connection: usize) -> usize {
        self.layout.columns[self.diagram.connections[connection].at] + SLOT * self.layout.slots[connection]
    }

    /// Draws the connections: a bar for each, in the colour of the user to whom it is attributed.
    fn bars(&mut self) {
        for (index, connection) in self.diagram.connections.iter().enumerate() {
            let x = self.bar(index) - BAR / 2;
            let from = self.arrow_y(connection.rows.start);
            let until = if connection.ended { self.arrow_y(connection.rows.end - 1) } else { self.layout.height - 20 };
            let mut parts = vec![(from, None)];
            parts.extend(connection.users.iter().map(|(row, user)| (self.arrow_y(*row).max(from), *user)));
            let number = connection.number;
            let at = escaped(self.diagram.named(connection.at));
            let _ = write!(self.out, "<g><title>TCP connection {number} of {at}</title>");
            for (place, (y, user)) in parts.iter().enumerate() {
                let end = parts.get(place + 1).map_or(until, |(next, _)| (*next).min(until));
                if end > *y {
                    let class = if user.is_some() { "whose" } else { "bar" };
                    let _ = write!(
                        self.out,
                        "<g class=\"{}\"><rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{BAR}\" height=\"{}\"/></g>",
                        colour(*user),
                        end - y
                    );
                }
            }
            self.out.push_str("</g>");
            if connection.ended {
                let (x, y) = (x + BAR / 2, until);
                let _ = write!(self.out, "<path class=\"end\" d=\"M{} {}l10 10m0 -10l-10 10\"/>", x - 5, y - 5);
            }
        }
    }

    /// Returns the height at which a row's arrow is drawn.
    fn arrow_y(&self, row: usize) -> usize {
        match self.diagram.rows.get(row).map(|row| &row.step) {
            Some(Step::Arrow(_)) => self.layout.rows[row + 1] - 6,
            Some(_) => self.layout.rows[row] + 10,
            None => self.layout.height - 20,
        }
    }

    fn row(&mut self, index: usize, row: &Row) {
        let y = self.layout.rows[index];
        let words = std::mem::take(&mut self.layout.words[index]);
        let proves = if row.proves.is_empty() { "" } else { "proves" };
        let _ = write!(self.out, "<g class=\"{proves}\">");
        if !matches!(row.step, Step::Found { .. } | Step::Folded { .. }) {
            let baseline = if matches!(row.step, Step::Arrow(_)) { self.arrow_y(index) } else { y + 14 };
            self.text(12, baseline, "time", &row.at.to_string());
        }
        match &row.step {
            Step::Arrow(arrow) => self.arrow(index, arrow, &words),
            Step::Note { from, to, about, .. } => self.note((*from, *to), *about, y, &words.text),
            Step::Closed { connection, .. } => {
                let x = self.bar(*connection) + 14;
                for (line, words) in words.text.iter().enumerate() {
                    self.text(x, y + 14 + LINE * line, "decision halo", words);
                }
            }
            Step::Found { finding } => self.found(*finding, y, &words.text),
            Step::Folded { .. } => {
                let width = self.layout.width - LEFT - RIGHT + 20;
                let (x, y) = (LEFT - 10, y + 4);
                let _ = write!(self.out, "<rect class=\"gap\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"22\"/>");
                self.text(x + width / 2, y + 15, "fold middle", &words.text.concat());
            }
        }
        self.news(index);
        self.out.push_str("</g>");
    }

    fn arrow(&mut self, index: usize, arrow: &Arrow, words: &Words) {
        let y = self.arrow_y(index);
        let on = |participant: usize| match arrow.connection {
            Some(connection) if self.diagram.connections[connection].at == participant => self.bar(connection),
            _ => self.layout.columns[participant],
        };
        let is_bar = |participant: usize| {
            arrow.connection.is_some_and(|connection| self.diagram.connections[connection].at == participant)
        };
        let (from, to) = (on(arrow.from), on(arrow.to));
        let inset = |participant| if is_bar(participant) { BAR / 2 } else { 0 };
        let right = from < to;
        let (start, end) = if right {
            (from + inset(arrow.from), to - inset(arrow.to))
        } else {
            (from - inset(arrow.from), to + inset(arrow.to))
        };
        let class = if arrow.kind == Message::Opening { "arrow opening" } else { "arrow" };
        let (tip, back) = if right { (end - 9, "-9 -5v10z") } else { (end + 9, "9 -5v10z") };
        let _ = write!(
            self.out,
            "<g class=\"{}\"><path class=\"{class}\" d=\"M{start} {y}H{tip}\"/><path class=\"head\" d=\"M{end} {y}l{back}\"/></g>",
            colour(arrow.user)
        );
        let (left, right) = widest_gap(&self.layout.columns, arrow.from, arrow.to);
        let middle = left.midpoint(right);
        let first = y - 5 - LINE * words.lines().saturating_sub(1);
        let asides = words.aside.iter().map(|words| ("middle halo decision", words));
        for (line, (class, words)) in words.text.iter().map(|words| ("middle halo", words)).chain(asides).enumerate() {
            self.text(middle, first + LINE * line, class, words);
        }
    }

    fn note(&mut self, (from, to): (usize, usize), about: About, y: usize, words: &[String]) {
        let (left, right) = (self.layout.columns[from], self.layout.columns[to]);
        let middle = left.midpoint(right);
        let widest = words.iter().map(|words| words.width()).max().unwrap_or(0) * CHARACTER + 16;
        let width = (right - left + 40).max(widest);
        let x = middle.saturating_sub(width / 2).max(LEFT);
        let middle = x + width / 2;
        let (class, text) = match about {
            About::Fault => ("note fault", "middle"),
            About::Action | About::Seen => ("note", "middle"),
            About::Decision => ("note", "middle decision"),
        };
        let height = LINE * words.len() + 6;
        let _ = write!(
            self.out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"{height}\" rx=\"3\"/>",
            y + 3
        );
        for (line, words) in words.iter().enumerate() {
            self.text(middle, y + 17 + LINE * line, text, words);
        }
    }

    fn found(&mut self, finding: usize, y: usize, words: &[String]) {
        let width = self.layout.width - LEFT - RIGHT + 60;
        let height = LINE * (words.len() + 1) + 12;
        let headline = self.diagram.findings[finding].headline();
        let _ = write!(
            self.out,
            "<rect class=\"found\" x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\" rx=\"4\"/>",
            LEFT - 60,
            y + 6
        );
        self.text(LEFT - 46, y + 24, "verdict", &headline);
        for (line, words) in words.iter().enumerate() {
            self.text(LEFT - 46, y + 24 + LINE * (line + 1), "", words);
        }
    }

    /// Draws the notes about connections that have become another user's.
    fn news(&mut self, index: usize) {
        let news: Vec<(usize, u32, Option<usize>)> = self
            .diagram
            .taken_from(index)
            .map(|(connection, user)| {
                let place = self.diagram.connections.iter().position(|one| std::ptr::eq(one, connection));
                (place.unwrap_or(0), connection.number, user)
            })
            .collect();
        for (line, (connection, number, user)) in news.into_iter().enumerate() {
            let text = format!("connection {number} is {}'s", self.diagram.user(user));
            let (x, y) = (self.bar(connection) + 12, self.arrow_y(index) + 4 + LINE * line);
            let _ = write!(self.out, "<g class=\"{}\">", colour(user));
            self.text(x, y, "news halo", &text);
            self.out.push_str("</g>");
        }
    }
}

fn colour(user: Option<usize>) -> String {
    user.filter(|user| *user < COLOURS).map_or_else(|| "nobody".to_owned(), |user| format!("user-{user}"))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}
