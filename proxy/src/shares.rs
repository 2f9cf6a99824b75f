//! One of something for each thread: what all threads write to travels between the cores with every write.

use std::sync::atomic::{AtomicUsize, Ordering};

/// More threads than this share shares.
const SHARES: usize = 16;

thread_local! {
    static OWN: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % SHARES
    };
}

/// Two shares are never in one cache line, nor in two that are fetched together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Share<T>(T);

#[derive(Debug, Default)]
pub struct Shares<T>([Share<T>; SHARES]);

impl<T> Shares<T> {
    /// This thread's.
    pub fn own(&self) -> &T {
        let own = OWN.with(|own| *own);
        &self.0[own].0
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|share| &share.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn threads_have_shares_of_their_own_and_all_are_found() {
        let shares = Shares::<AtomicU64>::default();
        std::thread::scope(|scope| {
            for _ in 0..3 * SHARES {
                scope.spawn(|| shares.own().fetch_add(1, Ordering::Relaxed));
            }
        });
        assert_eq!(shares.iter().map(|share| share.load(Ordering::Relaxed)).sum::<u64>(), 3 * SHARES as u64);
        assert!(std::ptr::eq(shares.own(), shares.own()));
        let addresses: Vec<usize> = shares.iter().map(|share| std::ptr::from_ref(share).addr()).collect();
        assert!(addresses.windows(2).all(|two| two[1] - two[0] >= 128));
    }
}
