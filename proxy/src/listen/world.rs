//! One core, one world: a thread with its own runtime, app and connections. Nothing in it waits for another core.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use doorward_config::settings::Limits;
use doorward_policy::wire::HeadLimits;
use http::StatusCode;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::http::ResponseHeader;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::TlsStream;
use pingora::protocols::{ALPN, Ssl, Stream};
use pingora::server::ShutdownWatch;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::caps::Permit;
use super::connection::{Conn, ConnectionInfo, ConnectionState, info_of};
use super::head_guard::{GuardLimits, HeadGuard};
use super::proxy_protocol::{self, Announced};
use super::refusal::{HANDSHAKE_COMPLETED, HANDSHAKE_DEADLINE, HANDSHAKE_FAILED, PROXY_HEADER};
use super::serving::Stage;
use super::{ConnectionEvents, CurrentTerms, Purpose, h2_options, server_options};

/// A connection on its way from the acceptor.
pub(super) struct Arrival {
    pub(super) socket: StdTcpStream,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) purpose: Purpose,
    /// It must begin with a PROXY header.
    pub(super) announced: bool,
    pub(super) permit: Permit,
    /// Counts for the world it was given to.
    pub(super) load: Load,
}

/// One of the connections that a world has.
pub(super) struct Load(Arc<AtomicUsize>);

impl Load {
    pub(super) fn on(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter.clone())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What every world is made from.
pub(super) struct Blueprint {
    pub(super) terms: CurrentTerms,
    pub(super) events: Arc<dyn ConnectionEvents>,
}

/// Runs until every connection is gone (`true`) or the stage says to give up on them (`false`).
pub(super) fn run<A: HttpServerApp + Send + Sync + 'static>(
    index: usize,
    blueprint: Arc<Blueprint>,
    factory: &dyn Fn(usize) -> Arc<A>,
    mut arrivals: mpsc::UnboundedReceiver<Arrival>,
    mut stage: watch::Receiver<Stage>,
) -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let clean = runtime.block_on(async move {
        let (shutdown, shutdown_watch) = watch::channel(false);
        let world = Arc::new(World { app: factory(index), shutdown: shutdown_watch, open: Mutex::default(), blueprint });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                arrival = arrivals.recv() => match arrival {
                    Some(arrival) => drop(connections.spawn(serve(world.clone(), arrival))),
                    // The acceptor has handed over everything that was queued, and is gone.
                    None => break,
                },
                Some(ended) = connections.join_next() => log_panic(ended),
                () = gave_up(&mut stage) => return false,
            }
        }
        let _ = shutdown.send(true);
        world.close();
        loop {
            tokio::select! {
                ended = connections.join_next() => match ended {
                    Some(ended) => log_panic(ended),
                    None => return true,
                },
                () = gave_up(&mut stage) => return connections.is_empty(),
            }
        }
    });
    runtime.shutdown_background();
    Ok(clean)
}

/// Ready when nobody waits for the connections any more.
pub(super) async fn gave_up(stage: &mut watch::Receiver<Stage>) {
    // An error means that the `Serving` is gone without a stop: then it is the same.
    let _ = stage.wait_for(|stage| *stage == Stage::GiveUp).await;
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a connection ended in a panic");
    }
}

struct World<A> {
    app: Arc<A>,
    shutdown: ShutdownWatch,
    /// Every connection past its handshake, to be told to close.
    open: Mutex<HashMap<usize, Arc<ConnectionState>>>,
    blueprint: Arc<Blueprint>,
}

impl<A> World<A> {
    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Arc<ConnectionState>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        for state in self.open().values() {
            state.close();
        }
    }
}

/// `lone_expect`: where other proxies ask.
fn guard_limits(limits: &Limits, lone_expect: bool) -> GuardLimits {
    let head = HeadLimits { bytes: limits.header_bytes, fields: limits.header_fields, lone_expect, ..HeadLimits::default() };
    GuardLimits { head, header: limits.header, idle: limits.idle }
}

async fn serve<A: HttpServerApp + Send + Sync + 'static>(world: Arc<World<A>>, arrival: Arrival) {
    let Arrival { socket, peer, local, purpose, announced, mut permit, load: _load } = arrival;
    let events = world.blueprint.events.clone();
    let terms = world.blueprint.terms.load_full();
    let (tls, limits) = (&terms.tls, &terms.limits);
    let deadline = Instant::now() + limits.handshake;
    let Ok(socket) = TcpStream::from_std(socket) else { return };
    // RFC 896: an answer must not wait for the acknowledgement of the one before.
    let _ = socket.set_nodelay(true);
    let state = Arc::new(ConnectionState::default());
    let mut conn = Conn::new(socket);

    let mut client = peer;
    if announced {
        match timeout_at(deadline, proxy_protocol::read(&mut conn)).await {
            Ok(Ok(Announced::Client(announced))) => client = announced,
            Ok(Ok(Announced::Peer)) => {}
            Ok(Err(_)) | Err(_) => return events.refused(peer.ip(), PROXY_HEADER, None, ""),
        }
        if let Err(reason) = permit.count_for(client.ip()) {
            return events.refused(client.ip(), reason, None, "");
        }
    }
    conn.set_client(client);

    let store = match purpose {
        Purpose::Public => &tls.public,
        Purpose::Hooks => &tls.hooks,
    };
    let ends = Ends { peer, client, local, purpose };
    let Some(store) = store else {
        return converse(&world, guarded(&world, conn, limits, false, ends, &state), limits, state).await;
    };
    // In boxes of their own, so that a connection that waits does not hold the room that a handshake needs.
    let shaken = Box::pin(handshake(store.config(), conn, deadline)).await;
    let guard = match shaken {
        Ok(Ok(stream)) => {
            let h2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
            guarded(&world, *stream, limits, h2, ends, &state)
        }
        Ok(Err(error)) => {
            tracing::debug!(%client, %error, "TLS handshake failed");
            return events.handshake(HANDSHAKE_FAILED);
        }
        Err(_) => return events.handshake(HANDSHAKE_DEADLINE),
    };
    events.handshake(HANDSHAKE_COMPLETED);
    converse(&world, guard, limits, state).await;
}

type Shaken = Result<pingora::Result<Box<TlsStream<Conn>>>, Elapsed>;

async fn handshake(config: Arc<ServerConfig>, conn: Conn, deadline: Instant) -> Shaken {
    timeout_at(deadline, Acceptor::from_server_config(config).tls_handshake(conn)).await.map(|stream| stream.map(Box::new))
}

/// Who is connected to what.
struct Ends {
    peer: SocketAddr,
    client: SocketAddr,
    local: SocketAddr,
    purpose: Purpose,
}

/// The stream behind the guard that judges each head, as pingora takes it. No future: the room that it is built in is given
/// back before anybody waits.
fn guarded<A, S>(world: &World<A>, stream: S, limits: &Limits, h2: bool, ends: Ends, state: &Arc<ConnectionState>) -> Option<Stream>
where
    S: pingora::protocols::IO + 'static,
{
    let Ends { peer, client, local, purpose } = ends;
    let info = ConnectionInfo::new(peer, client, local, stream.get_ssl(), h2, purpose, state.clone());
    let response = ResponseHeader::build(StatusCode::OK, Some(0)).ok()?;
    let digest = Arc::new(ProxyDigest::new(Box::new(response), Some(Box::new(info))));
    let limits = guard_limits(limits, purpose == Purpose::Hooks);
    let guard = HeadGuard::http1(stream, digest, state.clone(), limits, world.blueprint.events.clone(), client.ip());
    Some(Box::new(if h2 { guard.into_h2() } else { guard }))
}

/// One request after the other, each head judged before the app sees it.
async fn converse<A>(world: &World<A>, mut next: Option<Stream>, limits: &Limits, state: Arc<ConnectionState>)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let app = Arc::new(Guarded::new(world.app.clone(), limits));
    let _open = Open::new(world, state);
    while let Some(stream) = next {
        next = app.process_new(stream, &world.shutdown).await;
    }
}

/// An entry in [`World::open`], for as long as the connection lives.
struct Open<'a, A> {
    world: &'a World<A>,
    key: usize,
}

impl<'a, A> Open<'a, A> {
    fn new(world: &'a World<A>, state: Arc<ConnectionState>) -> Self {
        let key = Arc::as_ptr(&state).addr();
        world.open().insert(key, state.clone());
        if *world.shutdown.borrow() {
            state.close();
        }
        Self { world, key }
    }
}

impl<A> Drop for Open<'_, A> {
    fn drop(&mut self) {
        self.world.open().remove(&self.key);
    }
}

/// The app, with the guard told of each request that is due, and our options whatever its own are.
struct Guarded<A> {
    inner: Arc<A>,
    options: HttpServerOptions,
    h2: H2Options,
}

impl<A> Guarded<A> {
    fn new(inner: Arc<A>, limits: &Limits) -> Self {
        Self { inner, options: server_options(limits), h2: h2_options(limits) }
    }
}

// Written out instead of `#[async_trait]`: the inner future is already boxed, a second box for each request is not needed.
impl<A: HttpServerApp + Send + Sync + 'static> HttpServerApp for Guarded<A> {
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
        if !session.is_http2()
            && let Some(info) = session.digest().and_then(info_of)
        {
            info.state().expect_head();
        }
        self.inner.process_new_http(session, shutdown)
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(self.h2.clone())
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}
