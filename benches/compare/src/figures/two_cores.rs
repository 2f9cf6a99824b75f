//! One process on two cores: what a request costs there, and whether it does as much as two processes on one core each.
//!
//! Whoever asks and the app share the two cores with what is measured, here and there alike.

use super::{Bar, Bench, Fault, Figure, Row};
use crate::load::AT_ONCE;
use crate::statistics::median;
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
    let [cost_one, cost_two, ours, theirs] = [cost_one, cost_two, ours, theirs].map(median);
    let cost = format!("{cost_two:.2} µs on two cores / {cost_one:.2} µs on one");
    let rate = format!("{ours:.0} requests/s / {theirs:.0} of two bare processes of one thread each");
    Ok(vec![
        Figure::ratio("two_cores_cpu", cost_two / cost_one, Bar::AtMost(1.10), cost),
        Figure::ratio("two_cores_throughput", ours / theirs, Bar::AtLeast(0.90), rate),
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
