//! Finding a session that a store keeps.

use std::sync::Arc;
use std::time::Duration;

use doorward_policy::access::CredentialFault;
use doorward_policy::session::{CookiePlace, KeyId, Limits, Record, SealingKeys, Session, SessionFault, StoreKey, Ticket};
use doorward_policy::time::Timestamp;

use super::{Held, Live, Opened, Sessions};
use crate::audit::Cause;
use crate::entropy;
use crate::reply;

/// Seconds after which a session that other processes may change is looked up again.
const RECHECK: i64 = 2;

impl Sessions {
    pub(super) async fn in_store(&self, sealed: &[u8], host: &str, now: Timestamp) -> Result<Live, CredentialFault> {
        let ticket = self.opened_ticket(sealed, self.place(host), &self.keyring.keys()).map_err(CredentialFault::Session)?;
        let live = self.named(&ticket.says, now).await?;
        Ok(Live { renewal: self.renewed_ticket(&ticket, host, now), ..live })
    }

    /// The same, whose claims still hold: its tokens have not ended, or were refreshed.
    pub(super) async fn found_fresh(&self, sealed: &[u8], host: &str, cause: Cause<'_>, now: Timestamp) -> Result<Live, CredentialFault> {
        let live = self.find(sealed, host, now).await?;
        let Some(held) = live.held.clone() else { return Ok(live) };
        self.fresh(&held, cause, now).await?;
        Ok(Live { renewal: live.renewal, ..self.live(held) })
    }

    /// The same where it is held here and all is well with it. `None` says nothing: what is the matter, and what is to be done
    /// about it, is found by whoever can wait.
    pub(super) fn at_hand(&self, sealed: &[u8], host: &str, now: Timestamp) -> Option<Live> {
        let ticket = self.opened_ticket(sealed, self.place(host), &self.keyring.keys()).ok()?;
        let held = self.held.get(&ticket.says.id)?;
        let known = held.known();
        let within = is_within_limits(&known.session, self.limits(), now) && held.until() > now;
        let counts = self.revocations.is_known() && !self.revocations.is_revoked(&known.facts);
        if !within || !counts || !self.is_fresh(&known, now) {
            return None;
        }
        self.see(&held, now);
        self.keep_sealed(&held, now);
        Some(Live { renewal: self.renewed_ticket(&ticket, host, now), ..self.live(held) })
    }

    fn opened_ticket(&self, sealed: &[u8], place: CookiePlace<'_>, keys: &SealingKeys) -> Result<Opened<Arc<Ticket>>, SessionFault> {
        if let Some(opened) = self.tickets.get(place, sealed, keys) {
            return Ok(opened);
        }
        let ticket = Arc::new(Ticket::open(sealed, keys, place)?);
        let opened = Opened { says: ticket, key: KeyId::of(sealed).ok_or(SessionFault::Unreadable)? };
        self.tickets.keep(place, sealed, opened.clone());
        Ok(opened)
    }

    /// The live session that a ticket names, whatever brought the ticket here.
    ///
    /// # Errors
    /// As for [`Sessions::find`].
    pub async fn named(&self, ticket: &Ticket, now: Timestamp) -> Result<Live, CredentialFault> {
        let held = match self.held.get(&ticket.id) {
            Some(held) => held,
            None => self.read(ticket, now).await?,
        };
        let held = self.within_limits(held, ticket, now).await?;
        if !self.revocations.is_known() {
            return Err(CredentialFault::StoreUnreachable);
        }
        if self.revocations.is_revoked(&held.known().facts) {
            self.forget(&ticket.id);
            return Err(CredentialFault::Session(SessionFault::Revoked));
        }
        self.see(&held, now);
        self.keep_sealed(&held, now);
        Ok(self.live(held))
    }

    /// The session as it is known now.
    pub(super) fn live(&self, held: Arc<Held>) -> Live {
        let known = held.known_by(self.mapping());
        Live {
            session: known.session.clone(),
            identity: known.identity.clone(),
            renewal: None,
            until: known.session.latest(self.limits()),
            held: Some(held),
        }
    }

    /// Reads a session that this process does not know yet.
    async fn read(&self, ticket: &Ticket, now: Timestamp) -> Result<Arc<Held>, CredentialFault> {
        let key = StoreKey::of(&ticket.id);
        match self.store.read(&key).await {
            Err(_) => Err(CredentialFault::StoreUnreachable),
            // Ended, forgotten, or never there.
            Ok(None) => Err(CredentialFault::Session(SessionFault::Expired)),
            Ok(Some(stored)) => {
                let record = Record::open(&stored.sealed, &self.keyring.keys(), &key);
                let record = record.ok_or(CredentialFault::Session(SessionFault::Unreadable))?;
                let held = Held::new(record, self.mapping(), stored.until, now);
                held.seal.is(KeyId::of(&stored.sealed));
                Ok(self.hold(held, now))
            }
        }
    }

    /// Another process may have seen the person since: only what the store says as well is over.
    async fn within_limits(&self, held: Arc<Held>, ticket: &Ticket, now: Timestamp) -> Result<Arc<Held>, CredentialFault> {
        let limits = self.limits();
        let session = held.known().session.clone();
        if !is_within_limits(&session, limits, now) {
            // By our clock. If it is wrong, the session is still good where the clocks are right: a shared store lets it end itself.
            self.held.remove(&ticket.id);
            if !self.store.is_shared() {
                self.forget(&ticket.id);
            }
            return Err(CredentialFault::Session(SessionFault::Expired));
        }
        if held.until() > now {
            return Ok(held);
        }
        if !self.store.is_shared() {
            self.forget(&ticket.id);
            return Err(CredentialFault::Session(SessionFault::Expired));
        }
        self.held.remove(&ticket.id);
        let read = self.read(ticket, now).await?;
        if read.until() > now {
            return Ok(read);
        }
        self.held.remove(&ticket.id);
        Err(CredentialFault::Session(SessionFault::Expired))
    }

    /// The idle limit counts from now; the store learns of it beside the request, ten times in an idle limit at most.
    fn see(&self, held: &Arc<Held>, now: Timestamp) {
        held.see(now);
        let limits = self.limits();
        let session = held.known().session.clone();
        let until = session.latest(limits).min(now.plus(limits.idle));
        held.extend(until);
        let step = i64::try_from(limits.idle.as_secs() / 10).unwrap_or(i64::MAX).max(1);
        self.tell(held, until, step);
        if self.store.is_shared() && held.is_to_be_asked(RECHECK, now) {
            self.look_again(held.clone());
        }
    }

    /// Has the store told a new end, if that is so many seconds later than the one it knows.
    fn tell(&self, held: &Arc<Held>, until: Timestamp, step: i64) {
        if !held.is_to_be_told(until, step) {
            return;
        }
        let (store, key, held) = (self.store.clone(), StoreKey::of(&held.known().session.id), held.clone());
        self.control.spawn(async move {
            if store.touch(&key, until).await.is_err() {
                held.untell();
            }
        });
    }

    /// Holds it, or what came first: that is the answer.
    pub(super) fn hold(&self, held: Held, now: Timestamp) -> Arc<Held> {
        let kept = self.held.insert(held, now);
        // When the one that gave way ends is the store's alone to know now: what it was not told yet would be lost.
        if let Some(gone) = kept.gone
            && gone.until() > now
        {
            self.tell(&gone, gone.until(), 1);
        }
        kept.held
    }

    /// What other processes did to it: ended it, or refreshed it.
    fn look_again(&self, held: Arc<Held>) {
        let Some(this) = self.this.upgrade() else { return };
        self.control.spawn(async move {
            let id = held.known().session.id.clone();
            let key = StoreKey::of(&id);
            match this.store.read(&key).await {
                Ok(Some(stored)) => {
                    held.extend(stored.until);
                    if let Some(record) = Record::open(&stored.sealed, &this.keyring.keys(), &key) {
                        held.adopt(record, this.mapping());
                    }
                }
                Ok(None) => {
                    this.held.remove(&id);
                }
                // It goes on as it is known.
                Err(_) => {}
            }
        });
    }

    /// The ticket sealed under the first key, while an older one still opens it.
    fn renewed_ticket(&self, opened: &Opened<Arc<Ticket>>, host: &str, now: Timestamp) -> Option<String> {
        let (keys, ticket) = (self.keyring.keys(), &opened.says);
        if opened.key == keys.first() {
            return None;
        }
        let place = self.place(host);
        let age = ticket.began.plus(self.limits().lifetime).since(now).as_secs();
        Some(reply::session_cookie(place, &ticket.seal(&keys, place, entropy::random().ok()?), Some(age)))
    }

    /// Here and in the store.
    pub(super) fn forget(&self, id: &str) {
        self.held.remove(id);
        let (store, key) = (self.store.clone(), StoreKey::of(id));
        self.control.spawn(async move {
            // What is not removed now is over by itself.
            let _ = store.remove(&key).await;
        });
    }
}

/// The absolute limit; what began in the future did not begin. Another process may have seen the person since, so the idle limit
/// is not the session's own to say.
fn is_within_limits(session: &Session, limits: Limits, now: Timestamp) -> bool {
    session.latest(limits) > now && session.began <= now.plus(Duration::from_secs(60))
}

#[cfg(test)]
mod tests;
