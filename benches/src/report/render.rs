//! The report as text.

use std::fmt::Write as _;

use super::{Report, Row};

const HEAD: &str = "# Benchmarks

Processor time of one thread, medians; on loopback, wall time. *Beside* is what the figure is compared with, measured
in the same run; *speed* is the figure's as a multiple of its. *To aim* is the figure as a multiple of what is aimed
at. *Change* is that of the relative speed since the stored baseline (`benches/baseline.json`).

| what | figure | beside | speed | aim | to aim | met | change |
|---|---:|---:|---:|---|---:|---|---:|
";

impl Report {
    /// Returns the report as a table, followed by the remarks.
    pub fn to_markdown(&self) -> String {
        let mut text = HEAD.to_owned();
        for row in &self.figures {
            text.push_str(&line(row));
        }
        let mut notes: Vec<&str> = Vec::new();
        for row in &self.figures {
            if !row.note.is_empty() && !notes.contains(&row.note.as_str()) {
                notes.push(&row.note);
            }
        }
        if !notes.is_empty() {
            text.push('\n');
        }
        for note in notes {
            let _ = writeln!(text, "* {note}");
        }
        let judged: Vec<bool> = self.figures.iter().filter_map(|row| row.met).collect();
        let met = judged.iter().filter(|met| **met).count();
        let _ = writeln!(text, "\n{met} of {} aims met.", judged.len());
        text
    }

    /// Returns the report as JSON.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("names and numbers become JSON");
        text.push('\n');
        text
    }
}

fn line(row: &Row) -> String {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let unit = if row.unit == "per second" { "/s" } else { row.unit };
    let figure = |value: f64| format!("{} {unit}", number(value));
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
        row.what,
        figure(row.value),
        or_dash(row.beside.as_ref().map(|(_, value)| figure(*value))),
        or_dash(row.relative_speed.map(|speed| format!("{speed:.2}"))),
        or_dash(row.aim.clone()),
        or_dash(row.ratio_to_aim.map(|ratio| format!("{ratio:.2}"))),
        or_dash(row.met.map(|met| if met { "yes".into() } else { "**no**".into() })),
        or_dash(row.change.map(|change| format!("{:+.0} %", change * 100.0))),
    )
}

/// Formats a number with three digits, or in groups of three digits if there are more before the point.
fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
