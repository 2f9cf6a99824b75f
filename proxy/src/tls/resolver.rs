//! Which certificate answers for the name a client asks for (SNI, RFC 6066 §3).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;

/// Exact names, then one-label wildcards, then the first certificate of the configuration.
#[derive(Debug)]
pub(super) struct SniResolver {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// `example.com` stands for `*.example.com` (RFC 6125 §6.4.3: the wildcard is one whole label).
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

impl SniResolver {
    /// The first of `certificates` answers for unknown names. Of two that cover one name the earlier wins.
    pub(super) fn new(default: Arc<CertifiedKey>, certificates: &[Certificate]) -> Self {
        let mut resolver = Self { exact: HashMap::new(), wildcard: HashMap::new(), default };
        for certificate in certificates {
            for name in &certificate.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(base) => (&mut resolver.wildcard, base),
                    None => (&mut resolver.exact, name.as_str()),
                };
                map.entry(name.to_owned()).or_insert_with(|| certificate.key.clone());
            }
        }
        resolver
    }

    fn key_for(&self, sni: Option<&str>) -> &Arc<CertifiedKey> {
        // rustls hands over a valid DNS name; RFC 6066 §3 forbids the trailing dot, some clients send it anyway.
        let Some(name) = sni.map(|name| name.trim_end_matches('.').to_ascii_lowercase()) else { return &self.default };
        self.exact.get(&name).or_else(|| name.split_once('.').and_then(|(_, base)| self.wildcard.get(base))).unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for SniResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key_for(hello.server_name()).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing;

    #[test]
    fn exact_before_wildcard_before_the_first() {
        let [first, exact, wildcard] =
            [&["first.example"][..], &["app.example"], &["*.example", "*.app.example"]].map(testing::certificate);
        let all = [first, exact, wildcard];
        let resolver = SniResolver::new(all[0].key.clone(), &all);
        let answers = |name: Option<&str>| all.iter().position(|each| Arc::ptr_eq(&each.key, resolver.key_for(name)));
        for (name, expected) in [
            (Some("first.example"), 0),
            (Some("app.example"), 1),
            (Some("APP.Example."), 1),
            (Some("other.example"), 2),
            (Some("a.app.example"), 2),
            (Some("a.b.app.example"), 0),
            (Some("example"), 0),
            (Some("app.example.org"), 0),
            (None, 0),
        ] {
            assert_eq!(answers(name), Some(expected), "{name:?}");
        }
    }
}
