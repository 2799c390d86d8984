//! Renders the diagram as a `sequenceDiagram` of Mermaid, which pages and repositories render.
//!
//! Mermaid has no lines for connections. Their numbers and users are therefore in the texts of arrows and notes.

use std::fmt::Write as _;

use super::{Arrow, Diagram, Kind, Message, Step};

/// The background of rows that prove a violation: a translucent red that suits light and dark pages.
const MARK: &str = "rgba(220, 38, 38, 0.15)";

pub(super) fn render(diagram: &Diagram) -> String {
    let mut text = String::from("sequenceDiagram\n");
    let _ = writeln!(text, "    accTitle: {}", escaped(&diagram.title));
    for (index, participant) in diagram.participants.iter().enumerate() {
        let mut label = escaped(&participant.name);
        let detail = match participant.kind {
            Kind::Client => diagram.user(participant.user),
            Kind::Balancer | Kind::Server | Kind::Controller => &participant.detail,
        };
        if !detail.is_empty() {
            let _ = write!(label, "<br/>{}", escaped(detail));
        }
        let _ = writeln!(text, "    participant p{index} as {label}");
    }
    let mut marked = false;
    for (index, row) in diagram.rows.iter().enumerate() {
        let proves = !row.proves.is_empty();
        if proves != marked {
            let _ = if proves { writeln!(text, "    rect {MARK}") } else { writeln!(text, "    end") };
            marked = proves;
        }
        let _ = writeln!(text, "    {}", line(diagram, index));
    }
    if marked {
        text.push_str("    end\n");
    }
    text
}

fn line(diagram: &Diagram, index: usize) -> String {
    let last = diagram.participants.len().saturating_sub(1);
    let words = escaped(&diagram.words(index));
    let over = |from: usize, to: usize| {
        if from == to { format!("Note over p{from}: {words}") } else { format!("Note over p{from},p{to}: {words}") }
    };
    match &diagram.rows[index].step {
        Step::Arrow(Arrow { from, to, kind, .. }) => {
            let arrow = match kind {
                Message::Opening => "--)",
                Message::Request | Message::Question => "->>",
                Message::Answer | Message::Decision => "-->>",
            };
            format!("p{from}{arrow}p{to}: {words}")
        }
        Step::Note { from, to, .. } => over(*from, *to),
        Step::Closed { connection, .. } => {
            let at = diagram.connections[*connection].at;
            over(at, at)
        }
        Step::Found { .. } | Step::Folded { .. } => over(0, last),
    }
}

/// Returns the text escaped, so that Mermaid reads it as plain text. Every character that could end a line or a label,
/// or be markup, becomes an entity.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_alphanumeric() || " .,:/?=()-_'…$*+@!".contains(character) {
            out.push(character);
        } else {
            let _ = write!(out, "#{};", u32::from(character));
        }
    }
    out
}
