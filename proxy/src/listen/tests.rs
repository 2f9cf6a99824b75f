//! Real sockets, real TLS, real pingora, and an upstream that writes down every byte it gets.

pub(super) mod fitful;
mod harness;

mod deadlines;
mod heads;
mod pipelining;
mod plain;
mod proxy_header;
mod stopping;
mod tls;

pub(super) use harness::Recorder;
