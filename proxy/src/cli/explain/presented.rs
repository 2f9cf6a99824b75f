//! Somebody who presents a real token or a real session: judged by the configured keys, as the edge would. Nothing is changed
//! by it: no session lives longer, and no token is refreshed.

use std::sync::Arc;

use doorward_config::settings::{Settings, StoreKind};
use doorward_policy::access::{CredentialFault, Route, Standing};
use doorward_policy::cookies::Found;
use doorward_policy::credential::{Accept, Authorization, Credential};
use doorward_policy::identity::Identity;
use doorward_policy::session::{CookiePlace, Limits, Record, Session, SessionFault, StoreKey, Ticket};
use doorward_policy::time::Timestamp;
use doorward_policy::token::TokenFault;
use tokio::runtime::Runtime as Tokio;

use super::super::log;
use super::Stop;
use crate::bearer::identify_by_one_of;
use crate::explain::{Answer, Question, answer};
use crate::keys::Tempo;
use crate::metrics::Metrics;
use crate::revocations::RevocationList;
use crate::runtime::ProviderRuntime;
use crate::store::{FILE, Opened};

/// What becomes of whoever presents `token`.
pub(super) fn token(settings: Settings, question: &Question, token: &str) -> Result<Answer, Stop> {
    let Some(route) = question.route(&settings) else { return Ok(answer(&settings, question, &Standing::Anonymous)) };
    if route.accept == Accept::Session {
        let note = "The route does not take bearer tokens (`accept: session`): one counts as nothing.";
        return Ok(answer(&settings, question, &Standing::Anonymous).with_note(note.into()));
    }
    let field = match token.split_at_checked(7) {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("bearer ") => token.to_owned(),
        _ => format!("Bearer {token}"),
    };
    let authorization = Authorization::read(std::iter::once(field.as_bytes()));
    let Credential::Bearer(raw) = route.accept.choose(authorization, || Found::Absent) else {
        return Ok(refused(&settings, question, CredentialFault::MalformedBearer));
    };
    log::to_stderr("doorward=warn,doorward_proxy=warn");
    let tokio = background()?;
    let metrics = Arc::new(Metrics::new(&settings).map_err(|error| Stop::no(error.to_string()))?);
    let providers = route.providers.iter().filter_map(|index| settings.providers.get(*index));
    let remembered = settings.server.limits.remembered;
    let providers = providers.map(|provider| ProviderRuntime::new(provider, remembered, Tempo::default(), tokio.handle(), &metrics, None));
    let providers: Vec<ProviderRuntime> = providers.collect::<Result<_, _>>().map_err(|fault| Stop::no(fault.to_string()))?;
    let verifiers = providers.iter().filter_map(|provider| provider.bearer.as_ref());
    let found = tokio.block_on(identify_by_one_of(verifiers, raw, settings.policy.mapping(), || false, question.now));
    Ok(match found {
        Ok((identity, _)) => answer(&settings, question, &Standing::Known(&identity)),
        Err(fault) => refused(&settings, question, fault),
    })
}

/// What becomes of whoever presents `cookie` as their session.
pub(super) fn session(settings: Settings, question: &Question, cookie: &str) -> Result<Answer, Stop> {
    let (Some(route), Ok(target)) = (question.route(&settings), &question.target) else {
        return Ok(answer(&settings, question, &Standing::Anonymous));
    };
    if route.accept == Accept::Bearer {
        let note = "The route takes bearer tokens only (`accept: bearer`): a session counts as nothing.";
        return Ok(answer(&settings, question, &Standing::Anonymous).with_note(note.into()));
    }
    let place = CookiePlace::of(target.host().name(), settings.session.domain.as_deref());
    // As it is copied from a browser: with the name, or without.
    let value = cookie.strip_prefix(place.name()).and_then(|rest| rest.strip_prefix('=')).unwrap_or(cookie);
    let tokio = background()?;
    let looked = tokio.block_on(Look { settings: &settings, tokio: &tokio, now: question.now }.session(value.as_bytes(), place))?;
    let found = looked.session.and_then(|session| belongs(&settings, route, &session).map(|()| session));
    let answer = match found {
        // As for every request.
        Ok(session) if settings.policy.mapping().user.of(&session.claims).is_none() => {
            refused(&settings, question, CredentialFault::Session(SessionFault::NoUser))
        }
        Ok(session) => {
            let identity = Identity::from_session(session, settings.policy.mapping());
            answer(&settings, question, &Standing::Known(&identity))
        }
        Err(fault) => refused(&settings, question, CredentialFault::Session(fault)),
    };
    Ok(looked.note.into_iter().fold(answer, Answer::with_note))
}

/// As the gate does.
fn belongs(settings: &Settings, route: &Route, session: &Session) -> Result<(), SessionFault> {
    let providers = route.providers.iter().filter_map(|index| settings.providers.get(*index));
    session.belongs_to_one_of(providers.map(|provider| (&*provider.name, &*provider.client_id, &*provider.issuer)))
}

/// One look at a session.
struct Look<'l> {
    settings: &'l Settings,
    tokio: &'l Tokio,
    now: Timestamp,
}

/// What it showed.
struct Looked {
    session: Result<Session, SessionFault>,
    note: Option<String>,
}

impl Look<'_> {
    async fn session(&self, value: &[u8], place: CookiePlace<'_>) -> Result<Looked, Stop> {
        let (keys, limits) = (&self.settings.session.keys, self.limits());
        if !self.settings.session.store.is_server_side() {
            let session = match Session::open(value, keys, place, limits, self.now) {
                Ok(session) => session,
                Err(fault) => return Ok(Looked { session: Err(fault), note: None }),
            };
            return Ok(match self.store() {
                Ok(Some(store)) => self.unless_revoked(session, &store).await,
                Ok(None) => Looked { session: Ok(session), note: None },
                Err(why) => {
                    Looked { session: Ok(session), note: Some(format!("Whether it was signed out could not be looked up: {why}.")) }
                }
            });
        }
        let ticket = match Ticket::open(value, keys, place) {
            Ok(ticket) => ticket,
            Err(fault) => return Ok(Looked { session: Err(fault), note: None }),
        };
        let store = match self.store() {
            Ok(Some(store)) => store,
            Ok(None) => return Err(Stop::no("there is no file with sessions yet in `server.state_dir`")),
            Err(why) => return Err(Stop::no(format!("the session cannot be looked up: {why}"))),
        };
        let key = StoreKey::of(&ticket.id);
        let stored = store.store().read(&key).await.map_err(|fault| Stop::no(format!("the session cannot be looked up: {fault}")))?;
        let Some(stored) = stored.filter(|stored| stored.until > self.now) else {
            return Ok(Looked { session: Err(SessionFault::Expired), note: Some("The store has no such session, or no longer.".into()) });
        };
        match Record::open(&stored.sealed, keys, &key) {
            None => Ok(Looked { session: Err(SessionFault::Unreadable), note: None }),
            Some(record) if record.session.latest(limits) <= self.now => Ok(Looked { session: Err(SessionFault::Expired), note: None }),
            Some(record) => Ok(self.unless_revoked(record.session, &store).await),
        }
    }

    async fn unless_revoked(&self, session: Session, store: &Opened) -> Looked {
        let Ok(metrics) = Metrics::new(self.settings).map(Arc::new) else { return Looked { session: Ok(session), note: None } };
        let issuers = self.settings.providers.iter().map(|provider| provider.issuer.as_str());
        let (lifetime, control) = (self.settings.session.lifetime, self.tokio.handle().clone());
        let list = RevocationList::new(issuers, lifetime, store.store().clone(), metrics, control);
        list.load().await;
        if !list.is_known() {
            return Looked {
                session: Ok(session),
                note: Some("Whether it was signed out could not be looked up: the store cannot be reached.".into()),
            };
        }
        let session = if list.revokes(&session) { Err(SessionFault::Revoked) } else { Ok(session) };
        Looked { session, note: None }
    }

    /// The store, where one is kept outside of the running process. No file is made by looking.
    fn store(&self) -> Result<Option<Opened>, String> {
        let (session, server) = (&self.settings.session, &self.settings.server);
        if session.store == StoreKind::Memory {
            return Err("with `store: memory` it is in the running process alone".into());
        }
        if session.redis.is_none() {
            let Some(folder) = &server.state_dir else {
                return Err("it is known to the running process alone (no `server.state_dir`)".into());
            };
            if !folder.join(FILE).exists() {
                return Ok(None);
            }
        }
        let metrics = Metrics::new(self.settings).map(Arc::new).map_err(|error| error.to_string())?;
        Opened::open(self.settings, self.tokio.handle(), &metrics, None).map(Some).map_err(|fault| fault.to_string())
    }

    fn limits(&self) -> Limits {
        Limits { idle: self.settings.session.idle, lifetime: self.settings.session.lifetime }
    }
}

fn background() -> Result<Tokio, Stop> {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    tokio.map_err(|error| Stop::no(error.to_string()))
}

fn refused(settings: &Settings, question: &Question, fault: CredentialFault) -> Answer {
    answer(settings, question, &Standing::Refused(fault)).with_note(said(fault).into())
}

/// What is wrong with what was presented.
fn said(fault: CredentialFault) -> &'static str {
    match fault {
        CredentialFault::MalformedBearer => {
            "That is no bearer token, or the providers of this route issue none that could be verified (no `audience`)."
        }
        CredentialFault::CannotVerify => "The provider cannot be reached, so nobody can say whether the token is good.",
        CredentialFault::StoreUnreachable => "The store of the sessions cannot be reached.",
        CredentialFault::TooMany => "Too many bad ones were presented.",
        CredentialFault::Session(fault) => match fault {
            SessionFault::Unreadable => "The cookie was not sealed by these keys for this host.",
            SessionFault::Expired => "The session is over: its idle limit or its lifetime is reached, or it was ended.",
            SessionFault::OtherProvider => "The session is of another provider or client than this route's.",
            SessionFault::Revoked => "The session was signed out.",
            SessionFault::NoUser => "The session holds no claim that `identity.user` names.",
        },
        CredentialFault::Token(fault) => match fault {
            TokenFault::Expired => "The token has expired.",
            TokenFault::NotYetValid => "The token is not valid yet.",
            TokenFault::Audience => "The token is for another audience than the provider's `audience`.",
            TokenFault::Issuer => "The token was issued by somebody else.",
            TokenFault::UnknownKey => "The token was signed with a key that the provider does not publish.",
            TokenFault::Signature => "The signature is wrong.",
            TokenFault::Algorithm => "The token is signed with an algorithm that is not among `algorithms`.",
            TokenFault::Type => "The token is of another type (`typ`) than `access_token_type` says.",
            TokenFault::Malformed => "The token is no JWT: opaque tokens are nobody's to read but the provider's.",
            TokenFault::Organization => "The token is for another organization.",
            TokenFault::User => "The token holds no claim that `identity.user` names.",
            TokenFault::Revoked => "The provider was asked, and does not vouch for the token.",
            _ => "The token is not good.",
        },
    }
}
