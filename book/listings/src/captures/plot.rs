//! Curves over steps, as SVG in the theme's colours.

use heapkit::draw;
use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 590.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 262.0;

/// One curve: its name, and its values at equal distances.
pub struct Curve {
    pub name: &'static str,
    pub values: Vec<usize>,
}

/// Draws the curves, from the first step at the left to step `steps` at the right, and from 0 at the bottom. `unit` names
/// what is counted.
pub fn svg(curves: &[Curve], steps: usize, unit: &str) -> String {
    let most = curves.iter().flat_map(|curve| &curve.values).copied().max().unwrap_or(1).max(1) as f64;
    let last = curves.iter().map(|curve| curve.values.len()).max().unwrap_or(1).max(2) - 1;
    let x = |index: usize| LEFT + (RIGHT - LEFT) * index as f64 / last as f64;
    let y = |value: usize| BOTTOM - (BOTTOM - TOP) * value as f64 / most;
    let ends = curves.iter().map(|curve| {
        let (highest, end) = (curve.values.iter().max().unwrap_or(&0), curve.values.last().unwrap_or(&0));
        format!("{}: at most {highest}, in the end {end}", curve.name)
    });
    let in_words = format!("Curves over {steps} steps, in {unit}. {}.", ends.collect::<Vec<_>>().join("; "));
    let label = draw::described(&in_words);
    let mut svg = format!(
        "<svg class=\"heap\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" {label}>\
         <path class=\"axis\" d=\"M {LEFT} {TOP} V {BOTTOM} H {RIGHT}\"/>\
         <text class=\"addr\" text-anchor=\"end\" x=\"{0}\" y=\"{1}\">0</text>\
         <text class=\"addr\" text-anchor=\"end\" x=\"{0}\" y=\"{2}\">{most} {unit}</text>\
         <text class=\"addr\" text-anchor=\"end\" x=\"{RIGHT}\" y=\"{3}\">{steps} steps</text>",
        LEFT - 6.0,
        BOTTOM + 4.0,
        TOP + 8.0,
        BOTTOM + 20.0,
    );
    let mut labels: Vec<(f64, usize)> =
        curves.iter().enumerate().map(|(i, curve)| (y(curve.values.last().copied().unwrap_or(0)), i)).collect();
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut lowest = f64::MIN;
    for (at, i) in labels {
        // Names of curves that end close together are moved apart.
        lowest = at.max(lowest + 18.0);
        let curve = &curves[i];
        let points: String = curve
            .values
            .iter()
            .enumerate()
            .map(|(index, &value)| format!("{:.1},{:.1} ", x(index), y(value)))
            .collect();
        let _ = write!(
            svg,
            "<polyline class=\"curve curve-{i}\" points=\"{}\"/><text class=\"small\" x=\"{}\" y=\"{:.1}\">{}</text>",
            points.trim_end(),
            RIGHT + 8.0,
            lowest + 4.0,
            curve.name
        );
    }
    svg.push_str("</svg>\n");
    svg
}
