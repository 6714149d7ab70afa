//! A chart as SVG: lines with points, both axes logarithmic, for what is compared differs by factors.

use crate::report::Chart;
use anyhow::{Result, anyhow};
use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::*;
use std::path::Path;

const SIZE: (u32, u32) = (900, 420);
/// What is right of it says which line is whose.
const LEGEND_AT: u32 = 640;

/// Of Okabe and Ito: told apart by those who see fewer colours too.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(150, 150, 150),
];

pub fn draw(chart: &Chart, path: &Path) -> Result<()> {
    drawn(chart, path).map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

fn drawn(chart: &Chart, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let points = || chart.lines.iter().flat_map(|line| &line.points);
    let whole = SVGBackend::new(path, SIZE).into_drawing_area();
    whole.fill(&WHITE)?;
    let (area, beside) = whole.split_horizontally(LEGEND_AT);
    let mut axes = ChartBuilder::on(&area)
        .caption(chart.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(
            range(points().map(|point| point.0)).log_scale(),
            range(points().map(|point| point.1)).log_scale(),
        )?;
    axes.configure_mesh()
        .x_desc(chart.x)
        .y_desc(chart.y)
        .x_label_formatter(&short)
        .y_label_formatter(&short)
        .label_style(("sans-serif", 13))
        .light_line_style(WHITE)
        .draw()?;
    for (line, (y, colour)) in chart.lines.iter().zip((60..).step_by(22).zip(colours())) {
        let mut points = line.points.clone();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let stroke = colour.stroke_width(2);
        axes.draw_series(LineSeries::new(points, stroke).point_size(3))?;
        beside.draw(&PathElement::new([(0, y), (18, y)], stroke))?;
        beside.draw(&Text::new(line.name.as_str(), (24, y - 6), ("sans-serif", 13)))?;
    }
    whole.present()?;
    Ok(())
}

fn colours() -> impl Iterator<Item = RGBColor> {
    COLOURS.into_iter().cycle()
}

/// With a little air at both ends, and never less than a factor of ten, lest what is nothing look like much.
fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (least, most) =
        values.fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), v| (low.min(v), high.max(v)));
    let (least, most) = (least.max(1e-6) / 1.2, most * 1.2);
    let air = (10.0 / (most / least)).max(1.0).sqrt();
    (least / air)..(most * air)
}

/// `2.5M`, `40k`, `0.5`
#[expect(clippy::trivially_copy_pass_by_ref, reason = "so it is called by the axes")]
fn short(value: &f64) -> String {
    match *value {
        v if v >= 1e6 => format!("{}M", v / 1e6),
        v if v >= 1e3 => format!("{}k", v / 1e3),
        v => format!("{v}"),
    }
}
