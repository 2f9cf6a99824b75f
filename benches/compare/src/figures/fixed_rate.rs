//! How long requests wait at half of what both could do: the rate is kept whether or not answers come as fast.

use super::{Bar, Bench, Fault, Figure, Row};
use crate::load::{Generator, Paced};
use crate::statistics::median;
use crate::system::Running;

/// Whose highest rates are halved.
const OURS: &str = "doorward-bearer-cached";
const BARE: &str = "pingora-bare-proxy";
/// For each sample: at a fixed rate there are fewer requests in a second, and one in a hundred is looked at.
const SECONDS: u64 = 3;
/// Samples of each.
const ROUNDS: usize = 7;
/// How often a sample is taken again that fell behind.
const AGAIN: usize = 2;

pub fn figures(bench: &Bench<'_>, rows: &[Row]) -> Result<Vec<Figure>, Fault> {
    let (ours, bare) = (bench.start_named(OURS)?, bench.start_named(BARE)?);
    let mut highest = f64::INFINITY;
    for (id, running) in [(OURS, &ours), (BARE, &bare)] {
        let known = rows.iter().find(|row| row.id == id).and_then(|row| row.spread(|sample| sample.requests_per_second));
        highest = highest.min(match known {
            Some(spread) => spread.median,
            None => bench.measure(running)?.requests_per_second,
        });
    }
    let (rate, generator) = (highest / 2.0, bench.generator(bench.cores.asking()));
    let (mut theirs, mut own) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds.min(ROUNDS) {
        theirs.push(p99(&bare, &generator, rate)?);
        own.push(p99(&ours, &generator, rate)?);
    }
    let (own, theirs) = (median(own), median(theirs));
    let note = format!("{own:.0} µs / {theirs:.0} µs at {rate:.0} requests/s");
    Ok(vec![Figure::ratio("p99_to_bare_proxy", own / theirs, Bar::AtMost(1.25), note)])
}

fn p99(running: &Running, generator: &Generator, rate: f64) -> Result<f64, Fault> {
    let mut kept = 0.0;
    for _ in 0..=AGAIN {
        match generator.paced(&running.load, rate, SECONDS)? {
            Paced::Kept(sample) => return Ok(sample.p99_us),
            Paced::Behind(rate) => kept = rate,
        }
    }
    Err(format!("{rate:.0} requests a second were to be asked, and {kept:.0} were").into())
}
