//! Which sessions count no longer, although their cookies still open.
//!
//! A cookie that was copied outlives its owner's sign-out, and a provider that ends a session tells us, not the browser.
//! So every request asks this set. It holds digests of 128 bits, not names; it has a bound, and nothing in it is given
//! up before its time: a set that is full revokes more, never less.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::Session;
use crate::time::Timestamp;

/// Most entries held: about 16 MB.
pub const LIMIT: usize = 250_000;
/// A copy of the set shares all parts but the one that an entry goes into.
const SHARDS: usize = 512;
/// Longer names go into a digest as their own digest.
const PLAIN_LIMIT: usize = 256;

/// Sessions that end before their time. What stores keep, and other processes are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    pub what: What,
    /// Of a subject or an issuer: sessions issued later live on.
    pub not_before: Timestamp,
    /// When the last session that it could concern is over by itself.
    pub until: Timestamp,
}

/// Which sessions. All belong to one issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// One of ours, by [`Session::id`], whenever it was issued.
    Session { issuer: Box<str>, id: Box<str> },
    /// Those of one session at the provider (`sid`), whenever they were issued.
    ProviderSession { issuer: Box<str>, sid: Box<str> },
    /// One person's.
    Subject { issuer: Box<str>, sub: Box<str> },
    /// Everybody's.
    Issuer(Box<str>),
}

impl What {
    pub fn issuer(&self) -> &str {
        match self {
            Self::Session { issuer, .. } | Self::ProviderSession { issuer, .. } | Self::Subject { issuer, .. } | Self::Issuer(issuer) => {
                issuer
            }
        }
    }

    /// What logs and metrics call it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Session { .. } => "session",
            Self::ProviderSession { .. } => "provider_session",
            Self::Subject { .. } => "subject",
            Self::Issuer(_) => "issuer",
        }
    }
}

/// What revocations look at in a session: digests and a time, small enough to keep beside an open stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionFacts {
    issuer: Digest,
    id: Digest,
    provider_session: Option<Digest>,
    subject: Digest,
    issued: Timestamp,
}

impl SessionFacts {
    /// `issued` is when the sign-in's ID token was issued; a refresh does not move it.
    pub fn new(issuer: &str, id: &str, provider_session: Option<&str>, subject: &str, issued: Timestamp) -> Self {
        let issuer = Digest::of_issuer(issuer);
        Self {
            issuer,
            id: issuer.of(Kind::Session, id),
            provider_session: provider_session.map(|sid| issuer.of(Kind::ProviderSession, sid)),
            subject: issuer.of(Kind::Subject, subject),
            issued,
        }
    }
}

impl Session {
    /// What revocations look at.
    pub fn facts(&self) -> SessionFacts {
        let text = |name: &str| self.claims.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        SessionFacts::new(text("iss"), &self.id, self.provider_session.as_deref(), text("sub"), self.issued)
    }
}

/// The set. A clone shares what it does not change, so that readers keep theirs while a writer makes the next.
#[derive(Debug, Clone)]
pub struct Revocations {
    issuers: Vec<OfIssuer>,
    len: usize,
    limit: usize,
}

#[derive(Debug, Clone)]
struct OfIssuer {
    name: Box<str>,
    digest: Digest,
    everybody: Option<Span>,
    /// Entries in the order of their digests, by the digests' first bits; none before the first entry.
    shards: Vec<Arc<Vec<(Digest, Span)>>>,
    len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    not_before: Timestamp,
    until: Timestamp,
}

impl Span {
    /// Both, in whichever order they came.
    fn and(self, other: Self) -> Self {
        Self { not_before: self.not_before.max(other.not_before), until: self.until.max(other.until) }
    }
}

impl Revocations {
    /// Nothing is revoked. Entries of other issuers than these are of no session that could live here, and not kept.
    pub fn new<'i>(issuers: impl IntoIterator<Item = &'i str>) -> Self {
        let mut set = Self { issuers: Vec::new(), len: 0, limit: LIMIT };
        for name in issuers {
            if set.issuers.iter().all(|known| &*known.name != name) {
                let digest = Digest::of_issuer(name);
                set.issuers.push(OfIssuer { name: name.into(), digest, everybody: None, shards: Vec::new(), len: 0 });
            }
        }
        set
    }

    /// Keeps entries of these issuers from now on, besides those it has; one that is none of these and has no entry is
    /// forgotten. True when one is new: what was said about it before was not kept.
    pub fn keep_issuers<'i>(&mut self, issuers: impl IntoIterator<Item = &'i str>) -> bool {
        let wanted = Self::new(issuers).issuers;
        self.issuers.retain(|known| known.len > 0 || known.everybody.is_some() || wanted.iter().any(|issuer| issuer.name == known.name));
        let before = self.issuers.len();
        for issuer in wanted {
            if self.issuers.iter().all(|known| known.name != issuer.name) {
                self.issuers.push(issuer);
            }
        }
        self.issuers.len() > before
    }

    /// Every entry ends so much later: sessions may live longer now.
    pub fn prolong(&mut self, by: Duration) {
        let later = |span: &mut Span| span.until = span.until.plus(by);
        for issuer in &mut self.issuers {
            issuer.everybody.iter_mut().for_each(later);
            for shard in issuer.shards.iter_mut().filter(|shard| !shard.is_empty()) {
                Arc::make_mut(shard).iter_mut().for_each(|(_, span)| later(span));
            }
        }
    }

    /// The set with one entry more.
    #[must_use]
    pub fn with(&self, entry: &Revocation, now: Timestamp) -> Self {
        let mut set = self.clone();
        set.add(entry, now);
        set
    }

    /// Adds one entry. One that is over, or of an unknown issuer, adds nothing; one that is there takes the later times.
    ///
    /// When the set is full of entries that are not over, everybody's sessions of the issuer with the most entries end
    /// instead, as of `now`.
    pub fn add(&mut self, entry: &Revocation, now: Timestamp) {
        let Some(at) = self.issuers.iter().position(|known| *known.name == *entry.what.issuer()) else { return };
        if entry.until <= now {
            return;
        }
        let span = Span { not_before: entry.not_before, until: entry.until };
        self.issuers[at].insert(&entry.what, span, now);
        self.count();
        if self.len > self.limit {
            self.sweep(now);
        }
        if self.len > self.limit
            && let Some(largest) = self.issuers.iter_mut().max_by_key(|issuer| issuer.len)
        {
            largest.raise(now);
            self.count();
        }
    }

    /// Whether an entry like this is in force already, and ends no more than `tolerance` earlier.
    pub fn covers(&self, entry: &Revocation, tolerance: Duration) -> bool {
        let Some(issuer) = self.issuers.iter().find(|known| *known.name == *entry.what.issuer()) else { return false };
        let (known, timeless) = match issuer.key(&entry.what) {
            Some(key) => (issuer.find(key), !matches!(entry.what, What::Subject { .. })),
            None => (issuer.everybody, false),
        };
        known.is_some_and(|known| (timeless || known.not_before >= entry.not_before) && known.until.plus(tolerance) >= entry.until)
    }

    /// Forgets what is over.
    pub fn sweep(&mut self, now: Timestamp) {
        self.issuers.iter_mut().for_each(|issuer| issuer.sweep(now));
        self.count();
    }

    /// Whether the session behind `facts` counts no longer. Takes no lock, allocates nothing.
    pub fn is_revoked(&self, facts: &SessionFacts) -> bool {
        self.len > 0 && self.issuers.iter().find(|issuer| issuer.digest == facts.issuer).is_some_and(|issuer| issuer.revokes(facts))
    }

    /// The issuer with the most entries: the one to raise when there is no more room.
    pub fn largest_issuer(&self) -> Option<&str> {
        self.issuers.iter().max_by_key(|issuer| issuer.len).filter(|issuer| issuer.len > 0).map(|issuer| &*issuer.name)
    }

    /// Entries held. What is over is among them until the next sweep.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn count(&mut self) {
        self.len = self.issuers.iter().map(|issuer| issuer.len + usize::from(issuer.everybody.is_some())).sum();
    }
}

impl OfIssuer {
    fn insert(&mut self, what: &What, span: Span, now: Timestamp) {
        let Some(key) = self.key(what) else {
            self.everybody = Some(self.everybody.map_or(span, |known| known.and(span)));
            return;
        };
        if self.shards.is_empty() {
            self.shards.resize(SHARDS, Arc::default());
        }
        let shard = Arc::make_mut(&mut self.shards[key.shard()]);
        let before = shard.len();
        // It is copied anyway: what is over goes now. An entry that came back after its end is a new one.
        shard.retain(|(_, span)| span.until > now);
        match shard.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(at) => shard[at].1 = shard[at].1.and(span),
            Err(at) => shard.insert(at, (key, span)),
        }
        self.len = self.len + shard.len() - before;
    }

    /// `None` for everybody.
    fn key(&self, what: &What) -> Option<Digest> {
        match what {
            What::Session { id, .. } => Some(self.digest.of(Kind::Session, id)),
            What::ProviderSession { sid, .. } => Some(self.digest.of(Kind::ProviderSession, sid)),
            What::Subject { sub, .. } => Some(self.digest.of(Kind::Subject, sub)),
            What::Issuer(_) => None,
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        self.everybody = self.everybody.filter(|span| span.until > now);
        for shard in &mut self.shards {
            if shard.iter().any(|(_, span)| span.until <= now) {
                Arc::make_mut(shard).retain(|(_, span)| span.until > now);
            }
        }
        self.len = self.shards.iter().map(|shard| shard.len()).sum();
    }

    /// All entries become one that revokes at least what they did, but for sessions that begin later.
    fn raise(&mut self, now: Timestamp) {
        let start = Span { not_before: now, until: now };
        let all = self.shards.iter().flat_map(|shard| shard.iter()).map(|(_, span)| *span).chain(self.everybody);
        self.everybody = Some(all.fold(start, Span::and));
        self.shards = Vec::new();
        self.len = 0;
    }

    fn revokes(&self, facts: &SessionFacts) -> bool {
        // Not later than: a token of the very second of the sign-out may be older than it.
        let covers = |span: Span| facts.issued <= span.not_before;
        self.everybody.is_some_and(covers)
            || self.find(facts.id).is_some()
            || facts.provider_session.is_some_and(|sid| self.find(sid).is_some())
            || self.find(facts.subject).is_some_and(covers)
    }

    fn find(&self, key: Digest) -> Option<Span> {
        let shard = self.shards.get(key.shard())?;
        shard.binary_search_by_key(&key, |(key, _)| *key).ok().map(|at| shard[at].1)
    }
}

/// Half of a SHA-256: nobody finds a name that another's digest fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Digest(u128);

/// What a name is of; no two kinds share a digest.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Session = 1,
    ProviderSession,
    Subject,
}

impl Digest {
    fn of_issuer(name: &str) -> Self {
        Self::of_bytes(name.as_bytes())
    }

    /// `self` is the issuer's.
    fn of(self, kind: Kind, name: &str) -> Self {
        let mut bytes = [0; 1 + 16 + PLAIN_LIMIT];
        bytes[1..17].copy_from_slice(&self.0.to_be_bytes());
        let hashed;
        let (tag, name) = if name.len() <= PLAIN_LIMIT {
            (kind as u8, name.as_bytes())
        } else {
            hashed = digest(&SHA256, name.as_bytes());
            (0x80 | kind as u8, hashed.as_ref())
        };
        bytes[0] = tag;
        bytes[17..17 + name.len()].copy_from_slice(name);
        Self::of_bytes(&bytes[..17 + name.len()])
    }

    fn of_bytes(bytes: &[u8]) -> Self {
        let whole = digest(&SHA256, bytes);
        let (half, _) = whole.as_ref().split_at(16);
        Self(half.iter().fold(0, |value, byte| value << 8 | u128::from(*byte)))
    }

    fn shard(self) -> usize {
        usize::try_from(self.0 >> (128 - SHARDS.trailing_zeros())).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
