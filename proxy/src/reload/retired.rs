//! Configurations that are no longer in use, until the last request that began under them has ended.
//!
//! Whoever lets go of one last frees all of it, and may close a file. So they are kept here and freed where nobody waits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::runtime::{CurrentRuntime, Runtime};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(500);

pub(super) struct Retired {
    runtimes: Mutex<Vec<Arc<Runtime>>>,
    /// Those that are on their way out.
    freeing: AtomicUsize,
}

impl Retired {
    pub(super) fn new(current: Arc<CurrentRuntime>) -> Arc<Self> {
        let retired = Arc::new(Self { runtimes: Mutex::default(), freeing: AtomicUsize::new(0) });
        let this = Arc::downgrade(&retired);
        current.get().control.spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let Some(retired) = this.upgrade() else { return };
                let unused = retired.unused();
                if unused.is_empty() {
                    continue;
                }
                // A panic while freeing is nobody's business here.
                let _ = tokio::task::spawn_blocking(move || drop(unused)).await;
                retired.freeing.store(0, Ordering::Relaxed);
                let runtime = current.get();
                // Their last requests may have counted for routes that are gone.
                runtime.metrics.prune(&runtime.settings);
            }
        });
        retired
    }

    pub(super) fn add(&self, runtime: Arc<Runtime>) {
        self.runtimes().push(runtime);
    }

    pub(super) fn len(&self) -> usize {
        self.runtimes().len() + self.freeing.load(Ordering::Relaxed)
    }

    /// Those that nobody else has. Nobody can come by one again: the only way to it was to be the current one.
    fn unused(&self) -> Vec<Arc<Runtime>> {
        let mut runtimes = self.runtimes();
        let unused: Vec<_> = runtimes.extract_if(.., |runtime| Arc::strong_count(runtime) == 1).collect();
        self.freeing.store(unused.len(), Ordering::Relaxed);
        unused
    }

    fn runtimes(&self) -> MutexGuard<'_, Vec<Arc<Runtime>>> {
        self.runtimes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
