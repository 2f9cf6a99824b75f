//! Follows the files of the configuration.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use notify_debouncer_full::notify::{self, RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, RecommendedCache, new_debouncer};
use tokio::sync::Notify;

use super::{Reloader, Trigger};
use crate::tls::is_change;

/// Whoever writes is given this long to finish; a file that was read half is bad, and read again with its next change.
const SETTLE: Duration = Duration::from_millis(250);
/// The files are looked at this often besides: some file systems tell of no change.
const LOOK: Duration = Duration::from_secs(10);

/// Stirs when something happens in a folder of the files.
///
/// The folders are watched, not the files: editors and Kubernetes replace files and links, and a watched file would keep
/// looking at what was there.
pub(super) struct Watcher {
    debouncer: Debouncer<RecommendedWatcher, RecommendedCache>,
    watched: BTreeSet<PathBuf>,
}

impl Watcher {
    /// # Errors
    /// When the system cannot watch anything.
    pub(super) fn new(stirred: Arc<Notify>) -> Result<Self, notify::Error> {
        let debouncer = new_debouncer(SETTLE, None, move |events: DebounceEventResult| {
            if events.map_or(true, |events| events.iter().any(|event| is_change(&event.kind))) {
                stirred.notify_one();
            }
        })?;
        Ok(Self { debouncer, watched: BTreeSet::new() })
    }

    /// Watches the folders of `files` and of what they are links to, and no others.
    pub(super) fn watch(&mut self, files: &[PathBuf]) {
        let wanted: BTreeSet<PathBuf> = files.iter().flat_map(|path| folders(path)).collect();
        for gone in self.watched.difference(&wanted) {
            // It may have been removed; then there is nothing to unwatch.
            let _ = self.debouncer.unwatch(gone);
        }
        let (known, mut watched) = (std::mem::take(&mut self.watched), BTreeSet::new());
        for folder in wanted {
            // One that cannot be watched is tried again with the next reload, and looked at meanwhile.
            if known.contains(&folder) || self.debouncer.watch(&folder, RecursiveMode::NonRecursive).is_ok() {
                watched.insert(folder);
            }
        }
        self.watched = watched;
    }
}

fn folders(path: &Path) -> impl Iterator<Item = PathBuf> {
    let of = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => Path::new(".").to_owned(),
    };
    let own = path.is_dir().then(|| path.to_owned());
    let target = std::fs::canonicalize(path).ok().map(|target| of(&target));
    [Some(of(path)), target, own].into_iter().flatten()
}

/// Reloads when a file has changed, until its task is dropped.
pub(super) async fn follow(reloader: Weak<Reloader>, stirred: Arc<Notify>) {
    loop {
        // A time that is over is a reason to look as well.
        let _ = tokio::time::timeout(LOOK, stirred.notified()).await;
        let Some(reloader) = reloader.upgrade() else { return };
        let looking = reloader.clone();
        let due = tokio::task::spawn_blocking(move || looking.is_due()).await;
        if due.unwrap_or(false) {
            // What came of it is said there.
            let _ = reloader.reload(Trigger::File).await;
        }
    }
}
