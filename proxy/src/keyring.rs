//! The sealing keys as they are now. A file that changes changes them; nobody is signed out by that, and nothing restarts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use doorward_config::settings::{KeyRing, Session};
use doorward_policy::session::SealingKeys;

use crate::runtime::CurrentRuntime;

/// Between two looks at the files. Their contents are compared, so links that are replaced (Kubernetes) and network file
/// systems need no care of their own.
const EVERY: Duration = Duration::from_secs(2);

/// The ring in use.
#[derive(Debug)]
pub struct Keyring {
    sources: Arc<KeyRing>,
    current: ArcSwap<SealingKeys>,
    /// How long a new key only opens, so that other processes hear of it before they meet what it sealed.
    settle: Duration,
    /// Since when one does.
    settling: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

/// The keys for as long as somebody looks at them.
pub struct Keys(Guard<Arc<SealingKeys>>);

impl std::ops::Deref for Keys {
    type Target = SealingKeys;

    fn deref(&self) -> &SealingKeys {
        &self.0
    }
}

impl Keyring {
    /// The keys of `session`, from whose places they are read again.
    pub fn new(session: &Session, settle: Duration) -> Self {
        Self { sources: session.key_ring.clone(), current: ArcSwap::from_pointee(session.keys.clone()), settle, settling: Mutex::default() }
    }

    /// The ring for a configuration that takes the place of another: the same one where the keys are in the same places, else
    /// one in which a new key settles as if a file had changed.
    pub fn succeeding(before: &Arc<Self>, session: &Session) -> Arc<Self> {
        if before.sources.is_same_as(&session.key_ring) {
            return before.clone();
        }
        let since = *before.settling();
        let (next, since) = succession(&before.keys(), session.keys.clone(), since, before.settle);
        Arc::new(Self {
            sources: session.key_ring.clone(),
            current: ArcSwap::from_pointee(next),
            settle: before.settle,
            settling: Mutex::new(since),
        })
    }

    /// Takes no lock.
    pub fn keys(&self) -> Keys {
        Keys(self.current.load())
    }

    /// Follows the files of the ring in use until its task is dropped. Files that cannot be used change nothing and are said
    /// once.
    pub async fn follow(current: Arc<CurrentRuntime>) {
        let mut said = String::new();
        loop {
            tokio::time::sleep(EVERY).await;
            let (ring, metrics) = {
                let runtime = current.get();
                (runtime.keyring.clone(), runtime.metrics.clone())
            };
            let looking = ring.clone();
            let Ok(outcome) = tokio::task::spawn_blocking(move || looking.look_again()).await else { continue };
            match outcome {
                Ok(false) => said.clear(),
                Ok(true) => {
                    said.clear();
                    metrics.key_ring_reloads.with_label_values(&["ok"]).inc();
                    let (keys, settles) = (ring.keys().count(), ring.settling().is_some());
                    let first = if settles { format!("opens now, and seals in {} s", ring.settle.as_secs()) } else { "seals".to_owned() };
                    tracing::info!(keys, "the session keys were read again: the first one {first}");
                }
                Err(fault) if fault == said => {}
                Err(fault) => {
                    metrics.key_ring_reloads.with_label_values(&["error"]).inc();
                    tracing::error!("the session keys were not read again, the old ones stay: {fault}");
                    said = fault;
                }
            }
        }
    }

    /// While the first key of the files is not the one that seals yet.
    fn settling(&self) -> MutexGuard<'_, Option<Instant>> {
        self.settling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files; whether that changed anything.
    fn look_again(&self) -> Result<bool, String> {
        let read = self.sources.read().map_err(|fault| fault.to_string())?;
        let mut settling = self.settling();
        let (next, since) = succession(&self.keys(), read, *settling, self.settle);
        *settling = since;
        if next.is_same_as(&self.keys()) {
            return Ok(false);
        }
        self.current.store(Arc::new(next));
        Ok(true)
    }
}

/// What comes after `now` when `read` is what stands there: a new key opens at once, and seals `settle` later. While it
/// settles, since when; the others are led by what seals now where it is still among them.
fn succession(now: &SealingKeys, read: SealingKeys, since: Option<Instant>, settle: Duration) -> (SealingKeys, Option<Instant>) {
    match since {
        Some(begun) if begun.elapsed() >= settle => (read, None),
        Some(_) => (read.led_by(now).unwrap_or(read), since),
        None => match read.sealing_as(now).filter(|_| !settle.is_zero()) {
            Some(first) => (first, Some(Instant::now())),
            None => (read, None),
        },
    }
}
