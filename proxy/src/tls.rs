//! Certificates and the TLS server configuration, replaceable while running.
//!
//! [`TlsStore`] holds one finished `rustls` configuration; each new connection takes the current one, so a reload is a
//! single pointer swap and never disturbs what is already open. [`CertificateWatcher`] follows the files. Only a
//! listener of peers asks for client certificates; OCSP stapling and early data are deliberately absent.

mod certificate;
mod resolver;
mod store;
#[cfg(test)]
pub(crate) mod testing;
mod watcher;

pub use certificate::{CertInfo, CertificateError};
pub use store::TlsStore;
pub use watcher::CertificateWatcher;
pub(crate) use watcher::{is_change, watch_certificates};
