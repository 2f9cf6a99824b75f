//! Addresses to listen on and networks to believe.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::field::Field;
use crate::problem::WarningCode;

const OWN_PROXIES: &str = "name the networks that your own load balancers are in";
const ASKING_PROXIES: &str = "name the addresses of the proxies that ask, or the networks they are in";

/// This machine's, and private ones.
const PRIVATE: [IpNet; 9] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16)),
    // RFC 6598: carrier-grade NAT, which clouds use inside.
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)),
];

impl Field<'_> {
    /// An address and a port.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self.name()?.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                let message = format!("`{}` is no address with a port", self.shown());
                self.refuse(message, "an IP address, a colon and a port: `0.0.0.0:8443`, `[::]:8443`")
            }
        }
    }

    /// `10.0.0.0/8`, or one address.
    pub(super) fn network(&self) -> Option<IpNet> {
        let text = self.name()?;
        let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let Some(network) = parsed else {
            return self.refuse(
                format!("`{}` is no network", self.shown()),
                "an address, or an address and a prefix length: `10.0.0.0/8`, `2001:db8::/32`",
            );
        };
        if network.addr() != network.network() {
            return self.refuse(
                format!("`{}` has bits set behind its prefix", self.shown()),
                format!("the whole network is `{}`, the one address `{}`", network.trunc(), network.addr()),
            );
        }
        if let IpNet::V6(network) = network
            && network.addr().to_ipv4_mapped().is_some()
        {
            return self.refuse(
                format!("`{}` is an IPv4 network in IPv6 clothes", self.shown()),
                "write it as IPv4: clients are compared by their IPv4 address",
            );
        }
        Some(network)
    }

    /// A network whose word is taken for something: never everybody's.
    pub(super) fn trusted_network(&self) -> Option<IpNet> {
        let network = self.trusted(OWN_PROXIES)?;
        self.warn_if_wide(&network, OWN_PROXIES);
        Some(network)
    }

    /// A network that may ask about other people's requests; `proven`: its peers show a secret or a certificate as well.
    pub(super) fn trusted_peer(&self, proven: bool) -> Option<IpNet> {
        let network = self.trusted(ASKING_PROXIES)?;
        if is_wide(&network) && !proven {
            let message = format!("`{}` is too wide a range to trust without a secret", self.shown());
            return self.refuse(message, format!("{ASKING_PROXIES}, or add a `secret` (or a `client_ca`) that they must show as well"));
        }
        self.warn_if_wide(&network, ASKING_PROXIES);
        Some(network)
    }

    fn trusted(&self, help: &str) -> Option<IpNet> {
        let network = self.network()?;
        if network.prefix_len() <= 1 {
            // ADV-O2P-10: a list that trusts everybody undoes every check that stands on it.
            return self.refuse(format!("`{}` trusts half the internet or more", self.shown()), help);
        }
        Some(network)
    }

    fn warn_if_wide(&self, network: &IpNet, help: &str) {
        if is_wide(network) {
            self.warn(WarningCode::WideTrust, format!("`{}` is a wide range to trust", self.shown()), help);
        }
    }
}

/// So wide that strangers may be in it.
fn is_wide(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < 8,
        IpNet::V6(network) => network.prefix_len() < 32,
    }
}

/// An address that only this machine can reach.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

/// An address literal that is neither this machine's nor of a private network.
pub(super) fn is_public(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|address| {
        let address = address.to_canonical();
        !address.is_unspecified() && is_public_network(&address.into())
    })
}

/// Whether strangers' addresses are in it.
pub(super) fn is_public_network(network: &IpNet) -> bool {
    !PRIVATE.iter().any(|private| private.contains(network))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_private_addresses_are_told_from_public_ones() {
        for host in ["localhost", "idp.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1", "example", "0.0.0.0", "127.0.0.1.example"] {
            assert!(!is_loopback(host), "{host}");
        }
        for host in ["8.8.8.8", "2001:4860::1", "172.32.0.1", "::ffff:8.8.8.8"] {
            assert!(is_public(host), "{host}");
        }
        for host in ["10.1.2.3", "172.31.0.1", "192.168.1.1", "::1", "fd00::1", "100.64.0.1", "app.example", "127.0.0.1"] {
            assert!(!is_public(host), "{host}");
        }
    }
    #[test]
    fn a_network_is_private_as_a_whole_or_public() {
        let public = |text: &str| is_public_network(&text.parse().unwrap());
        for network in ["10.0.0.0/8", "10.1.0.0/16", "192.168.1.1/32", "::1/128", "fd00::/8", "127.0.0.0/8"] {
            assert!(!public(network), "{network}");
        }
        for network in ["10.0.0.0/7", "203.0.113.0/24", "2001:db8::/32", "::/8", "172.0.0.0/8"] {
            assert!(public(network), "{network}");
        }
    }
}
