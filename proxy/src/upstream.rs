//! The servers behind a route: resolved and checked in the background, chosen without waiting.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use doorward_config::settings::{HealthCheck, Upstream, UpstreamHost, UpstreamProtocol, UpstreamServer};
use http::HeaderValue;
use pingora::lb::discovery::ServiceDiscovery;
use pingora::lb::health_check::HttpHealthCheck;
use pingora::lb::{Backend, Backends, Extensions};
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::{ALPN, HttpPeer, PeerOptions};
use pingora::utils::tls::{WrappedX509, parse_x509};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::metrics::Metrics;

/// Names are looked up again this often.
const RESOLVE: Duration = Duration::from_secs(10);
/// How long one health check may take.
const HEALTH_PATIENCE: Duration = Duration::from_secs(3);
/// Idle connections to a server are kept this long.
const IDLE: Duration = Duration::from_secs(60);
/// The servers of one route.
pub struct UpstreamPool {
    name: Box<str>,
    /// What it was made from.
    upstream: Upstream,
    backends: Backends,
    /// What `backends` holds, made ready for requests: pingora's own selection copies every server that it looks at.
    servers: ArcSwap<Vec<Server>>,
    /// How many requests have chosen.
    turn: AtomicUsize,
    /// Keeps it fresh.
    task: OnceLock<AbortHandle>,
    health: Option<Duration>,
    /// What the app is told as `Host`, where that is not what the client asked for.
    host: Option<HeaderValue>,
}

/// One server, with everything that a request takes from it.
struct Server {
    address: SocketAddr,
    name: Arc<str>,
    peer: HttpPeer,
    /// What its health is asked by.
    backend: Backend,
}

/// The server of one request.
#[derive(Debug)]
pub struct Chosen {
    /// On the heap, where pingora wants it.
    pub peer: Box<HttpPeer>,
    /// Its address, for the log.
    pub name: Arc<str>,
}

impl std::fmt::Debug for UpstreamPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamPool").field("name", &self.name).finish_non_exhaustive()
    }
}

impl UpstreamPool {
    /// Prepares a pool; nothing is resolved yet. The addresses that the one before it knows are good until the same names
    /// can be looked up again.
    ///
    /// # Errors
    /// A text when the upstream's CA cannot be used.
    pub fn new(route: &str, upstream: &Upstream, known: Option<&Self>) -> Result<Self, String> {
        let ca = upstream.tls.as_ref().and_then(|tls| tls.ca.as_deref()).map(authorities).transpose()?;
        let template = peer_template(route, upstream, ca);
        let own_host = own_host(upstream);
        let host = match &upstream.host {
            UpstreamHost::Keep => None,
            UpstreamHost::Upstream => Some(own_host.as_str()),
            UpstreamHost::Fixed(name) => Some(name.as_str()),
        };
        let host = host.map(HeaderValue::try_from).transpose().map_err(|error| format!("the host is no host: {error}"))?;
        let known = known.filter(|known| known.upstream.servers == upstream.servers).map(UpstreamPool::addresses).unwrap_or_default();
        let resolver =
            Resolver { servers: upstream.servers.clone(), template: template.clone(), known, is_outdated: AtomicBool::new(false) };
        let mut backends = Backends::new(Box::new(resolver));
        if let Some(check) = &upstream.health {
            backends.set_health_check(Box::new(health_check(check, upstream, &template, &own_host)?));
        }
        let health = upstream.health.as_ref().map(|check| check.every);
        Ok(Self {
            name: route.into(),
            upstream: upstream.clone(),
            backends,
            servers: ArcSwap::default(),
            turn: AtomicUsize::new(0),
            task: OnceLock::new(),
            health,
            host,
        })
    }

    /// Whether it is what would be made for this route. What happens to the path is the route's business.
    pub fn is_for(&self, route: &str, upstream: &Upstream) -> bool {
        *self.name == *route && self.upstream == Upstream { rewrite: self.upstream.rewrite.clone(), ..upstream.clone() }
    }

    /// The route it belongs to.
    pub fn route(&self) -> &str {
        &self.name
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.load().iter().map(|server| server.address).collect()
    }

    /// The next server in turn that is well and not among `tried`, ready to connect to.
    pub fn next(&self, tried: &[SocketAddr]) -> Option<Chosen> {
        let servers = self.servers.load();
        // Another try takes nobody's turn: with two servers, one of them gone, every request would begin with that one.
        let turn = if tried.is_empty() { self.turn.fetch_add(1, Ordering::Relaxed) } else { self.turn.load(Ordering::Relaxed) };
        let turn = turn.checked_rem(servers.len())?;
        let in_turn = servers[turn..].iter().chain(&servers[..turn]);
        let server = in_turn.into_iter().find(|server| !tried.contains(&server.address) && self.is_well(server))?;
        Some(Chosen { peer: Box::new(server.peer.clone()), name: server.name.clone() })
    }

    /// Nobody is ill who is not looked at.
    fn is_well(&self, server: &Server) -> bool {
        self.health.is_none() || self.backends.ready(&server.backend)
    }

    /// How many servers there are, well or not.
    pub fn size(&self) -> usize {
        self.servers.load().len()
    }

    /// What the app is told as `Host`; `None`: what the client asked for.
    pub fn host(&self) -> Option<&HeaderValue> {
        self.host.as_ref()
    }

    /// Resolves and checks on `control` for as long as the pool lives. Once for each pool.
    pub fn keep_fresh(self: &Arc<Self>, control: &Handle, metrics: Arc<Metrics>) {
        let task = control.spawn(freshen(Arc::downgrade(self), metrics));
        if let Err(task) = self.task.set(task.abort_handle()) {
            task.abort();
        }
    }

    /// How many servers are well, for the metric.
    async fn look(&self, resolve: bool) -> usize {
        if resolve {
            self.resolve().await;
        }
        if self.health.is_some() {
            self.backends.run_health_check(true).await;
        }
        self.servers.load().iter().filter(|server| self.is_well(server)).count()
    }

    /// Looks the names up now; a failure keeps what was known.
    pub async fn resolve(&self) {
        let found = self.backends.update(|backends| self.servers.store(Arc::new(backends.iter().filter_map(Server::of).collect())));
        if let Err(error) = found.await {
            tracing::warn!(route = &*self.name, "upstream names could not be resolved: {}", error.etype().as_str());
        }
    }
}

impl Server {
    /// As the resolver made it.
    fn of(backend: &Backend) -> Option<Self> {
        let address = *backend.addr.as_inet()?;
        let peer = backend.ext.get::<HttpPeer>()?.clone();
        let backend = Backend { ext: Extensions::new(), ..backend.clone() };
        Some(Self { address, name: address.to_string().into(), peer, backend })
    }
}

impl Drop for UpstreamPool {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

/// Keeps nothing alive while it waits.
async fn freshen(pool: Weak<UpstreamPool>, metrics: Arc<Metrics>) {
    let mut next_resolve = tokio::time::Instant::now();
    loop {
        let Some(pool) = pool.upgrade() else { return };
        let resolve = tokio::time::Instant::now() >= next_resolve;
        if resolve {
            next_resolve = tokio::time::Instant::now() + RESOLVE;
        }
        let well = pool.look(resolve).await;
        metrics.upstream_healthy.with_label_values(&[&*pool.name]).set(i64::try_from(well).unwrap_or(i64::MAX));
        let every = pool.health.unwrap_or(RESOLVE).min(RESOLVE);
        drop(pool);
        tokio::time::sleep(every).await;
    }
}

/// Turns names into addresses, each with the peer that connects to it.
struct Resolver {
    servers: Vec<UpstreamServer>,
    template: HttpPeer,
    /// Where the names led to when they were looked up last, by the pool before this one.
    known: Vec<SocketAddr>,
    /// They were looked up since: what is known is newer, and not ours to say.
    is_outdated: AtomicBool,
}

#[async_trait]
impl ServiceDiscovery for Resolver {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let mut backends = BTreeSet::new();
        let mut failed = None;
        for server in &self.servers {
            match tokio::net::lookup_host((server.host.as_str(), server.port)).await {
                Ok(addresses) => backends.extend(addresses.map(|address| self.backend(address))),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            // One name that fails does not take the others away; all of them failing changes nothing.
            Some(_) if backends.is_empty() && !self.known.is_empty() && !self.is_outdated.load(Ordering::Relaxed) => {
                Ok((self.known.iter().map(|address| self.backend(*address)).collect(), HashMap::new()))
            }
            Some(error) if backends.is_empty() => Err(pingora::Error::because(pingora::ErrorType::ConnectError, "lookup", error)),
            _ => {
                self.is_outdated.store(true, Ordering::Relaxed);
                Ok((backends, HashMap::new()))
            }
        }
    }
}

impl Resolver {
    fn backend(&self, address: std::net::SocketAddr) -> Backend {
        let mut peer = self.template.clone();
        peer._address = pingora::protocols::l4::socket::SocketAddr::Inet(address);
        let mut ext = Extensions::new();
        ext.insert(peer);
        Backend { addr: pingora::protocols::l4::socket::SocketAddr::Inet(address), weight: 1, ext }
    }
}

fn peer_template(route: &str, upstream: &Upstream, ca: Option<Arc<CaType>>) -> HttpPeer {
    let name = upstream.tls.as_ref().map(|tls| tls.server_name.clone()).unwrap_or_default();
    let placeholder = std::net::SocketAddr::from(([0, 0, 0, 0], 1));
    let mut peer = HttpPeer::new(placeholder, upstream.tls.is_some(), name);
    // pingora's pool key knows neither CA nor protocol: two routes must never share a connection that one of them would
    // not have made (TLS-22).
    let mut group = DefaultHasher::new();
    (route, upstream.protocol as u8, upstream.tls.as_ref().map(|tls| (&tls.ca, &tls.server_name))).hash(&mut group);
    peer.group_key = group.finish();
    let options: &mut PeerOptions = &mut peer.options;
    options.connection_timeout = Some(upstream.connect);
    options.total_connection_timeout = Some(upstream.connect);
    options.read_timeout = Some(upstream.read);
    options.write_timeout = Some(upstream.write);
    options.idle_timeout = Some(IDLE);
    options.ca = ca;
    options.max_h2_streams = 100;
    options.alpn = match upstream.protocol {
        UpstreamProtocol::Http1 => ALPN::H1,
        UpstreamProtocol::H2 | UpstreamProtocol::H2c => ALPN::H2,
    };
    peer
}

fn authorities(pem: &[u8]) -> Result<Arc<CaType>, String> {
    let certificates =
        CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|error| format!("the CA cannot be read: {error}"))?;
    let mut parsed = Vec::new();
    for certificate in certificates {
        // `parse_x509` panics on what it cannot read, so look first.
        x509_parser::parse_x509_certificate(&certificate).map_err(|error| format!("the CA is no certificate: {error}"))?;
        parsed.push(WrappedX509::new(certificate.to_vec(), parse_x509));
    }
    if parsed.is_empty() { Err("the CA file holds no certificate".into()) } else { Ok(parsed.into()) }
}

/// `host:port` of the upstream itself.
fn own_host(upstream: &Upstream) -> String {
    let Some(first) = upstream.servers.first() else { return String::new() };
    let host = if first.host.contains(':') { format!("[{}]", first.host) } else { first.host.clone() };
    match (first.port, upstream.tls.is_some()) {
        (443, true) | (80, false) => host,
        (port, _) => format!("{host}:{port}"),
    }
}

fn health_check(check: &HealthCheck, upstream: &Upstream, template: &HttpPeer, own_host: &str) -> Result<HttpHealthCheck, String> {
    let host = match &upstream.host {
        UpstreamHost::Fixed(name) => name.as_str(),
        UpstreamHost::Keep | UpstreamHost::Upstream => own_host,
    };
    let mut http = HttpHealthCheck::new(host, upstream.tls.is_some());
    let path = http::Uri::try_from(check.path.as_str()).map_err(|error| format!("the health path is no path: {error}"))?;
    http.req.set_uri(path);
    http.peer_template = template.clone();
    http.peer_template.options.read_timeout = Some(HEALTH_PATIENCE);
    http.peer_template.options.total_connection_timeout = Some(HEALTH_PATIENCE);
    http.consecutive_success = 1;
    http.consecutive_failure = 2;
    http.reuse_connection = true;
    http.validator = Some(Box::new(|answer| {
        if answer.status.is_success() {
            Ok(())
        } else {
            pingora::Error::e_explain(pingora::ErrorType::HTTPStatus(answer.status.as_u16()), "not well")
        }
    }));
    Ok(http)
}

#[cfg(test)]
mod tests;
