//! Which sessions of a provider's (`sid`) stand behind sessions in the store. A front-channel sign-out is anybody's request:
//! only one that names what is known here changes anything (Front-Channel Logout 1.0 §4).

use doorward_policy::session::Session;

use super::Sessions;
use crate::store::StoreFault;

/// Sessions of several hosts may share one: none of them is its only holder.
const HOLDER: &str = "session";
const ASKER: &str = "front channel";

fn name(issuer: &str, sid: &str) -> String {
    format!("provider session {issuer} {sid}")
}

impl Sessions {
    /// Remembers it for as long as the session may last. What could not be remembered ends by itself, or by the back channel.
    pub(super) async fn remember_provider_session(&self, session: &Session) {
        let issuer = session.claims.get("iss").and_then(serde_json::Value::as_str);
        let (Some(issuer), Some(sid)) = (issuer, session.provider_session.as_deref()) else { return };
        let (name, lasts) = (name(issuer, sid), self.settings.session.lifetime);
        if let Ok(false) = self.store.take(&name, HOLDER, lasts).await {
            let _ = self.store.extend(&name, HOLDER, lasts).await;
        }
    }

    /// Whether a session in the store may stand behind it. Always false where cookies hold the sessions.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub async fn knows_provider_session(&self, issuer: &str, sid: &str) -> Result<bool, StoreFault> {
        if !self.is_server_side() {
            return Ok(false);
        }
        let name = name(issuer, sid);
        // Whoever can take it is the first to name it.
        let unknown = self.store.take(&name, ASKER, std::time::Duration::from_secs(1)).await?;
        if unknown {
            self.store.give_back(&name, ASKER).await?;
        }
        Ok(!unknown)
    }

    /// Once it is signed out, nobody need know it: whoever asks again changes nothing more.
    pub async fn forget_provider_session(&self, issuer: &str, sid: &str) {
        if self.is_server_side() {
            // It ends by itself besides.
            let _ = self.store.give_back(&name(issuer, sid), HOLDER).await;
        }
    }
}
