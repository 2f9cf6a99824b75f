//! Which certificate is for which host: nginx has to be told.

use doorward_config::settings::CertificateFiles;
use doorward_policy::request::HostPattern;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

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
