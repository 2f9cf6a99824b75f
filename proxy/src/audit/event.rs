//! What is written down, by kind. No field holds a token, a cookie, a code, a secret or a query; a session is a digest of
//! its id.

use std::net::IpAddr;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::budget::Allowance;
use crate::log_text::cut;

macro_rules! kinds {
    ($($(#[$about:meta])* $name:ident = $label:literal $(at most $per_client:literal of $in_all:literal)?;)+) => {
        /// What happened. Those with a bound can be caused by anybody, as often as they like: lines of a client and in all, in a
        /// minute.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$about])* $name),+
        }

        impl Kind {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The line's `event`.
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label),+
                }
            }

            pub(super) fn allowance(self) -> Option<Allowance> {
                match self {
                    $(Self::$name => kinds!(@bound $($per_client $in_all)?)),+
                }
            }
        }
    };
    (@bound) => { None };
    (@bound $per_client:literal $in_all:literal) => { Some(Allowance { per_client: $per_client, in_all: $in_all }) };
}

kinds! {
    Start = "start";
    Stop = "stop";
    Reload = "reload";
    SignIn = "sign_in";
    SignInFailed = "sign_in_failed" at most 60 of 1_000;
    /// The session of a sign-in on another of our hosts.
    Handoff = "handoff";
    Refresh = "refresh";
    RefreshFailed = "refresh" at most 1_000 of 1_000;
    SignOut = "sign_out";
    SignOutFailed = "sign_out_failed" at most 60 of 1_000;
    /// Somebody who is known.
    Denial = "denial" at most 300 of 10_000;
    /// Nobody in particular: apart from those, so that crowds do not hide them.
    AnonymousDenial = "denial" at most 60 of 1_000;
    ShadowDenial = "shadow_denial" at most 60 of 1_000;
    CredentialRefused = "credential_refused" at most 60 of 1_000;
    StepUp = "step_up" at most 60 of 1_000;
    Admin = "admin";
    AdminRefused = "admin" at most 60 of 1_000;
    /// Lines that were too many.
    Suppressed = "suppressed";
}

/// The request that it began with.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cause<'c> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
}

impl<'c> Cause<'c> {
    /// Nobody asked.
    pub const NONE: Cause<'static> = Cause { request_id: None, client: None };

    pub fn new(request_id: &'c str, client: IpAddr) -> Self {
        Self { request_id: Some(request_id), client: Some(client) }
    }

    /// For what goes on when the request is over.
    pub fn to_kept(self) -> KeptCause {
        KeptCause { request_id: self.request_id.map(Into::into), client: self.client }
    }
}

/// A [`Cause`] that outlives its request.
#[derive(Debug, Clone)]
pub struct KeptCause {
    request_id: Option<Box<str>>,
    client: Option<IpAddr>,
}

impl KeptCause {
    pub fn as_cause(&self) -> Cause<'_> {
        Cause { request_id: self.request_id.as_deref(), client: self.client }
    }
}

/// A text of others': its beginning.
#[derive(Debug, Clone, Copy)]
pub struct Text<'t>(pub &'t str);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(cut(self.0))
    }
}

/// Where: never the query.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Place<'p> {
    /// Another proxy asked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hook: bool,
    /// It had asked before: the line of the first question tells the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    pub method: Text<'p>,
    pub host: Text<'p>,
    pub path: Text<'p>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Text<'p>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Text<'p>>,
}

/// Who: as far as it is known.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Who<'w> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Text<'w>>,
    /// `session` or `bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<&'static str>,
    /// `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Text<'w>>,
    /// What the apps are told, where that is another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Text<'w>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Value>,
}

/// [`Kind::SignIn`].
#[derive(Debug, Serialize)]
pub struct SignIn<'e> {
    pub host: Text<'e>,
    #[serde(flatten)]
    pub who: Who<'e>,
    /// By role, the claims and rules that gave it.
    pub role_sources: Value,
    /// The provider's own session, as a digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_session: Option<String>,
    /// Those that rules, roles and headers look at.
    pub claims: Value,
}

/// [`Kind::Handoff`].
#[derive(Debug, Serialize)]
pub struct Handoff<'e> {
    pub host: Text<'e>,
    #[serde(flatten)]
    pub who: Who<'e>,
}

/// [`Kind::SignInFailed`].
#[derive(Debug, Serialize)]
pub struct SignInFailed<'e> {
    pub host: Text<'e>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Text<'e>>,
    /// `begin`, `callback` or `handoff`.
    pub step: &'static str,
    pub reason: &'static str,
}

/// [`Kind::Refresh`], [`Kind::RefreshFailed`].
#[derive(Debug, Serialize)]
pub struct Refresh<'e> {
    #[serde(flatten)]
    pub who: Who<'e>,
    pub outcome: &'static str,
    /// The session is over by it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// Before; what they are now is in `roles`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles_before: Option<Value>,
}

/// [`Kind::SignOut`].
#[derive(Debug, Serialize)]
pub struct SignOut<'e> {
    /// `local`, `provider` (and sent on there), `everywhere`, `back_channel`, `front_channel`, `admin`, or `replaced` by another
    /// sign-in.
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Text<'e>>,
    #[serde(flatten)]
    pub who: Who<'e>,
    /// The provider's own session, as a digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_session: Option<String>,
    /// Other processes know of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<bool>,
}

/// [`Kind::SignOutFailed`]: somebody's word that was not the provider's.
#[derive(Debug, Serialize)]
pub struct SignOutFailed {
    pub kind: &'static str,
    pub reason: &'static str,
}

/// [`Kind::Denial`], [`Kind::AnonymousDenial`], [`Kind::ShadowDenial`], [`Kind::CredentialRefused`], [`Kind::StepUp`].
#[derive(Debug, Serialize)]
pub struct Refusal<'e> {
    #[serde(flatten)]
    pub place: Place<'e>,
    /// `deny` or `challenge`.
    pub decision: &'static str,
    pub reason: &'static str,
    #[serde(flatten)]
    pub who: Who<'e>,
    /// What the rule looked at, and what it found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criteria: Option<Value>,
}

/// [`Kind::Admin`], [`Kind::AdminRefused`].
#[derive(Debug, Serialize)]
pub struct Admin {
    pub call: &'static str,
    pub outcome: &'static str,
}

/// [`Kind::Reload`].
#[derive(Debug, Serialize)]
pub struct Reload {
    /// `signal`, `file` or `admin`.
    pub by: &'static str,
    pub outcome: &'static str,
    /// What is wrong with the new configuration, as the log says it: places and names, no secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problems: Option<Value>,
}

/// [`Kind::Start`].
#[derive(Debug, Serialize)]
pub struct Start {
    pub version: &'static str,
}

/// [`Kind::Stop`].
#[derive(Debug, Serialize)]
pub struct Stop {
    /// Every connection ended by itself.
    pub clean: bool,
}

/// [`Kind::Suppressed`].
#[derive(Debug, Serialize)]
pub struct Suppressed {
    /// By event.
    pub not_written: serde_json::Map<String, Value>,
}

/// A session's id as logs may have it: tells two sessions apart and opens none. 96 bits of SHA-256.
pub fn session_digest(id: &str) -> String {
    digest(b"doorward/audit/session\0", id)
}

/// The same of a provider's own session (`sid`): whoever knows that can end it.
pub fn provider_session_digest(sid: &str) -> String {
    digest(b"doorward/audit/provider-session\0", sid)
}

fn digest(purpose: &[u8], id: &str) -> String {
    let mut context = Context::new(&SHA256);
    context.update(purpose);
    context.update(id.as_bytes());
    URL_SAFE_NO_PAD.encode(&context.finish().as_ref()[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_place_in_the_list() {
        assert!(Kind::ALL.iter().enumerate().all(|(at, kind)| *kind as usize == at));
    }

    #[test]
    fn log_01_a_digest_is_not_the_id_and_tells_two_apart() {
        let id = "AAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(session_digest(id), session_digest(id));
        assert_ne!(session_digest(id), session_digest("AAAAAAAAAAAAAAAAAAAAAB"));
        assert_ne!(session_digest(id), provider_session_digest(id));
        assert_eq!(session_digest(id).len(), 16);
    }
}
