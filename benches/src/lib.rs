//! What benches, figures of the comparison and tests of the hot path share: an edge in this process that nobody connects to,
//! and the credentials that pass it.

pub mod configuration;
pub mod inside;
pub mod issuer;
pub mod parallel;
pub mod request;
pub mod rig;
pub mod stand;

use std::io;

pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// What TLS and tokens are computed with, for the whole process.
pub fn crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

/// One thread beside this one: a tenant answers there while this one waits.
///
/// # Errors
/// The system's.
pub fn beside() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}

/// No thread but this one.
///
/// # Errors
/// The system's.
pub fn alone() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
