//! What holds for a new connection.

use std::sync::Arc;

use arc_swap::ArcSwap;
use doorward_config::settings::{Limits, Server};
use ipnet::IpNet;

use crate::tls::TlsStore;

/// The part of the settings that connections are held to. A connection keeps what it began with; what a request is held to
/// comes with its configuration.
#[derive(Debug, Clone)]
pub struct Terms {
    pub limits: Limits,
    /// The port in the address bar of browsers.
    pub public_port: u16,
    /// Proxies in front of us; each stands for many clients.
    pub shared: Vec<IpNet>,
    /// Who may ask on the hook listeners; the same holds for them, there.
    pub peers: Vec<IpNet>,
    /// Who may announce clients, for each public listener in its order; `None`: nobody does.
    pub announcers: Vec<Option<Vec<IpNet>>>,
    pub tls: TlsStores,
}

/// The certificates of each kind of listener; `None`: it speaks no TLS.
#[derive(Debug, Clone, Default)]
pub struct TlsStores {
    pub public: Option<Arc<TlsStore>>,
    pub hooks: Option<Arc<TlsStore>>,
}

/// The terms of whoever connects next.
pub type CurrentTerms = Arc<ArcSwap<Terms>>;

impl Terms {
    pub fn new(server: &Server, tls: TlsStores) -> Self {
        Self {
            limits: server.limits.clone(),
            public_port: server.public_port,
            shared: server.trusted_proxies.clone(),
            peers: server.hooks.as_ref().map(|hooks| hooks.trusted_peers.clone()).unwrap_or_default(),
            announcers: server.listen.iter().map(|listen| listen.proxy_protocol.clone()).collect(),
            tls,
        }
    }

    pub fn current(server: &Server, tls: TlsStores) -> CurrentTerms {
        Arc::new(ArcSwap::from_pointee(Self::new(server, tls)))
    }
}
