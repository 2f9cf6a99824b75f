//! What every request counts: beside the thread that counts, and with the families only when somebody looks at them. Two cores
//! that count in one place wait for each other with every request.

use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::local::LocalHistogram;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::{Known, NO_ROUTE};
use crate::shares::Shares;

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const WAYS: [Known; 3] = [Known::Public, Known::Session, Known::Bearer];

/// The counts of the routes of one configuration.
#[derive(Debug)]
pub(super) struct Tally {
    shares: Shares<Mutex<Counts>>,
    /// Where they end: by index of the route, and behind the last what has none.
    routes: Vec<Series>,
    overhead: [Histogram; 3],
}

/// The series of one route, resolved.
#[derive(Debug)]
struct Series {
    by_class: [IntCounter; 5],
    allowed: [IntCounter; 3],
    duration: Histogram,
}

/// The families that they belong to.
#[derive(Debug, Clone)]
pub(super) struct Families {
    pub(super) requests: IntCounterVec,
    pub(super) durations: HistogramVec,
    pub(super) decisions: IntCounterVec,
    pub(super) overhead: HistogramVec,
}

/// What a thread has counted since somebody looked.
#[derive(Debug, Default)]
struct Counts {
    /// Of the routes that it had requests of, by index.
    routes: Vec<Option<Box<RouteCounts>>>,
    overhead: [Option<LocalHistogram>; 3],
}

#[derive(Debug)]
struct RouteCounts {
    by_class: [u64; 5],
    allowed: [u64; 3],
    duration: LocalHistogram,
}

impl Tally {
    pub(super) fn new<'r>(families: &Families, routes: impl Iterator<Item = &'r str>) -> Self {
        let series = |name: &str| Series {
            by_class: CLASSES.map(|class| families.requests.with_label_values(&[name, class])),
            allowed: WAYS.map(|known| families.decisions.with_label_values(&[name, "allow", known.label()])),
            duration: families.durations.with_label_values(&[name]),
        };
        let overhead = WAYS.map(|known| families.overhead.with_label_values(&[known.label()]));
        Self { shares: Shares::default(), routes: routes.chain([NO_ROUTE]).map(series).collect(), overhead }
    }

    /// A request was answered, so many seconds after it began.
    pub(super) fn answered(&self, route: Option<usize>, status: u16, seconds: f64) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.count(route, |counts| {
            counts.by_class[class] += 1;
            counts.duration.observe(seconds);
        });
    }

    /// A request was let through.
    pub(super) fn allowed(&self, route: Option<usize>, known: Known) {
        self.count(route, |counts| counts.allowed[known as usize] += 1);
    }

    /// Deciding added so many seconds to a request.
    pub(super) fn took(&self, known: Known, seconds: f64) {
        let mut counts = lock(self.shares.own());
        counts.overhead[known as usize].get_or_insert_with(|| self.overhead[known as usize].local()).observe(seconds);
    }

    fn count(&self, route: Option<usize>, add: impl FnOnce(&mut RouteCounts)) {
        let none = self.routes.len() - 1;
        let at = route.map_or(none, |route| route.min(none));
        let mut counts = lock(self.shares.own());
        if counts.routes.len() <= at {
            counts.routes.resize_with(at + 1, || None);
        }
        let new = || Box::new(RouteCounts { by_class: [0; 5], allowed: [0; 3], duration: self.routes[at].duration.local() });
        add(counts.routes[at].get_or_insert_with(new));
    }

    /// Adds what was counted to the families.
    pub(super) fn settle(&self) {
        for share in self.shares.iter() {
            // Histograms add themselves when they are dropped.
            let counts = std::mem::take(&mut *lock(share));
            for (series, counts) in self.routes.iter().zip(counts.routes) {
                let Some(counts) = counts else { continue };
                series.by_class.iter().zip(counts.by_class).for_each(|(series, count)| series.inc_by(count));
                series.allowed.iter().zip(counts.allowed).for_each(|(series, count)| series.inc_by(count));
            }
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.settle();
    }
}

fn lock(share: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    share.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{HistogramOpts, Opts};

    fn families() -> Families {
        let counters = |name: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, "-"), labels).unwrap();
        let histograms =
            |name: &str, label: &str| HistogramVec::new(HistogramOpts::new(name, "-").buckets(vec![0.1, 1.0]), &[label]).unwrap();
        Families {
            requests: counters("requests", &["route", "code"]),
            durations: histograms("durations", "route"),
            decisions: counters("decisions", &["route", "decision", "reason"]),
            overhead: histograms("overhead", "path"),
        }
    }

    #[test]
    fn what_many_threads_count_is_there_once_somebody_looks_and_only_once() {
        let families = families();
        let tally = Tally::new(&families, ["cms", "iot"].into_iter());
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for request in 0..1000 {
                        tally.allowed(Some(request % 2), Known::Bearer);
                        tally.took(Known::Bearer, 0.05);
                        tally.answered(Some(request % 2), 200, 0.5);
                    }
                    tally.answered(None, 404, 2.0);
                    // A stranger's index is nobody's route.
                    tally.answered(Some(7), 0, 2.0);
                });
            }
        });
        let request = |route: &str, code: &str| families.requests.with_label_values(&[route, code]).get();
        assert_eq!(request("cms", "2xx"), 0, "nobody has looked");
        for _ in 0..2 {
            tally.settle();
            assert_eq!((request("cms", "2xx"), request("iot", "2xx"), request("cms", "4xx")), (10_000, 10_000, 0));
            assert_eq!((request(NO_ROUTE, "4xx"), request(NO_ROUTE, "1xx")), (20, 20));
            assert_eq!(families.decisions.with_label_values(&["iot", "allow", "bearer"]).get(), 10_000);
            assert_eq!(families.decisions.with_label_values(&["iot", "allow", "session"]).get(), 0);
            let duration = families.durations.with_label_values(&["cms"]);
            assert_eq!((duration.get_sample_count(), duration.get_sample_sum()), (10_000, 5000.0));
            let overhead = families.overhead.with_label_values(&["bearer"]);
            assert_eq!((overhead.get_sample_count(), overhead.get_sample_sum().round()), (20_000, 1000.0));
        }
        tally.answered(Some(0), 200, 0.5);
        drop(tally);
        assert_eq!((request("cms", "2xx"), families.durations.with_label_values(&["cms"]).get_sample_count()), (10_001, 10_001));
    }
}
