//! An answer in time, or none: a question that fails is never a yes.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures::{FutureExt as _, poll};
use tokio::time::timeout;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    #[error("the answer failed")]
    Failed,
    #[error("the answer took too long")]
    TooLate,
}

impl Unanswered {
    /// What the log calls it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Failed => "hook_failed",
            Self::TooLate => "hook_timeout",
        }
    }
}

/// What becomes of `work` (DOS-10).
///
/// # Errors
/// [`Unanswered`] for a panic and for a lack of time.
pub async fn guarded<T>(patience: Duration, work: impl Future<Output = T>) -> Result<T, Unanswered> {
    let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
    // Most answers wait for nothing: only what does pays for a timer.
    let outcome = match poll!(work.as_mut()) {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => timeout(patience, work).await,
    };
    match outcome {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => {
            tracing::error!("answering a question ended in a panic");
            Err(Unanswered::Failed)
        }
        Err(_) => Err(Unanswered::TooLate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn hook_05_a_panic_or_a_lack_of_time_is_an_error_and_never_an_answer() {
        let patience = Duration::from_secs(1);
        assert_eq!(guarded(patience, async { 1 }).await, Ok(1));
        let slow = |millis| guarded(patience, async move { sleep(Duration::from_millis(millis)).await });
        assert!(slow(900).await.is_ok());
        assert_eq!(slow(1100).await, Err(Unanswered::TooLate));
        assert_eq!(guarded(patience, std::future::pending::<()>()).await, Err(Unanswered::TooLate));
        let fails = |yes: bool| async move { assert!(yes, "as told") };
        assert!(guarded(patience, fails(true)).await.is_ok());
        assert_eq!(guarded(patience, fails(false)).await, Err(Unanswered::Failed));
    }
}
