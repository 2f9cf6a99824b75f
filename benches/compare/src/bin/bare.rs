//! pingora with nothing of ours: what Doorward is measured against. The build profile, the allocator and the thread layout are
//! the same; there is no decision, no log, no metric and no look at a request.
//!
//! `doorward-bare proxy ADDRESS UPSTREAM CERT KEY CORES`: TLS, HTTP/1.1 and HTTP/2, forwarded as it comes.
//! `doorward-bare answer ADDRESS CONFIGURATION CORES`: plain HTTP, 200 and three fields, behind Doorward's own guards of a
//! connection, with the limits of a Doorward configuration.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorward_proxy::listen::{ConnectionEvents, Listeners, Terms, TlsStores};
use http::{Response, header};
use pingora::apps::ServerApp;
use pingora::apps::http_app::ServeHttp;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::http::ServerSession;
use pingora::proxy::{HttpProxy, ProxyHttp, Session, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::{mpsc, watch};

/// As Doorward's own: a proxy without timeouts is nobody's choice.
const IDLE: Duration = Duration::from_secs(60);
const READ: Duration = Duration::from_secs(30);

type Fault = Box<dyn std::error::Error + Send + Sync>;

struct Forward(HttpPeer);

#[async_trait]
impl ProxyHttp for Forward {
    type CTX = ();
    fn new_ctx(&self) {}

    async fn early_request_filter(&self, session: &mut Session, _: &mut ()) -> pingora::Result<()> {
        session.set_keepalive(Some(IDLE.as_secs()));
        Ok(())
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(self.0.clone()))
    }
}

fn forward(upstream: SocketAddr) -> Arc<HttpProxy<Forward>> {
    let mut peer = HttpPeer::new(upstream, false, String::new());
    peer.options.idle_timeout = Some(IDLE);
    peer.options.read_timeout = Some(READ);
    let conf = ServerConf { threads: 1, upstream_keepalive_pool_size: 256, ..ServerConf::default() };
    Arc::new(http_proxy(&Arc::new(conf), Forward(peer)))
}

/// One acceptor, and as many threads as cores, each with its own runtime, proxy and upstream pool.
fn proxy(address: SocketAddr, upstream: SocketAddr, tls: Arc<rustls::ServerConfig>, cores: usize) -> Result<(), Fault> {
    let listener = TcpListener::bind(address)?;
    let (stop, watch) = watch::channel(false);
    let mut worlds = Vec::new();
    for _ in 0..cores {
        let (sender, receiver) = mpsc::unbounded_channel();
        worlds.push(sender);
        let (tls, watch) = (tls.clone(), watch.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || runtime.block_on(world(receiver, upstream, tls, watch)));
    }
    for (socket, world) in listener.incoming().zip((0..cores).cycle()) {
        let _ = worlds[world].send(socket?);
    }
    drop(stop);
    Ok(())
}

async fn world(
    mut arrivals: mpsc::UnboundedReceiver<TcpStream>,
    upstream: SocketAddr,
    tls: Arc<rustls::ServerConfig>,
    watch: ShutdownWatch,
) {
    let app = forward(upstream);
    while let Some(socket) = arrivals.recv().await {
        let (app, tls, watch) = (app.clone(), tls.clone(), watch.clone());
        tokio::spawn(async move {
            let _ = socket.set_nonblocking(true);
            let _ = socket.set_nodelay(true);
            let Ok(socket) = tokio::net::TcpStream::from_std(socket) else { return };
            let socket = pingora::protocols::l4::stream::Stream::from(socket);
            let Ok(stream) = Acceptor::from_server_config(tls).tls_handshake(socket).await else { return };
            let mut next: Option<pingora::protocols::Stream> = Some(Box::new(stream));
            while let Some(stream) = next {
                next = app.process_new(stream, &watch).await;
            }
        });
    }
}

struct Answer;

#[async_trait]
impl ServeHttp for Answer {
    async fn response(&self, _: &mut ServerSession) -> Response<Vec<u8>> {
        let mut answer = Response::new(Vec::new());
        let fields = answer.headers_mut();
        fields.insert(header::CONTENT_LENGTH, 0.into());
        for (name, value) in [("x-auth-user", "auth0|ada"), ("x-auth-email", "ada@acme.dev"), ("x-auth-roles", "admin,editor")] {
            fields.insert(name, header::HeaderValue::from_static(value));
        }
        answer
    }
}

/// Nobody is told of anything.
struct Silence;

impl ConnectionEvents for Silence {
    fn refused(&self, _: IpAddr, _: &'static str, _: Option<u16>, _: &str) {}
    fn handshake(&self, _: &'static str) {}
    fn connection(&self, _: i64) {}
}

fn answer(address: SocketAddr, configuration: &str, cores: usize) -> Result<(), Fault> {
    let loaded = doorward_config::load(Path::new(configuration)).map_err(|report| report.render(false))?;
    let mut server = loaded.settings.server;
    (server.listen, server.redirect, server.cores) = (Vec::new(), Vec::new(), Some(cores));
    server.hooks.as_mut().ok_or("the configuration has no hook listener")?.listen = vec![address];
    let terms = Terms::current(&server, TlsStores::default());
    let serving = Listeners::bind(&server)?.serve(terms, |_| Arc::new(Answer), Arc::new(|_| true), Arc::new(Silence))?;
    loop {
        std::thread::park();
        // Parking may end by itself.
        let _ = &serving;
    }
}

fn tls(cert: &str, key: &str) -> Result<Arc<rustls::ServerConfig>, Fault> {
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<_, _>>()?;
    let mut config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn main() -> ExitCode {
    // The same allocator as Doorward's: what nobody names is not linked.
    std::hint::black_box(mimalloc::MiMalloc.version());
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match arguments[..] {
        ["proxy", address, upstream, cert, key, cores] => {
            (|| proxy(address.parse()?, upstream.parse()?, tls(cert, key)?, cores.parse()?))()
        }
        ["answer", address, configuration, cores] => (|| answer(address.parse()?, configuration, cores.parse()?))(),
        _ => Err("doorward-bare proxy ADDRESS UPSTREAM CERT KEY CORES, or doorward-bare answer ADDRESS CONFIGURATION CORES".into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("doorward-bare: {fault}");
            ExitCode::FAILURE
        }
    }
}
