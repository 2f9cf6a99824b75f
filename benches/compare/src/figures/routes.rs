//! Ten thousand routes beside ten: through the whole proxy, and a decision alone.

use std::fmt::Write as _;

use doorward_benches::inside::Inside;

use super::edge;
use super::inside::nanoseconds;
use super::{Bar, Bench, Fault, Figure, Row};
use crate::stand::HOST;
use crate::statistics::median;
use crate::system::Load;

const FEW: usize = 10;
const MANY: usize = 10_000;

pub fn figures(bench: &Bench<'_>, _: &[Row]) -> Result<Vec<Figure>, Fault> {
    let (few, many) = (routes(bench, FEW), routes(bench, MANY));
    let asked = |load: &Load, routes| Load { path: path(routes), ..load.clone() };
    let mut inside = Vec::new();
    let mut running = Vec::new();
    for (text, count) in [(&few, FEW), (&many, MANY)] {
        let changes = [("routes:\n", text.as_str())];
        let mut started = edge::start(bench, &changes, None)?;
        started.load = asked(&started.load, count);
        inside.push(Inside::new(&edge::write(bench, &changes)?.configuration, doorward_benches::beside()?)?);
        running.push(started);
    }
    let (mut proxied, mut decided) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..bench.rounds {
        for at in 0..2 {
            proxied[at].push(bench.measure(&running[at])?.cpu_us);
            decided[at].push(nanoseconds(&inside[at], &running[at].load)?);
        }
    }
    let figure = |name, [few, many]: [f64; 2], unit| {
        let note = format!("{many:.2} {unit} with {MANY} routes / {few:.2} {unit} with {FEW}");
        Figure::ratio(name, many / few, Bar::AtMost(1.2), note)
    };
    Ok(vec![figure("routes_proxied", proxied.map(median), "µs"), figure("routes_admitted", decided.map(median), "ns")])
}

/// All on one host, with the one that is asked for last.
fn routes(bench: &Bench<'_>, count: usize) -> String {
    let mut text = String::from("routes:\n");
    for at in 1..count {
        // One that matches, and names a part of the path.
        let rules = "rules: [{ path: \"/apps/*/items/{id}\", allow: { role: admin } }, { allow: signed-in }]";
        let app = bench.stand.app;
        let _ = writeln!(text, "  - {{ name: app{at:05}, host: {HOST}, path: /apps/app{at:05}, upstream: \"http://{app}\", {rules} }}");
    }
    text
}

fn path(count: usize) -> String {
    format!("/apps/app{:05}/items/42", count - 1)
}
