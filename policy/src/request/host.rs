//! A host name in its one canonical form, and the patterns that routes are found by.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A lower-case DNS name without trailing dot, or an IP address; the port is checked and kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    name: Box<str>,
    port: Option<u16>,
}

/// Why an authority is not a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostFault {
    #[error("host is missing")]
    Missing,
    #[error("host is not a name, an address or a bracketed IPv6 address with an optional port")]
    Grammar,
}

impl Host {
    /// Reads `name[:port]` (RFC 9110 §7.2, RFC 3986 §3.2.2, letters, digits and hyphens only).
    ///
    /// # Errors
    /// [`HostFault`]; user information, empty labels, escapes and ports outside 1–65535 are all refused.
    pub fn parse(authority: &[u8]) -> Result<Self, HostFault> {
        let (name, port) = split(authority)?;
        let name = match name {
            Name::Address(address) => format!("[{address}]").into(),
            Name::Dns(name) => {
                let mut name: Box<str> = std::str::from_utf8(name).map_err(|_| HostFault::Grammar)?.into();
                name.make_ascii_lowercase();
                name
            }
        };
        Ok(Self { name, port })
    }

    /// Whether [`Self::parse`] would read it.
    ///
    /// # Errors
    /// Those of `parse`.
    pub fn check(authority: &[u8]) -> Result<(), HostFault> {
        split(authority).map(drop)
    }

    /// Lower case, no port, no trailing dot.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether `authority` is this name with `port` exactly as an address bar has it: lower case, and 443 is not said.
    pub fn is_said_by(&self, authority: &[u8], port: u16) -> bool {
        match authority.strip_prefix(self.name.as_bytes()) {
            Some([]) => port == 443,
            Some([b':', digits @ ..]) => port != 443 && is_decimal(digits, port),
            Some(_) | None => false,
        }
    }

    /// The port that was written, if one was.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

/// A name as it was written, its grammar checked.
enum Name<'a> {
    Dns(&'a [u8]),
    Address(Ipv6Addr),
}

fn split(authority: &[u8]) -> Result<(Name<'_>, Option<u16>), HostFault> {
    match authority {
        [] => Err(HostFault::Missing),
        [b'[', rest @ ..] => {
            let rest = std::str::from_utf8(rest).map_err(|_| HostFault::Grammar)?;
            let (address, rest) = rest.split_once(']').ok_or(HostFault::Grammar)?;
            let address = address.parse().map_err(|_| HostFault::Grammar)?;
            let port = match rest {
                "" => None,
                _ => Some(port(rest.strip_prefix(':').ok_or(HostFault::Grammar)?.as_bytes())?),
            };
            Ok((Name::Address(address), port))
        }
        _ => {
            // Names are short: nothing finds the colon sooner than looking at each byte.
            let (name, port) = match authority.iter().position(|b| *b == b':') {
                Some(colon) => (&authority[..colon], Some(port(&authority[colon + 1..])?)),
                None => (authority, None),
            };
            // RFC 3986 §3.2.2: a final dot marks the root; it names the same host.
            let name = name.strip_suffix(b".").unwrap_or(name);
            check_dns_name(name)?;
            Ok((Name::Dns(name), port))
        }
    }
}

fn port(digits: &[u8]) -> Result<u16, HostFault> {
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(HostFault::Grammar);
    }
    let port = digits.iter().fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    match u16::try_from(port) {
        Ok(0) | Err(_) => Err(HostFault::Grammar),
        Ok(port) => Ok(port),
    }
}

/// Without a zero before it.
fn is_decimal(digits: &[u8], number: u16) -> bool {
    let mut rest = number;
    for digit in digits.iter().rev() {
        if rest == 0 || u16::from(digit.wrapping_sub(b'0')) != rest % 10 {
            return false;
        }
        rest /= 10;
    }
    rest == 0
}

/// RFC 1035 §2.3.4 lengths, RFC 1123 §2.1 letters. An `xn--` label is taken as the letters it is written in: we never
/// decode one, so no two spellings can meet.
fn check_dns_name(name: &[u8]) -> Result<(), HostFault> {
    if name.len() > 253 {
        return Err(HostFault::Grammar);
    }
    let is_label = |length: usize, last: u8| (1..=63).contains(&length) && last != b'-';
    let (mut length, mut last, mut is_number) = (0, b'.', false);
    for byte in name {
        if *byte == b'.' && is_label(length, last) {
            length = 0;
        } else if byte.is_ascii_alphanumeric() || (*byte == b'-' && length > 0) {
            is_number = byte.is_ascii_digit() && (length == 0 || is_number);
            (length, last) = (length + 1, *byte);
        } else {
            return Err(HostFault::Grammar);
        }
    }
    // A last label of digits alone means an IPv4 address, and then only in its one common form.
    let is_address = || std::str::from_utf8(name).is_ok_and(|name| name.parse::<Ipv4Addr>().is_ok());
    if !is_label(length, last) || (is_number && !is_address()) {
        return Err(HostFault::Grammar);
    }
    Ok(())
}

/// What a route answers to: one host, or every name below a domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    Exact(Box<str>),
    /// `*.example.com` holds `example.com`; one or more labels stand before it.
    Below(Box<str>),
}

impl HostPattern {
    /// Reads `app.example.com` or `*.example.com`, without a port.
    ///
    /// # Errors
    /// [`HostFault`] as for a host; a `*` anywhere but as the whole first label is refused.
    pub fn parse(text: &str) -> Result<Self, HostFault> {
        let (below, name) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let host = Host::parse(name.as_bytes())?;
        if host.port.is_some() {
            return Err(HostFault::Grammar);
        }
        Ok(if below { Self::Below(host.name) } else { Self::Exact(host.name) })
    }

    /// `name` is canonical, as from [`Host::name`]. Only whole labels count: `badexample.com` is not below `example.com`.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(own) => **own == *name,
            Self::Below(domain) => name.strip_suffix(&**domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authy_01_what_is_not_a_host_is_refused() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}example", "abcdefgh.".repeat(30));
        for bad in [
            "",
            ".",
            "a b",
            "a/b",
            "u@a",
            "a:",
            "a:0",
            "a:99999",
            "a:+1",
            "a:1:2",
            "a..b",
            ".a",
            "[::1",
            "[::1]x",
            "[zz]",
            "a%61",
            "-a.example",
            "a-.example",
            "a_b.example",
            "1.2.3",
            "0x7f.1",
            "2130706433",
            "1.2.3.256",
            "a\u{0}",
            "\u{430}pp.example",
            "a;proto=https",
            &long_label,
            &long_name,
        ] {
            assert!(Host::parse(bad.as_bytes()).is_err(), "{bad:?}");
            assert_eq!(Host::check(bad.as_bytes()), Host::parse(bad.as_bytes()).map(drop), "{bad:?}");
        }
        let label = "a".repeat(63);
        let longest = [&label[..], &label, &label, &label[2..]].join(".");
        assert_eq!(longest.len(), 253);
        for good in ["a", "a-b.1c", "1.2.3.4", "1.2.3.4a", "4.example", &label, &longest] {
            assert_eq!(Host::parse(good.as_bytes()).map(|host| host.name().to_owned()).as_deref(), Ok(good));
            assert_eq!(Host::check(good.as_bytes()), Ok(()), "{good}");
        }
        assert_eq!(Host::check(format!("{longest}a").as_bytes()), Err(HostFault::Grammar));
    }

    #[test]
    fn authy_03_spellings_of_one_host_are_one() {
        for spelling in ["app.example.com", "APP.Example.COM", "app.example.com.", "app.example.com:443", "App.example.com.:8443"] {
            assert_eq!(Host::parse(spelling.as_bytes()).unwrap().name(), "app.example.com", "{spelling}");
        }
        assert_eq!(Host::parse(b"[::0:1]:443").unwrap().name(), "[::1]");
        assert_eq!(Host::parse(b"127.0.0.1:80").unwrap().port(), Some(80));
    }

    #[test]
    fn authy_05_punycode_is_never_decoded() {
        assert_eq!(Host::parse(b"xn--app-.example").map(|h| h.name().to_owned()), Err(HostFault::Grammar));
        assert_eq!(Host::parse(b"xn--e1afmkfd.example").unwrap().name(), "xn--e1afmkfd.example");
    }

    #[test]
    fn what_a_client_wrote_is_only_passed_on_where_it_is_what_would_be_written() {
        let host = Host::parse(b"app.example").unwrap();
        for (authority, port, same) in [
            ("app.example", 443, true),
            ("app.example:8443", 8443, true),
            ("app.example:443", 443, false),
            ("app.example", 8443, false),
            ("app.example:8444", 8443, false),
            ("app.example:08443", 8443, false),
            ("app.example:+8443", 8443, false),
            ("app.example:", 8443, false),
            ("app.example:", 443, false),
            ("app.example.", 443, false),
            ("App.example", 443, false),
            ("app.example.evil", 443, false),
            ("xapp.example", 443, false),
        ] {
            assert_eq!(host.is_said_by(authority.as_bytes(), port), same, "{authority} {port}");
        }
    }

    #[test]
    fn adv_o2p_03_a_wildcard_needs_a_dot_before_the_domain() {
        let pattern = HostPattern::parse("*.bar.example").unwrap();
        assert!(pattern.matches("a.bar.example"));
        assert!(pattern.matches("b.a.bar.example"));
        for other in ["bar.example", "badbar.example", ".bar.example", "a.bar.example.evil.example"] {
            assert!(!pattern.matches(other), "{other}");
        }
        for bad in ["*", "*.", "a.*.example", "*a.example", "*.*.example", "a.example:80"] {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
