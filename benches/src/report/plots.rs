//! The plots of the report, as SVG.

use std::collections::BTreeMap;

use plotters::prelude::*;

use super::{Counts, Entry, Estimate, History, Report, Row, State};
use crate::plot::{self, COLOURS, Line, Plot, Scale, SeriesLabelPosition};

/// The width of the plot of aims in pixels, that of the names of the figures in it, and the height of a row.
const WIDTH: i32 = 1200;
const NAMES: i32 = 560;
const ROW: i32 = 18;

/// The range of the plot of aims: a figure beyond it is drawn at the border.
const LEAST: f64 = 0.1;
const MOST: f64 = 10.0;

/// The numbers to which the plot of aims has lines.
const GRID: [f64; 7] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// Draws how far each judged figure is from its aim, with its interval. Returns `None` if there are no aims.
pub(super) fn aims(report: &Report) -> Option<String> {
    let rows: Vec<(&Row, Estimate)> = report.figures.iter().filter_map(|row| Some((row, row.attained()?))).collect();
    if rows.is_empty() {
        return None;
    }
    let height = ROW * (number(rows.len()) + 3);
    let mut text = String::new();
    let backend = SVGBackend::with_string(&mut text, (WIDTH.unsigned_abs(), height.unsigned_abs()));
    draw_aims(&rows, height, backend).expect("a string takes everything that is written");
    Some(text)
}

fn draw_aims(
    rows: &[(&Row, Estimate)],
    height: i32,
    backend: SVGBackend<'_>,
) -> Result<(), Box<dyn std::error::Error>> {
    let area = backend.into_drawing_area();
    area.fill(&WHITE)?;
    let font = ("sans-serif", 12).into_font();
    for at in GRID {
        let (x, width) = (across(at), if (at - 1.0).abs() < 1e-9 { 2 } else { 1 });
        let colour = if width == 2 { BLACK } else { RGBColor(210, 210, 210) };
        area.draw(&PathElement::new([(x, ROW), (x, height - ROW)], colour.stroke_width(width)))?;
        area.draw(&Text::new(at.to_string(), (x - 8, 2), font.clone()))?;
    }
    for (index, (row, attained)) in rows.iter().enumerate() {
        let y = ROW * (number(index) + 1) + ROW / 2;
        let colour = colour(row.state);
        area.draw(&Text::new(row.what.clone(), (4, y - 6), font.clone()))?;
        if let Some(interval) = attained.interval {
            let ends = [(across(interval.low), y), (across(interval.high), y)];
            area.draw(&PathElement::new(ends, colour.stroke_width(3)))?;
        }
        area.draw(&Circle::new((across(attained.value), y), 4, colour.filled()))?;
    }
    let legend = "right of 1: better than the aim; blue: met, orange: missed, grey: open or not judged";
    area.draw(&Text::new(legend, (NAMES, height - ROW + 2), font))?;
    area.present()?;
    Ok(())
}

/// Returns the number of a row. There are hundreds at most.
fn number(index: usize) -> i32 {
    i32::try_from(index).unwrap_or_default()
}

/// Returns the place of a number on the logarithmic scale of the plot of aims.
fn across(number: f64) -> i32 {
    let share = (number.clamp(LEAST, MOST) / LEAST).log10() / (MOST / LEAST).log10();
    NAMES + (share * f64::from(WIDTH - NAMES - 40)).round() as i32 + 10
}

fn colour(state: Option<State>) -> RGBColor {
    match state {
        Some(State::Met) => COLOURS[0],
        Some(State::Missed) => COLOURS[1],
        Some(State::Open) | None => RGBColor(120, 120, 120),
    }
}

/// Draws the figures that exist for several numbers of clients: the relative speed of requests and of authentications.
/// Returns `None` if there are none.
pub(super) fn crowds(report: &Report) -> Option<String> {
    let mut lines: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for row in &report.figures {
        let parts =
            row.id.split_once("/site/").and_then(|(group, clients)| Some((group, clients.parse::<f64>().ok()?)));
        let Some(((group, clients), speed)) = parts.zip(row.relative_speed) else { continue };
        let points = lines.entry(group).or_default();
        // A benchmark may have two rows, with an aim each.
        if points.last().is_none_or(|(last, _)| *last < clients) {
            points.push((clients, speed.value));
        }
    }
    lines.retain(|_, points| points.len() > 1);
    (!lines.is_empty()).then(|| {
        plot::svg(&Plot {
            title: "Speed beside bare exchanges, as there are more clients",
            across: "clients",
            up: "multiple of the speed of the same exchanges without authentication, balancer and trace",
            scale: Scale::Logarithmic,
            lines: lines.into_iter().map(|(name, points)| Line { name: name.to_owned(), points }).collect(),
            free: SeriesLabelPosition::UpperLeft,
        })
    })
}

/// Draws how many aims each stored run has met, and this one, if it is a full one and not stored yet. Returns `None` for fewer
/// than two runs.
pub(super) fn history(history: &History, report: &Report) -> Option<String> {
    let this = Entry::of(report);
    let stored = |entry: &&Entry| history.entries.iter().any(|it| it.conditions.date == entry.conditions.date);
    let runs: Vec<&Entry> = history.entries.iter().chain(this.as_ref().filter(|entry| !stored(entry))).collect();
    if runs.len() < 2 {
        return None;
    }
    let line = |name: &str, count: fn(&Counts) -> usize| Line {
        name: name.to_owned(),
        points: runs.iter().enumerate().map(|(at, run)| ((at + 1) as f64, count(&run.counts) as f64)).collect(),
    };
    Some(plot::svg(&Plot {
        title: "Aims over the stored full runs",
        across: "run, in the order of their dates",
        up: "aims",
        scale: Scale::Linear,
        lines: vec![
            line("met", |counts| counts.met),
            line("missed", |counts| counts.missed),
            line("open", |counts| counts.open),
        ],
        free: SeriesLabelPosition::UpperLeft,
    }))
}
