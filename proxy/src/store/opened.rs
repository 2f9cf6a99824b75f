//! The store that a configuration asks for, and what of it the next configuration can go on with.
//!
//! A file can be open once, and what is in memory is nowhere else: so a reload takes over what is the same.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use doorward_config::settings::{Redis, Settings, StoreKind};
use tokio::runtime::Handle;

use super::{FileStore, MemoryStore, OpenFault, RedisStore, SplitStore, Store, Timed};
use crate::metrics::Metrics;

/// A store at work, and its parts.
#[derive(Debug)]
pub struct Opened {
    store: Arc<dyn Store>,
    parts: Parts,
    /// Files that requests of an earlier configuration may still hold open.
    lingering: Vec<(PathBuf, Weak<FileStore>)>,
}

#[derive(Debug, Default)]
struct Parts {
    memory: Option<Arc<MemoryStore>>,
    file: Option<(PathBuf, Arc<FileStore>)>,
    redis: Option<(Redis, Arc<RedisStore>)>,
}

impl Parts {
    fn is_same_as(&self, other: &Self) -> bool {
        fn same<T>(one: Option<&Arc<T>>, two: Option<&Arc<T>>) -> bool {
            match (one, two) {
                (Some(one), Some(two)) => Arc::ptr_eq(one, two),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }
        }
        let (file, redis) = (self.file.as_ref().map(|file| &file.1), self.redis.as_ref().map(|redis| &redis.1));
        same(self.memory.as_ref(), other.memory.as_ref())
            && same(file, other.file.as_ref().map(|file| &file.1))
            && same(redis, other.redis.as_ref().map(|redis| &redis.1))
    }
}

impl Opened {
    /// Opens the store that `settings` ask for, as far as `before` does not have it. A Redis that is down is no error: it is
    /// connected to when it is there. Waits for the disk.
    ///
    /// # Errors
    /// [`OpenFault`] names what cannot be used and what to do about it.
    pub fn open(settings: &Settings, control: &Handle, metrics: &Arc<Metrics>, before: Option<&Self>) -> Result<Self, OpenFault> {
        let (session, state_dir) = (&settings.session, settings.server.state_dir.as_deref());
        let opening = Opening { before, control };
        let mut parts = Parts::default();
        match (session.store, &session.redis, state_dir) {
            (StoreKind::Redis | StoreKind::Cookie, Some(redis), _) => parts.redis = Some(opening.redis(redis)?),
            (StoreKind::Redis, None, _) => return Err(OpenFault("session.redis: missing, and `session.store` is `redis`".to_owned())),
            (StoreKind::File | StoreKind::Cookie, _, Some(state_dir)) => parts.file = Some(opening.file(state_dir)?),
            (StoreKind::File, _, None) => return Err(OpenFault("server.state_dir: missing, and `session.store` is `file`".to_owned())),
            (StoreKind::Memory, _, Some(state_dir)) => {
                parts.memory = Some(opening.memory());
                parts.file = Some(opening.file(state_dir)?);
            }
            (StoreKind::Memory, _, None) | (StoreKind::Cookie, None, None) => parts.memory = Some(opening.memory()),
        }
        let store = match before.filter(|before| before.parts.is_same_as(&parts)) {
            Some(before) => before.store.clone(),
            None => Arc::new(Timed::new(whole(&parts)?, metrics)),
        };
        let held = before.and_then(|before| before.parts.file.as_ref()).map(|(path, file)| (path.clone(), Arc::downgrade(file)));
        let lingering = before.into_iter().flat_map(|before| &before.lingering).cloned().chain(held);
        let lingering = lingering.filter(|(_, file)| file.strong_count() > 0).collect();
        Ok(Self { store, parts, lingering })
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
}

fn whole(parts: &Parts) -> Result<Arc<dyn Store>, OpenFault> {
    Ok(match (&parts.memory, &parts.file, &parts.redis) {
        (Some(memory), Some((_, file)), _) => Arc::new(SplitStore::new(memory.clone(), file.clone())),
        (Some(memory), None, _) => memory.clone(),
        (None, Some((_, file)), _) => file.clone(),
        (None, None, Some((_, redis))) => redis.clone(),
        (None, None, None) => return Err(OpenFault("session.store: none is configured".to_owned())),
    })
}

struct Opening<'o> {
    before: Option<&'o Opened>,
    control: &'o Handle,
}

impl Opening<'_> {
    fn memory(&self) -> Arc<MemoryStore> {
        let known = self.before.and_then(|before| before.parts.memory.clone());
        known.unwrap_or_else(|| MemoryStore::new(self.control))
    }

    fn file(&self, state_dir: &Path) -> Result<(PathBuf, Arc<FileStore>), OpenFault> {
        // Two names of one folder are one file.
        let path = std::fs::canonicalize(state_dir).unwrap_or_else(|_| state_dir.to_owned());
        let in_use = self.before.and_then(|before| before.parts.file.as_ref()).filter(|file| file.0 == path).map(|file| file.1.clone());
        let mut lingering = self.before.into_iter().flat_map(|before| &before.lingering).filter(|file| file.0 == path);
        let known = in_use.or_else(|| lingering.find_map(|file| file.1.upgrade()));
        let file = known.map_or_else(|| FileStore::open(state_dir, self.control).map(Arc::new), Ok)?;
        Ok((path, file))
    }

    fn redis(&self, settings: &Redis) -> Result<(Redis, Arc<RedisStore>), OpenFault> {
        let known = self.before.and_then(|before| before.parts.redis.as_ref()).filter(|redis| redis.0 == *settings);
        let store = known.map_or_else(|| RedisStore::open(settings, self.control).map(Arc::new), |redis| Ok(redis.1.clone()))?;
        Ok((settings.clone(), store))
    }
}
