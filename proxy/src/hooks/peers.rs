//! Who may ask (HOOK-01).

use std::net::IpAddr;

use aws_lc_rs::digest;
use doorward_config::settings::Hooks;
use doorward_policy::secret::Secret;
use http::HeaderMap;
use ipnet::IpNet;

/// The field in which a peer sends the shared secret.
pub const SECRET: &str = "x-doorward-secret";

/// The peers of the settings. Client certificates are the TLS handshake's business.
#[derive(Debug)]
pub struct Peers {
    networks: Vec<IpNet>,
    /// TIM-02: digests have one length, whatever is compared.
    secret: Option<Secret<Vec<u8>>>,
}

impl Peers {
    pub fn new(hooks: &Hooks) -> Self {
        let secret = hooks.secret.as_ref().map(|secret| Secret::new(digest_of(secret.expose().as_bytes())));
        Self { networks: hooks.trusted_peers.clone(), secret }
    }

    /// Whether the other end of the connection may ask.
    ///
    /// # Errors
    /// Why not, for the log alone.
    pub fn trust(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), &'static str> {
        match (self.names(peer), self.knows_secret(headers)) {
            (true, true) => Ok(()),
            (true, false) => Err("hook_secret"),
            (false, _) => Err("hook_untrusted"),
        }
    }

    /// Whether its address is one of those that may.
    pub fn names(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.networks.iter().any(|network| network.contains(&peer))
    }

    fn knows_secret(&self, headers: &HeaderMap) -> bool {
        let Some(secret) = &self.secret else { return true };
        let mut values = headers.get_all(SECRET).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => secret.matches(&digest_of(value.as_bytes())),
            _ => false,
        }
    }
}

fn digest_of(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward_config::settings::Hooks;
    use http::HeaderValue;

    fn peers(networks: &[&str], secret: Option<&str>) -> Peers {
        Peers::new(&Hooks {
            listen: Vec::new(),
            grpc: Vec::new(),
            tls: false,
            trusted_peers: networks.iter().map(|network| network.parse().unwrap()).collect(),
            secret: secret.map(|secret| Secret::new(secret.to_owned())),
            example_secret: false,
            client_ca: None,
            oauth2_proxy: None,
        })
    }

    #[test]
    fn hook_01_only_trusted_addresses_may_ask() {
        let peers = peers(&["10.0.0.0/8", "fd00::/64"], None);
        let none = HeaderMap::new();
        for (address, trusted) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("fd00::1", true),
            ("11.0.0.1", false),
            ("fd00:0:0:1::1", false),
            ("127.0.0.1", false),
        ] {
            let told = peers.trust(address.parse().unwrap(), &none);
            assert_eq!(told, if trusted { Ok(()) } else { Err("hook_untrusted") }, "{address}");
        }
    }

    #[test]
    fn hook_01_a_shared_secret_is_needed_besides_the_address_and_exactly_once() {
        let peers = peers(&["10.0.0.0/8"], Some("correct horse battery"));
        let asks = |address: &str, values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(SECRET, HeaderValue::from_str(value).unwrap());
            }
            peers.trust(address.parse().unwrap(), &headers)
        };
        assert_eq!(asks("10.0.0.1", &["correct horse battery"]), Ok(()));
        assert_eq!(asks("192.0.2.1", &["correct horse battery"]), Err("hook_untrusted"));
        for values in
            [&[][..], &[""], &["correct horse batter"], &["correct horse battery "], &["correct horse battery", "correct horse battery"]]
        {
            assert_eq!(asks("10.0.0.1", values), Err("hook_secret"), "{values:?}");
        }
    }
}
