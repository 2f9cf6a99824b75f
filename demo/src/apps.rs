//! Two sample apps: a CMS and an IoT dashboard. They contain no sign-on whatsoever; they read request headers and
//! believe them, as an app behind Doorward may, because nobody else can reach them.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;

use crate::server::{Bound, Server};

mod cms;
mod devices;
mod iot;
mod panel;
mod visitor;

/// A running app. Dropping it stops it; [`App::stop`] also waits until its port is free.
#[derive(Debug)]
pub struct App {
    kind: AppKind,
    server: Server,
    log: Arc<RequestLog>,
}

/// Which app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppKind {
    /// Articles for everybody signed in, writing for `editor`, `/admin/` for `admin`. `/` is public.
    Cms,
    /// Devices with live values (`/events`, `/ws`), a JSON API (`/api/devices`), restarts for `device:admin`.
    Iot,
}

/// One request as it arrived at the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRequest {
    pub method: String,
    /// Path and query as on the request line.
    pub target: String,
    /// In order of arrival, repeated names repeated; names are lower-case.
    pub headers: Vec<(String, String)>,
}

impl App {
    /// On a free port of loopback.
    pub async fn start(kind: AppKind) -> io::Result<App> {
        App::start_on(kind, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// Fails when the address is taken or is not a loopback address.
    pub async fn start_on(kind: AppKind, listen: SocketAddr) -> io::Result<App> {
        let bound = Bound::to(listen).await?;
        let log = Arc::new(RequestLog::default());
        let routes = match kind {
            AppKind::Cms => cms::routes(),
            AppKind::Iot => iot::routes(bound.stopping()),
        };
        let routes: Router =
            routes.route("/echo", axum::routing::any(panel::echo)).layer(middleware::from_fn_with_state(log.clone(), keep));
        Ok(App { kind, server: bound.serve(routes), log })
    }

    pub fn kind(&self) -> AppKind {
        self.kind
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// `http://127.0.0.1:<port>`, as an upstream is written in the configuration.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The last requests (at most 1000), oldest first.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.log.kept().iter().cloned().collect()
    }

    /// The last request whose path (without query) is this.
    pub fn last_received(&self, path: &str) -> Option<ReceivedRequest> {
        self.log.kept().iter().rev().find(|request| request.path() == path).cloned()
    }

    /// Forgets what was received so far.
    pub fn forget_received(&self) {
        self.log.kept().clear();
    }

    /// Stops and frees the port.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl ReceivedRequest {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All headers of this name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

#[derive(Debug, Default)]
struct RequestLog(Mutex<VecDeque<ReceivedRequest>>);

impl RequestLog {
    fn kept(&self) -> MutexGuard<'_, VecDeque<ReceivedRequest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn keep(State(log): State<Arc<RequestLog>>, request: Request, next: Next) -> Response {
    let received = ReceivedRequest {
        method: request.method().to_string(),
        target: request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned(),
        headers: panel::headers_of(request.headers()),
    };
    {
        let mut kept = log.kept();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(received);
    }
    next.run(request).await
}

const KEPT: usize = 1000;
