//! Lines over a logarithmic scale, as SVG.

pub(super) use plotters::prelude::SeriesLabelPosition;
use plotters::prelude::*;

/// Width and height in pixels.
const SIZE: (u32, u32) = (900, 480);

/// Colours that people with colour vision deficiency can distinguish (Okabe and Ito, "Color Universal Design", 2008).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];

/// The content of a plot.
pub(super) struct Plot {
    pub(super) title: &'static str,
    /// The label of the horizontal axis.
    pub(super) across: &'static str,
    /// The label of the vertical axis.
    pub(super) up: &'static str,
    pub(super) lines: Vec<Line>,
    /// The upper corner that is free for the names of the lines.
    pub(super) free: SeriesLabelPosition,
}

/// One line of a plot.
pub(super) struct Line {
    pub(super) name: String,
    /// The points in ascending order. No coordinate is negative.
    pub(super) points: Vec<(f64, f64)>,
}

/// Draws a plot.
pub(super) fn svg(plot: &Plot) -> String {
    let mut text = String::new();
    draw(plot, SVGBackend::with_string(&mut text, SIZE)).expect("a string takes everything that is written");
    text
}

fn draw(plot: &Plot, backend: SVGBackend<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let points = || plot.lines.iter().flat_map(|line| &line.points);
    let least = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
    let most = points().map(|(x, _)| *x).fold(0.0, f64::max);
    let highest = points().map(|(_, y)| *y).fold(1.0, f64::max);
    let area = backend.into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .caption(plot.title, ("sans-serif", 18))
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((least..most).log_scale(), 0.0..highest * 1.05)?;
    chart
        .configure_mesh()
        .x_desc(plot.across)
        .y_desc(plot.up)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
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
    area.present()?;
    Ok(())
}
