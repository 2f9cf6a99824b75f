//! Putting the edge together, and taking it apart again without cutting anybody off.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use doorward_config::settings::{Server, Settings};
use pingora::apps::{HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora::time::fast_timeout::set_fast_timeout_to_tokio_threshold;
use tokio::sync::watch;

use crate::access_log::AccessLog;
use crate::admin::{self, Admin};
use crate::audit;
use crate::edge::Edge;
use crate::hooks::{GrpcListeners, GrpcServing, HookDoor};
use crate::keyring::Keyring;
use crate::keys::Tempo;
use crate::listen::{ConnectionEvents, CurrentTerms, Drained, Listeners, OurHosts, Purpose, Serving, Terms, TlsStores, info_of};
use crate::reload::{self, Reloader};
use crate::revocations::RevocationList;
use crate::runtime::{CurrentRuntime, Runtime, RuntimeFault};
use crate::sessions::Sessions;
use crate::streams;
use crate::tls::{CertificateError, TlsStore};

/// Idle connections to apps that one world keeps.
const UPSTREAM_POOL: usize = 256;
/// How long a token refresh may hold up a stop: what it brings is lost if it is not stored.
const SETTLE: Duration = Duration::from_secs(10);
/// How long the audit log may take to be written at the end.
const FLUSH: Duration = Duration::from_secs(5);

/// A running edge. Dropping it ends it at once; [`Doorward::stop`] lets requests in flight finish.
#[derive(Debug)]
pub struct Doorward {
    current: Arc<CurrentRuntime>,
    reloader: Arc<Reloader>,
    serving: Option<Serving>,
    grpc: Option<GrpcServing>,
    admin: Option<SocketAddr>,
    draining: Arc<AtomicBool>,
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
        // Timers of a second or more are tokio's: each world has a wheel to itself, and takes a timer out again that is not needed
        // any more. pingora's own stay until they are due, read the clock for each, and keep a thread that looks a hundred times a
        // second.
        set_fast_timeout_to_tokio_threshold(Some(Duration::ZERO));
        // Everything that waits for others (providers, names, health checks) runs here, never on a world's thread.
        let control = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("control").enable_all().build()?;
        let server = settings.server.clone();
        let current = CurrentRuntime::new(Runtime::new(settings, tempo, access_log, control.handle().clone())?);
        let runtime = current.get();
        let terms = Terms::current(&server, tls_stores(&server)?);
        let listeners = Listeners::bind(&server)?;
        let grpc = GrpcListeners::bind(&server)?;
        let admin_listener = server.admin.map(|address| control.block_on(admin::bind(address))).transpose()?;
        let admin = admin_listener.as_ref().map(tokio::net::TcpListener::local_addr).transpose()?;

        let pools: Vec<_> = runtime.upstreams.iter().flatten().cloned().collect();
        control.block_on(async { tokio::join!(reload::resolve(&pools), runtime.revocations.load()) });
        for pool in pools {
            pool.keep_fresh(control.handle(), runtime.metrics.clone());
        }
        let followed = current.clone();
        control.spawn(RevocationList::follow(move || followed.get().revocations.clone()));
        control.spawn(Sessions::keep_swept(current.clone()));
        control.spawn(Keyring::follow(current.clone()));
        control.spawn(streams::keep_swept(current.clone()));
        let draining = Arc::new(AtomicBool::new(false));
        let (shutdown, ended) = watch::channel(false);
        let serving = serve(listeners, &server, terms.clone(), &current, &draining)?;
        let reloader = Reloader::new(current.clone(), serving.admittance());
        if let Some(listener) = admin_listener {
            control.spawn(Admin::new(current.clone(), reloader.clone(), draining.clone()).serve(listener, ended));
        }
        let grpc = grpc.map(|grpc| grpc.serve(terms, &current, Arc::new(Events(current.clone())))).transpose()?;
        control.spawn(runtime.audit.clone().keep_summarising());
        audit::started(&runtime);
        let (serving, control) = (Some(serving), Some(control));
        Ok(Self { current, reloader, serving, grpc, admin, draining, _shutdown: shutdown, control })
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

    /// The configuration in use, with everything made from it.
    pub fn runtime(&self) -> Arc<Runtime> {
        self.current.get()
    }

    /// What puts another configuration in its place.
    pub fn reloader(&self) -> &Arc<Reloader> {
        &self.reloader
    }

    /// Says on `/readyz` that it is about to stop, so that a load balancer looks elsewhere.
    pub fn announce_stop(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Stops: no new connections, requests in flight may finish within the configured time.
    pub fn stop(mut self) -> Drained {
        self.announce_stop();
        let grace = self.current.get().settings.server.drain;
        let drained = match (self.serving.take(), &self.control) {
            (Some(serving), Some(control)) => {
                let grpc = self.grpc.take();
                let asked = async { if let Some(grpc) = grpc { grpc.stop(grace).await.clean } else { true } };
                let (drained, clean) = control.block_on(async { tokio::join!(serving.stop(grace), asked) });
                Drained { clean: drained.clean && clean }
            }
            _ => Drained { clean: false },
        };
        let runtime = self.current.get();
        if let Some(control) = &self.control {
            control.block_on(runtime.sessions.settle(SETTLE));
        }
        runtime.access_log.flush();
        audit::stopped(&runtime, drained.clean);
        if !runtime.audit.flush(FLUSH) {
            tracing::error!("the end of the audit log could not be written");
        }
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
    terms: CurrentTerms,
    current: &Arc<CurrentRuntime>,
    draining: &Arc<AtomicBool>,
) -> Result<Serving, StartFault> {
    let conf = Arc::new(ServerConf { threads: 1, upstream_keepalive_pool_size: UPSTREAM_POOL, ..ServerConf::default() });
    let hooks = server.hooks.as_ref().map(|_| Arc::new(HookDoor::new(current.clone(), draining.clone())));
    let factory = {
        let current = current.clone();
        move |_world: usize| Arc::new(Doors { proxy: Arc::new(http_proxy(&conf, Edge::new(current.clone()))), hooks: hooks.clone() })
    };
    let hosts: OurHosts = {
        let current = current.clone();
        Arc::new(move |name: &str| current.get().serves_host(name))
    };
    Ok(listeners.serve(terms, factory, hosts, Arc::new(Events(current.clone())))?)
}

/// What a world does with a request: by the listener it came through.
struct Doors {
    proxy: Arc<HttpProxy<Edge>>,
    hooks: Option<Arc<HookDoor>>,
}

// Written out instead of `#[async_trait]`: the future of either door is boxed once, at its own size.
impl HttpServerApp for Doors {
    fn process_new_http<'life0, 'life1, 'async_trait>(
        self: &'life0 Arc<Self>,
        session: ServerSession,
        shutdown: &'life1 ShutdownWatch,
    ) -> Pin<Box<dyn Future<Output = Option<ReusedHttpStream>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        match (session.digest().and_then(info_of).map(|info| info.purpose), &self.hooks) {
            (Some(Purpose::Public), _) => Box::pin(streams::until_cut(self.proxy.process_new_http(session, shutdown))),
            (Some(Purpose::Hooks), Some(hooks)) => Box::pin(hooks.serve(session, shutdown)),
            (Some(Purpose::Hooks), None) | (None, _) => Box::pin(std::future::ready(None)),
        }
    }
}

/// Counts and logs what never became a request.
struct Events(Arc<CurrentRuntime>);

impl ConnectionEvents for Events {
    fn refused(&self, client: IpAddr, reason: &'static str, status: Option<u16>, request_id: &str) {
        let runtime = self.0.get();
        runtime.metrics.refused.with_label_values(&[reason]).inc();
        runtime.log_refused(client, request_id, status, reason);
    }

    fn handshake(&self, outcome: &'static str) {
        self.0.get().metrics.handshakes.with_label_values(&[outcome]).inc();
    }

    fn connection(&self, delta: i64) {
        self.0.get().metrics.connections.add(delta);
    }
}
