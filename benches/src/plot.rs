//! The ratios of `make compare` as a bar chart in SVG, written by hand: bars, names and two lines need no library.
//!
//! A bar of 1.0 is as fast as Lua 5.4, the solid line; the dashed line is the target for the mean.

use std::fmt::Write;

use crate::compare::{Peer, Row, mean};

const LEFT: f64 = 130.0;
const WIDTH: f64 = 640.0;
const ROW: f64 = 26.0;
const TARGET: f64 = 1.6;

/// The chart of the rows that are beside Lua.
pub fn bars(rows: &[Row]) -> String {
    let mut bars: Vec<(&str, f64, Option<f64>)> = rows
        .iter()
        .filter(|row| row.program.beside == Peer::Lua)
        .filter_map(|row| Some((row.program.name, row.beside?.1.median, row.luajit.map(|ratio| ratio.median))))
        .collect();
    let published = || rows.iter().filter(|row| row.program.is_published);
    if let Some(ours) = mean(published().filter_map(|row| Some(row.beside?.1.median))) {
        bars.push(("mean of published", ours, mean(published().filter_map(|row| Some(row.luajit?.median)))));
    }
    let most = bars.iter().flat_map(|(_, ours, luajit)| [*ours, luajit.unwrap_or(0.0)]).fold(TARGET, f64::max);
    let scale = (WIDTH - LEFT - 50.0) / most;
    let bottom = 40.0 + ROW * bars.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"16\">times as fast as Lua 5.4: <tspan fill=\"#1f6fb2\">TwinTalk</tspan>, \
         <tspan fill=\"#8a8a8a\">LuaJIT without its JIT</tspan></text>\n",
        bottom + 24.0
    );
    for (nth, (name, ours, luajit)) in bars.iter().enumerate() {
        let top = 30.0 + ROW * nth as f64;
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>", LEFT - 8.0, top + 14.0);
        let mut bar = |top: f64, height: f64, ratio: f64, colour: &str| {
            let length = ratio * scale;
            let _ = writeln!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{length:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
            );
        };
        bar(top, 13.0, *ours, "#1f6fb2");
        if let Some(luajit) = luajit {
            bar(top + 14.0, 5.0, *luajit, "#b8b8b8");
        }
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{}\">{ours:.2}</text>", LEFT + ours * scale + 5.0, top + 11.0);
    }
    for (ratio, dashes) in [(1.0, ""), (TARGET, " stroke-dasharray=\"4 3\"")] {
        let x = LEFT + ratio * scale;
        let _ =
            writeln!(svg, "<line x1=\"{x:.1}\" y1=\"24\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#c03030\"{dashes}/>");
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{ratio:.1}</text>", bottom + 16.0);
    }
    svg.push_str("</svg>\n");
    svg
}
