//! Forms that wait for their sender to sign in again: kept sealed, shown to nobody else, sent only on a click.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use doorward_policy::cookies::Found;
use doorward_policy::login::{FORM_LIFETIME, KeptForm, parse_parameters};
use doorward_policy::session::{Owner, StoreKey};
use doorward_policy::time::Timestamp;
use http::{Method, header};

use super::Served;
use super::session::live;
use crate::body::is_form;
use crate::entropy::{self, token};
use crate::gate::{Admission, Ask, Outcome, own_origin};
use crate::log_text::cut;
use crate::manner::Manner;
use crate::pages::{Language, ResumePage, SessionEndedFormPage};
use crate::reply::Reply;
use crate::respond::{self, Face};
use crate::runtime::Runtime;

/// Forms that one process keeps at once: with [`doorward_policy::login::FORM_LIMIT`] some 30 MB.
const LIMIT: usize = 500;
/// Fields that a page shows.
const FIELDS: usize = 1000;

/// Of these, one person's: a ticket that is long over still opens, and one that was left behind must not fill all places.
const OF_ONE: usize = 10;

/// When the forms that wait were kept, and whose they are, oldest first.
#[derive(Debug, Default)]
pub struct KeptForms {
    kept: Mutex<VecDeque<(Timestamp, Owner)>>,
}

impl KeptForms {
    /// Takes a place for a form of `owner`'s; false when there is none.
    fn take(&self, owner: &Owner, now: Timestamp) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.front().is_some_and(|(first, _)| first.plus(FORM_LIFETIME) <= now) {
            kept.pop_front();
        }
        let room = kept.len() < LIMIT && kept.iter().filter(|(_, known)| known == owner).count() < OF_ONE;
        if room {
            kept.push_back((now, owner.clone()));
        }
        room
    }
}

/// A form that is worth keeping, before its content was read.
#[derive(Debug)]
pub struct Waiting {
    owner: Owner,
    host: String,
    path_and_query: String,
    language: Language,
    request_id: String,
    now: Timestamp,
}

/// Whether the request that was answered so is a form that could be sent again: posted by this host's own page, where the
/// route says so, in a session that has ended since. Somebody who never had one has nothing kept.
pub fn waits(runtime: &Runtime, ask: &Ask<'_>, admission: &Admission) -> Option<Waiting> {
    // Whose session is only too old for a rule still has it: the way to step up is another, and nothing is to be deleted.
    let challenged = matches!(admission.outcome, Outcome::Answer { decision: "challenge", reason, .. } if reason != "step_up");
    if !challenged || !runtime.settings.routes.get(admission.route?)?.keep_form {
        return None;
    }
    let host = ask.target.host().name();
    let origin = ask.headers.get(header::ORIGIN)?;
    if *ask.target.method() != Method::POST
        || ask.manner != Manner::Page
        || origin.as_bytes() != own_origin(runtime, host).as_bytes()
        || !is_form(ask.headers)
    {
        return None;
    }
    let Found::One(sealed) = runtime.sessions.presented(ask.headers, host) else { return None };
    Some(Waiting {
        owner: runtime.sessions.owner_of(sealed, host)?,
        host: host.to_owned(),
        path_and_query: ask.target.path_and_query(),
        language: Language::of(ask.headers),
        request_id: ask.request_id.to_owned(),
        now: ask.now,
    })
}

/// Keeps what was posted; `None` when it cannot be, and the usual answer has to do.
pub async fn keep(runtime: &Runtime, waiting: Waiting, content: &Bytes) -> Option<Reply> {
    let content = std::str::from_utf8(content).ok().filter(|text| parse_parameters(text).is_some_and(|pairs| pairs.len() <= FIELDS))?;
    if !runtime.kept_forms.take(&waiting.owner, waiting.now) {
        tracing::warn!("too many forms wait for a sign-in; one more is not kept");
        return None;
    }
    let id = token(entropy::random::<16>().ok()?);
    let form = KeptForm { owner: waiting.owner, path_and_query: waiting.path_and_query.into(), content: content.into(), kept: waiting.now };
    let sealed = form.seal(&runtime.keys(), &id, &waiting.host, entropy::random().ok()?);
    runtime.store.create(&key_of(&id), sealed, waiting.now.plus(FORM_LIFETIME)).await.ok()?;
    let back = format!("{}/resume?form={id}", runtime.settings.server.prefix);
    let page = SessionEndedFormPage { login_url: &super::sign_in_path(runtime, &back), request_id: cut(&waiting.request_id) };
    Some(runtime.pages.session_ended_form(&page, waiting.language).without_session(runtime.sessions.place(&waiting.host)))
}

/// `resume?form=…`: offers the form to whoever filled it in.
pub(super) async fn resume(runtime: &Runtime, ask: &Ask<'_>) -> Served {
    let gone = || Served { reason: "form_gone", reply: respond::show(&runtime.pages, runtime.asker(ask, None), Face::FORM_GONE, &[]) };
    let pairs = parse_parameters(ask.target.query().unwrap_or("")).unwrap_or_default();
    let mut ids = pairs.iter().filter(|(name, _)| name == "form").map(|(_, value)| value.as_str());
    let (Some(id), None) = (ids.next(), ids.next()) else { return gone() };
    let Some(live) = live(runtime, ask).await else { return super::session::sign_in_first(runtime, ask).await };
    let host = ask.target.host().name();
    let stored = match runtime.store.read(&key_of(id)).await {
        Ok(Some(stored)) => stored,
        Ok(None) => return gone(),
        Err(_) => {
            let reply = respond::show(&runtime.pages, runtime.asker(ask, None), Face::STORE_DOWN, &[]);
            return Served { reason: "store_unreachable", reply };
        }
    };
    let owner = Owner::of(&live.session);
    let Some(form) = KeptForm::open(&stored.sealed, &runtime.keys(), id, host, &owner, ask.now) else { return gone() };
    let Some(fields) = parse_parameters(&form.content) else { return gone() };
    let page = ResumePage { action: &form.path_and_query, fields: &fields, discard_url: "/" };
    Served { reason: "form_offered", reply: runtime.pages.resume(&page, Language::of(ask.headers)) }
}

/// Of the same store as sessions, and never the key of one: their ids have no colon.
fn key_of(id: &str) -> StoreKey {
    StoreKey::of(&format!("form:{id}"))
}
