//! From settings to listening sockets, to threads that serve them, to a clean end.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::Duration;

use doorward_config::settings::Server;
use ipnet::IpNet;
use pingora::apps::HttpServerApp;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{mpsc, watch};

use super::acceptor::{self, Lane};
use super::caps::Caps;
use super::redirect::Redirect;
use super::world::{self, Blueprint};
use super::{ConnectionEvents, CurrentTerms, OurHosts, Terms};

/// Connections that the system holds until we accept them.
const BACKLOG: i32 = 1024;

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Serve,
    /// No new connections; the open ones finish what they began.
    Drain,
    /// No time left.
    GiveUp,
}

/// Sockets that are bound and listening; nobody accepts yet.
#[derive(Debug)]
pub struct Listeners {
    listen: Vec<Bound>,
    redirect: Vec<Bound>,
    hooks: Vec<Bound>,
    worlds: usize,
}

#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) socket: TcpListener,
    pub(crate) address: SocketAddr,
    /// Connections begin with a PROXY header.
    pub(crate) announced: bool,
}

/// Threads at work.
#[must_use = "dropping it ends every connection at once; `stop` lets them finish"]
pub struct Serving {
    addresses: Vec<SocketAddr>,
    redirect_addresses: Vec<SocketAddr>,
    hook_addresses: Vec<SocketAddr>,
    caps: [Arc<Caps>; 2],
    terms: CurrentTerms,
    stage: watch::Sender<Stage>,
    acceptor: JoinHandle<()>,
    worlds: Vec<JoinHandle<bool>>,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving").field("addresses", &self.addresses).field("connections", &self.connections()).finish_non_exhaustive()
    }
}

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Every connection ended by itself.
    pub clean: bool,
}

impl Listeners {
    /// Binds every address of `server`; port 0 takes a free one.
    ///
    /// # Errors
    /// The system's, with the address in its text.
    pub fn bind(server: &Server) -> io::Result<Self> {
        let hooks: &[SocketAddr] = server.hooks.as_ref().map_or(&[], |hooks| &hooks.listen);
        let listened = server.listen.iter().map(|listen| &listen.address);
        let wanted: Vec<SocketAddr> = listened.chain(&server.redirect).chain(hooks).copied().collect();
        let listen = server.listen.iter().map(|listen| Bound::new(listen.address, &wanted, listen.proxy_protocol.is_some()));
        let redirect = server.redirect.iter().map(|address| Bound::new(*address, &wanted, false));
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            listen: listen.collect::<io::Result<_>>()?,
            redirect: redirect.collect::<io::Result<_>>()?,
            hooks: hooks.iter().map(|address| Bound::new(*address, &wanted, false)).collect::<io::Result<_>>()?,
            worlds: server.cores.unwrap_or_else(cores).max(1),
        })
    }

    /// Where TLS is spoken, in the order of the settings.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listen.iter().map(|bound| bound.address).collect()
    }

    /// Starts one acceptor and the worlds. `factory` makes the app of each world, on its thread and inside its runtime.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn serve<A, F>(self, terms: CurrentTerms, factory: F, our_hosts: OurHosts, events: Arc<dyn ConnectionEvents>) -> io::Result<Serving>
    where
        A: HttpServerApp + Send + Sync + 'static,
        F: Fn(usize) -> Arc<A> + Send + Sync + 'static,
    {
        let addresses = self.addresses();
        let redirect_addresses = self.redirect.iter().map(|bound| bound.address).collect();
        let hook_addresses = self.hooks.iter().map(|bound| bound.address).collect();
        // Two sets: a flood from outside must not keep the proxies from asking.
        let now = terms.load_full();
        let caps = |shared: &[IpNet]| Caps::new(now.limits.connections, now.limits.connections_per_client, shared.to_vec(), events.clone());
        let (caps, hook_caps) = (caps(&now.shared), caps(&now.peers));
        let (stage, watch) = watch::channel(Stage::Serve);
        let redirect = Arc::new(Redirect::new(terms.clone(), our_hosts, events.clone()));
        let blueprint = Arc::new(Blueprint { terms: terms.clone(), events: events.clone() });
        let factory = Arc::new(factory);

        let mut lanes = Vec::with_capacity(self.worlds);
        let mut worlds = Vec::with_capacity(self.worlds);
        let mut starting = Vec::with_capacity(self.worlds);
        for index in 0..self.worlds {
            let (sender, arrivals) = mpsc::unbounded_channel();
            lanes.push(Lane { sender, load: Arc::new(AtomicUsize::new(0)) });
            let (blueprint, factory, watch) = (blueprint.clone(), factory.clone(), watch.clone());
            let (started, start) = std::sync::mpsc::channel();
            starting.push(start);
            let make = move |index| {
                let app = factory(index);
                // Nobody listens any more when another world failed meanwhile.
                let _ = started.send(());
                app
            };
            let work = move || match world::run(index, blueprint, &make, arrivals, watch) {
                Ok(clean) => clean,
                Err(error) => {
                    tracing::error!(%error, world = index, "a world could not start");
                    false
                }
            };
            worlds.push(std::thread::Builder::new().name(format!("world-{index}")).spawn(work)?);
        }
        // A thread that ended (pingora panics on a system trust store it cannot read) has dropped its end.
        if starting.into_iter().any(|start| start.recv().is_err()) {
            return Err(io::Error::other("a worker thread could not start; is the system's certificate store readable?"));
        }
        let accepting = acceptor::Accepting {
            listen: self.listen,
            hooks: self.hooks,
            redirecting: self.redirect,
            lanes,
            caps: caps.clone(),
            hook_caps: hook_caps.clone(),
            redirect,
            terms: terms.clone(),
            events,
        };
        let work = move || {
            if let Err(error) = acceptor::run(accepting, watch) {
                tracing::error!(%error, "the acceptor could not start");
            }
        };
        let acceptor = std::thread::Builder::new().name("acceptor".to_owned()).spawn(work)?;
        Ok(Serving { addresses, redirect_addresses, hook_addresses, caps: [caps, hook_caps], terms, stage, acceptor, worlds })
    }
}

impl Serving {
    /// Where TLS is spoken, in the order of the settings.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where plain requests are redirected.
    pub fn redirect_addresses(&self) -> &[SocketAddr] {
        &self.redirect_addresses
    }

    /// Where other proxies ask.
    pub fn hook_addresses(&self) -> &[SocketAddr] {
        &self.hook_addresses
    }

    /// What holds for whoever connects next.
    pub fn admittance(&self) -> Admittance {
        Admittance { caps: self.caps.clone(), terms: self.terms.clone() }
    }

    /// How many there are now, on all listeners.
    pub fn connections(&self) -> usize {
        self.caps.iter().map(|caps| caps.live()).sum()
    }

    /// Accepts what is queued and closes the sockets, ends idle connections, and lets requests in flight finish within
    /// `grace`. Threads have ended when this returns.
    pub async fn stop(self, grace: Duration) -> Drained {
        let Self { stage, acceptor, worlds, .. } = self;
        let _ = stage.send(Stage::Drain);
        let mut joining = tokio::task::spawn_blocking(move || {
            let accepted = acceptor.join().is_ok();
            // Every thread is waited for, whatever another one answers.
            let worlds: Vec<bool> = worlds.into_iter().map(|world| world.join().unwrap_or(false)).collect();
            accepted && worlds.into_iter().all(|clean| clean)
        });
        let clean = match tokio::time::timeout(grace, &mut joining).await {
            Ok(clean) => clean,
            Err(_) => {
                let _ = stage.send(Stage::GiveUp);
                joining.await
            }
        };
        Drained { clean: clean.unwrap_or(false) }
    }
}

/// What holds for whoever connects next, on every listener.
#[derive(Clone)]
pub struct Admittance {
    caps: [Arc<Caps>; 2],
    terms: CurrentTerms,
}

impl std::fmt::Debug for Admittance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admittance")
    }
}

impl Admittance {
    pub fn terms(&self) -> Arc<Terms> {
        self.terms.load_full()
    }

    /// Other terms from now on; nobody who is in is sent away.
    pub fn change(&self, terms: Terms) {
        let [caps, hook_caps] = &self.caps;
        let (total, per_client) = (terms.limits.connections, terms.limits.connections_per_client);
        caps.change(total, per_client, terms.shared.clone());
        hook_caps.change(total, per_client, terms.peers.clone());
        self.terms.store(Arc::new(terms));
    }
}

impl Bound {
    /// `wanted` are all addresses of the settings.
    pub(crate) fn new(address: SocketAddr, wanted: &[SocketAddr], announced: bool) -> io::Result<Self> {
        let bind = || -> io::Result<(TcpListener, SocketAddr)> {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            // A restart must not wait for the last connections' TIME-WAIT. No SO_REUSEPORT: two instances must not
            // share a port without anybody noticing.
            socket.set_reuse_address(true)?;
            if address.is_ipv6() {
                // `[::]` takes IPv4 as well, as people expect, unless `0.0.0.0` is there to do so.
                let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
                socket.set_only_v6(!address.ip().is_unspecified() || wanted.contains(&v4))?;
            }
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            let socket = TcpListener::from(socket);
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        let (socket, address) = bind().map_err(|error| io::Error::new(error.kind(), format!("cannot listen on `{address}`: {error}")))?;
        Ok(Self { socket, address, announced })
    }
}
