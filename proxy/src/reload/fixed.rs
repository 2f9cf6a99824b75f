//! What a reload cannot change: sockets that are open, and the threads behind them.

use std::net::SocketAddr;

use doorward_config::settings::Server;
use serde_json::{Value, json};

/// One key that would need a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    pub key: &'static str,
}

impl std::fmt::Display for Fixed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` cannot change while Doorward runs: restart it, or put back what was there", self.key)
    }
}

impl Fixed {
    pub(super) fn to_json(self) -> Value {
        json!({ "key": self.key, "message": self.to_string() })
    }
}

/// All of them that differ.
pub(super) fn changes(before: &Server, next: &Server) -> Vec<Fixed> {
    let listen = |server: &Server| server.listen.iter().map(|listen| listen.address).collect::<Vec<_>>();
    let announced = |server: &Server| server.listen.iter().map(|listen| listen.proxy_protocol.is_some()).collect::<Vec<_>>();
    let hooks = |server: &Server| server.hooks.as_ref().map(|hooks| hooks.listen.clone()).unwrap_or_default();
    let grpc = |server: &Server| -> Vec<SocketAddr> { server.hooks.as_ref().map(|hooks| hooks.grpc.clone()).unwrap_or_default() };
    let differing = [
        ("server.listen", listen(before) != listen(next)),
        ("server.listen.proxy_protocol", listen(before) == listen(next) && announced(before) != announced(next)),
        ("server.redirect", before.redirect != next.redirect),
        ("server.hooks.listen", hooks(before) != hooks(next)),
        ("server.hooks.grpc", grpc(before) != grpc(next)),
        ("server.admin", before.admin != next.admin),
        ("server.cores", before.cores != next.cores),
    ];
    differing.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| Fixed { key }).collect()
}
