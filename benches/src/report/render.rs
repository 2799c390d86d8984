//! The report as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{Beside, Conditions, Estimate, Mode, Report, Row, State};

const HEAD: &str = "
Processor time of one thread, medians; on loopback, wall time. *Interval* is the confidence interval of the figure, of
at least 95%. *Beside* is what the figure is compared with, measured in the same run, and, if that is no bare reference
itself, such a one after it; *speed* is the figure's as a multiple of it. *To aim* is the figure as a multiple of what is
aimed at: an aim is *met* or *missed* if the whole interval is on one side of it, and *open* otherwise. *Change* is that
of the relative speed since the stored baseline (`benches/baseline.json`).

| what | figure | interval | beside | speed | aim | to aim | state | change |
|---|---:|---:|---:|---:|---|---:|---|---:|
";

impl Report {
    /// Returns the report as a table, followed by the remarks.
    pub fn to_markdown(&self) -> String {
        let mut text = "# Benchmarks\n\n".to_owned();
        for line in self.summary() {
            let _ = writeln!(text, "* {line}");
        }
        text.push_str(HEAD);
        for row in &self.figures {
            text.push_str(&line(row));
        }
        let notes = self.notes();
        if !notes.is_empty() {
            text.push('\n');
        }
        for note in notes {
            let _ = writeln!(text, "* {note}");
        }
        text
    }

    /// Returns a table of at most so many rows for the terminal, the most important ones first. The last line says how many rows
    /// are left out.
    pub fn to_table(&self, most: usize) -> String {
        let rows = self.by_importance();
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["state", "what", "figure", "interval", "beside", "speed", "aim", "to aim"]);
        for row in rows.iter().take(most) {
            let state = row.state.map(|state| state.to_string());
            let [figure, interval, beside, speed, aim, to_aim] = cells(row);
            table.add_row([or_dash(state), row.what.clone(), figure, interval, beside, speed, aim, to_aim]);
        }
        for column in [2, 3, 4, 5, 7] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text: String = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
        if let Some(rest @ 1..) = rows.len().checked_sub(most) {
            let _ = writeln!(
                text,
                "... and {rest} more rows: all are in the report, or here with STICKLER_BENCH_ROWS=all."
            );
        }
        text
    }

    /// Returns the rows: first what is missed, then what is open, what is met, what has an aim that this run does not
    /// judge, and the rest. Among these, the groups of benchmarks take turns, each beginning with what is worst: a large
    /// group must not hide the others.
    fn by_importance(&self) -> Vec<&Row> {
        let class = |row: &Row| match (row.state, &row.aim) {
            (Some(state), _) => (state, false),
            (None, aim) => (State::Met, aim.is_none()),
        };
        let attained = |row: &Row| row.attained().map_or(f64::INFINITY, |attained| attained.value);
        let mut rows: Vec<&Row> = self.figures.iter().collect();
        rows.sort_by(|one, other| (class(one).cmp(&class(other))).then(attained(one).total_cmp(&attained(other))));
        let mut turns: BTreeMap<_, usize> = BTreeMap::new();
        let mut ranked: Vec<_> = rows
            .into_iter()
            .map(|row| {
                let turn = turns.entry((class(row), row.group())).or_default();
                *turn += 1;
                (class(row), *turn, row)
            })
            .collect();
        ranked.sort_by_key(|(class, turn, _)| (*class, *turn));
        ranked.into_iter().map(|(_, _, row)| row).collect()
    }

    /// Returns what there is to say of the whole run: its aims, the machine, its load and its drift.
    pub fn summary(&self) -> Vec<String> {
        let judged = self.figures.iter().filter(|row| row.aim.is_some()).count();
        let aims = match (self.mode, self.counts) {
            (_, Some(counts)) => format!(
                "Full run: {} of {judged} aims met, {} missed, {} open.",
                counts.met, counts.missed, counts.open
            ),
            (Mode::Quick, _) => format!(
                "Quick run of {} figures: two samples each give no confidence interval, so that none of {judged} aims is \
                 judged.",
                self.figures.len()
            ),
            _ => {
                "Part of the figures, or other settings than those of the program: states stand at their rows and are \
                  not counted."
                    .to_owned()
            }
        };
        let mut lines = vec![aims];
        lines.extend(conditions(&self.conditions));
        lines.push(drift(self.drift, &self.conditions));
        lines.extend(self.remarks.iter().cloned());
        lines
    }

    /// Returns the remarks of the rows, each once.
    pub(super) fn notes(&self) -> Vec<&str> {
        let mut notes: Vec<&str> = Vec::new();
        for row in &self.figures {
            if !row.note.is_empty() && !notes.contains(&row.note.as_str()) {
                notes.push(&row.note);
            }
        }
        notes
    }

    /// Returns the report as JSON.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("names and numbers become JSON");
        text.push('\n');
        text
    }
}

fn conditions(conditions: &Conditions) -> [String; 2] {
    let Conditions { date, commit, machine, load, .. } = conditions;
    let mut what = vec![
        machine.processor.clone().unwrap_or_else(|| "unknown processor".into()),
        format!("{} processors", machine.processors),
    ];
    what.extend(machine.memory_mib.map(|mib| format!("{mib} MiB")));
    what.push(machine.system.clone());
    what.extend(machine.kernel.clone());
    let average = |load: Option<f32>| load.map_or_else(|| "unknown".into(), |load| format!("{load:.2}"));
    [
        format!("{date}, commit {}; {}.", commit.as_deref().unwrap_or("unknown"), what.join(", ")),
        format!("Load average over a minute: {} before, {} after.", average(load.before), average(load.after)),
    ]
}

fn drift(drift: f64, conditions: &Conditions) -> String {
    let at = &conditions.calibration;
    format!(
        "Drift: a fixed piece of work took {:.0} us at the start, {:.0} us in the middle and {:.0} us at the end, which \
         differ by {:.0}%. The intervals of absolute aims are wider by that.",
        at.start / 1e3,
        at.middle / 1e3,
        at.end / 1e3,
        drift * 100.0
    )
}

fn line(row: &Row) -> String {
    let [figure, interval, beside, speed, aim, to_aim] = cells(row);
    let state =
        or_dash(row.state.map(|state| if state == State::Missed { "**missed**".into() } else { state.to_string() }));
    let change = or_dash(row.change.map(|change| format!("{:+.0} %", change * 100.0)));
    format!("| {} | {figure} | {interval} | {beside} | {speed} | {aim} | {to_aim} | {state} | {change} |\n", row.what)
}

/// Returns the cells of a row: figure, interval, beside, speed, aim, to aim.
pub(super) fn cells(row: &Row) -> [String; 6] {
    let unit = if row.unit == "per second" { "/s" } else { row.unit };
    let figure = |value: f64| format!("{} {unit}", number(value));
    let other = |other: &Beside| figure(other.value);
    let beside = match (&row.beside, &row.bare) {
        (Some(beside), Some(bare)) => Some(format!("{}; {}", other(beside), other(bare))),
        (Some(one), None) | (None, Some(one)) => Some(other(one)),
        (None, None) => None,
    };
    [
        figure(row.value.value),
        or_dash(range(row.value)),
        or_dash(beside),
        or_dash(row.relative_speed.map(|speed| number(speed.value))),
        or_dash(row.aim.clone()),
        or_dash(row.to_aim.map(|to_aim| match range(to_aim) {
            Some(range) => format!("{} ({range})", number(to_aim.value)),
            None => number(to_aim.value),
        })),
    ]
}

fn range(estimate: Estimate) -> Option<String> {
    estimate.interval.map(|interval| format!("{} to {}", number(interval.low), number(interval.high)))
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".into())
}

/// Formats a number with two decimals, or in groups of three digits if there are more than two before the point.
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
