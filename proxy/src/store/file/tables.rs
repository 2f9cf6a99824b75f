//! What is in the file: three kinds of entries, and one table of when each of them ends.

use doorward_policy::session::Revocation;
use doorward_policy::time::Timestamp;
use redb::{
    Database, Error, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageError, Table, TableDefinition, TableError,
    WriteTransaction,
};

use crate::store::log::{COVERED, ISSUERS, PAGE, is_covered, is_of_issuer, merged, what_key};
use crate::store::{StoreFault, Stored};

type Key = [u8; 32];

/// Milliseconds since 1970 throughout.
const SESSIONS: TableDefinition<'_, &Key, (i64, &[u8])> = TableDefinition::new("sessions");
const NAMES: TableDefinition<'_, &Key, (i64, &Key)> = TableDefinition::new("names");
/// In the order they came.
const REVOCATIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("revocations");
/// Where the entry about a thing is in that order, and when it ends.
const PLACES: TableDefinition<'_, &Key, (i64, u64)> = TableDefinition::new("places");
/// By kind: not all kinds are over by the same clock.
const ENDS: TableDefinition<'_, (u8, i64, &Key), ()> = TableDefinition::new("ends");

pub(super) const OF_SESSION: u8 = 0;
pub(super) const OF_NAME: u8 = 1;
pub(super) const OF_REVOCATION: u8 = 2;

/// Dropped to make room for one more.
const SWEPT_FOR_ROOM: usize = 1000;

/// Makes what is not there yet.
pub(super) fn prepare(database: &Database) -> Result<(), Error> {
    let transaction = database.begin_write()?;
    Tables::open(&transaction)?;
    transaction.commit()?;
    Ok(())
}

pub(super) fn session(database: &Database, key: &Key) -> Result<Option<Stored>, Error> {
    let sessions = database.begin_read()?.open_table(SESSIONS)?;
    let found = sessions.get(key)?;
    Ok(found.map(|entry| {
        let (end, sealed) = entry.value();
        Stored { sealed: sealed.to_vec(), until: Timestamp(end / 1000) }
    }))
}

/// A page of those after `after`, and the place of the last one looked at.
pub(super) fn revocations(database: &Database, after: u64) -> Result<(Vec<Revocation>, u64), Error> {
    let table = database.begin_read()?.open_table(REVOCATIONS)?;
    let (mut entries, mut last) = (Vec::new(), after);
    for entry in table.range(after.saturating_add(1)..)?.take(PAGE) {
        let (place, text) = entry?;
        entries.extend(revocation(text.value()));
        last = place.value();
    }
    Ok((entries, last))
}

/// One that cannot be read may be of a newer version: the others count all the same.
fn revocation(text: &[u8]) -> Option<Revocation> {
    let read = serde_json::from_slice(text).ok();
    if read.is_none() {
        tracing::error!("a revocation in the file cannot be read and does not count");
    }
    read
}

/// All tables in one transaction.
pub(super) struct Tables<'t> {
    sessions: Table<'t, &'static Key, (i64, &'static [u8])>,
    names: Table<'t, &'static Key, (i64, &'static Key)>,
    revocations: Table<'t, u64, &'static [u8]>,
    places: Table<'t, &'static Key, (i64, u64)>,
    ends: Table<'t, (u8, i64, &'static Key), ()>,
}

/// The outcome of work: the disk's, then ours.
type Done = Result<Result<bool, StoreFault>, StorageError>;

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            sessions: transaction.open_table(SESSIONS)?,
            names: transaction.open_table(NAMES)?,
            revocations: transaction.open_table(REVOCATIONS)?,
            places: transaction.open_table(PLACES)?,
            ends: transaction.open_table(ENDS)?,
        })
    }

    pub(super) fn create(&mut self, key: &Key, sealed: &[u8], end: i64, now: i64, limit: usize) -> Done {
        let before = self.session_end(key)?;
        if end <= now {
            return self.remove(key);
        }
        if before.is_none() && count(&self.sessions)? >= limit {
            self.sweep(OF_SESSION, now, SWEPT_FOR_ROOM)?;
            if count(&self.sessions)? >= limit {
                return Ok(Err(StoreFault::Full));
            }
        }
        self.put_session(key, sealed, before, end)?;
        Ok(Ok(true))
    }

    pub(super) fn replace(&mut self, key: &Key, sealed: &[u8], now: i64) -> Done {
        let end = self.session_end(key)?.filter(|end| *end > now);
        if let Some(end) = end {
            self.sessions.insert(key, (end, sealed))?;
        }
        Ok(Ok(end.is_some()))
    }

    pub(super) fn touch(&mut self, key: &Key, end: i64, now: i64) -> Done {
        let found = self.sessions.get(key)?.map(|entry| (entry.value().0, entry.value().1.to_vec()));
        let Some((before, sealed)) = found.filter(|(before, _)| *before > now) else { return Ok(Ok(false)) };
        if end > before {
            self.put_session(key, &sealed, Some(before), end)?;
        }
        Ok(Ok(true))
    }

    pub(super) fn remove(&mut self, key: &Key) -> Done {
        let before = self.sessions.remove(key)?.map(|entry| entry.value().0);
        if let Some(before) = before {
            self.ends.remove((OF_SESSION, before, key))?;
        }
        Ok(Ok(before.is_some()))
    }

    fn session_end(&self, key: &Key) -> Result<Option<i64>, StorageError> {
        Ok(self.sessions.get(key)?.map(|entry| entry.value().0))
    }

    fn put_session(&mut self, key: &Key, sealed: &[u8], before: Option<i64>, end: i64) -> Result<(), StorageError> {
        self.sessions.insert(key, (end, sealed))?;
        self.move_end(OF_SESSION, key, before, end)
    }

    pub(super) fn take(&mut self, name: &Key, holder: &Key, end: i64, now: i64, limit: usize) -> Done {
        let before = self.names.get(name)?.map(|entry| entry.value().0);
        if before.is_some_and(|before| before > now) {
            return Ok(Ok(false));
        }
        if before.is_none() && count(&self.names)? >= limit {
            self.sweep(OF_NAME, now, SWEPT_FOR_ROOM)?;
            if count(&self.names)? >= limit {
                return Ok(Err(StoreFault::Full));
            }
        }
        self.names.insert(name, (end, holder))?;
        self.move_end(OF_NAME, name, before, end)?;
        Ok(Ok(true))
    }

    pub(super) fn extend(&mut self, name: &Key, holder: &Key, end: i64, now: i64) -> Done {
        let Some(before) = self.held(name, holder, now)? else { return Ok(Ok(false)) };
        if end > before {
            self.names.insert(name, (end, holder))?;
            self.move_end(OF_NAME, name, Some(before), end)?;
        }
        Ok(Ok(true))
    }

    pub(super) fn give_back(&mut self, name: &Key, holder: &Key, now: i64) -> Done {
        let Some(before) = self.held(name, holder, now)? else { return Ok(Ok(false)) };
        self.names.remove(name)?;
        self.ends.remove((OF_NAME, before, name))?;
        Ok(Ok(true))
    }

    /// When it ends, if it is this holder's.
    fn held(&self, name: &Key, holder: &Key, now: i64) -> Result<Option<i64>, StorageError> {
        let found = self.names.get(name)?.map(|entry| (entry.value().0, *entry.value().1));
        Ok(found.filter(|(end, known)| *end > now && known == holder).map(|(end, _)| end))
    }

    /// `now` is by the clock that does not jump, as for every sweep of revocations.
    pub(super) fn revoke(&mut self, key: &Key, entry: &Revocation, place: u64, now: i64, limit: usize) -> Done {
        if millis(entry.until) <= now {
            return Ok(Ok(false));
        }
        let before = self.places.get(key)?.map(|found| found.value());
        let known = match before {
            Some((_, place)) => self.revocations.remove(place)?.and_then(|text| revocation(text.value())),
            None => None,
        };
        let entry = known.map_or_else(|| entry.clone(), |known| merged(entry, &known));
        let limit = if is_of_issuer(&entry.what) { limit + ISSUERS } else { limit };
        if before.is_none() && count(&self.revocations)? >= limit {
            self.sweep(OF_REVOCATION, now, SWEPT_FOR_ROOM)?;
            if count(&self.revocations)? >= limit {
                return Ok(Err(StoreFault::Full));
            }
        }
        if is_of_issuer(&entry.what) {
            self.drop_covered(&entry)?;
        }
        let text = serde_json::to_vec(&entry).map_err(|_| StorageError::Corrupted("a revocation that cannot be written".to_owned()))?;
        let end = millis(entry.until);
        self.revocations.insert(place, text.as_slice())?;
        self.places.insert(key, (end, place))?;
        self.move_end(OF_REVOCATION, key, before.map(|(end, _)| end), end)?;
        Ok(Ok(true))
    }

    /// What an entry of a whole issuer says as well: the oldest of it.
    fn drop_covered(&mut self, by: &Revocation) -> Result<(), StorageError> {
        let mut covered = Vec::new();
        for found in self.revocations.iter()? {
            let (place, text) = found?;
            if let Some(entry) = revocation(text.value()).filter(|entry| is_covered(entry, by)) {
                covered.push((place.value(), what_key(&entry.what)));
            }
            if covered.len() == COVERED {
                break;
            }
        }
        for (place, key) in covered {
            self.revocations.remove(place)?;
            let end = self.places.remove(&key)?.map(|found| found.value().0);
            if let Some(end) = end {
                self.ends.remove((OF_REVOCATION, end, &key))?;
            }
        }
        Ok(())
    }

    /// The place of the last revocation.
    pub(super) fn last_place(&self) -> Result<u64, StorageError> {
        Ok(self.revocations.last()?.map_or(0, |(place, _)| place.value()))
    }

    fn move_end(&mut self, kind: u8, key: &Key, before: Option<i64>, end: i64) -> Result<(), StorageError> {
        if let Some(before) = before.filter(|before| *before != end) {
            self.ends.remove((kind, before, key))?;
        }
        self.ends.insert((kind, end, key), ())?;
        Ok(())
    }

    /// Drops what is over of one kind, the oldest first: how many of at most `most`.
    pub(super) fn sweep(&mut self, kind: u8, now: i64, most: usize) -> Result<usize, StorageError> {
        for swept in 0..most {
            let over = (kind, i64::MIN, &[0; 32])..=(kind, now, &[0xff; 32]);
            let first = self.ends.range(over)?.next().transpose()?.map(|(end, _)| (end.value().1, *end.value().2));
            let Some((end, key)) = first else { return Ok(swept) };
            self.ends.remove((kind, end, &key))?;
            match kind {
                OF_SESSION => drop(self.sessions.remove(&key)?),
                OF_NAME => drop(self.names.remove(&key)?),
                _ => {
                    let place = self.places.remove(&key)?.map(|found| found.value().1);
                    if let Some(place) = place {
                        self.revocations.remove(place)?;
                    }
                }
            }
        }
        Ok(most)
    }
}

/// How many entries a table has.
fn count(table: &impl ReadableTableMetadata) -> Result<usize, StorageError> {
    Ok(usize::try_from(table.len()?).unwrap_or(usize::MAX))
}

pub(super) fn millis(time: Timestamp) -> i64 {
    time.0.saturating_mul(1000)
}

/// How many entries each table has.
#[cfg(test)]
pub(super) fn counts(database: &Database) -> Result<[usize; 5], Error> {
    let transaction = database.begin_read()?;
    Ok([
        count(&transaction.open_table(SESSIONS)?)?,
        count(&transaction.open_table(NAMES)?)?,
        count(&transaction.open_table(REVOCATIONS)?)?,
        count(&transaction.open_table(PLACES)?)?,
        count(&transaction.open_table(ENDS)?)?,
    ])
}
