//! Whom to sign in with: the one provider of a place, the one that somebody named, or a page that asks.
//!
//! The page sets nothing, and what was chosen is not remembered: a provider that was chosen once on a shared computer would
//! be chosen for the next person too, and the providers keep sessions of their own that make a second choice one click.

use doorward_policy::access::domain_of;
use doorward_policy::login::{ReturnTo, WishFault, Wishes};

use super::begin::{begin, outcome};
use super::errand::{Errand, destination, once};
use super::{Served, handoff};
use crate::gate::Ask;
use crate::pages::{Choice as Button, EmailForm, Language, PickerPage};
use crate::reply::Reply;
use crate::respond::{self, Face};
use crate::runtime::Runtime;

/// Parameters of `login` that choose.
pub(super) const PROVIDER: &str = "provider";
const EMAIL: &str = "email";

/// What a link, or somebody on the page, says about the choice.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said<'s> {
    /// A provider by its name.
    pub provider: Option<&'s str>,
    /// An e-mail address, whose domain chooses.
    pub email: Option<&'s str>,
}

/// Longest e-mail address looked at, in bytes (RFC 5321 §4.5.3.1.3).
const ADDRESS: usize = 254;

impl<'s> Said<'s> {
    /// From the parameters of `login`.
    ///
    /// # Errors
    /// [`WishFault::Duplicate`] (PARAM-01).
    pub(super) fn read(pairs: &'s [(String, String)]) -> Result<Self, WishFault> {
        let email = once(pairs, EMAIL)?.map(str::trim).filter(|address| (1..=ADDRESS).contains(&address.len()));
        Ok(Self { provider: once(pairs, PROVIDER)?, email })
    }
}

/// What comes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Nobody signs in there, or not with that provider.
    Nobody,
    /// `named`: somebody chose it, or typed an address that did.
    One {
        provider: usize,
        named: bool,
    },
    Several(Vec<usize>),
}

impl Choice {
    /// Between the providers of one place, when nobody said anything.
    pub(super) fn among(runtime: &Runtime, providers: Vec<usize>) -> Self {
        let settings = |index: &usize| &runtime.settings.providers[*index];
        let shown = || providers.iter().filter(|index| !settings(index).hidden);
        // One that is hidden is still found by an address.
        let found_by_address = providers.iter().any(|index| settings(index).hidden && !settings(index).email_domains.is_empty());
        let only = match (providers.as_slice(), shown().count()) {
            ([], _) => return Self::Nobody,
            ([only], _) => Some(*only),
            (_, 1) if !found_by_address => shown().next().copied(),
            // All of them are hidden: the first is the one that the route names first.
            ([first, ..], 0) if !found_by_address => Some(*first),
            _ => None,
        };
        only.map_or(Self::Several(providers), |provider| Self::One { provider, named: false })
    }

    /// For a way back to `return_to` on `host`.
    pub(super) fn at(runtime: &Runtime, host: &str, return_to: &ReturnTo, said: Said<'_>) -> Self {
        let of_host = of_host(runtime, host);
        let named = |found: Option<usize>| found.map(|provider| Self::One { provider, named: true });
        if let Some(name) = said.provider {
            let used = of_host.iter().copied().find(|index| runtime.settings.providers[*index].name == name);
            return named(used).unwrap_or(Self::Nobody);
        }
        let providers = of_place(runtime, host, return_to);
        let typed = said.email.and_then(|address| by_address(runtime, &providers, address));
        named(typed).unwrap_or_else(|| Self::among(runtime, providers))
    }
}

/// All providers that routes of this host use, each once; on the public host, that any route uses.
pub(super) fn of_host(runtime: &Runtime, host: &str) -> Vec<usize> {
    let policy = &runtime.settings.policy;
    let mut providers = Vec::new();
    let mut add = |provider: usize| {
        if !providers.contains(&provider) {
            providers.push(provider);
        }
    };
    if runtime.settings.server.public_host.as_deref() == Some(host) {
        policy.routes().iter().flat_map(|route| &route.providers).copied().for_each(&mut add);
    } else {
        policy.providers_of(host).for_each(&mut add);
    }
    providers
}

/// Those of the route that `return_to` leads to, or else of its host.
pub(super) fn of_place(runtime: &Runtime, host: &str, return_to: &ReturnTo) -> Vec<usize> {
    let target = destination(runtime, host, return_to);
    let route = target.and_then(|target| runtime.settings.policy.route_for(&target).ok().map(|(_, route)| route));
    match route {
        Some(route) if !route.providers.is_empty() => route.providers.clone(),
        Some(_) | None => of_host(runtime, host),
    }
}

/// The provider of an address's domain: exactly that domain, not one above it.
fn by_address(runtime: &Runtime, providers: &[usize], address: &str) -> Option<usize> {
    let domain = domain_of(address)?;
    let serves = |index: &usize| runtime.settings.providers[*index].email_domains.iter().any(|own| own.eq_ignore_ascii_case(domain));
    providers.iter().copied().find(serves)
}

/// The same sign-in for somebody who typed an address: the provider need not ask for it again.
pub(super) fn with_hint(errand: &Errand, said: Said<'_>) -> Errand {
    let mut errand = errand.clone();
    if let (None, Some(address)) = (said.provider, said.email) {
        let kept = errand.asked.wishes.iter().filter(|(name, _)| *name != "login_hint");
        let mut pairs: Vec<(String, String)> = kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        pairs.push(("login_hint".to_owned(), address.to_owned()));
        errand.asked.wishes = Wishes::read(&pairs).unwrap_or(errand.asked.wishes);
    }
    errand
}

/// Sends the browser on: to the provider, to the page that asks which, or to the host where people sign in.
pub(super) async fn go(runtime: &Runtime, ask: &Ask<'_>, errand: &Errand, said: Said<'_>) -> Served {
    if let Some(sealed) = errand.return_to.handoff(runtime) {
        return handoff::go_on(runtime, ask, sealed, errand, said).await;
    }
    let host = handoff::host_of_cookie(runtime, ask.target.host().name(), &errand.return_to);
    let choice = Choice::at(runtime, &host, &errand.return_to, said);
    if choice == Choice::Nobody {
        return Served { reason: "no_provider", reply: respond::show(&runtime.pages, runtime.asker(ask, None), Face::NO_PROVIDER, &[]) };
    }
    if handoff::elsewhere(runtime, ask).is_some() {
        let named = if let Choice::One { provider, named: true } = choice { Some(provider) } else { None };
        let errand = if named.is_some() { with_hint(errand, said) } else { errand.clone() };
        return sent(handoff::leave(runtime, ask, named, &errand));
    }
    match choice {
        Choice::Nobody => Served { reason: "no_provider", reply: Reply::new(404) },
        Choice::One { provider, named } => {
            let errand = if named { with_hint(errand, said) } else { errand.clone() };
            sent(begin(runtime, ask, provider, &errand).await)
        }
        Choice::Several(providers) => {
            let carried = errand.carry(runtime, ask.target.host().name());
            page(runtime, ask, &host, &providers, &carried, said.email)
        }
    }
}

/// A browser that was sent on, or why it was not.
pub(super) fn sent(reply: Reply) -> Served {
    Served { reason: outcome(&reply), reply }
}

/// The answer to a navigation that a route of `providers` wants somebody for; of `named`, where that is settled.
pub async fn send(runtime: &Runtime, ask: &Ask<'_>, providers: &[usize], named: Option<usize>, errand: &Errand) -> Reply {
    if handoff::elsewhere(runtime, ask).is_some() {
        return handoff::leave(runtime, ask, named, errand);
    }
    match Choice::among(runtime, named.map_or_else(|| providers.to_vec(), |named| vec![named])) {
        Choice::Nobody => respond::show(&runtime.pages, runtime.asker(ask, None), Face::NO_PROVIDER, &[]),
        Choice::One { provider, .. } => begin(runtime, ask, provider, errand).await,
        // The page has an address of its own: it can be come back to.
        Choice::Several(_) => Reply::redirect(302, &login_with(runtime, &errand.carry(runtime, ask.target.host().name()))),
    }
}

/// `login` with these parameters, on the host that answers.
fn login_with(runtime: &Runtime, pairs: &[(String, String)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{}/login?{query}", runtime.settings.server.prefix)
}

/// The page that asks; `carried` begins the same sign-in once a choice is added to it. `typed` is an address that chose nobody.
pub(super) fn page(
    runtime: &Runtime,
    ask: &Ask<'_>,
    host: &str,
    providers: &[usize],
    carried: &[(String, String)],
    typed: Option<&str>,
) -> Served {
    let settings = || providers.iter().map(|index| &runtime.settings.providers[*index]);
    let with_name = |name: &str| {
        let mut pairs = carried.to_vec();
        pairs.push((PROVIDER.to_owned(), name.to_owned()));
        login_with(runtime, &pairs)
    };
    let urls: Vec<(&str, String)> =
        settings().filter(|provider| !provider.hidden).map(|provider| (provider.label.as_str(), with_name(&provider.name))).collect();
    let choices: Vec<Button<'_>> = urls.iter().map(|(label, url)| Button { label, url }).collect();
    let action = format!("{}/login", runtime.settings.server.prefix);
    let hidden: Vec<(&str, &str)> = carried.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let asks = settings().any(|provider| !provider.email_domains.is_empty());
    let email = asks.then(|| EmailForm { action: &action, hidden: &hidden, typed: typed.unwrap_or_default(), unknown: typed.is_some() });
    let page = PickerPage { app: Some(host), choices: &choices, email };
    Served { reason: "choose_provider", reply: runtime.pages.picker(&page, Language::of(ask.headers)) }
}
