//! Random bytes from the operating system, through aws-lc.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde::{Serialize, Serializer};

/// The random source failed: the caller refuses; there is no weaker one to fall back to.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the system's random source failed")]
pub struct NoEntropy;

/// `N` random bytes.
///
/// # Errors
/// [`NoEntropy`].
pub fn random<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

/// Random bytes as they stand in addresses and cookies: base64url (RFC 4648 §5).
pub fn token<const N: usize>(bytes: [u8; N]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Tells requests apart in logs and on error pages. Unique, not secret: a random start and a counter, so that no request pays for
/// random bytes.
#[derive(Debug)]
pub struct RequestIds {
    start: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// # Errors
    /// [`NoEntropy`].
    pub fn new() -> Result<Self, NoEntropy> {
        Ok(Self { start: u64::from_be_bytes(random()?), next: AtomicU64::new(0) })
    }

    /// The next id.
    pub fn next(&self) -> RequestId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let mut text = [0; 24];
        // Eight digits of the count have room behind the start; those before them move it on.
        write_hex(&mut text[..16], self.start.wrapping_add(count >> 32));
        write_hex(&mut text[16..], count);
        RequestId(text)
    }
}

/// The last digits of a number, as many as there is room for.
fn write_hex(room: &mut [u8], mut number: u64) {
    for digit in room.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
}

/// 24 hexadecimal digits. Every request has one, so it lives where the request does and not on the heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 24]);

impl RequestId {
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// As a field carries it.
    pub fn value(&self) -> HeaderValue {
        // Digits are good in any field.
        HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl Deref for RequestId {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn oidc_04_random_values_do_not_repeat() {
        let drawn: HashSet<[u8; 16]> = (0..100_000).map(|_| random().unwrap()).collect();
        assert_eq!(drawn.len(), 100_000);
    }

    #[test]
    fn request_ids_are_unique_and_of_one_length() {
        let ids = RequestIds::new().unwrap();
        let drawn: HashSet<RequestId> = (0..1000).map(|_| ids.next()).collect();
        assert_eq!(drawn.len(), 1000);
        assert!(drawn.iter().all(|id| id.len() == 24 && id.bytes().all(|digit| digit.is_ascii_hexdigit())));
        let ids = RequestIds { start: 0x0123_4567_89ab_cdef, next: AtomicU64::new(0xff) };
        assert_eq!((&*ids.next(), &*ids.next()), ("0123456789abcdef000000ff", "0123456789abcdef00000100"));
        assert_eq!(ids.next().value(), "0123456789abcdef00000101");
        let ids = RequestIds { start: u64::MAX, next: AtomicU64::new(0xffff_ffff) };
        assert_eq!((&*ids.next(), &*ids.next()), ("ffffffffffffffffffffffff", "000000000000000000000000"));
    }
}
