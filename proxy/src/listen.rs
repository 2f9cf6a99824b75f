//! From a listening socket to a request that pingora may read.
//!
//! One acceptor thread owns every listening socket and hands each connection to the *world* with the fewest: an OS
//! thread with its own runtime, app and upstream pool. In its world a connection passes, in this
//! order: the caps, the PROXY header where one is demanded, the TLS handshake under a deadline, and then the
//! `head_guard` that reads every HTTP/1.x request head before pingora does.
//!
//! Nothing here decides about hosts, paths or people. It promises that no byte of a request reaches the app before its
//! head was judged by `doorward_policy::wire`, and that nobody holds a connection without a deadline.

mod acceptor;
mod ahead;
mod answer;
mod caps;
mod connection;
mod head_guard;
mod options;
mod outgoing;
mod proxy_protocol;
mod redirect;
mod refusal;
mod serving;
mod terms;
#[cfg(test)]
mod tests;
mod world;

pub(crate) use acceptor::is_of_the_client;
pub use connection::{ConnectionInfo, Cutter, connection_info, info_of};
pub use options::{h2_options, server_options};
pub(crate) use refusal::{ACCEPT_FAILED, HANDSHAKE_COMPLETED, HANDSHAKE_DEADLINE, HANDSHAKE_FAILED, PREFACE_DEADLINE, TOTAL_CAP};
pub use refusal::{HANDSHAKE_OUTCOMES, refusal_reasons};
pub(crate) use serving::Bound;
pub use serving::{Admittance, Drained, Listeners, Serving};
pub use terms::{CurrentTerms, Terms, TlsStores};

use std::net::IpAddr;
use std::sync::Arc;

/// Told of everything that never becomes a request, and of connections coming and going.
///
/// Called on the threads of the worlds and of the acceptor; it must not block.
pub trait ConnectionEvents: Send + Sync + 'static {
    /// Something was refused before the app saw it. `reason` is one of [`refusal_reasons`]; `status` is what the client
    /// was answered, `None` when it was not; `request_id` is empty when there was no answer.
    fn refused(&self, client: IpAddr, reason: &'static str, status: Option<u16>, request_id: &str);
    /// A TLS handshake ended; one of [`HANDSHAKE_OUTCOMES`].
    fn handshake(&self, outcome: &'static str);
    /// `1` for each connection admitted, `-1` when it is gone.
    fn connection(&self, delta: i64);
}

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Browsers and API clients, over TLS.
    Public,
    /// Other proxies that ask, over TLS or without.
    Hooks,
}

/// Whether a canonical host name (lower case, no port) is one of ours.
pub type OurHosts = Arc<dyn Fn(&str) -> bool + Send + Sync>;
