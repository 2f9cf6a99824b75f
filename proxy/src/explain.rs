//! Asking the policy about a request that nobody sends: for `doorward explain` and `doorward test`.
//!
//! The answer is [`doorward_policy`]'s own. Here the address is read as a request's would be, and what the edge does besides
//! deciding is added: endpoints of its own, and the status that browsers and scripts get.

use std::net::{IpAddr, Ipv4Addr};

use doorward_config::settings::{Provider, Settings};
use doorward_policy::access::explain::{Asked, Explanation, Supposed, Verdict, explain, explain_fault, words};
use doorward_policy::access::{CredentialFault, Match, RequestContext, Route, Standing};
use doorward_policy::credential::Accept;
use doorward_policy::identity::{AttributeMapping, Identity, Proof, Sources};
use doorward_policy::request::{Target, TargetFault};
use doorward_policy::session::SessionFault;
use doorward_policy::time::Timestamp;
use doorward_policy::token::{TokenFault, is_of_organization};
use http::Method;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::respond::{self, Statuses};

/// Whoever asks when nobody says so: an address for documentation (RFC 5737 §3).
pub const SOMEBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A request that nobody sends.
#[derive(Debug)]
pub struct Question {
    method: Method,
    authority: String,
    path: String,
    pub target: Result<Target, TargetFault>,
    pub client: IpAddr,
    pub now: Timestamp,
}

/// Why an address is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionFault {
    #[error("`{0}` is no method")]
    Method(String),
    #[error("`{0}` is not `{up}`: methods are written in capitals", up = .0.to_ascii_uppercase())]
    SmallLetters(String),
    #[error("the address begins with `https://`: over plain http there is only a redirect to it")]
    Scheme,
}

/// Somebody who would come with these claims.
#[derive(Debug, Clone, Default)]
pub struct Supposition<'s> {
    pub claims: Map<String, Value>,
    /// `None`: the route's first.
    pub provider: Option<&'s str>,
    /// `None`: a session, or a bearer token where the route takes nothing else.
    pub proof: Option<Proof>,
}

/// What would become of it.
#[derive(Debug, Serialize)]
pub struct Answer {
    #[serde(flatten)]
    pub explanation: Explanation,
    /// `None` where the app answers, or Doorward's own endpoint.
    pub status: Option<Statuses>,
}

impl Question {
    /// Reads `url` byte by byte as a client would send it; only what is not ASCII is escaped, as browsers do.
    ///
    /// # Errors
    /// [`QuestionFault`]. An address that no request may have is no fault: its [`Question::target`] says what is wrong with it.
    pub fn parse(method: &str, url: &str, client: Option<IpAddr>, now: Timestamp) -> Result<Self, QuestionFault> {
        let capitals = method.to_ascii_uppercase();
        if capitals != method && ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].contains(&capitals.as_str()) {
            return Err(QuestionFault::SmallLetters(method.to_owned()));
        }
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| QuestionFault::Method(method.to_owned()))?;
        let scheme = url.get(..8).filter(|scheme| scheme.eq_ignore_ascii_case("https://")).ok_or(QuestionFault::Scheme)?;
        let rest = &url[scheme.len()..];
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let path = match path {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        let path = percent_encoding::utf8_percent_encode(&path, &NOT_ASCII).to_string();
        let target = Target::parse(&method, authority.as_bytes(), path.as_bytes());
        Ok(Self { method, authority: authority.to_owned(), path, target, client: client.unwrap_or(SOMEBODY), now })
    }

    fn asked(&self) -> Asked {
        Asked {
            method: self.method.to_string(),
            host: self.authority.clone(),
            // Without the query, as everywhere.
            path: self.path.split('?').next().unwrap_or_default().to_owned(),
            client: self.client.to_canonical().to_string(),
            at: words::moment(self.now),
        }
    }

    fn context<'q>(&self, target: &'q Target) -> RequestContext<'q> {
        RequestContext { target, client: self.client, now: self.now }
    }

    /// What it falls under, as far as anything answers for it.
    pub fn route<'s>(&self, settings: &'s Settings) -> Option<&'s Route> {
        settings.policy.route_for(self.target.as_ref().ok()?).ok().map(|(_, route)| route)
    }

    /// The rule that decides, if one does.
    pub fn rule<'s>(&self, settings: &'s Settings) -> Option<Match<'s>> {
        settings.policy.rule_for(self.target.as_ref().ok()?).ok()
    }
}

/// Browsers escape these in a path (WHATWG URL §1.3); everything else is sent as it is written.
const NOT_ASCII: percent_encoding::AsciiSet = percent_encoding::AsciiSet::EMPTY;

/// What becomes of `question` for whoever stands behind it.
pub fn answer(settings: &Settings, question: &Question, standing: &Standing<'_>) -> Answer {
    let attributes = match standing {
        Standing::Known(identity) => attributes_of(settings, identity),
        Standing::Anonymous | Standing::Refused(_) => None,
    };
    let explanation = match &question.target {
        Ok(target) => explain(&settings.policy, &question.context(target), standing, attributes),
        Err(fault) => explain_fault(question.asked(), *fault),
    };
    Answer::of(settings, question, explanation)
}

/// The same for somebody of whom nothing is proven.
pub fn answer_supposed(settings: &Settings, question: &Question, supposition: &Supposition<'_>) -> Answer {
    let Some(route) = question.route(settings) else { return answer(settings, question, &Standing::Anonymous) };
    let of_route = |name: &str| route.providers.iter().filter_map(|index| settings.providers.get(*index)).find(|own| own.name == name);
    let proof = supposition.proof.unwrap_or(if route.accept == Accept::Bearer { Proof::Bearer } else { Proof::Session });
    if let Some(note) = passed_over(route, proof) {
        return answer(settings, question, &Standing::Anonymous).with_note(note);
    }
    let provider = match supposition.provider {
        Some(name) => of_route(name),
        None => route.providers.first().and_then(|index| settings.providers.get(*index)),
    };
    let Some(provider) = provider else {
        let fault = match proof {
            Proof::Session => CredentialFault::Session(SessionFault::OtherProvider),
            Proof::Bearer => CredentialFault::Token(TokenFault::Issuer),
        };
        return answer(settings, question, &Standing::Refused(fault));
    };
    let Ok(target) = &question.target else { return answer(settings, question, &Standing::Anonymous) };
    let (claims, notes) = mapped(provider, supposition.claims.clone(), proof);
    if settings.policy.mapping().user.of(&claims).is_none() {
        let fault = match proof {
            Proof::Session => CredentialFault::Session(SessionFault::NoUser),
            Proof::Bearer => CredentialFault::Token(TokenFault::User),
        };
        let note = "The claim that `identity.user` names is not there: nobody could sign in with these claims.";
        return notes.into_iter().fold(answer(settings, question, &Standing::Refused(fault)).with_note(note.into()), Answer::with_note);
    }
    if is_of_another_organization(provider, &claims) {
        let note = format!("`providers.{}.organization` is another one: nobody could sign in with these claims.", provider.name);
        let standing = match proof {
            Proof::Session => Standing::Anonymous,
            Proof::Bearer => Standing::Refused(CredentialFault::Token(TokenFault::Organization)),
        };
        return answer(settings, question, &standing).with_note(note);
    }
    let supposed = match proof {
        Proof::Session => Supposed::with_session(&provider.name, &claims, &settings.policy, question.now),
        Proof::Bearer => Supposed::with_bearer(&provider.name, claims, &settings.policy),
    };
    let explanation = supposed.explain(&settings.policy, &question.context(target), Some(&provider.attributes));
    notes.into_iter().fold(Answer::of(settings, question, explanation), Answer::with_note)
}

/// The claims of somebody as this provider's attributes make them, and what is to be said about it.
pub fn mapped(provider: &Provider, mut claims: Map<String, Value>, proof: Proof) -> (Map<String, Value>, Vec<String>) {
    // Every token has both; who writes claims down need not.
    claims.entry("iss").or_insert_with(|| json!(provider.issuer));
    claims.entry("sub").or_insert_with(|| json!("somebody"));
    let sources = match proof {
        Proof::Session => Sources { id_token: Some(&claims), userinfo: Some(&claims), access_token: Some(&claims) },
        Proof::Bearer => Sources { access_token: Some(&claims), ..Sources::default() },
    };
    let (claims, dropped) = provider.attributes.context(&sources);
    (claims, dropped.iter().map(|dropped| format!("Attribute {dropped}.")).collect())
}

/// Every token of an organization says so; who writes claims down need not.
fn is_of_another_organization(provider: &Provider, claims: &Map<String, Value>) -> bool {
    let says = claims.contains_key("org_id") || claims.contains_key("org_name");
    says && provider.organization.as_deref().is_some_and(|own| !is_of_organization(claims, own))
}

/// What a route does not look at counts as nothing.
fn passed_over(route: &Route, proof: Proof) -> Option<String> {
    if route.providers.is_empty() {
        return Some("The route has no provider: nobody is known there.".into());
    }
    match (route.accept, proof) {
        (Accept::Session, Proof::Bearer) => {
            Some("The route does not take bearer tokens (`accept: session`): one counts as nothing.".into())
        }
        (Accept::Bearer, Proof::Session) => {
            Some("The route takes bearer tokens only (`accept: bearer`): a session counts as nothing.".into())
        }
        _ => None,
    }
}

fn attributes_of<'s>(settings: &'s Settings, identity: &Identity) -> Option<&'s AttributeMapping> {
    settings.providers.iter().find(|provider| provider.name == identity.provider()).map(|provider| &provider.attributes)
}

impl Answer {
    fn of(settings: &Settings, question: &Question, explanation: Explanation) -> Self {
        if question.target.as_ref().is_ok_and(|target| is_own(settings, target)) {
            return Self { explanation: explanation.of_own_endpoint(), status: None };
        }
        let routed = question.target.as_ref().ok().and_then(|target| settings.policy.route_for(target).ok());
        let io = routed.and_then(|(index, _)| settings.routes.get(index));
        let navigates = matches!(question.method, Method::GET | Method::HEAD);
        let status = respond::statuses(explanation.verdict, navigates, io.is_some_and(|route| route.keep_fragment));
        let answer = Self { explanation, status };
        if answer.is_yes() && io.is_some_and(|route| route.upstream.is_none()) {
            return answer
                .with_note("Only other proxies ask about this route (it has no `upstream`): from the public listener it is 404.".into());
        }
        answer
    }

    pub(crate) fn with_note(mut self, note: String) -> Self {
        self.explanation.notes.push(note);
        self
    }

    pub fn verdict(&self) -> Verdict {
        self.explanation.verdict
    }

    /// Whether the request gets where it wants to.
    pub fn is_yes(&self) -> bool {
        self.verdict().is_yes() || self.verdict() == Verdict::Own
    }
}

/// As `edge` sees it: below the prefix, or a provider's callback, of a host that is served.
fn is_own(settings: &Settings, target: &Target) -> bool {
    let (host, path) = (target.host().name(), target.path().as_str());
    let served = settings.policy.knows_host(host) || settings.server.public_host.as_deref() == Some(host);
    let below = path.strip_prefix(settings.server.prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    served && (below || settings.providers.iter().any(|provider| provider.callback_aliases.iter().any(|alias| alias == path)))
}

#[cfg(test)]
mod tests;
