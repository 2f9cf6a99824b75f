//! Redis or Valkey: shared by all processes that use it. Redis 6.0 or newer, Valkey in all versions.
//!
//! Each operation is one command or one script on one key, so it is whole or not at all, also in a cluster. A value begins
//! with its end, so that what is over by our clock is not read although Redis still has it; Redis drops it by itself soon after.
//! Revocations are a stream, read by cursor. Redis replicates behind the writer's back: what it answered just before a failover
//! may be lost.

mod connect;
mod link;
mod script;
mod trouble;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorward_config::settings::Redis;
use doorward_policy::session::{Revocation, StoreKey};
use doorward_policy::time::Timestamp;
use redis::{Cmd, FromRedisValue};
use tokio::runtime::Handle;

use self::connect::Connector;
use self::link::Link;
use self::script::{Script, Scripts};
use super::log::{COVERED, ISSUERS, LIMIT, PAGE, is_of_issuer};
use super::name::{Holder, Name};
use super::{Cursor, OpenFault, Store, StoreFault, Stored};
use crate::clock::{self, Steady};

/// Decimal digits before each sealed value: when it ends.
const END_DIGITS: usize = 16;
/// Nothing is kept longer; Redis refuses what its clock cannot count to.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// The list of revocations outlasts its last entry by so much: Redis drops it by a clock that may jump as well.
const LINGERS: Duration = Duration::from_secs(30 * 24 * 3600);

/// Sessions, names and revocations of all processes with the same Redis and prefix.
pub struct RedisStore {
    link: Link,
    prefix: Box<str>,
    scripts: Scripts,
    /// Entries of the list of revocations.
    limit: usize,
    /// By which revocations are over: sessions that come back with the clock harm nobody, and lost sign-outs do.
    steady: Steady,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("link", &self.link).finish_non_exhaustive()
    }
}

impl RedisStore {
    /// Prepares the store. It connects on `control`, now and whenever the connection is lost.
    ///
    /// # Errors
    /// [`OpenFault`] for settings that no Redis could meet. One that is down is none.
    pub fn open(settings: &Redis, control: &Handle) -> Result<Self, OpenFault> {
        Self::with(settings, control, LIMIT, Steady::new())
    }

    /// As [`Self::open`], with room for `limit` revocations, and a wall clock that is believed at once.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn with_limit(settings: &Redis, control: &Handle, limit: usize) -> Result<Self, OpenFault> {
        Self::with(settings, control, limit, Steady::settled())
    }

    fn with(settings: &Redis, control: &Handle, limit: usize, steady: Steady) -> Result<Self, OpenFault> {
        let link = Link::new(Connector::new(settings)?, control);
        Ok(Self { link, prefix: settings.prefix.as_str().into(), scripts: Scripts::new(), limit, steady })
    }

    fn session(&self, key: &StoreKey) -> String {
        format!("{}session:{key}", self.prefix)
    }

    fn name(&self, name: &str) -> String {
        format!("{}name:{}", self.prefix, Name::of(name))
    }

    fn list(&self) -> String {
        format!("{}revocations", self.prefix)
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreFault> {
        let mut up = self.link.up().await?;
        let outcome = command.query_async(&mut up.connection).await;
        self.link.judge(&up, outcome)
    }

    /// Runs a script by its hash; a Redis that does not know it yet gets it whole.
    async fn run<T: FromRedisValue>(&self, script: &Script, key: &str, arguments: &[&[u8]]) -> Result<T, StoreFault> {
        let mut up = self.link.up().await?;
        let mut outcome = script.by_hash(key, arguments).query_async(&mut up.connection).await;
        if outcome.as_ref().is_err_and(script::is_unknown) {
            outcome = script.whole(key, arguments).query_async(&mut up.connection).await;
        }
        self.link.judge(&up, outcome)
    }
}

/// Seconds left, as Redis counts them: at least one.
fn left(until: Timestamp, now: Timestamp) -> String {
    until.since(now).as_secs().max(1).to_string()
}

fn millis(lasts: Duration) -> String {
    lasts.min(LONGEST).as_millis().max(1).to_string()
}

fn digits(until: Timestamp) -> String {
    format!("{:0END_DIGITS$}", until.0)
}

/// `None` for what does not look like ours: whoever comes with that ticket signs in again.
fn parted(mut value: Vec<u8>) -> Option<Stored> {
    let end = value.get(..END_DIGITS).filter(|end| end.iter().all(u8::is_ascii_digit))?;
    let until = Timestamp(std::str::from_utf8(end).ok()?.parse().ok()?);
    value.drain(..END_DIGITS);
    Some(Stored { sealed: value, until })
}

#[async_trait]
impl Store for RedisStore {
    fn is_shared(&self) -> bool {
        true
    }

    fn is_lasting(&self) -> bool {
        true
    }

    async fn read(&self, key: &StoreKey) -> Result<Option<Stored>, StoreFault> {
        let value: Option<Vec<u8>> = self.ask(redis::cmd("GET").arg(self.session(key))).await?;
        Ok(value.and_then(parted).filter(|stored| stored.until > clock::now()))
    }

    async fn create(&self, key: &StoreKey, sealed: Vec<u8>, until: Timestamp) -> Result<(), StoreFault> {
        let now = clock::now();
        let until = until.min(now.plus(LONGEST));
        if until <= now {
            return self.remove(key).await;
        }
        let mut value = digits(until).into_bytes();
        value.extend_from_slice(&sealed);
        self.ask(redis::cmd("SET").arg(self.session(key)).arg(value).arg("EX").arg(left(until, now))).await
    }

    async fn replace(&self, key: &StoreKey, sealed: Vec<u8>) -> Result<bool, StoreFault> {
        let now = clock::now().0.to_string();
        self.run(&self.scripts.replace, &self.session(key), &[now.as_bytes(), &sealed]).await
    }

    async fn touch(&self, key: &StoreKey, until: Timestamp) -> Result<bool, StoreFault> {
        let now = clock::now();
        let until = until.min(now.plus(LONGEST));
        let (left, digits, now) = (left(until, now), digits(until.max(Timestamp(0))), now.0.to_string());
        self.run(&self.scripts.touch, &self.session(key), &[now.as_bytes(), digits.as_bytes(), left.as_bytes()]).await
    }

    async fn remove(&self, key: &StoreKey) -> Result<(), StoreFault> {
        self.ask(redis::cmd("DEL").arg(self.session(key))).await
    }

    async fn take(&self, name: &str, holder: &str, lasts: Duration) -> Result<bool, StoreFault> {
        let holder = Holder::of(holder).to_string();
        let set: Option<String> =
            self.ask(redis::cmd("SET").arg(self.name(name)).arg(holder).arg("NX").arg("PX").arg(millis(lasts))).await?;
        Ok(set.is_some())
    }

    async fn extend(&self, name: &str, holder: &str, lasts: Duration) -> Result<bool, StoreFault> {
        let (holder, lasts) = (Holder::of(holder).to_string(), millis(lasts));
        self.run(&self.scripts.extend, &self.name(name), &[holder.as_bytes(), lasts.as_bytes()]).await
    }

    async fn give_back(&self, name: &str, holder: &str) -> Result<(), StoreFault> {
        let holder = Holder::of(holder).to_string();
        self.run(&self.scripts.give_back, &self.name(name), &[holder.as_bytes()]).await
    }

    async fn revoke(&self, entry: &Revocation) -> Result<(), StoreFault> {
        let (now, over) = (clock::now(), self.steady.now());
        if entry.until <= over {
            return Ok(());
        }
        let text = serde_json::to_vec(entry).map_err(|_| StoreFault::Broken)?;
        let until = entry.until.min(now.plus(LONGEST));
        let (limit, covered) = if is_of_issuer(&entry.what) { (self.limit + ISSUERS, COVERED) } else { (self.limit, 0) };
        let (whose, covered) = (Name::of(entry.what.issuer()).to_string(), covered.to_string());
        let (now, left, until, limit) = (over.0.to_string(), left(until.plus(LINGERS), now), until.0.to_string(), limit.to_string());
        let arguments = [now.as_bytes(), until.as_bytes(), left.as_bytes(), limit.as_bytes(), &text, whose.as_bytes(), covered.as_bytes()];
        let kept: bool = self.run(&self.scripts.revoke, &self.list(), &arguments).await?;
        if kept { Ok(()) } else { Err(StoreFault::Full) }
    }

    async fn revocations(&self, after: Cursor) -> Result<(Vec<Revocation>, Cursor), StoreFault> {
        let mut up = self.link.up().await?;
        // A new connection may lead to another server, which never saw the last entries of the old one.
        let after = if after.connection == up.number { after } else { Cursor { connection: up.number, ..Cursor::default() } };
        let mut command = redis::cmd("XRANGE");
        command.arg(self.list()).arg(format!("{}-{}", after.major, after.minor)).arg("+").arg("COUNT").arg(PAGE + 1);
        let outcome = command.query_async::<Vec<(String, Vec<Vec<u8>>)>>(&mut up.connection).await;
        let mut entries = self.link.judge(&up, outcome)?;
        let place = |id: &str| {
            let (major, minor) = id.split_once('-')?;
            Some(Cursor { connection: up.number, major: major.parse().ok()?, minor: minor.parse().ok()? })
        };
        let beginning = Cursor { connection: up.number, ..Cursor::default() };
        if after != beginning {
            // The last that was read is still there, or else this is not the list that was read: a promoted replica may lack it, and
            // where its clock is behind, what it appends is not after it. (Or it was over: then there is little to read again.)
            if entries.first().and_then(|(id, _)| place(id)) != Some(after) {
                return Ok((Vec::new(), beginning));
            }
            entries.remove(0);
        }
        let last = match entries.last() {
            Some((id, _)) => place(id).ok_or(StoreFault::Broken)?,
            None => after,
        };
        let now = self.steady.now();
        // One that cannot be read may be of a newer version: the others count all the same.
        let read = |fields: &Vec<Vec<u8>>| serde_json::from_slice::<Revocation>(fields.get(3)?).ok();
        let unread = entries.iter().filter(|(_, fields)| read(fields).is_none()).count();
        if unread > 0 {
            tracing::error!(entries = unread, "some revocations in redis cannot be read and do not count");
        }
        Ok((entries.iter().filter_map(|(_, fields)| read(fields)).filter(|entry| entry.until > now).collect(), last))
    }

    async fn is_well(&self) -> bool {
        self.ask::<String>(&redis::cmd("PING")).await.is_ok()
    }
}

impl RedisStore {
    /// As a trait object, for callers that do not care which.
    pub fn shared(self) -> Arc<dyn Store> {
        Arc::new(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sess_41_a_value_that_is_not_ours_is_none() {
        let ours = Stored { sealed: b"sealed".to_vec(), until: Timestamp(1_800_000_000) };
        assert_eq!(parted(b"0000001800000000sealed".to_vec()), Some(ours));
        for other in ["", "000000180000000", "000000180000000xsealed", "-000001800000000s", "+000001800000000s"] {
            assert_eq!(parted(other.as_bytes().to_vec()), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_over_in_a_moment_still_has_a_second() {
        assert_eq!(left(Timestamp(10), Timestamp(10)), "1");
        assert_eq!(left(Timestamp(70), Timestamp(10)), "60");
        assert_eq!(millis(Duration::ZERO), "1");
        assert_eq!(millis(Duration::MAX), "315360000000");
        assert_eq!(digits(Timestamp(1_800_000_000)), "0000001800000000");
    }
}
