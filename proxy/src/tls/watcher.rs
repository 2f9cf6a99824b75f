//! Follows the certificate files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use doorward_config::settings::Tls;
use notify_debouncer_full::notify::event::{AccessKind, AccessMode};
use notify_debouncer_full::notify::{EventKind, RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, RecommendedCache, new_debouncer};

use super::store::{Fingerprint, fingerprint_of};
use super::{CertInfo, TlsStore};
use crate::metrics::Metrics;

/// A pair of files is written one after the other; wait until both have come.
const SETTLE: Duration = Duration::from_millis(500);

/// Reloads a [`TlsStore`] when its files change, for as long as it lives.
///
/// The directories are watched, not the files: Kubernetes and certbot replace links, and a watched file would keep
/// looking at the old target.
pub struct CertificateWatcher {
    debouncer: Debouncer<RecommendedWatcher, RecommendedCache>,
    watched: BTreeSet<PathBuf>,
    store: Arc<TlsStore>,
}

impl std::fmt::Debug for CertificateWatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateWatcher").field("watched", &self.watched).finish_non_exhaustive()
    }
}

impl CertificateWatcher {
    /// Calls `report` once at the start with what is in use, then after every change with what came of it: the new
    /// certificates, or why the old ones stay.
    ///
    /// # Errors
    /// When the system cannot watch a directory. The certificates in use stay, and [`TlsStore::reload`] still works.
    pub fn start(
        store: Arc<TlsStore>,
        report: impl Fn(Result<Vec<CertInfo>, String>) + Send + Sync + 'static,
    ) -> Result<Self, notify_debouncer_full::notify::Error> {
        report(Ok(store.certificates()));
        let reloaded = store.clone();
        let mut last: Option<Fingerprint> = None;
        let debouncer = new_debouncer(SETTLE, None, move |events: DebounceEventResult| {
            let changed = events.map_or(true, |events| events.iter().any(|event| is_change(&event.kind)));
            if changed {
                reload_if_changed(&reloaded, &mut last, &report);
            }
        })?;
        let mut watcher = Self { debouncer, watched: BTreeSet::new(), store };
        watcher.follow()?;
        Ok(watcher)
    }

    /// Watches where the files are now: to be called after [`TlsStore::replace`].
    ///
    /// # Errors
    /// When the system cannot watch a directory.
    pub fn follow(&mut self) -> Result<(), notify_debouncer_full::notify::Error> {
        let wanted = directories(&self.store.settings());
        for gone in self.watched.difference(&wanted) {
            // It may have been removed; then there is nothing to unwatch.
            let _ = self.debouncer.unwatch(gone);
        }
        for new in wanted.difference(&self.watched) {
            self.debouncer.watch(new, RecursiveMode::NonRecursive)?;
        }
        self.watched = wanted;
        Ok(())
    }
}

/// The same, with metrics and the log told of it. `None`: the system cannot watch the files.
pub(crate) fn watch_certificates(tls: &Arc<TlsStore>, metrics: &Metrics) -> Option<CertificateWatcher> {
    let (reloads, ends) = (metrics.certificate_reloads.clone(), metrics.certificates.clone());
    let report = move |outcome: Result<Vec<CertInfo>, String>| {
        reloads.with_label_values(&[if outcome.is_ok() { "ok" } else { "error" }]).inc();
        match outcome {
            Ok(certificates) => certificates.iter().for_each(|certificate| {
                ends.with_label_values(&[certificate.name.as_str()]).set(certificate.not_after);
            }),
            Err(text) => tracing::error!("certificates were not reloaded, the old ones stay: {text}"),
        }
    };
    CertificateWatcher::start(tls.clone(), report).inspect_err(|error| tracing::warn!("certificate files are not watched: {error}")).ok()
}

fn directories(settings: &Tls) -> BTreeSet<PathBuf> {
    let files = settings.certificates.iter().flat_map(|files| [&files.cert, &files.key]);
    let parent = |path: &PathBuf| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => Path::new(".").to_owned(),
    };
    files.map(parent).collect()
}

/// Reading a file is an event too; answering it with another reading would never end.
pub(crate) fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

/// Other files may live in the same directory, so the contents decide.
fn reload_if_changed(store: &TlsStore, last: &mut Option<Fingerprint>, report: &impl Fn(Result<Vec<CertInfo>, String>)) {
    let now = fingerprint_of(&store.settings());
    if now.is_some() && (now == Some(store.fingerprint()) || now == *last) {
        return;
    }
    *last = now;
    report(store.reload().map_err(|error| error.to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{self, Files};
    use std::sync::mpsc;

    type Report = Result<Vec<CertInfo>, String>;

    fn watch(store: &Arc<TlsStore>) -> (CertificateWatcher, mpsc::Receiver<Report>) {
        let (reports, received) = mpsc::channel();
        let watcher = CertificateWatcher::start(store.clone(), move |report| drop(reports.send(report))).unwrap();
        (watcher, received)
    }

    fn next(reports: &mpsc::Receiver<Report>) -> Report {
        reports.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    #[test]
    fn tls_04_changed_files_are_taken_and_bad_ones_are_not() {
        let files = Files::new();
        let pair = files.write("app", &testing::pair(&["one.example"]));
        let store = TlsStore::load(&testing::settings(vec![pair.clone()])).unwrap();
        let (_watcher, reports) = watch(&store);
        assert_eq!(next(&reports).unwrap()[0].name, "one.example");

        files.write("app", &testing::pair(&["two.example"]));
        assert_eq!(next(&reports).unwrap()[0].name, "two.example");

        std::fs::write(&pair.key, "not a key").unwrap();
        assert!(next(&reports).unwrap_err().contains("holds no private key"));
        assert_eq!(store.certificates()[0].name, "two.example");

        files.file("unrelated", "x");
        assert!(reports.recv_timeout(Duration::from_secs(1)).is_err());

        files.write("app", &testing::pair(&["three.example"]));
        assert_eq!(next(&reports).unwrap()[0].name, "three.example");
    }

    #[test]
    fn tls_04_a_swapped_link_is_a_change() {
        // Kubernetes: `tls.crt` → `..data/tls.crt`, and `..data` → a dated directory, replaced by rename.
        let files = Files::new();
        let mounted = files.path("mounted");
        let write = |version: &str, name: &str| {
            let directory = mounted.join(version);
            std::fs::create_dir_all(&directory).unwrap();
            let (cert, key) = testing::pair(&[name]);
            std::fs::write(directory.join("tls.crt"), cert).unwrap();
            std::fs::write(directory.join("tls.key"), key).unwrap();
            std::os::unix::fs::symlink(version, mounted.join("..new")).unwrap();
            std::fs::rename(mounted.join("..new"), mounted.join("..data")).unwrap();
        };
        write("..2026_1", "one.example");
        for file in ["tls.crt", "tls.key"] {
            std::os::unix::fs::symlink(Path::new("..data").join(file), mounted.join(file)).unwrap();
        }
        let pair = doorward_config::settings::CertificateFiles { cert: mounted.join("tls.crt"), key: mounted.join("tls.key") };
        let store = TlsStore::load(&testing::settings(vec![pair])).unwrap();
        let (_watcher, reports) = watch(&store);
        assert_eq!(next(&reports).unwrap()[0].name, "one.example");
        write("..2026_2", "two.example");
        assert_eq!(next(&reports).unwrap()[0].name, "two.example");
    }
}
