//! Certificates: in which files they are, and which is for which host.

use std::path::Path;

use doorward_config::settings::CertificateFiles;
use doorward_policy::request::HostPattern;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct CertificateFact {
    pub(super) cert: String,
    pub(super) key: String,
    /// One file that holds both, or brings the host to the second.
    pub(super) both: String,
    pub(super) both_placeholder: bool,
    pub(super) placeholder: bool,
}

const CERT: &str = "/etc/ssl/doorward/tls.crt";

const KEY: &str = "/etc/ssl/doorward/tls.key";

const BOTH: &str = "/etc/ssl/doorward/tls.pem";

pub(super) fn certificate(files: &CertificateFiles) -> CertificateFact {
    // The host is started elsewhere.
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
    let (cert, key) = (whole(&files.cert), whole(&files.key));
    // HAProxy looks for the key beside the certificate (`ssl-load-extra-del-ext`), or in the same file.
    let beside = cert.strip_suffix(".crt").is_some_and(|stem| key == format!("{stem}.key"));
    let found = beside || cert == key;
    let both = if found { cert.clone() } else { BOTH.to_owned() };
    CertificateFact { cert, key, both, both_placeholder: !found, placeholder: false }
}

pub(super) fn placeholder_certificate() -> CertificateFact {
    CertificateFact { cert: CERT.to_owned(), key: KEY.to_owned(), both: CERT.to_owned(), both_placeholder: true, placeholder: true }
}

/// Whether the certificate is for this host. One that cannot be read is for none.
pub(super) fn covers(files: &CertificateFiles, host: &HostPattern) -> bool {
    names(files).iter().any(|name| match host {
        HostPattern::Exact(host) => **host == **name || wildcard_covers(name, host),
        HostPattern::Below(domain) => name.strip_prefix("*.") == Some(&**domain),
    })
}

/// RFC 6125 §6.4.3: the star stands for one label.
fn wildcard_covers(name: &str, host: &str) -> bool {
    matches!((name.strip_prefix("*."), host.split_once('.')), (Some(domain), Some((_, rest))) if domain == rest)
}

/// The DNS names of the server's own certificate, in lower case.
fn names(files: &CertificateFiles) -> Vec<String> {
    let Ok(pem) = std::fs::read(&files.cert) else { return Vec::new() };
    let Ok(leaf) = CertificateDer::from_pem_slice(&pem) else { return Vec::new() };
    let Ok((_, certificate)) = X509Certificate::from_der(&leaf) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    dns.collect()
}
