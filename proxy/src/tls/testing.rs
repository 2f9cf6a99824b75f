//! Certificates for tests.

use std::path::PathBuf;

use doorward_config::settings::{CertificateFiles, Tls, TlsVersion};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::certificate::{Certificate, PemPair};

/// A directory of PEM files that goes away with the value.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn write(&self, name: &str, (cert, key): &(String, String)) -> CertificateFiles {
        CertificateFiles { cert: self.file(&format!("{name}.crt"), cert), key: self.file(&format!("{name}.key"), key) }
    }
}

/// Certificate and key, PEM.
pub(crate) fn pair(names: &[&str]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

pub(crate) fn expired_pair(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2020, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

pub(super) fn certificate(names: &[&str]) -> Certificate {
    let files = Files::new();
    let written = files.write("any", &pair(names));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Certificate::parse(&written, &PemPair::read(&written).unwrap(), &provider, 1_700_000_000).unwrap()
}

pub(crate) fn settings(certificates: Vec<CertificateFiles>) -> Tls {
    Tls { certificates, min_version: TlsVersion::Tls12 }
}
