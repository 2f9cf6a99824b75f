//! A token as the key of what it proved.
//!
//! It is kept whole and compared whole. Its end alone is hashed: that is the end of its signature, which nobody chooses who cannot
//! sign, and only tokens that were verified are ever kept.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use doorward_policy::credential::RawToken;
use doorward_policy::token::VerifiedToken;
use quick_cache::Equivalent;

/// As much of a token says where it lies, in bytes.
const HASHED: usize = 48;

/// A token that was verified.
#[derive(PartialEq, Eq)]
pub(super) struct Seen(Arc<[u8]>);

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seen([redacted])")
    }
}

/// One that is looked for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'t>(&'t [u8]);

impl<'t> From<RawToken<'t>> for Asked<'t> {
    fn from(raw: RawToken<'t>) -> Self {
        Self(raw.as_bytes())
    }
}

impl From<RawToken<'_>> for Seen {
    fn from(raw: RawToken<'_>) -> Self {
        Self(raw.as_bytes().into())
    }
}

impl Seen {
    /// The token, once: where whoever was read from it has it as well, theirs.
    pub(super) fn of(raw: RawToken<'_>, verified: &VerifiedToken) -> Self {
        verified.whole().map_or_else(|| raw.into(), |whole| Self(whole.clone()))
    }
}

impl Hash for Seen {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Asked(&self.0).hash(state);
    }
}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self(token) = self;
        state.write(&token[token.len().saturating_sub(HASHED)..]);
    }
}

impl Equivalent<Seen> for Asked<'_> {
    fn equivalent(&self, seen: &Seen) -> bool {
        *self.0 == *seen.0
    }
}

#[cfg(test)]
mod tests {
    use quick_cache::sync::Cache;

    use super::*;

    #[test]
    fn a_token_is_not_in_what_is_printed_of_it() {
        assert_eq!(format!("{:?}", Seen::from(RawToken::new("head.claims.signature"))), "Seen([redacted])");
    }

    #[test]
    fn adv_tra_06_tokens_of_one_end_are_told_apart() {
        let cache: Cache<Seen, usize> = Cache::new(1000);
        let end = "s".repeat(HASHED);
        let tokens: Vec<String> = ["a.", "b.", "aa.", "", "a.s"].iter().map(|start| format!("{start}{end}")).collect();
        let raw = |at: usize| RawToken::new(&tokens[at]);
        for (at, last) in (0..tokens.len()).zip([None, Some(0), Some(1), Some(2), Some(3)]) {
            assert_eq!(cache.get(&Asked::from(raw(at))), None, "{at}");
            cache.insert(raw(at).into(), at);
            assert_eq!(last.and_then(|last| cache.get(&Asked::from(raw(last)))), last, "{at}");
        }
        for at in 0..tokens.len() {
            assert_eq!(cache.get(&Asked::from(raw(at))), Some(at));
        }
        for other in [&tokens[0][1..], &format!("{}x", tokens[0]), &end[1..], ""] {
            assert_eq!(cache.get(&Asked::from(RawToken::new(other))), None, "{other}");
        }
    }
}
