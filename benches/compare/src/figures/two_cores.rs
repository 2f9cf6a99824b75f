//! One process on two cores: what a request costs there, and whether it does as much as two processes on one core each.
//!
//! Whoever asks and the app share the two cores with what is measured, here and there alike.

use super::{Bar, Bench, Fault, Figure, Row};
use crate::load::AT_ONCE;
use crate::statistics::Spread;
use crate::system::{Load, Running};

const OURS: &str = "doorward-bearer-cached";
const BARE: &str = "pingora-bare-proxy";

pub fn figures(bench: &Bench<'_>, _: &[Row]) -> Result<Vec<Figure>, Fault> {
    let (one, two) = (bench.start_free(OURS, 1)?, bench.start_free(OURS, 2)?);
    let bare = [bench.start_free(BARE, 1)?, bench.start_free(BARE, 1)?];
    let generator = bench.generator(bench.cores.all());
    let (mut cost_one, mut cost_two, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        cost_one.push(bench.measure_from(&generator, &one)?.cpu_us);
        cost_two.push(bench.measure_from(&generator, &two)?.cpu_us);
        theirs.push(together(bench, [&bare[0], &bare[1]])?);
        ours.push(together(bench, [&two, &two])?);
    }
    let median = |values: Vec<f64>| Spread::of(values).map_or(f64::NAN, |spread| spread.median);
    let [cost_one, cost_two, ours, theirs] = [cost_one, cost_two, ours, theirs].map(median);
    Ok(vec![
        Figure {
            name: "two_cores_cpu",
            value: cost_two / cost_one,
            unit: "×",
            bar: Some(Bar::AtMost(1.10)),
            note: format!("{cost_two:.2} µs on two cores / {cost_one:.2} µs on one"),
        },
        Figure {
            name: "two_cores_throughput",
            value: ours / theirs,
            unit: "×",
            bar: Some(Bar::AtLeast(0.90)),
            note: format!("{ours:.0} requests/s / {theirs:.0} of two bare processes of one thread each"),
        },
    ])
}

/// Requests a second when two generators ask at once.
fn together(bench: &Bench<'_>, asked: [&Running; 2]) -> Result<f64, Fault> {
    let (generator, seconds) = (bench.generator(bench.cores.all()), bench.seconds);
    let ask = |load: &Load| Ok::<_, Fault>(generator.closed(load, AT_ONCE / 2, seconds)?.requests_per_second());
    for running in asked {
        generator.warm_up(&running.load)?;
    }
    std::thread::scope(|scope| {
        let ask = &ask;
        let halves = asked.map(|running| scope.spawn(move || ask(&running.load)));
        halves.into_iter().map(|half| half.join().map_err(|_| "asking has panicked")?).sum()
    })
}
