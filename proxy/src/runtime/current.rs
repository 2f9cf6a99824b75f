//! The configuration in use, with everything made from it.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Runtime;

/// Replaced whole, in one step. Whoever serves a request takes it once and keeps it to the end: no request sees two.
#[derive(Debug)]
pub struct CurrentRuntime(ArcSwap<Runtime>);

impl CurrentRuntime {
    pub fn new(runtime: Runtime) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(runtime)))
    }

    /// What counts now. Takes no lock.
    pub fn get(&self) -> Arc<Runtime> {
        self.0.load_full()
    }

    /// From here on `next` counts; what counted until now is what is returned.
    pub(crate) fn replace(&self, next: Arc<Runtime>) -> Arc<Runtime> {
        self.0.swap(next)
    }
}
