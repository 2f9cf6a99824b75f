//! The TLS configuration in use.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use doorward_config::settings::{Tls, TlsVersion};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, version};

use super::certificate::{Certificate, PemPair};
use super::resolver::SniResolver;
use super::{CertInfo, CertificateError};

/// One finished server configuration, replaceable at any time.
#[derive(Debug)]
pub struct TlsStore {
    current: ArcSwap<Current>,
    /// Outlives reloads, so that they do not end every resumable session. Its keys change every six hours.
    tickets: Arc<dyn ProducesTickets>,
    provider: Arc<CryptoProvider>,
    /// Who may connect at all, where not everybody may.
    clients: Option<Arc<dyn ClientCertVerifier>>,
    /// The CA, in PEM, that makes that out.
    client_ca: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Current {
    settings: Tls,
    config: Arc<ServerConfig>,
    certificates: Vec<CertInfo>,
    /// Over the bytes of all files.
    fingerprint: Fingerprint,
}

pub(super) type Fingerprint = [u8; 32];

impl TlsStore {
    /// Reads every certificate of `settings`.
    ///
    /// # Errors
    /// [`CertificateError`] names the file and what to do about it.
    pub fn load(settings: &Tls) -> Result<Arc<Self>, CertificateError> {
        Self::load_for(settings, None)
    }

    /// The same for a listener of peers: with `client_ca` (PEM), a handshake needs a certificate that it has signed
    /// (RFC 8446 §4.4.2).
    ///
    /// # Errors
    /// [`CertificateError`], also for a CA that is none.
    pub fn load_for(settings: &Tls, client_ca: Option<&[u8]>) -> Result<Arc<Self>, CertificateError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tickets = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(CertificateError::Configuration)?;
        Self::read(settings, client_ca, provider, tickets)
    }

    /// What is to take the place of `before`: that itself where nothing is new, files included.
    ///
    /// # Errors
    /// As for [`Self::load_for`].
    pub fn succeeding(before: &Arc<Self>, settings: &Tls, client_ca: Option<&[u8]>) -> Result<Arc<Self>, CertificateError> {
        if before.client_ca.as_deref() != client_ca {
            // A ticket stands for the certificate that was shown when it was given: not for one of another CA.
            return Self::load_for(settings, client_ca);
        }
        let next = Self::read(settings, client_ca, before.provider.clone(), before.tickets.clone())?;
        let same = before.settings() == *settings && before.fingerprint() == next.fingerprint();
        Ok(if same { before.clone() } else { next })
    }

    fn read(
        settings: &Tls,
        client_ca: Option<&[u8]>,
        provider: Arc<CryptoProvider>,
        tickets: Arc<dyn ProducesTickets>,
    ) -> Result<Arc<Self>, CertificateError> {
        let clients = client_ca.map(|pem| client_verifier(pem, &provider)).transpose()?;
        let current = Current::read(settings, &provider, &tickets, clients.as_ref())?;
        let client_ca = client_ca.map(<[u8]>::to_vec);
        Ok(Arc::new(Self { current: ArcSwap::from_pointee(current), tickets, provider, clients, client_ca }))
    }

    /// What a new connection takes.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current.load().config.clone()
    }

    pub fn certificates(&self) -> Vec<CertInfo> {
        self.current.load().certificates.clone()
    }

    /// Reads the same files again.
    ///
    /// # Errors
    /// As [`TlsStore::load`]; the configuration in use stays.
    pub fn reload(&self) -> Result<Vec<CertInfo>, CertificateError> {
        self.replace(&self.settings())
    }

    /// Changes to other settings: new files, another minimum version.
    ///
    /// # Errors
    /// As [`TlsStore::load`]; the configuration in use stays.
    pub fn replace(&self, settings: &Tls) -> Result<Vec<CertInfo>, CertificateError> {
        let current = Current::read(settings, &self.provider, &self.tickets, self.clients.as_ref())?;
        let certificates = current.certificates.clone();
        self.current.store(Arc::new(current));
        Ok(certificates)
    }

    /// Reads the files again if they are not what they were: for changes that came before anybody watched.
    pub(crate) fn catch_up(&self) {
        if fingerprint_of(&self.settings()).is_some_and(|now| now != self.fingerprint())
            && let Err(error) = self.reload()
        {
            tracing::error!("certificates were not reloaded, the old ones stay: {error}");
        }
    }

    pub(super) fn settings(&self) -> Tls {
        self.current.load().settings.clone()
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.current.load().fingerprint
    }
}

/// Of the files of `settings` as they are now; `None` when one cannot be read.
pub(super) fn fingerprint_of(settings: &Tls) -> Option<Fingerprint> {
    let mut context = digest::Context::new(&digest::SHA256);
    for files in &settings.certificates {
        PemPair::read(files).ok()?.add_to(&mut context);
    }
    context.finish().as_ref().try_into().ok()
}

impl Current {
    fn read(
        settings: &Tls,
        provider: &Arc<CryptoProvider>,
        tickets: &Arc<dyn ProducesTickets>,
        clients: Option<&Arc<dyn ClientCertVerifier>>,
    ) -> Result<Self, CertificateError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let mut context = digest::Context::new(&digest::SHA256);
        let mut certificates = Vec::with_capacity(settings.certificates.len());
        for files in &settings.certificates {
            let pem = PemPair::read(files)?;
            pem.add_to(&mut context);
            certificates.push(Certificate::parse(files, &pem, provider, now)?);
        }
        let Some(first) = certificates.first() else { return Err(CertificateError::None) };
        let resolver = SniResolver::new(first.key.clone(), &certificates);
        let mut fingerprint = Fingerprint::default();
        fingerprint.copy_from_slice(context.finish().as_ref());
        Ok(Self {
            settings: settings.clone(),
            config: Arc::new(server_config(settings.min_version, resolver, provider, tickets, clients)?),
            certificates: certificates.into_iter().map(|certificate| certificate.info).collect(),
            fingerprint,
        })
    }
}

fn client_verifier(pem: &[u8], provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| CertificateError::ClientCa)?;
        roots.add(certificate).map_err(CertificateError::Configuration)?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    builder.build().map_err(|_| CertificateError::ClientCa)
}

fn server_config(
    min_version: TlsVersion,
    resolver: SniResolver,
    provider: &Arc<CryptoProvider>,
    tickets: &Arc<dyn ProducesTickets>,
    clients: Option<&Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, CertificateError> {
    let versions: &[_] = match min_version {
        TlsVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        TlsVersion::Tls13 => &[&version::TLS13],
    };
    let config =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).map_err(CertificateError::Configuration)?;
    let config = match clients {
        Some(clients) => config.with_client_cert_verifier(clients.clone()),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = tickets.clone();
    // Tickets hold the state, so no cache that every core would lock.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // RFC 7627 §5.3: without it a TLS 1.2 session can be spliced onto another.
    config.require_ems = true;
    // RFC 8446 §8: early data can be replayed.
    config.max_early_data_size = 0;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{self, Files};
    use rcgen::KeyPair;

    #[test]
    fn tls_04_a_good_pair_is_described() {
        let files = Files::new();
        let pair = files.write("app", &testing::pair(&["App.example", "*.app.example"]));
        let store = TlsStore::load(&testing::settings(vec![pair])).unwrap();
        let [info] = &store.certificates()[..] else { panic!() };
        assert_eq!(info.name, "app.example");
        assert!(info.not_after > 1_700_000_000);
        let config = store.config();
        assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert_eq!(config.max_early_data_size, 0);
        assert!(config.ticketer.enabled() && config.require_ems);
    }

    #[test]
    fn tls_04_bad_pairs_name_the_file_and_the_cure() {
        let files = Files::new();
        let good = files.write("good", &testing::pair(&["app.example"]));
        let with = |cert: Option<&str>, key: Option<&str>| {
            let mut pair = good.clone();
            if let Some(text) = cert {
                pair.cert = files.file("cert", text);
            }
            if let Some(text) = key {
                pair.key = files.file("key", text);
            }
            TlsStore::load(&testing::settings(vec![pair])).unwrap_err().to_string()
        };
        assert!(with(Some(""), None).contains("holds no certificate; it must be PEM"));
        assert!(with(None, Some("")).contains("holds no private key"));
        assert!(with(Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), None).contains("is damaged"));
        let other = KeyPair::generate().unwrap().serialize_pem();
        assert!(with(None, Some(&other)).contains("does not belong to certificate"));
        let (cert, key) = testing::expired_pair("old.example");
        assert!(with(Some(&cert), Some(&key)).contains("expired on"));
        let mut missing = good.clone();
        missing.cert = files.path("absent.pem");
        let text = TlsStore::load(&testing::settings(vec![missing])).unwrap_err().to_string();
        assert!(text.contains("absent.pem` cannot be read"), "{text}");
        assert!(TlsStore::load(&testing::settings(Vec::new())).is_err());
        assert!(TlsStore::load(&testing::settings(vec![good])).is_ok());
    }

    #[test]
    fn a_bad_reload_keeps_what_works() {
        let files = Files::new();
        let pair = files.write("app", &testing::pair(&["app.example"]));
        let store = TlsStore::load(&testing::settings(vec![pair.clone()])).unwrap();
        let before = store.config();
        std::fs::write(&pair.cert, "nothing").unwrap();
        assert!(store.reload().is_err());
        assert!(Arc::ptr_eq(&before, &store.config()));
        files.write("app", &testing::pair(&["other.example"]));
        assert_eq!(store.reload().unwrap()[0].name, "other.example");
        assert!(!Arc::ptr_eq(&before, &store.config()));
    }
}
