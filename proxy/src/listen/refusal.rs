//! The closed lists of labels that [`super::ConnectionEvents`] is called with.

use doorward_policy::wire::HeadFault;

/// The server may hold no more connections.
pub(crate) const TOTAL_CAP: &str = "total_cap";
/// The client may hold no more connections.
pub(super) const CLIENT_CAP: &str = "client_cap";
/// A PROXY header from a peer that is not trusted to send one.
pub(super) const PROXY_UNTRUSTED: &str = "proxy_untrusted";
/// A trusted peer sent no PROXY header, or a malformed one.
pub(super) const PROXY_HEADER: &str = "proxy_header";
/// The request head did not come in time.
pub(super) const HEADER_DEADLINE: &str = "header_deadline";
/// The HTTP/2 preface did not come in time.
pub(crate) const PREFACE_DEADLINE: &str = "preface_deadline";
/// The plain listener was asked for a host that is not ours.
pub(super) const REDIRECT_HOST: &str = "redirect_host";
/// The plain listener was asked for more than a page.
pub(super) const REDIRECT_METHOD: &str = "redirect_method";
/// More body was left than the request announced.
pub(super) const BODY_LEFT: &str = "body_left";
/// A chunked body that is not chunked as it should be.
pub(super) const CHUNKED_BODY: &str = "chunked_body";
/// The system gave no connection (file descriptors, memory).
pub(crate) const ACCEPT_FAILED: &str = "accept_failed";

pub(crate) const HANDSHAKE_COMPLETED: &str = "completed";
pub(crate) const HANDSHAKE_FAILED: &str = "failed";
pub(crate) const HANDSHAKE_DEADLINE: &str = "deadline";

/// How a TLS handshake can end.
pub const HANDSHAKE_OUTCOMES: [&str; 3] = [HANDSHAKE_COMPLETED, HANDSHAKE_FAILED, HANDSHAKE_DEADLINE];

const OWN: [&str; 11] = [
    TOTAL_CAP,
    CLIENT_CAP,
    PROXY_UNTRUSTED,
    PROXY_HEADER,
    HEADER_DEADLINE,
    PREFACE_DEADLINE,
    REDIRECT_HOST,
    REDIRECT_METHOD,
    BODY_LEFT,
    CHUNKED_BODY,
    ACCEPT_FAILED,
];

/// Every reason that a refusal can have.
pub fn refusal_reasons() -> impl Iterator<Item = &'static str> {
    OWN.into_iter().chain(HeadFault::ALL.into_iter().map(HeadFault::label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_distinct() {
        let all: std::collections::HashSet<_> = refusal_reasons().collect();
        assert_eq!(all.len(), refusal_reasons().count());
    }
}
