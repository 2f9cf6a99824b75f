//! Putting the edge together, and taking it apart again without cutting anybody off.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use doorward_config::settings::{Server, Settings};
use pingora::apps::{HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use tokio::sync::watch;

use crate::access_log::{AccessLog, RefusedLine, now_millis};
use crate::admin::{self, Admin};
use crate::edge::Edge;
use crate::hooks::{GrpcListeners, GrpcServing, HookDoor, Peers};
use crate::keys::Tempo;
use crate::listen::{ConnectionEvents, Drained, Listeners, OurHosts, Purpose, Serving, TlsStores, info_of};
use crate::runtime::{Runtime, RuntimeFault};
use crate::streams;
use crate::tls::{CertInfo, CertificateError, CertificateWatcher, TlsStore};

/// Idle connections to apps that one world keeps.
const UPSTREAM_POOL: usize = 256;
/// How long the first look-up of upstream names may hold up the start.
const FIRST_RESOLVE: Duration = Duration::from_secs(3);
/// How long a token refresh may hold up a stop: what it brings is lost if it is not stored.
const SETTLE: Duration = Duration::from_secs(10);

/// A running edge. Dropping it ends it at once; [`Doorward::stop`] lets requests in flight finish.
#[derive(Debug)]
pub struct Doorward {
    runtime: Arc<Runtime>,
    serving: Option<Serving>,
    grpc: Option<GrpcServing>,
    admin: Option<SocketAddr>,
    draining: Arc<AtomicBool>,
    /// Keeps the certificates' files watched.
    _watchers: Vec<CertificateWatcher>,
    /// Wakes what waits for the end on the admin listener.
    _shutdown: watch::Sender<bool>,
    control: Option<tokio::runtime::Runtime>,
}

/// Why the edge does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    #[error(transparent)]
    Runtime(#[from] RuntimeFault),
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    #[error("{0}")]
    Listen(#[from] std::io::Error),
}

impl Doorward {
    /// Starts. Must not be called from within an async runtime: it waits for names to be resolved.
    ///
    /// # Errors
    /// [`StartFault`]; nothing is left running then.
    pub fn start(settings: Settings, tempo: Tempo, access_log: AccessLog) -> Result<Self, StartFault> {
        // Everything that waits for others (providers, names, health checks) runs here, never on a world's thread.
        let control = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("control").enable_all().build()?;
        let server = settings.server.clone();
        let runtime = Arc::new(Runtime::new(settings, tempo, access_log, control.handle().clone())?);
        let tls = tls_stores(&server)?;
        let listeners = Listeners::bind(&server)?;
        let grpc = GrpcListeners::bind(&server)?;
        let admin_listener = server.admin.map(|address| control.block_on(admin::bind(address))).transpose()?;
        let admin = admin_listener.as_ref().map(tokio::net::TcpListener::local_addr).transpose()?;

        control.block_on(async { tokio::join!(first_look(&runtime), runtime.revocations.load()) });
        control.spawn(runtime.revocations.clone().follow());
        for pool in runtime.upstreams.iter().flatten() {
            control.spawn(pool.clone().keep_fresh(runtime.metrics.clone()));
        }
        let watchers = [&tls.public, &tls.hooks].into_iter().flatten().filter_map(|store| watch_certificates(store, &runtime)).collect();
        control.spawn(runtime.sessions.clone().sweep());
        control.spawn(runtime.keyring.clone().follow(runtime.metrics.clone()));
        control.spawn(streams::keep_swept(runtime.clone()));
        let draining = Arc::new(AtomicBool::new(false));
        let (shutdown, ended) = watch::channel(false);
        if let Some(listener) = admin_listener {
            control.spawn(Admin::new(runtime.clone(), draining.clone()).serve(listener, ended));
        }
        let hook_tls = tls.hooks.clone();
        let serving = serve(listeners, &server, tls, &runtime, &draining)?;
        let grpc = grpc.map(|grpc| grpc.serve(hook_tls, &runtime, Arc::new(Events(runtime.clone())))).transpose()?;
        let (serving, control) = (Some(serving), Some(control));
        Ok(Self { runtime, serving, grpc, admin, draining, _watchers: watchers, _shutdown: shutdown, control })
    }

    /// Where TLS is spoken.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.serving.as_ref().map(|serving| serving.addresses().to_vec()).unwrap_or_default()
    }

    /// Where plain HTTP is redirected.
    pub fn redirect_addresses(&self) -> Vec<SocketAddr> {
        self.serving.as_ref().map(|serving| serving.redirect_addresses().to_vec()).unwrap_or_default()
    }

    /// Where other proxies ask.
    pub fn hook_addresses(&self) -> Vec<SocketAddr> {
        self.serving.as_ref().map(|serving| serving.hook_addresses().to_vec()).unwrap_or_default()
    }

    /// Where Envoy asks over gRPC.
    pub fn grpc_addresses(&self) -> Vec<SocketAddr> {
        self.grpc.as_ref().map(|grpc| grpc.addresses().to_vec()).unwrap_or_default()
    }

    /// Where metrics and health are.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// Says on `/readyz` that it is about to stop, so that a load balancer looks elsewhere.
    pub fn announce_stop(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Stops: no new connections, requests in flight may finish within the configured time.
    pub fn stop(mut self) -> Drained {
        self.announce_stop();
        let grace = self.runtime.settings.server.drain;
        let drained = match (self.serving.take(), &self.control) {
            (Some(serving), Some(control)) => {
                let grpc = self.grpc.take();
                let asked = async { if let Some(grpc) = grpc { grpc.stop(grace).await.clean } else { true } };
                let (drained, clean) = control.block_on(async { tokio::join!(serving.stop(grace), asked) });
                Drained { clean: drained.clean && clean }
            }
            _ => Drained { clean: false },
        };
        if let Some(control) = &self.control {
            control.block_on(self.runtime.sessions.settle(SETTLE));
        }
        self.runtime.access_log.flush();
        drained
    }
}

impl Drop for Doorward {
    fn drop(&mut self) {
        if let Some(control) = self.control.take() {
            // Fetches under way are nobody's any more.
            control.shutdown_background();
        }
    }
}

/// Names that are addresses already are known at once; the others are given a moment.
async fn first_look(runtime: &Arc<Runtime>) {
    let looks = futures::future::join_all(runtime.upstreams.iter().flatten().map(|pool| pool.resolve()));
    if tokio::time::timeout(FIRST_RESOLVE, looks).await.is_err() {
        tracing::warn!("some upstream names are not resolved yet; their routes answer 503 until they are");
    }
}

fn watch_certificates(tls: &Arc<TlsStore>, runtime: &Arc<Runtime>) -> Option<CertificateWatcher> {
    let metrics = runtime.metrics.clone();
    let report = move |outcome: Result<Vec<CertInfo>, String>| {
        metrics.certificate_reloads.with_label_values(&[if outcome.is_ok() { "ok" } else { "error" }]).inc();
        match outcome {
            Ok(certificates) => certificates.iter().for_each(|certificate| {
                metrics.certificates.with_label_values(&[certificate.name.as_str()]).set(certificate.not_after);
            }),
            Err(text) => tracing::error!("certificates were not reloaded, the old ones stay: {text}"),
        }
    };
    CertificateWatcher::start(tls.clone(), report).inspect_err(|error| tracing::warn!("certificate files are not watched: {error}")).ok()
}

/// Reads the certificates of whatever speaks TLS.
///
/// # Errors
/// [`CertificateError`] names the file and what to do about it.
pub fn tls_stores(server: &Server) -> Result<TlsStores, CertificateError> {
    let public = (!server.listen.is_empty()).then(|| TlsStore::load(&server.tls)).transpose()?;
    let asked = server.hooks.as_ref().filter(|hooks| hooks.tls);
    let hooks = asked.map(|hooks| TlsStore::load_for(&server.tls, hooks.client_ca.as_deref())).transpose()?;
    Ok(TlsStores { public, hooks })
}

fn serve(
    listeners: Listeners,
    server: &Server,
    tls: TlsStores,
    runtime: &Arc<Runtime>,
    draining: &Arc<AtomicBool>,
) -> Result<Serving, StartFault> {
    let conf = Arc::new(ServerConf { threads: 1, upstream_keepalive_pool_size: UPSTREAM_POOL, ..ServerConf::default() });
    let hooks = server.hooks.as_ref().map(|hooks| Arc::new(HookDoor::new(runtime.clone(), Peers::new(hooks), draining.clone())));
    let factory = {
        let runtime = runtime.clone();
        move |_world: usize| Arc::new(Doors { proxy: Arc::new(http_proxy(&conf, Edge::new(runtime.clone()))), hooks: hooks.clone() })
    };
    let hosts: OurHosts = {
        let runtime = runtime.clone();
        Arc::new(move |name: &str| runtime.serves_host(name))
    };
    Ok(listeners.serve(tls, factory, hosts, Arc::new(Events(runtime.clone())))?)
}

/// What a world does with a request: by the listener it came through.
struct Doors {
    proxy: Arc<HttpProxy<Edge>>,
    hooks: Option<Arc<HookDoor>>,
}

#[async_trait]
impl HttpServerApp for Doors {
    async fn process_new_http(self: &Arc<Self>, session: ServerSession, shutdown: &ShutdownWatch) -> Option<ReusedHttpStream> {
        let purpose = session.digest().and_then(info_of)?.purpose;
        match (purpose, &self.hooks) {
            (Purpose::Public, _) => streams::until_cut(self.proxy.process_new_http(session, shutdown)).await,
            (Purpose::Hooks, Some(hooks)) => hooks.serve(session, shutdown).await,
            (Purpose::Hooks, None) => None,
        }
    }
}

/// Counts and logs what never became a request.
struct Events(Arc<Runtime>);

impl ConnectionEvents for Events {
    fn refused(&self, client: IpAddr, reason: &'static str, status: Option<u16>, request_id: &str) {
        self.0.metrics.refused.with_label_values(&[reason]).inc();
        self.0.access_log.write(&RefusedLine { time: now_millis(), request_id, client, status, decision: "refuse", reason });
    }

    fn handshake(&self, outcome: &'static str) {
        self.0.metrics.handshakes.with_label_values(&[outcome]).inc();
    }

    fn connection(&self, delta: i64) {
        self.0.metrics.connections.add(delta);
    }
}
