//! Metrics, health, and ending sessions, on a listener of their own (loopback unless the configuration says otherwise).
//!
//! Ready does not depend on any provider: an outage there must not take away the apps of everybody who is signed in.

mod caller;
mod reload;
mod sessions;

use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, Response, StatusCode, header};
use pingora::apps::ServerApp;
use pingora::apps::http_app::{HttpServer, ServeHttp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::{GetSocketDigest as _, SocketDigest, Stream};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::reload::Reloader;
use crate::runtime::{CurrentRuntime, Runtime};

/// Scrapers and probes; more than this at once is none of them.
const CONNECTIONS: usize = 64;
/// A whole connection of a probe, header to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The application behind the listener.
#[derive(Debug)]
pub struct Admin {
    current: Arc<CurrentRuntime>,
    reloader: Arc<Reloader>,
    draining: Arc<AtomicBool>,
}

impl Admin {
    pub fn new(current: Arc<CurrentRuntime>, reloader: Arc<Reloader>, draining: Arc<AtomicBool>) -> Self {
        Self { current, reloader, draining }
    }

    /// Serves until its task is dropped.
    pub async fn serve(self, listener: TcpListener, shutdown: watch::Receiver<bool>) {
        let app = Arc::new(HttpServer::new_app(self));
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let Ok((socket, _peer)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (app, shutdown) = (app.clone(), shutdown.clone());
            tokio::spawn(async move {
                let _slot = slot;
                // Who ends sessions is logged with the address they did it from.
                let digest = SocketDigest::from_raw_fd(socket.as_raw_fd());
                let mut stream = pingora::protocols::l4::stream::Stream::from(socket);
                stream.set_socket_digest(digest);
                let stream: Stream = Box::new(stream);
                // One answer to a connection: probes come back with a new one.
                let _ = tokio::time::timeout(PATIENCE, app.process_new(stream, &shutdown)).await;
            });
        }
    }

    fn answer(&self, runtime: &Runtime, method: &Method, path: &str) -> (StatusCode, &'static str, Vec<u8>) {
        const TEXT: &str = "text/plain; charset=utf-8";
        const JSON: &str = "application/json";
        if matches!(path, "/sessions/end" | "/reload") {
            return (StatusCode::METHOD_NOT_ALLOWED, TEXT, b"POST\n".to_vec());
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return (StatusCode::METHOD_NOT_ALLOWED, TEXT, b"GET or HEAD\n".to_vec());
        }
        match path {
            "/metrics" => {
                runtime.metrics.lost_log_lines.set(i64::try_from(runtime.access_log.lost()).unwrap_or(i64::MAX));
                (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", runtime.metrics.render())
            }
            "/livez" => (StatusCode::OK, TEXT, b"alive\n".to_vec()),
            "/readyz" => {
                let draining = self.draining.load(Ordering::Acquire);
                let providers: serde_json::Map<_, _> = runtime
                    .providers
                    .iter()
                    .map(|provider| {
                        let known = if provider.keys.believed(crate::clock::now()).is_some() {
                            "keys known"
                        } else {
                            "not asked yet or unreachable"
                        };
                        (provider.settings().name.clone(), json!(known))
                    })
                    .collect();
                // Until then sessions get 503; tokens and public paths are served, so it is said and is no reason to be taken out.
                let sign_outs = if runtime.revocations.is_known() { "known" } else { "not read yet" };
                let body = json!({ "status": if draining { "draining" } else { "ready" }, "providers": providers, "sign_outs": sign_outs });
                (if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, JSON, body.to_string().into_bytes())
            }
            _ => (StatusCode::NOT_FOUND, TEXT, b"/metrics, /livez, /readyz, POST /sessions/end or POST /reload\n".to_vec()),
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        session.set_keepalive(None);
        let runtime = self.current.get();
        let request = session.req_header();
        let (status, kind, body) = match (request.uri.path(), &request.method) {
            ("/sessions/end", &Method::POST) => {
                let (status, body) = sessions::end(&runtime, session).await;
                (status, "application/json", body.to_string().into_bytes())
            }
            ("/reload", &Method::POST) => {
                let (status, body) = reload::reload(&runtime, &self.reloader, session).await;
                (status, "application/json", body.to_string().into_bytes())
            }
            (path, method) => self.answer(&runtime, method, path),
        };
        let built = Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, kind)
            .header(header::CONTENT_LENGTH, body.len())
            .header(header::CACHE_CONTROL, "no-store")
            .body(body);
        built.unwrap_or_else(|_| Response::new(Vec::new()))
    }
}

/// Binds the listener.
///
/// # Errors
/// The system's, with the address in its text.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| std::io::Error::new(error.kind(), format!("cannot listen on `{address}`: {error}")))
}
