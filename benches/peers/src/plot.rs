//! The bytes of an idle entity by how many there are, as lines in SVG; both scales are logarithmic.

use std::fmt::Write;

const COLOURS: [&str; 6] = ["#8a8a8a", "#1f6fb2", "#c0392b", "#d68910", "#7d3c98", "#1e8449"];
const LEFT: f64 = 70.0;
const TOP: f64 = 30.0;
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 260.0;
/// The powers of ten at the bottom and the top.
const FROM: f64 = 1.0;
const TO: f64 = 5.0;

/// The chart: for each system a value for each of `counts`.
pub fn lines(counts: &[u64], systems: &[(&str, Vec<Option<f64>>)]) -> String {
    let x = |nth: usize| LEFT + WIDTH * nth as f64 / (counts.len() - 1) as f64;
    let y = |bytes: f64| TOP + HEIGHT * (1.0 - (bytes.max(10.0).log10() - FROM) / (TO - FROM));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"700\" height=\"340\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"18\">bytes of an idle entity, by how many there are</text>\n"
    );
    for power in FROM as i32..=TO as i32 {
        let (value, at) = (10f64.powi(power), y(10f64.powi(power)));
        let _ = writeln!(svg, "<path d=\"M{LEFT} {at:.1}h{WIDTH}\" stroke=\"#ddd\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>", LEFT - 8.0, at + 4.0);
    }
    for (nth, count) in counts.iter().enumerate() {
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"310\" text-anchor=\"middle\">{count}</text>", x(nth));
    }
    for (nth, (name, values)) in systems.iter().enumerate() {
        let colour = COLOURS[nth % COLOURS.len()];
        let points: Vec<String> = values
            .iter()
            .enumerate()
            .filter_map(|(nth, value)| Some(format!("{:.1},{:.1}", x(nth), y((*value)?))))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        let line = TOP + 20.0 + 20.0 * nth as f64;
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{line}\" fill=\"{colour}\">{name}</text>", LEFT + WIDTH + 14.0);
    }
    svg.push_str("</svg>\n");
    svg
}
