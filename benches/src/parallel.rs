//! Signing takes the better part of a millisecond with RSA, and a figure takes tokens by the thousand.

use std::ops::Range;
use std::panic::resume_unwind;
use std::thread;

/// What `make` makes of each number, in order; on all cores.
pub fn made<T: Send>(numbers: Range<u64>, make: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let numbers: Vec<u64> = numbers.collect();
    let work = |part: &[u64]| part.iter().map(|number| make(*number)).collect::<Vec<T>>();
    let (work, each) = (&work, numbers.len().div_ceil(workers).max(1));
    thread::scope(|scope| {
        let parts: Vec<_> = numbers.chunks(each).map(|part| scope.spawn(move || work(part))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}
