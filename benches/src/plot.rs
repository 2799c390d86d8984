//! Plots of lines, as SVG.

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
pub(crate) use plotters::prelude::SeriesLabelPosition;
use plotters::prelude::*;

/// Width and height in pixels.
const SIZE: (u32, u32) = (900, 480);

/// Colours that people with colour vision deficiency can distinguish (Okabe and Ito, "Color Universal Design", 2008).
pub(crate) const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];

/// The content of a plot.
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    /// The label of the horizontal axis.
    pub(crate) across: &'static str,
    /// The label of the vertical axis.
    pub(crate) up: &'static str,
    /// The scale of the horizontal axis.
    pub(crate) scale: Scale,
    pub(crate) lines: Vec<Line>,
    /// The upper corner that is free for the names of the lines.
    pub(crate) free: SeriesLabelPosition,
}

/// The scale of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Equal ratios have equal lengths.
    Logarithmic,
    /// Equal differences have equal lengths.
    Linear,
}

/// One line of a plot.
pub(crate) struct Line {
    pub(crate) name: String,
    /// The points in ascending order. No coordinate is negative.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Draws a plot.
pub(crate) fn svg(plot: &Plot) -> String {
    let mut text = String::new();
    draw(plot, SVGBackend::with_string(&mut text, SIZE)).expect("a string takes everything that is written");
    text
}

fn draw(plot: &Plot, backend: SVGBackend<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let across = || plot.lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x);
    let range = across().fold(f64::INFINITY, f64::min)..across().fold(0.0, f64::max);
    let area = backend.into_drawing_area();
    area.fill(&WHITE)?;
    match plot.scale {
        Scale::Logarithmic => chart(plot, &area, range.log_scale())?,
        Scale::Linear => chart(plot, &area, range)?,
    }
    area.present()?;
    Ok(())
}

fn chart<X>(
    plot: &Plot,
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    across: X,
) -> Result<(), Box<dyn std::error::Error>>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let points = plot.lines.iter().flat_map(|line| &line.points);
    let highest = points.map(|(_, y)| *y).fold(1.0, f64::max);
    let digits = usize::from(highest < 5.0);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(plot.title, ("sans-serif", 18))
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(across, 0.0..highest * 1.05)?;
    chart
        .configure_mesh()
        .x_desc(plot.across)
        .y_desc(plot.up)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.digits$}"))
        .light_line_style(WHITE)
        .draw()?;
    for (index, line) in plot.lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        // Lines of the same colour, and lines that cover each other, differ by their width.
        let style = colour.stroke_width(if index < COLOURS.len() { 2 } else { 4 });
        let series = LineSeries::new(line.points.iter().copied(), style).point_size(3);
        chart
            .draw_series(series)?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart.configure_series_labels().position(plot.free.clone()).background_style(WHITE.mix(0.85)).draw()?;
    Ok(())
}
