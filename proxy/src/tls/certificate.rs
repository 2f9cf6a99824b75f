//! A certificate chain with its key, read from PEM files and checked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use doorward_config::settings::CertificateFiles;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Below this, a certificate that still works is worth a warning: 14 days, in seconds.
const SOON: i64 = 14 * 24 * 3600;

/// What an operator wants to know of a certificate in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertInfo {
    /// The first DNS name it covers, or its file when it covers none.
    pub name: String,
    /// The end of its validity, in seconds since 1970.
    pub not_after: i64,
}

/// Why a certificate cannot be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("`{}` cannot be read: {source}; check the path, and that this user may read the file", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{}` holds no certificate; it must be PEM, the server's certificate first, then its intermediates", path.display())]
    NoCertificate { path: PathBuf },
    #[error("`{}` holds no private key; it must be an unencrypted PEM key (PKCS#8, SEC1 or PKCS#1)", path.display())]
    NoKey { path: PathBuf },
    #[error("`{}` is damaged: {why}; write the file again", path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("key `{}` does not belong to certificate `{}`; configure the pair that was issued together", key.display(), cert.display())]
    Mismatch { cert: PathBuf, key: PathBuf },
    #[error("key `{}` cannot be used: {why}; ECDSA P-256 is a good choice", path.display())]
    UnusableKey { path: PathBuf, why: String },
    #[error("certificate `{}` expired on {on}; renew it", path.display())]
    Expired { path: PathBuf, on: String },
    #[error("server.hooks.client_ca holds no CA certificate that can be used; it must be PEM")]
    ClientCa,
    #[error("no certificate is configured; name at least one")]
    None,
    #[error("the TLS configuration was refused: {0}")]
    Configuration(rustls::Error),
}

/// The bytes of both files as they were read together.
pub(super) struct PemPair {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// A pair that is ready to answer for its names.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// Lower case, without trailing dot; `*.` in front of a wildcard.
    pub(super) names: Vec<String>,
    pub(super) info: CertInfo,
}

impl PemPair {
    pub(super) fn read(files: &CertificateFiles) -> Result<Self, CertificateError> {
        let read = |path: &Path| std::fs::read(path).map_err(|source| CertificateError::Unreadable { path: path.to_owned(), source });
        Ok(Self { cert: read(&files.cert)?, key: read(&files.key)? })
    }

    /// Tells whether a later reading differs, without keeping the key around.
    pub(super) fn add_to(&self, digest: &mut aws_lc_rs::digest::Context) {
        for part in [&self.cert, &self.key] {
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
}

impl Certificate {
    /// `now` in seconds since 1970.
    pub(super) fn parse(files: &CertificateFiles, pem: &PemPair, provider: &CryptoProvider, now: i64) -> Result<Self, CertificateError> {
        let damaged = |path: &Path, why: String| CertificateError::Damaged { path: path.to_owned(), why };
        let chain = CertificateDer::pem_slice_iter(&pem.cert)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| damaged(&files.cert, error.to_string()))?;
        let Some(leaf) = chain.first() else { return Err(CertificateError::NoCertificate { path: files.cert.clone() }) };
        let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => CertificateError::NoKey { path: files.key.clone() },
            other => damaged(&files.key, other.to_string()),
        })?;

        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| damaged(&files.cert, error.to_string()))?;
        let not_after = parsed.validity().not_after.timestamp();
        if not_after <= now {
            return Err(CertificateError::Expired { path: files.cert.clone(), on: parsed.validity().not_after.to_string() });
        }
        let names = dns_names(&parsed);
        let name = names.first().cloned().unwrap_or_else(|| files.cert.display().to_string());
        if not_after - now < SOON {
            tracing::warn!(certificate = %name, days_left = (not_after - now) / 86_400, "certificate expires soon");
        }
        if parsed.validity().not_before.timestamp() > now {
            tracing::warn!(certificate = %name, "certificate is not valid yet; check the clock");
        }

        let key = CertifiedKey::from_der(chain.clone(), key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch { cert: files.cert.clone(), key: files.key.clone() },
            rustls::Error::InvalidCertificate(_) => damaged(&files.cert, error.to_string()),
            other => CertificateError::UnusableKey { path: files.key.clone(), why: other.to_string() },
        })?;
        Ok(Self { key: Arc::new(key), names, info: CertInfo { name, not_after } })
    }
}

/// RFC 6125 §6.4.4: the subject alternative names; the common name is not looked at.
fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
        _ => None,
    });
    dns.collect()
}
