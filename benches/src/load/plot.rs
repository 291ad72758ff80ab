//! The latency distribution as a picture: latency over percentile, the tail stretched.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::report::Report;

/// Draws `report` into an SVG file.
pub fn draw(report: &Report, path: &Path) -> Result<()> {
    // x: -log10(1 - quantile), so that 90%, 99% and 99.9% are equally far apart.
    let points: Vec<(f64, f64)> = (0..=400)
        .map(|i| f64::from(i) / 100.0)
        .map(|x| {
            let percentile = 100.0 * (1.0 - 10f64.powf(-x));
            (x, report.latency_us.value_at_percentile(percentile) as f64 / 1000.0)
        })
        .collect();
    let top = points.iter().map(|p| p.1).fold(0.001, f64::max) * 1.1;
    let title = format!("{}: {:.0} {}/s", report.scenario, report.rate(), report.unit);
    let root = SVGBackend::new(path, (900, 480)).into_drawing_area();
    let failed = |e| anyhow!("cannot draw {}: {e}", path.display());
    root.fill(&WHITE).map_err(|e| failed(e.to_string()))?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 22))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..4.0, 0.0..top)
        .map_err(|e| failed(e.to_string()))?;
    chart
        .configure_mesh()
        .x_labels(5)
        .x_label_formatter(&|x| format!("{:.4}%", 100.0 * (1.0 - 10f64.powf(-x))))
        .x_desc("percentile")
        .y_desc("latency, ms")
        .draw()
        .map_err(|e| failed(e.to_string()))?;
    chart.draw_series(LineSeries::new(points, BLUE.stroke_width(2))).map_err(|e| failed(e.to_string()))?;
    root.present().map_err(|e| failed(e.to_string()))
}
