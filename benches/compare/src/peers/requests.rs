//! What systems are asked, and the twins that they must refuse.

use std::net::SocketAddr;

use doorward_demo::tenant::AUDIENCE;

use crate::stand::Stand;
use crate::system::{Load, Transport};

/// What only an admin may see.
pub const PAGE: &str = "/admin/users?page=2";
/// What everybody may see.
pub const PUBLIC: &str = "/public/app.js";

/// The same request with a token of the tenant for this API, and with one for another.
pub fn bearer(stand: &Stand, address: SocketAddr, transport: Transport) -> (Load, Load) {
    let load = Load::usual(address, transport, PAGE);
    (load.clone().bearer(&stand.bearer(0)), load.bearer(&for_another(stand)))
}

/// A token as [`Stand::bearer`]'s, for another API.
pub fn for_another(stand: &Stand) -> String {
    let mut claims = stand.tenant.access_claims_for("ada", AUDIENCE, "openid read:items");
    claims["aud"] = "https://another.example".into();
    stand.tenant.sign(claims)
}

/// The same request with this cookie, and with one in whose value one character is another.
pub fn session(address: SocketAddr, cookie: &str) -> (Load, Load) {
    let load = Load::usual(address, Transport::Tls, PAGE);
    (load.clone().session(cookie), load.session(&tampered(cookie)))
}

/// In the middle: the last character of base64 may stand for bits that nobody reads.
pub fn tampered(cookie: &str) -> String {
    let start = cookie.find('=').map_or(0, |sign| sign + 1);
    let at = start + (cookie.len() - start) / 2;
    let other = if cookie.as_bytes().get(at) == Some(&b'a') { "b" } else { "a" };
    format!("{}{other}{}", cookie.get(..at).unwrap_or_default(), cookie.get(at + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::tampered;

    #[test]
    fn a_tampered_cookie_differs_in_one_character_of_its_value() {
        for cookie in ["session=aaaa", "session=bcde", "__Host-s=v1.abcdefgh"] {
            let other = tampered(cookie);
            let different: Vec<usize> =
                cookie.bytes().zip(other.bytes()).enumerate().filter(|(_, (a, b))| a != b).map(|(at, _)| at).collect();
            assert_eq!((different.len(), other.len()), (1, cookie.len()), "{cookie} and {other}");
            assert!(different[0] > cookie.find('=').expect("a value"), "{cookie} and {other}");
        }
    }
}
