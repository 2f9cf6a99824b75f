//! What went wrong between the client and the app, in words of ours.

use pingora::{Error, ErrorSource, ErrorType};

/// 0: the client is gone.
pub(super) fn failure_status(error: &Error) -> u16 {
    match (error.etype(), error.esource()) {
        (ErrorType::HTTPStatus(status), _) => *status,
        (
            ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout | ErrorType::TLSHandshakeTimedout,
            ErrorSource::Upstream,
        ) => 504,
        (_, ErrorSource::Upstream) => 502,
        // The listener says so of a body that is none; everything else that cannot be read is gone.
        (ErrorType::ReadError, ErrorSource::Downstream) if is_malformed(error) => 400,
        (
            ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed | ErrorType::ReadTimedout | ErrorType::WriteTimedout,
            ErrorSource::Downstream,
        ) => 0,
        (_, ErrorSource::Downstream) => 400,
        (_, ErrorSource::Internal | ErrorSource::Unset) => 500,
    }
}

/// Whether what came could be read and was wrong.
fn is_malformed(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<std::io::Error>();
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::InvalidData)
}

/// From pingora's closed list, never its text: that may hold addresses and bytes of the request.
pub(super) fn error_name(error: &Error) -> &'static str {
    match error.esource() {
        ErrorSource::Upstream => match error.etype() {
            ErrorType::ConnectTimedout => "upstream_connect_timeout",
            ErrorType::ConnectRefused => "upstream_refused",
            ErrorType::ReadTimedout => "upstream_read_timeout",
            ErrorType::WriteTimedout => "upstream_write_timeout",
            ErrorType::InvalidCert | ErrorType::TLSHandshakeFailure | ErrorType::TLSHandshakeTimedout => "upstream_tls",
            _ => "upstream",
        },
        ErrorSource::Downstream => "client",
        ErrorSource::Internal | ErrorSource::Unset => match error.etype() {
            ErrorType::HTTPStatus(503) => "no_server",
            ErrorType::HTTPStatus(413) => "body_limit",
            _ => "internal",
        },
    }
}
