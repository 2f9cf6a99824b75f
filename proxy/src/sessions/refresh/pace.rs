//! How often a provider is asked for new tokens.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::entropy;

/// Refreshes under way at one provider.
const AT_ONCE: usize = 32;
/// How long one waits for its turn.
const QUEUE: Duration = Duration::from_secs(10);
/// After the first attempt that brought nothing; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// One provider's share.
#[derive(Debug)]
pub(super) struct Pace {
    slots: Arc<Semaphore>,
    /// It wants to be left alone until then (RFC 9110 §10.2.3): no session is an exception.
    quiet: Mutex<Option<Instant>>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(AT_ONCE)), quiet: Mutex::default() }
    }
}

impl Pace {
    /// Waits for a turn.
    ///
    /// # Errors
    /// How long to wait before asking again, if that is known.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, Option<Duration>> {
        if let Some(left) = self.quiet_for() {
            return Err(Some(left));
        }
        let turn = tokio::time::timeout(QUEUE, self.slots.clone().acquire_owned()).await.ok().and_then(Result::ok);
        match self.quiet_for() {
            Some(left) => Err(Some(left)),
            None => turn.ok_or(None),
        }
    }

    pub(super) fn leave_alone(&self, for_so_long: Duration) {
        *self.quiet.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + for_so_long);
    }

    fn quiet_for(&self) -> Option<Duration> {
        let quiet = *self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        quiet.map(|until| until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }
}

/// How long to wait after so many failures in a row: half as long again or half as short, so that sessions that failed
/// together do not come back together.
pub(super) fn backed_off(failures: u32, retry_after: Option<Duration>) -> Duration {
    let steps = failures.saturating_sub(1).min(10);
    let doubled = FIRST.saturating_mul(1 << steps).min(LONGEST);
    let jitter = entropy::random::<2>().map_or(0.5, |bytes| f64::from(u16::from_be_bytes(bytes)) / 65_536.0);
    let own = doubled.mul_f64(0.5 + jitter).min(LONGEST);
    retry_after.map_or(own, |asked| asked.max(FIRST) + FIRST.mul_f64(jitter)).max(own.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refr_05_the_back_off_grows_differs_and_has_an_end() {
        for (failures, least, most) in
            [(1, 500, 1500), (2, 1000, 3000), (3, 2000, 6000), (6, 16_000, 48_000), (7, 30_000, 60_000), (500, 30_000, 60_000)]
        {
            for _ in 0..200 {
                let millis = backed_off(failures, None).as_millis();
                assert!((least..=most).contains(&millis), "{failures}: {millis}");
            }
        }
        let several: std::collections::HashSet<Duration> = (0..20).map(|_| backed_off(3, None)).collect();
        assert!(several.len() > 10, "no herd");
    }

    #[test]
    fn refr_05_retry_after_is_honoured() {
        for _ in 0..200 {
            let millis = backed_off(1, Some(Duration::from_secs(20))).as_millis();
            assert!((20_000..=21_000).contains(&millis), "{millis}");
            assert!(backed_off(1, Some(Duration::ZERO)) >= Duration::from_secs(1));
        }
    }

    #[tokio::test]
    async fn refr_05_a_provider_that_wants_quiet_has_it() {
        let pace = Pace::default();
        assert!(pace.turn().await.is_ok());
        pace.leave_alone(Duration::from_millis(80));
        assert!(matches!(pace.turn().await, Err(Some(_))));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(pace.turn().await.is_ok());
    }

    #[tokio::test]
    async fn refr_05_so_many_at_once_and_the_next_waits() {
        let pace = Pace::default();
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(pace.turn().await.unwrap());
        }
        assert!(tokio::time::timeout(Duration::from_millis(50), pace.turn()).await.is_err());
        drop(held.pop());
        assert!(pace.turn().await.is_ok());
    }
}
