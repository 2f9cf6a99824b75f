//! `store: memory` with a place of our own on disk: sessions go with the process, and what was revoked does not.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorward_policy::session::{Revocation, StoreKey};
use doorward_policy::time::Timestamp;

use super::{Cursor, Store, StoreFault, Stored};

/// Sessions in one store; names and revocations in another.
#[derive(Debug)]
pub struct SplitStore {
    sessions: Arc<dyn Store>,
    rest: Arc<dyn Store>,
}

impl SplitStore {
    pub fn new(sessions: Arc<dyn Store>, rest: Arc<dyn Store>) -> Self {
        Self { sessions, rest }
    }
}

#[async_trait]
impl Store for SplitStore {
    fn is_shared(&self) -> bool {
        self.rest.is_shared()
    }

    fn is_lasting(&self) -> bool {
        self.rest.is_lasting()
    }

    async fn read(&self, key: &StoreKey) -> Result<Option<Stored>, StoreFault> {
        self.sessions.read(key).await
    }

    async fn create(&self, key: &StoreKey, sealed: Vec<u8>, until: Timestamp) -> Result<(), StoreFault> {
        self.sessions.create(key, sealed, until).await
    }

    async fn replace(&self, key: &StoreKey, sealed: Vec<u8>) -> Result<bool, StoreFault> {
        self.sessions.replace(key, sealed).await
    }

    async fn touch(&self, key: &StoreKey, until: Timestamp) -> Result<bool, StoreFault> {
        self.sessions.touch(key, until).await
    }

    async fn remove(&self, key: &StoreKey) -> Result<(), StoreFault> {
        self.sessions.remove(key).await
    }

    async fn take(&self, name: &str, holder: &str, lasts: Duration) -> Result<bool, StoreFault> {
        self.rest.take(name, holder, lasts).await
    }

    async fn extend(&self, name: &str, holder: &str, lasts: Duration) -> Result<bool, StoreFault> {
        self.rest.extend(name, holder, lasts).await
    }

    async fn give_back(&self, name: &str, holder: &str) -> Result<(), StoreFault> {
        self.rest.give_back(name, holder).await
    }

    async fn revoke(&self, entry: &Revocation) -> Result<(), StoreFault> {
        self.rest.revoke(entry).await
    }

    async fn revocations(&self, after: Cursor) -> Result<(Vec<Revocation>, Cursor), StoreFault> {
        self.rest.revocations(after).await
    }

    async fn is_well(&self) -> bool {
        self.sessions.is_well().await && self.rest.is_well().await
    }
}
