//! What a failed call says, in our words. Redis quotes what it was sent in some errors, so none of its texts is repeated.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::store::StoreFault;

/// One failure: for the request, for the connection, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) fault: StoreFault,
    /// The connection is not to be used again.
    pub(super) is_lost: bool,
    pub(super) text: String,
}

impl Trouble {
    pub(super) fn unreachable(text: impl Into<String>) -> Self {
        Self { fault: StoreFault::Unreachable, is_lost: true, text: text.into() }
    }

    pub(super) fn broken(text: impl Into<String>) -> Self {
        Self { fault: StoreFault::Broken, is_lost: true, text: text.into() }
    }

    pub(super) fn of(error: &RedisError) -> Self {
        let works_again_by_itself = |text: &str| Self { is_lost: false, ..Self::unreachable(text) };
        let misconfigured = |text: String| Self { is_lost: false, ..Self::broken(text) };
        match error.kind() {
            ErrorKind::AuthenticationFailed => {
                Self::broken("the user name or password is wrong (`session.redis.username` and `password`), or the server asks for none")
            }
            ErrorKind::Server(kind) => match kind {
                ServerErrorKind::BusyLoading => works_again_by_itself("it is loading its data"),
                ServerErrorKind::MasterDown => Self::unreachable("it is a replica that has lost its master"),
                ServerErrorKind::ReadOnly => Self::unreachable("it is a read-only replica"),
                ServerErrorKind::ClusterDown | ServerErrorKind::TryAgain | ServerErrorKind::Moved | ServerErrorKind::Ask => {
                    works_again_by_itself(
                        "the cluster does not serve all keys now, or this server is of a cluster and `cluster` is not set",
                    )
                }
                ServerErrorKind::NoPerm => misconfigured("its user may not use a command or key that is needed (ACL)".to_owned()),
                _ if is_out_of_memory(error) => Self::full(),
                _ if says(error, "DB index is out of range") => misconfigured("it has no database of that number".to_owned()),
                _ if says(error, "SELECT is not allowed") => misconfigured("a cluster has database 0 alone".to_owned()),
                _ => misconfigured(format!("it answered with an error ({})", error.code().unwrap_or("unknown"))),
            },
            ErrorKind::Extension => match error.code().unwrap_or_default() {
                "OOM" => Self::full(),
                "NOAUTH" => Self::broken("it asks for a password, and `session.redis.password` is not set"),
                "WRONGPASS" => Self::broken("the user name or password is wrong (`session.redis.username` and `password`)"),
                "MISCONF" => misconfigured("it cannot write to its disk and takes no changes (MISCONF)".to_owned()),
                "BUSY" => works_again_by_itself("it is busy with somebody's script"),
                code if code.len() <= 20 && code.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                    misconfigured(format!("it answered with an error ({code})"))
                }
                _ => misconfigured("it answered with an error".to_owned()),
            },
            ErrorKind::Io | ErrorKind::Client => Self::unreachable(connection_text(error)),
            ErrorKind::ClusterConnectionNotFound => Self::unreachable("no server of the cluster can be reached"),
            ErrorKind::Parse => Self::unreachable("what answers there does not speak the Redis protocol (does it expect TLS?)"),
            ErrorKind::UnexpectedReturnType => {
                misconfigured("one of its values is not ours: another program uses the same prefix".to_owned())
            }
            kind => Self::broken(format!("it cannot be used ({kind:?})")),
        }
    }

    fn full() -> Self {
        Self { fault: StoreFault::Full, is_lost: false, text: "it has no memory left (`maxmemory`)".to_owned() }
    }
}

fn is_out_of_memory(error: &RedisError) -> bool {
    says(error, "OOM command not allowed")
}

fn says(error: &RedisError, what: &str) -> bool {
    error.detail().is_some_and(|detail| detail.contains(what))
}

/// Texts of the system and of rustls; neither quotes what was sent.
fn connection_text(error: &RedisError) -> String {
    if error.is_timeout() {
        return "no answer in time (a firewall, or TLS where the server speaks none?)".to_owned();
    }
    // The crate keeps its causes behind an `Arc`, which is an error of its own.
    let cause = error.source().and_then(|source| source.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>());
    let kind = cause.and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    let hint = match kind {
        Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            " (if this is at once: does the server expect TLS?)"
        }
        Some(io::ErrorKind::InvalidData) => " (does the server speak TLS there, with a certificate of this CA and for this name?)",
        _ => "",
    };
    match error.source() {
        Some(source) => format!("{source}{hint}"),
        None if error.is_connection_dropped() => "the connection was closed (does the server expect TLS?)".to_owned(),
        None => "the connection failed".to_owned(),
    }
}
