//! Another configuration in the place of the one in use, while requests pass.
//!
//! All of it is read and compiled beside the requests, then swapped in one step: a request sees the one or the other, never
//! half of both. What is wrong with the new one changes nothing, and is said with its places. What the new settings leave as
//! it is goes on: the store, who was signed out, sessions, keys, connections to apps, counts ([`Runtime::succeeding`]).

mod fixed;
mod outcome;
mod published;
mod retired;
mod source;
mod watcher;

pub use fixed::Fixed;
pub use outcome::{Refused, Reloaded, Trigger};
pub use published::published_secret;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_config::settings::Server;
use doorward_config::{Loaded, ReadFile, Report};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::audit::AuditSink;
use crate::clock;
use crate::listen::{Admittance, Terms, TlsStores};
use crate::runtime::{CurrentRuntime, Runtime};
use crate::tls::{CertificateError, CertificateWatcher, TlsStore, watch_certificates};
use crate::upstream::UpstreamPool;
use retired::Retired;
use source::Source;
use watcher::Watcher;

/// How long the first look-up of upstream names may hold up a start or a reload.
const FIRST_RESOLVE: Duration = Duration::from_secs(3);

/// Reads the configuration again, one reload at a time.
pub struct Reloader {
    current: Arc<CurrentRuntime>,
    admittance: Admittance,
    control: Handle,
    source: Mutex<Option<Source>>,
    /// Held by the reload under way.
    turn: tokio::sync::Mutex<()>,
    retired: Arc<Retired>,
    /// Keep the certificates' files watched.
    certificates: Mutex<Vec<CertificateWatcher>>,
    watcher: Mutex<Option<Watcher>>,
    /// A file may have changed.
    stirred: Arc<Notify>,
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader").field("retired", &self.retired.len()).finish_non_exhaustive()
    }
}

/// All that is needed to swap, made without changing anything.
struct Prepared {
    runtime: Runtime,
    tls: TlsStores,
    audit: AuditSink,
    warnings: Report,
    files: Vec<ReadFile>,
}

impl Reloader {
    /// Certificates are followed from here on, and what is no longer in use is put away.
    pub fn new(current: Arc<CurrentRuntime>, admittance: Admittance) -> Arc<Self> {
        let runtime = current.get();
        let reloader = Arc::new(Self {
            control: runtime.control.clone(),
            source: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            retired: Retired::new(current.clone()),
            certificates: Mutex::default(),
            watcher: Mutex::default(),
            stirred: Arc::default(),
            current,
            admittance,
        });
        *reloader.certificates() = watched(&reloader.admittance.terms().tls, &runtime);
        runtime.metrics.configured(None, clock::now());
        reloader
    }

    /// The configuration in use came from this file, and was read from these.
    pub fn read_from(&self, path: &Path, files: Vec<ReadFile>) {
        let source = Source::new(path.to_owned(), files, &self.current.get().settings);
        self.current.get().metrics.configured(Some(&source.hash()), clock::now());
        *self.source() = Some(source);
    }

    /// Follows the files, for as long as this lives. Where the system cannot watch them, they are looked at now and then.
    pub fn follow_files(self: &Arc<Self>) {
        match Watcher::new(self.stirred.clone()) {
            Ok(watcher) => *self.watcher() = Some(watcher),
            Err(error) => tracing::warn!("changes of the configuration are noticed late: its files cannot be watched: {error}"),
        }
        self.watch_anew();
        self.control.spawn(watcher::follow(Arc::downgrade(self), self.stirred.clone()));
    }

    /// Reads everything again. Nobody who goes away meanwhile stops it.
    ///
    /// # Errors
    /// [`Refused`]: the configuration in use stays as it is.
    pub async fn reload(self: &Arc<Self>, by: Trigger) -> Result<Reloaded, Refused> {
        let this = self.clone();
        let reloading = self.control.spawn(async move {
            let _turn = this.turn.lock().await;
            let outcome = this.attempt().await;
            outcome::tell(&this.current.get(), by, &outcome);
            outcome
        });
        reloading.await.unwrap_or_else(|_| Err(Refused::broken()))
    }

    /// The same, for somebody who does not wait for what comes of it.
    pub fn reload_later(self: &Arc<Self>, by: Trigger) {
        let this = self.clone();
        self.control.spawn(async move {
            // It is said in the log.
            let _ = this.reload(by).await;
        });
    }

    /// How many earlier configurations requests still stand on.
    pub fn retired(&self) -> usize {
        self.retired.len()
    }

    async fn attempt(self: &Arc<Self>) -> Result<Reloaded, Refused> {
        let Some(path) = self.source().as_ref().map(Source::path).map(Path::to_owned) else { return Err(Refused::NoFile) };
        let before = self.current.get();
        let this = self.clone();
        let preparing = tokio::task::spawn_blocking(move || this.prepare(&path, &before));
        let outcome = preparing.await.unwrap_or_else(|_| Err((Refused::broken(), Vec::new())));
        match outcome {
            Ok(prepared) => {
                warm(&self.current.get(), &prepared.runtime).await;
                // Not on the thread that talks to providers: what follows the swap looks at files, and at every route.
                let this = self.clone();
                tokio::task::spawn_blocking(move || this.swap(prepared)).await.map_err(|_| Refused::broken())
            }
            Err((refused, files)) => {
                if let Some(source) = self.source().as_mut() {
                    source.failed(files);
                }
                self.watch_anew();
                Err(refused)
            }
        }
    }

    /// Reads, compares and compiles. Waits for the disk; changes nothing. What goes wrong comes with the files that were read.
    fn prepare(&self, path: &Path, before: &Runtime) -> Result<Prepared, (Refused, Vec<ReadFile>)> {
        source::check_plain(path).map_err(|refused| (refused, Vec::new()))?;
        let Loaded { settings, warnings, files } = match doorward_config::load(path) {
            Ok(loaded) => loaded,
            Err(report) => {
                let files = report.files().to_vec();
                return Err((Refused::Configuration(Box::new(report)), files));
            }
        };
        let refuse = |refused: Refused| (refused, files.clone());
        if let Some((key, text)) = published_secret(&settings) {
            return Err(refuse(Refused::unusable(key, text)));
        }
        let fixed = fixed::changes(&before.settings.server, &settings.server);
        if !fixed.is_empty() {
            return Err(refuse(Refused::Fixed(fixed)));
        }
        let tls = next_tls(&self.admittance.terms().tls, &settings.server);
        let tls = tls.map_err(|error| refuse(Refused::unusable("server.tls", &error.to_string())))?;
        let audit = before.audit.prepare(settings.server.audit_log.as_ref());
        let audit = audit.map_err(|fault| refuse(Refused::unusable("", &fault.to_string())))?;
        let runtime = Runtime::succeeding(before, settings).map_err(|fault| refuse(Refused::unusable("", &fault.to_string())))?;
        Ok(Prepared { runtime, tls, audit, warnings, files })
    }

    fn swap(&self, prepared: Prepared) -> Reloaded {
        let Prepared { runtime, tls, audit, warnings, files } = prepared;
        let next = Arc::new(runtime);
        let changed_tls = !same_tls(&self.admittance.terms().tls, &tls);
        // The one step. Everything below is for connections, clocks and counters.
        let before = self.current.replace(next.clone());
        next.sessions.take_over(&before.sessions);
        next.audit.adopt(&audit);
        self.admittance.change(Terms::new(&next.settings.server, tls.clone()));
        for pool in fresh_pools(&before, &next) {
            pool.keep_fresh(&self.control, next.metrics.clone());
        }
        next.metrics.prune(&next.settings);
        if changed_tls {
            next.metrics.certificates.reset();
            *self.certificates() = watched(&tls, &next);
            [&tls.public, &tls.hooks].into_iter().flatten().for_each(|store| store.catch_up());
        }
        let source = Source::new(self.path(), files, &next.settings);
        let (hash, files) = (source.hash(), self.source().as_ref().map(|before| source.changed_since(before)).unwrap_or_default());
        *self.source() = Some(source);
        next.metrics.configured(Some(&hash), clock::now());
        let changed = outcome::changed(&before, &next);
        self.retired.add(before);
        self.watch_anew();
        Reloaded { hash, files, changed, warnings }
    }

    fn path(&self) -> PathBuf {
        self.source().as_ref().map(|source| source.path().to_owned()).unwrap_or_default()
    }

    /// Whether a file has changed since the last attempt, so that another is worth it. Reads them.
    fn is_due(&self) -> bool {
        let source = self.source().clone();
        source.is_some_and(|source| source.has_changed())
    }

    /// Watches where the files are now.
    fn watch_anew(&self) {
        let files = self.source().as_ref().map(|source| source.paths()).unwrap_or_default();
        if let Some(watcher) = self.watcher().as_mut() {
            watcher.watch(&files);
        }
    }

    fn source(&self) -> MutexGuard<'_, Option<Source>> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn certificates(&self) -> MutexGuard<'_, Vec<CertificateWatcher>> {
        self.certificates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watcher(&self) -> MutexGuard<'_, Option<Watcher>> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks names up and reads who was signed out, so that the first request under the next configuration finds what it needs.
/// Bounded: what cannot be had now is had later, as at the start.
async fn warm(before: &Runtime, next: &Runtime) {
    let revocations = async {
        let settings = &next.settings;
        let issuers = settings.providers.iter().map(|provider| provider.issuer.as_str());
        if !Arc::ptr_eq(&before.revocations, &next.revocations) {
            next.revocations.load().await;
        } else if next.revocations.keep_for(issuers, settings.session.lifetime) {
            next.revocations.load_again().await;
        }
    };
    let fresh = fresh_pools(before, next);
    tokio::join!(resolve(&fresh), revocations);
}

/// Names that are addresses already are known at once; the others are given a moment.
pub(crate) async fn resolve(pools: &[Arc<UpstreamPool>]) {
    let looks = futures::future::join_all(pools.iter().map(|pool| pool.resolve()));
    if tokio::time::timeout(FIRST_RESOLVE, looks).await.is_err() {
        tracing::warn!("some upstream names are not resolved yet; their routes answer 503 until they are");
    }
}

fn fresh_pools(before: &Runtime, next: &Runtime) -> Vec<Arc<UpstreamPool>> {
    let known: std::collections::HashSet<_> = before.upstreams.iter().flatten().map(Arc::as_ptr).collect();
    next.upstreams.iter().flatten().filter(|pool| !known.contains(&Arc::as_ptr(pool))).cloned().collect()
}

/// The certificates of whatever speaks TLS, read again where the settings or the files are new.
fn next_tls(before: &TlsStores, server: &Server) -> Result<TlsStores, CertificateError> {
    let read = |before: &Option<Arc<TlsStore>>, client_ca: Option<&[u8]>| match before {
        Some(before) => TlsStore::succeeding(before, &server.tls, client_ca),
        None => TlsStore::load_for(&server.tls, client_ca),
    };
    let public = (!server.listen.is_empty()).then(|| read(&before.public, None)).transpose()?;
    let asked = server.hooks.as_ref().filter(|hooks| hooks.tls);
    let hooks = asked.map(|hooks| read(&before.hooks, hooks.client_ca.as_deref())).transpose()?;
    Ok(TlsStores { public, hooks })
}

fn same_tls(one: &TlsStores, other: &TlsStores) -> bool {
    let same =
        |one: &Option<Arc<TlsStore>>, other: &Option<Arc<TlsStore>>| one.as_ref().map(Arc::as_ptr) == other.as_ref().map(Arc::as_ptr);
    same(&one.public, &other.public) && same(&one.hooks, &other.hooks)
}

fn watched(tls: &TlsStores, runtime: &Runtime) -> Vec<CertificateWatcher> {
    [&tls.public, &tls.hooks].into_iter().flatten().filter_map(|store| watch_certificates(store, &runtime.metrics)).collect()
}
