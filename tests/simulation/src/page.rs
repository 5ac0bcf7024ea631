//! The figures as the tables and the picture of `docs/balancing.md`.

use std::fmt::Write as _;
use std::time::Duration;

use crate::day::Figures;
use crate::subsets::Spread;

/// One policy's days.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) without: Figures,
    pub(crate) with: Figures,
}

pub(crate) fn policies(rows: &[Row]) -> String {
    let mut table = String::from(
        "| policy | p50 | p99 | errors | with ejection: p50 | p99 | errors |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for Row { name, without, with } in rows {
        let cells = |figures: &Figures| {
            let Figures { p50, p99, errors } = figures;
            format!("{} ms | {} ms | {:.2} %", milliseconds(*p50), milliseconds(*p99), errors * 100.0)
        };
        let _ = writeln!(table, "| `{name}` | {} | {} |", cells(without), cells(with));
    }
    table
}

pub(crate) fn subsets(spreads: &[Spread]) -> String {
    let mut table = String::from(
        "| subset | connections of an instance: fewest | median | most | calls to an instance, of the average: least | most |\n\
         |--:|--:|--:|--:|--:|--:|\n",
    );
    for Spread { size, connections: [fewest, middle, most], load: [least, highest] } in spreads {
        let _ = writeln!(table, "| {size} | {fewest} | {middle} | {most} | {least:.2} | {highest:.2} |");
    }
    table
}

fn milliseconds(time: Duration) -> u128 {
    (time.as_micros() + 500) / 1000
}

const LEFT: f64 = 160.0;
const WIDTH: f64 = 440.0;
const LINE: f64 = 44.0;
/// The lengths of bars are logarithms: from 10 ms to 10 s.
const FIRST: f64 = 10.0;
const DECADES: f64 = 3.0;

/// Also that of the benchmark's picture.
const STYLE: &str = include_str!("../../shared/picture.css");

/// The p99 of each policy as bars, for light and dark pages.
pub(crate) fn picture(rows: &[Row]) -> String {
    let height = 64.0 + rows.len() as f64 * LINE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 660 {height}\" role=\"img\" \
         aria-label=\"99th percentile of latency of each policy, without and with ejection\">\n\
         <style>\n{STYLE}</style>\n"
    );
    for decade in 0..=DECADES as u32 {
        let (x, label) = (LEFT + WIDTH * f64::from(decade) / DECADES, FIRST * 10f64.powi(decade as i32));
        let label = if label < 1000.0 { format!("{label} ms") } else { format!("{} s", label / 1000.0) };
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{x:.0}\" y1=\"24\" x2=\"{x:.0}\" y2=\"{:.0}\"/>\n\
             <text class=\"small\" x=\"{x:.0}\" y=\"16\" text-anchor=\"middle\">{label}</text>",
            height - 36.0
        );
    }
    for (line, Row { name, without, with }) in rows.iter().enumerate() {
        let y = 32.0 + line as f64 * LINE;
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{name}</text>",
            LEFT - 8.0,
            y + 20.0
        );
        bar(&mut svg, "muted", y, without.p99);
        bar(&mut svg, "strong", y + 16.0, with.p99);
    }
    let y = height - 22.0;
    let _ = writeln!(
        svg,
        "<rect class=\"muted\" x=\"{LEFT}\" y=\"{y}\" width=\"12\" height=\"12\"/>\n\
         <text class=\"small\" x=\"{:.0}\" y=\"{:.0}\">p99 without ejection</text>\n\
         <rect class=\"strong\" x=\"{:.0}\" y=\"{y}\" width=\"12\" height=\"12\"/>\n\
         <text class=\"small\" x=\"{:.0}\" y=\"{:.0}\">p99 with ejection</text>\n</svg>",
        LEFT + 18.0,
        y + 10.0,
        LEFT + 180.0,
        LEFT + 198.0,
        y + 10.0
    );
    svg
}

fn bar(svg: &mut String, class: &str, y: f64, time: Duration) {
    let ms = time.as_secs_f64() * 1e3;
    let length = (WIDTH * (ms / FIRST).log10() / DECADES).clamp(1.0, WIDTH);
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.0}\" width=\"{length:.0}\" height=\"14\"/>\n\
         <text class=\"small\" x=\"{:.0}\" y=\"{:.0}\">{} ms</text>",
        LEFT + length + 4.0,
        y + 11.0,
        milliseconds(time)
    );
}
