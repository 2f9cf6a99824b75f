//! Every system once a round, each round in another order: what happens to the machine meanwhile happens to all of them.

use std::collections::HashMap;

use crate::bench::{Bench, Measured};
use crate::statistics::Spread;
use crate::system::{Candidate, Running, Tokens, Unavailable};

/// One system's samples, or why there are none.
#[derive(Debug, Default)]
pub struct Row {
    pub id: &'static str,
    pub samples: Vec<Measured>,
    /// Nobody has to have it.
    pub absent: Option<String>,
    /// What makes the run a failure.
    pub faults: Vec<String>,
    /// It could not be started, which does not change from one round to the next.
    pub over: bool,
}

impl Row {
    /// Of one number over all rounds.
    pub fn spread(&self, of: impl Fn(&Measured) -> f64) -> Option<Spread> {
        Spread::of(self.samples.iter().map(of))
    }

    /// CPU time for each request, in µs.
    pub fn cpu_us(&self) -> Option<f64> {
        Some(self.spread(|sample| sample.cpu_us)?.median)
    }
}

/// Measures all of them. Whoever can stay started does: idle, they cost nothing.
pub fn run(bench: &Bench<'_>, chosen: &[&Candidate]) -> Vec<Row> {
    let mut rows: Vec<Row> = chosen.iter().map(|candidate| Row { id: candidate.id, ..Row::default() }).collect();
    let mut started: HashMap<&str, Running> = HashMap::new();
    for round in 0..bench.rounds {
        eprintln!("round {} of {}", round + 1, bench.rounds);
        for at in order(chosen.len(), round, bench.rounds) {
            let (candidate, row) = (chosen[at], &mut rows[at]);
            if row.over {
                continue;
            }
            let running = match started.remove(candidate.id).map_or_else(|| bench.start(candidate), Ok) {
                Ok(running) => running,
                Err(Unavailable::Absent(why)) => {
                    eprintln!("  {:<26} left out: {why}", row.id);
                    (row.absent, row.over) = (Some(why), true);
                    continue;
                }
                Err(Unavailable::Wrong(why)) => {
                    eprintln!("  {:<26} WRONG: {why}", row.id);
                    row.faults.push(why);
                    row.over = true;
                    continue;
                }
            };
            match bench.measure(&running) {
                Ok(sample) => {
                    let Measured { cpu_us, requests_per_second, p99_us, .. } = sample;
                    eprintln!("  {:<26} {cpu_us:8.2} µs  {requests_per_second:8.0} requests/s  p99 {p99_us:6.0} µs", row.id);
                    row.samples.push(sample);
                }
                Err(fault) => {
                    eprintln!("  {:<26} INVALID: {fault}", row.id);
                    row.faults.push(format!("round {}: {fault}", round + 1));
                    // What it remembers of that is not to be met again.
                    continue;
                }
            }
            if !matches!(running.load.tokens, Tokens::EachOnce(_)) {
                started.insert(candidate.id, running);
            }
        }
    }
    rows
}

/// Who comes when: over all rounds, beginnings lie as far apart as they can.
fn order(systems: usize, round: usize, rounds: usize) -> impl Iterator<Item = usize> {
    let start = systems * round / rounds.max(1);
    (0..systems).map(move |at| (start + at) % systems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_comes_once_a_round_and_each_round_begins_elsewhere() {
        let rounds: Vec<Vec<usize>> = (0..3).map(|round| order(7, round, 3).collect()).collect();
        assert_eq!(rounds[0], [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(rounds[1], [2, 3, 4, 5, 6, 0, 1]);
        assert_eq!(rounds[2], [4, 5, 6, 0, 1, 2, 3]);
        assert_eq!(order(0, 0, 0).count(), 0);
    }

    #[test]
    fn a_row_without_samples_has_no_median() {
        assert_eq!(Row::default().cpu_us(), None);
        let sample = Measured { cpu_us: 20.0, requests_per_second: 1.0, p50_us: 1.0, p99_us: 1.0 };
        assert_eq!(Row { samples: vec![sample], ..Row::default() }.cpu_us(), Some(20.0));
    }
}
