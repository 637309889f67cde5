//! The picture of a table: for each kind of work and each peer a bar as long as its ratio to nginx, with a line from the least round to
//! the most. It brings its own paper, so that it can be read in light and dark mode.

use crate::table::Row;
use std::fmt::Write as _;

/// All lengths are pixels.
const WIDTH: f64 = 760.0;
/// Where bars begin: behind the names of the peers.
const LEFT: f64 = 124.0;
/// Where the longest line ends: before its number.
const RIGHT: f64 = WIDTH - 72.0;
/// Where the first kind of work begins: below the title.
const TOP: f64 = 76.0;
/// From one bar to the next, and how high one is.
const STEP: f64 = 19.0;
const BAR: f64 = 13.0;
/// The title of a kind of work, with the gap above it.
const TITLE: f64 = 40.0;

const STYLE: &str = "
text { font-family: system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; font-size: 13px; }
text { fill: #1f2328; stroke: #ffffff; stroke-width: 4px; paint-order: stroke; }
.title { font-size: 17px; font-weight: 600; } .work { font-weight: 600; }
.faint { fill: #656d76; } .end { text-anchor: end; } .middle { text-anchor: middle; }
.paper { fill: #ffffff; stroke: #d1d9e0; } .grid { stroke: #eaeef2; } .one { stroke: #656d76; stroke-dasharray: 4 3; }
.bar { fill: #afb8c1; } .spread { stroke: #57606a; stroke-width: 1.5; fill: none; }
.ours.bar { fill: #2f7de1; } .ours.spread { stroke: #0a3069; } text.ours { font-weight: 600; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; stroke: #0d1117; } .faint { fill: #9198a1; }
  .paper { fill: #0d1117; stroke: #30363d; } .grid { stroke: #21262d; } .one { stroke: #9198a1; }
  .bar { fill: #484f58; } .spread { stroke: #b1bac4; }
  .ours.bar { fill: #388bfd; } .ours.spread { stroke: #cae8ff; }
}";

/// Draws the rows in their order. Those of one kind of work stand together.
#[must_use]
pub fn svg(rows: &[Row]) -> String {
    let most = rows.iter().map(|row| row.to_nginx.most).fold(1.0, f64::max);
    let scale = (RIGHT - LEFT) / most;
    let works: Vec<&[Row]> = rows.chunk_by(|one, next| one.work == next.work).collect();
    let bottom = TOP + works.len() as f64 * TITLE + rows.len() as f64 * STEP;
    let mut drawn = String::new();
    axis(&mut drawn, most, scale, bottom);
    let mut y = TOP;
    for work in works {
        text(&mut drawn, "work", 20.0, y + TITLE - 10.0, &work[0].work);
        y += TITLE;
        for row in work {
            bar(&mut drawn, row, y, scale);
            y += STEP;
        }
    }
    let height = bottom + 44.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         aria-label=\"CPU time of each peer for each kind of work, as a ratio to nginx\">\n<style>{STYLE}\n</style>\n\
         <rect class=\"paper\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n{drawn}</svg>\n",
        WIDTH - 1.0,
        height - 1.0
    )
}

/// Title, grid and scale: a step is a half, or as many as keep the numbers apart.
fn axis(drawn: &mut String, most: f64, scale: f64, bottom: f64) {
    text(drawn, "title", 20.0, 36.0, "CPU time of the proxy, as a ratio to nginx");
    text(
        drawn,
        "faint",
        20.0,
        58.0,
        "Shorter is better. A bar ends at the median of the rounds; its line spans the least to the most.",
    );
    let step = 0.5 * (most / 5.0).ceil();
    let mut line = |class: &str, x: f64| {
        let _ = writeln!(drawn, "<path class=\"{class}\" d=\"M{x:.1} {TOP}V{bottom:.1}\"/>");
    };
    let ticks = || (0..=(most / step) as u32).map(|tick| f64::from(tick) * step);
    ticks().for_each(|ratio| line("grid", LEFT + ratio * scale));
    line("one", LEFT + scale);
    for ratio in ticks() {
        let x = LEFT + ratio * scale;
        text(drawn, "faint middle", x, bottom + 20.0, &ratio.to_string());
    }
}

fn bar(drawn: &mut String, row: &Row, y: f64, scale: f64) {
    let ours = if row.peer == "pullgate" { "ours" } else { "" };
    let [least, median, most] = [row.to_nginx.least, row.to_nginx.median, row.to_nginx.most].map(|ratio| ratio * scale);
    let (middle, baseline) = (y + BAR / 2.0, y + BAR - 2.0);
    text(drawn, &format!("{ours} end"), LEFT - 10.0, baseline, name(&row.peer));
    let _ = writeln!(
        drawn,
        "<rect class=\"bar {ours}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{median:.1}\" height=\"{BAR}\" rx=\"2\"/>\n\
         <path class=\"spread {ours}\" d=\"M{:.1} {middle:.1}H{:.1}\"/>",
        LEFT + least,
        LEFT + most
    );
    text(drawn, ours, LEFT + median.max(most) + 8.0, baseline, &format!("{:.2}", row.to_nginx.median));
}

/// A peer as its makers write it.
fn name(peer: &str) -> &str {
    match peer {
        "pullgate" => "Pullgate",
        "haproxy" => "HAProxy",
        "bare-pingora" => "bare Pingora",
        other => other,
    }
}

fn text(drawn: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(drawn, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::rows;

    const TABLE: &str = "h\tpullgate\t256.2\t250.0\t262.5\t0.45\t0.44\t0.47\t0.90\t0.88\t0.91\t900\t1800
h\tnginx\t568.8\t556.2\t575.0\t1.000\t1.000\t1.000\t-\t-\t-\t900\t1800
request & <answer>\tpullgate\t26.2\t25.8\t26.7\t1.29\t1.27\t1.31\t0.95\t0.9\t1.0\t900\t1800
request & <answer>\tnginx\t20.4\t20.4\t20.8\t1.000\t1.000\t1.000\t-\t-\t-\t900\t1800
request & <answer>\thaproxy\t22.0\t21.0\t23.0\t1.08\t1.01\t3.0\t-\t-\t-\t900\t1800";

    #[test]
    fn a_bar_for_each_row_as_long_as_its_ratio() {
        let rows = rows(&format!("{}\n{TABLE}\n", Row::NAMES)).unwrap();
        let drawn = svg(&rows);
        let widths: Vec<f64> = drawn
            .lines()
            .filter(|line| line.starts_with("<rect class=\"bar"))
            .map(|line| line.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(widths.len(), rows.len());
        for (row, width) in rows.iter().zip(widths) {
            // The line of HAProxy's worst round, at three times nginx, is as long as the picture is wide.
            let ratio = width / (RIGHT - LEFT) * 3.0;
            assert!((ratio - row.to_nginx.median).abs() < 0.001, "{} of {}: {ratio}", row.peer, row.work);
        }
        assert_eq!(drawn.matches("<path class=\"spread").count(), rows.len());
        assert_eq!(drawn.matches("class=\"work\"").count(), 2, "a title for each kind of work");
    }

    #[test]
    fn titles_are_text() {
        let drawn = svg(&rows(&format!("{}\n{TABLE}\n", Row::NAMES)).unwrap());
        assert!(drawn.contains(">request &amp; &lt;answer></text>"));
    }
}
