//! Renders the diagram for a terminal, with a lane for each participant and the words beside it. If the lanes leave too
//! little room for the words, names replace the lanes.

use std::fmt::Write as _;

use stickler_model::Time;
use unicode_width::UnicodeWidthStr as _;

use super::layout::{padded, shortened, wrap};
use super::{Arrow, Diagram, Kind, Message, Step};

/// The minimum width of a line, in columns.
const LEAST_WIDTH: usize = 40;

/// The minimum width of the words beside the lanes, in columns.
const LEAST_WORDS: usize = 26;

/// The maximum width of a name above a lane, in columns.
const WIDEST_NAME: usize = 14;

pub(super) fn render(diagram: &Diagram, width: usize) -> String {
    let page = Page::new(diagram, width.max(LEAST_WIDTH));
    let mut lines = page.head();
    for (index, row) in diagram.rows.iter().enumerate() {
        lines.extend(match &row.step {
            Step::Found { finding } => page.found(*finding),
            Step::Folded { .. } => {
                wrap(&diagram.words(index), page.width - 4).into_iter().map(|line| format!("    {line}")).collect()
            }
            _ => page.row(index),
        });
    }
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", line.trim_end());
        text
    })
}

struct Page<'d> {
    diagram: &'d Diagram,
    width: usize,
    /// The width of the column of times.
    times: usize,
    /// The position of each lane's middle, counted from the left edge of the first lane, and the width of all lanes.
    /// `None` if the lanes leave too little room.
    lanes: Option<(Vec<usize>, usize)>,
}

impl<'d> Page<'d> {
    fn new(diagram: &'d Diagram, width: usize) -> Self {
        let times = diagram.rows.iter().map(|row| time(row.at).len()).max().unwrap_or(0);
        let (mut middles, mut edge) = (Vec::new(), 0);
        for participant in &diagram.participants {
            let lane = participant.name.width().clamp(3, WIDEST_NAME) + 2;
            middles.push(edge + lane / 2);
            edge += lane;
        }
        let room = width.checked_sub(2 + times + 1 + edge + 1).filter(|room| *room >= LEAST_WORDS);
        Self { diagram, width, times, lanes: room.map(|_| (middles, edge)) }
    }

    /// Returns the head: the title, the findings, the participants and the names above the lanes.
    fn head(&self) -> Vec<String> {
        let names = self.diagram.participants.iter().map(|participant| participant.name.width().min(WIDEST_NAME)).max();
        let names = names.unwrap_or(0);
        let mut lines = wrap(&self.diagram.title, self.width);
        for finding in &self.diagram.findings {
            lines.extend(wrap(&format!("{}: {}", finding.headline(), finding.sentence), self.width));
        }
        lines.push(String::new());
        for participant in &self.diagram.participants {
            let kind = match participant.kind {
                Kind::Client => "client",
                Kind::Balancer => "balancer",
                Kind::Server => "server",
                Kind::Controller => "DC",
            };
            let mut words = vec![kind.to_owned()];
            words.extend(Some(participant.detail.clone()).filter(|detail| !detail.is_empty()));
            if participant.kind == Kind::Client {
                words.push(self.diagram.user(participant.user).to_owned());
            }
            let name = padded(&shortened(&participant.name, WIDEST_NAME), names);
            lines.extend(indented(&format!("  {name}  "), &words.join(", "), self.width));
        }
        lines.push(String::new());
        if let Some((middles, all)) = &self.lanes {
            let mut line = " ".repeat(2 + self.times + 1);
            let start = line.width();
            for (participant, middle) in self.diagram.participants.iter().zip(middles) {
                let name = shortened(&participant.name, WIDEST_NAME);
                line = padded(&line, start + middle.saturating_sub(name.width() / 2));
                line.push_str(&name);
            }
            lines.push(padded(&line, start + all));
        }
        lines
    }

    /// Returns the lines of a violation, from edge to edge.
    fn found(&self, finding: usize) -> Vec<String> {
        let finding = &self.diagram.findings[finding];
        let mark = format!(">>> {}: ", finding.headline());
        indented(&mark, &finding.sentence, self.width)
    }

    fn row(&self, index: usize) -> Vec<String> {
        let row = &self.diagram.rows[index];
        let mark = if row.proves.is_empty() { ' ' } else { '>' };
        let start = format!("{mark} {:>width$} ", time(row.at), width = self.times);
        let words = self.diagram.words(index);
        let Some((middles, all)) = &self.lanes else {
            return indented(&start, &format!("{}{words}", self.who(&row.step)), self.width);
        };
        let room = self.width - start.width() - all - 1;
        let drawn = lanes(middles, *all, Some(&row.step), self.diagram);
        let plain = lanes(middles, *all, None, self.diagram);
        let empty = " ".repeat(start.width());
        let lines = wrap(&words, room).into_iter().enumerate();
        lines
            .map(
                |(line, words)| {
                    if line == 0 { format!("{start}{drawn} {words}") } else { format!("{empty}{plain} {words}") }
                },
            )
            .collect()
    }

    /// Returns the participants of a row, for a diagram without lanes.
    fn who(&self, step: &Step) -> String {
        let name = |participant: usize| shortened(self.diagram.named(participant), WIDEST_NAME);
        match step {
            Step::Arrow(Arrow { from, to, kind, .. }) => {
                let line = if *kind == Message::Opening { "··▶" } else { "──▶" };
                format!("{} {line} {}: ", name(*from), name(*to))
            }
            Step::Note { from, to, .. } if from == to => format!("{}: ", name(*from)),
            Step::Closed { connection, .. } => format!("{}: ", name(self.diagram.connections[*connection].at)),
            Step::Note { .. } | Step::Found { .. } | Step::Folded { .. } => String::new(),
        }
    }
}

/// Returns the lanes beside one line, with the arrow, the note or the end of a connection that the line shows.
fn lanes(middles: &[usize], all: usize, step: Option<&Step>, diagram: &Diagram) -> String {
    let mut line = vec![' '; all];
    for &middle in middles {
        line[middle] = '│';
    }
    match step {
        Some(Step::Arrow(Arrow { from, to, kind, .. })) if from != to => {
            let (from, to) = (middles[*from], middles[*to]);
            let dash = if *kind == Message::Opening { '·' } else { '─' };
            for sign in &mut line[from.min(to) + 1..from.max(to)] {
                *sign = if *sign == '│' { '┼' } else { dash };
            }
            let (head, at) = if from < to { ('▶', to - 1) } else { ('◀', to + 1) };
            line[at] = head;
        }
        Some(Step::Note { from, to, .. }) => middles[*from..=*to].iter().for_each(|&middle| line[middle] = '*'),
        Some(Step::Closed { connection, .. }) => line[middles[diagram.connections[*connection].at]] = 'x',
        _ => {}
    }
    line.into_iter().collect()
}

/// Returns the words after `start`. Further lines are indented to the same column.
fn indented(start: &str, words: &str, width: usize) -> Vec<String> {
    let indent = start.width().min(width / 2);
    let lines = wrap(words, width.saturating_sub(start.width()).max(1)).into_iter().enumerate();
    let behind =
        |(line, words)| if line == 0 { format!("{start}{words}") } else { format!("{}{words}", " ".repeat(indent)) };
    lines.map(behind).collect()
}

fn time(at: Time) -> String {
    at.to_string()
}
