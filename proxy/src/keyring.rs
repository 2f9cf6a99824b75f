//! The sealing keys as they are now. A file that changes changes them; nobody is signed out by that, and nothing restarts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use doorward_config::settings::Settings;
use doorward_policy::session::SealingKeys;

use crate::metrics::Metrics;

/// Between two looks at the files. Their contents are compared, so links that are replaced (Kubernetes) and network file
/// systems need no care of their own.
const EVERY: Duration = Duration::from_secs(2);

/// The ring in use.
#[derive(Debug)]
pub struct Keyring {
    settings: Arc<Settings>,
    /// `None` until the first change: then the settings' own ring is it.
    changed: ArcSwap<Option<SealingKeys>>,
    /// How long a new key only opens, so that other processes hear of it before they meet what it sealed.
    settle: Duration,
    /// Since when one does.
    settling: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

/// The keys for as long as somebody looks at them.
pub struct Keys<'k> {
    settings: &'k SealingKeys,
    changed: Guard<Arc<Option<SealingKeys>>>,
}

impl std::ops::Deref for Keys<'_> {
    type Target = SealingKeys;

    fn deref(&self) -> &SealingKeys {
        self.changed.as_ref().as_ref().unwrap_or(self.settings)
    }
}

impl Keyring {
    pub fn new(settings: Arc<Settings>, settle: Duration) -> Self {
        Self { settings, changed: ArcSwap::from_pointee(None), settle, settling: Mutex::default() }
    }

    /// Takes no lock.
    pub fn keys(&self) -> Keys<'_> {
        Keys { settings: &self.settings.session.keys, changed: self.changed.load() }
    }

    /// Follows the files until its task is dropped. Files that cannot be used change nothing and are said once.
    pub async fn follow(self: Arc<Self>, metrics: Arc<Metrics>) {
        let mut said = String::new();
        loop {
            tokio::time::sleep(EVERY).await;
            let ring = self.clone();
            let Ok(outcome) = tokio::task::spawn_blocking(move || ring.look_again()).await else { continue };
            match outcome {
                Ok(false) => said.clear(),
                Ok(true) => {
                    said.clear();
                    metrics.key_ring_reloads.with_label_values(&["ok"]).inc();
                    let (keys, settles) = (self.keys().count(), self.is_settling());
                    let first = if settles { format!("opens now, and seals in {} s", self.settle.as_secs()) } else { "seals".to_owned() };
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

    /// Whether the first key of the files is not the one that seals yet.
    fn is_settling(&self) -> bool {
        self.settling.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Reads the files; whether that changed anything.
    fn look_again(&self) -> Result<bool, String> {
        let read = self.settings.session.key_ring.read().map_err(|fault| fault.to_string())?;
        let mut settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match *settling {
            Some(since) if since.elapsed() >= self.settle => {
                *settling = None;
                read
            }
            Some(_) => self.keys().led_as_now(read),
            None => match read.sealing_as(&self.keys()).filter(|_| !self.settle.is_zero()) {
                Some(first) => {
                    *settling = Some(Instant::now());
                    first
                }
                None => read,
            },
        };
        if next.is_same_as(&self.keys()) {
            return Ok(false);
        }
        self.changed.store(Arc::new(Some(next)));
        Ok(true)
    }
}

impl Keys<'_> {
    /// While a new key settles: what the files say now, led by what seals now where it is still among them.
    fn led_as_now(&self, read: SealingKeys) -> SealingKeys {
        read.led_by(self).unwrap_or(read)
    }
}
