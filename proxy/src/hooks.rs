//! Other proxies ask before they pass a request on: Traefik, nginx, Caddy, HAProxy, Envoy, and whoever speaks to
//! oauth2-proxy today.
//!
//! The gate that answers is the one of proxy mode; only where the original request is read, and what yes and no look like,
//! differs from proxy to proxy: one small file for each. Whoever is not a trusted peer is told nothing.

mod answer;
mod caddy;
pub mod dialect;
pub mod door;
mod envoy_grpc;
mod envoy_http;
mod grpc_door;
mod guard;
mod haproxy;
mod nginx;
mod oauth2_proxy;
mod original;
mod peers;
mod prepared;
mod record;
mod removal;
mod traefik;
mod verdict;

pub use door::HookDoor;
pub use grpc_door::{GrpcListeners, GrpcServing};
pub use peers::{Peers, SECRET};
pub use prepared::Prepared;
