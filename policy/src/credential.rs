//! What the client presented, and which of it a route accepts.

use std::fmt;

use crate::cookies::Found;

/// Longest bearer token looked at, in bytes.
pub const TOKEN_LIMIT: usize = 16 * 1024;

/// Bytes that nobody has checked, but for being a text. There is no accessor to its claims: only a verifier can make any.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawToken<'h>(&'h [u8]);

impl<'h> RawToken<'h> {
    /// Takes a token as it came, over the wire or from a provider's answer.
    pub fn new(text: &'h str) -> Self {
        Self(text.as_bytes())
    }

    /// The whole token, for a verifier or an upstream that is to have it.
    pub fn expose(self) -> &'h str {
        // It always is one; if it were not, an empty token is nobody's.
        std::str::from_utf8(self.0).unwrap_or_default()
    }

    /// The same for looking it up.
    pub fn as_bytes(self) -> &'h [u8] {
        self.0
    }
}

impl fmt::Debug for RawToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawToken([redacted])")
    }
}

/// What an `Authorization` field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorization<'h> {
    Absent,
    Bearer(RawToken<'h>),
    /// Another scheme: none of ours, so nobody is signed in by it.
    OtherScheme,
    /// A bearer field that RFC 6750 §2.1 does not allow.
    Malformed,
}

impl<'h> Authorization<'h> {
    /// Reads all `Authorization` fields of a request: more than one is malformed, whatever they say.
    pub fn read(mut fields: impl Iterator<Item = &'h [u8]>) -> Self {
        let Some(field) = fields.next() else { return Self::Absent };
        if fields.next().is_some() {
            return Self::Malformed;
        }
        // RFC 9110 §11.1: the scheme is case-insensitive; RFC 6750 §2.1: one space.
        let Some((scheme, rest)) = field.split_at_checked(6) else { return Self::other(field) };
        if !scheme.eq_ignore_ascii_case(b"bearer") {
            return Self::other(field);
        }
        let token = match rest.split_first() {
            Some((b' ', token)) if token.len() <= TOKEN_LIMIT && is_token68(token) => token,
            Some((b' ' | b'\t', _)) | None => return Self::Malformed,
            Some(_) => return Self::OtherScheme,
        };
        // ASCII, so a text.
        Self::Bearer(RawToken(token))
    }

    fn other(field: &[u8]) -> Self {
        if field.is_empty() { Self::Malformed } else { Self::OtherScheme }
    }
}

/// RFC 9110 §11.2 `token68`.
fn is_token68(token: &[u8]) -> bool {
    let end = token.iter().rposition(|b| *b != b'=').map_or(0, |at| at + 1);
    // Without an end before the end, so that many bytes are looked at at once.
    let odd = token[..end].iter().fold(false, |odd, b| odd | !is_token_byte(*b));
    end > 0 && !odd
}

/// `-`, `.` and `/` stand right before the digits.
fn is_token_byte(byte: u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') < 26 || (b'-'..=b'9').contains(&byte) || matches!(byte, b'_' | b'~' | b'+')
}

/// Which credentials a route accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    Session,
    Bearer,
    Both,
}

/// The one credential a request is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential<'h> {
    None,
    Bearer(RawToken<'h>),
    /// A bearer field that cannot be read: never a fall-back to the cookie or to nobody.
    BadBearer,
    Session(&'h [u8]),
    /// The session cookie came twice.
    BadSession,
}

impl Accept {
    /// Chooses. Where both are accepted and both come, the bearer decides, and nobody looks for a session.
    pub fn choose<'h>(self, authorization: Authorization<'h>, session: impl FnOnce() -> Found<'h>) -> Credential<'h> {
        if matches!(self, Self::Bearer | Self::Both) {
            match authorization {
                Authorization::Bearer(token) => return Credential::Bearer(token),
                Authorization::Malformed => return Credential::BadBearer,
                Authorization::Absent | Authorization::OtherScheme => {}
            }
        }
        if matches!(self, Self::Session | Self::Both) {
            match session() {
                Found::One(value) => return Credential::Session(value),
                Found::Ambiguous => return Credential::BadSession,
                Found::Absent => {}
            }
        }
        Credential::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'h>(fields: &[&'h str]) -> Authorization<'h> {
        Authorization::read(fields.iter().map(|field| field.as_bytes()))
    }

    #[test]
    fn jwt_60_exactly_one_well_formed_bearer() {
        let long = format!("Bearer {}", "a".repeat(TOKEN_LIMIT + 1));
        for bad in [
            &["Bearer a", "Bearer a"][..],
            &["Bearer a, Bearer b"],
            &["Bearer  x"],
            &["Bearer"],
            &["Bearer "],
            &["BEARER\tx"],
            &["bearer x y"],
            &["Bearer a\"b"],
            &["Bearer ="],
            &["Bearer \u{e9}"],
            &[""],
            &[&long],
            &["Basic eDp5", "Bearer a"],
        ] {
            assert_eq!(read(bad), Authorization::Malformed, "{bad:?}");
        }
        for other in ["Basic eDp5", "DPoP abc", "Bearerx", "Digest x"] {
            assert_eq!(read(&[other]), Authorization::OtherScheme, "{other}");
        }
        // Every byte there is, each for itself.
        for byte in 0..=u8::MAX {
            let field = [b"Bearer x".as_slice(), &[byte], b"x"].concat();
            let plain = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(matches!(Authorization::read(std::iter::once(&field[..])), Authorization::Bearer(_)), plain, "{byte:#x}");
        }
        for good in ["Bearer a.b-c_d~e+f/g==", "bearer a.b-c_d~e+f/g==", "BEARER a.b-c_d~e+f/g=="] {
            assert_eq!(read(&[good]), Authorization::Bearer(RawToken::new("a.b-c_d~e+f/g==")), "{good}");
        }
        assert_eq!(read(&[]), Authorization::Absent);
    }

    #[test]
    fn jwt_61_an_invalid_bearer_never_falls_back_to_the_cookie() {
        let cookie = || Found::One(b"sealed");
        let bearer = Authorization::Bearer(RawToken::new("t"));
        assert_eq!(Accept::Both.choose(bearer, cookie), Credential::Bearer(RawToken::new("t")));
        assert_eq!(Accept::Both.choose(Authorization::Malformed, cookie), Credential::BadBearer);
        assert_eq!(Accept::Both.choose(Authorization::OtherScheme, cookie), Credential::Session(b"sealed"));
        assert_eq!(Accept::Session.choose(bearer, cookie), Credential::Session(b"sealed"));
        assert_eq!(Accept::Bearer.choose(Authorization::Absent, cookie), Credential::None);
        assert_eq!(Accept::Both.choose(Authorization::Absent, || Found::Ambiguous), Credential::BadSession);
    }

    #[test]
    fn log_01_a_raw_token_does_not_print() {
        assert_eq!(format!("{:?}", Authorization::Bearer(RawToken(b"eyJ"))), "Bearer(RawToken([redacted]))");
    }
}
