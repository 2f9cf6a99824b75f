//! Random bytes from the operating system, through aws-lc.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

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

    /// The next id: 24 hexadecimal digits.
    pub fn next(&self) -> String {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}{:08x}", self.start, count & 0xffff_ffff)
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
        let drawn: HashSet<String> = (0..1000).map(|_| ids.next()).collect();
        assert_eq!(drawn.len(), 1000);
        assert!(drawn.iter().all(|id| id.len() == 24));
    }
}
