//! What pingora is told about HTTP/2 and connections.

use doorward_config::settings::Limits;
use pingora::apps::HttpServerOptions;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};

/// Streams that one HTTP/2 connection may have open (RFC 9113 §6.5.2).
const STREAMS: u32 = 100;

/// Body bytes a client may send ahead, per stream and per connection (RFC 9113 §6.9.2).
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Response bytes held for one stream that the client does not read.
const SEND_BUFFER: usize = 256 * 1024;

/// HTTP/2: bounded streams, header lists and buffers.
pub fn h2_options(limits: &Limits) -> H2Options {
    // A fresh `H2Options` has no limits at all; only these defaults have pingora's.
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX).min(64 * 1024))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        // RFC 9113 §10.5: rapid resets are cheap to send and dear to serve (CVE-2023-44487).
        .max_pending_accept_reset_streams(20)
        .max_concurrent_reset_streams(20)
        .max_local_error_reset_streams(Some(100));
    options
}

/// No prior-knowledge HTTP/2, no tunnels, and an end to idle HTTP/2 connections.
pub fn server_options(limits: &Limits) -> HttpServerOptions {
    let mut options = HttpServerOptions::default();
    options.h2c = false;
    options.allow_connect_method_proxying = false;
    options.h2_idle_timeout = Some(limits.idle);
    options
}
