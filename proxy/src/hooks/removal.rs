//! What Envoy is told to take away: every name of ours that it is not told to set (HOOK-03, HOOK-06).
//!
//! A hundred names, nearly the same in every answer. So the list is made once, and what differs is only which of the few names
//! that an answer may set it does set.

use std::sync::OnceLock;

use doorward_policy::headers::{OWNED, OwnedNames, WELL_KNOWN, forged};
use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

use super::verdict::{self, Allowed};

/// Names of ours that Envoy itself sets before it asks: the app gets Envoy's.
const ENVOYS: &[&str] = &["x-forwarded-for", "x-forwarded-proto", "x-request-id"];

/// Names that an answer may set, up to which each combination of them has its text kept.
const KEPT: usize = 6;

/// The names to remove, for one configuration.
#[derive(Debug)]
pub struct Removal {
    /// What no answer sets; each once, in the order of the alphabet.
    always: Vec<&'static str>,
    /// What an answer may set: mapped names, and credentials that may be passed on.
    unless_set: Vec<HeaderName>,
    /// The list for each combination of those that are not set; none where there are too many.
    texts: Box<[OnceLock<HeaderValue>]>,
}

impl Removal {
    pub fn new(owned: &OwnedNames) -> Self {
        let own = |name: &str| !ENVOYS.contains(&name);
        let mapped = owned.mapped().iter().cloned();
        let mut unless_set: Vec<HeaderName> = mapped.chain([header::AUTHORIZATION, header::COOKIE]).collect();
        unless_set.retain(|name| own(name.as_str()));
        unless_set.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        unless_set.dedup();
        let mut always: Vec<&str> = OWNED.iter().chain(WELL_KNOWN).copied().chain(["proxy-authorization"]).collect();
        always.retain(|name| own(name) && !unless_set.iter().any(|settable| settable == name));
        always.sort_unstable();
        always.dedup();
        let texts = if unless_set.len() <= KEPT { 1 << unless_set.len() } else { 0 };
        Self { always, unless_set, texts: (0..texts).map(|_| OnceLock::new()).collect() }
    }

    /// What must not reach the app of a client with these `headers`, and is not set: Envoy removes after it sets.
    pub fn names<'r>(
        &'r self,
        owned: &'r OwnedNames,
        keep: &'r [HeaderName],
        headers: &'r HeaderMap,
        allowed: &'r Allowed,
    ) -> impl Iterator<Item = &'r str> {
        let unset = self.unless_set.iter().filter(|name| !sets(allowed, name)).map(HeaderName::as_str);
        self.always.iter().copied().chain(unset).chain(self.unheard_of(owned, keep, headers))
    }

    /// The same as one field.
    pub fn field(&self, owned: &OwnedNames, keep: &[HeaderName], headers: &HeaderMap, allowed: &Allowed) -> Option<HeaderValue> {
        let joined = || HeaderValue::try_from(self.names(owned, keep, headers, allowed).collect::<Vec<_>>().join(",")).ok();
        if self.unheard_of(owned, keep, headers).next().is_some() {
            return joined();
        }
        let unset = self.unless_set.iter().enumerate().filter(|(_, name)| !sets(allowed, name));
        let kept = self.texts.get(unset.fold(0, |combination, (index, _)| combination | 1 << index.min(KEPT)));
        match kept {
            None => joined(),
            Some(kept) => match kept.get() {
                Some(text) => Some(text.clone()),
                None => joined().inspect(|text| drop(kept.set(text.clone()))),
            },
        }
    }

    /// Names that Envoy shows us and no list has, in every spelling.
    fn unheard_of<'r>(&'r self, owned: &'r OwnedNames, keep: &'r [HeaderName], headers: &'r HeaderMap) -> impl Iterator<Item = &'r str> {
        forged(headers, owned, keep)
            .filter(|name| !self.unless_set.contains(name))
            .map(HeaderName::as_str)
            .filter(|name| !ENVOYS.contains(name) && self.always.binary_search(name).is_err())
    }
}

/// The route's name is for the host, not for the app.
fn sets(allowed: &Allowed, name: &HeaderName) -> bool {
    *name != verdict::ROUTE && allowed.sets(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The list as it is defined, name by name.
    fn defined(owned: &OwnedNames, keep: &[HeaderName], headers: &HeaderMap, allowed: &Allowed) -> BTreeSet<String> {
        let listed = OWNED.iter().chain(WELL_KNOWN).map(|name| HeaderName::from_static(name));
        let credentials = [header::COOKIE, header::AUTHORIZATION, header::PROXY_AUTHORIZATION];
        let all = listed.chain(owned.mapped().iter().cloned()).chain(credentials).chain(forged(headers, owned, keep).cloned());
        all.filter(|name| !sets(allowed, name) && !ENVOYS.contains(&name.as_str())).map(|name| name.to_string()).collect()
    }

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn hook_06_what_is_kept_is_what_would_be_made() {
        let few = ["x-auth-user", "x-tenant", "x-forwarded-for", "x-doorward-route"];
        let many = ["x-a", "x-b", "x-c", "x-d", "x-e", "x-f", "x-g"];
        for mapped in [&few[..], &many[..], &[]] {
            let mapped: Vec<HeaderName> = mapped.iter().map(|name| HeaderName::from_static(name)).collect();
            let owned = OwnedNames::new(&mapped);
            let removal = Removal::new(&owned);
            let odd = HeaderName::from_static("x_auth_user");
            for headers in [&[][..], &[("accept", "*/*"), ("x-request-id", "1")], &[("x_auth_user", "root")], &[("x-auth-colour", "red")]] {
                let headers = map(headers);
                for keep in [&[][..], std::slice::from_ref(&odd)] {
                    // Twice: what is made, and what is kept.
                    for set in 0..64_usize {
                        let settable = mapped.iter().cloned().chain([header::AUTHORIZATION, header::COOKIE, verdict::ROUTE]);
                        let value = |index: usize| HeaderValue::from_static(if set >> index & 1 == 1 { "set" } else { "" });
                        let fields = settable.enumerate().map(|(index, name)| (name, value(index % 6))).collect();
                        let allowed = Allowed { fields, renewal: None };
                        let expected = defined(&owned, keep, &headers, &allowed);
                        for _ in 0..2 {
                            let text = removal.field(&owned, keep, &headers, &allowed).unwrap();
                            let names: Vec<&str> = text.to_str().unwrap().split(',').collect();
                            assert_eq!(names.len(), expected.len(), "each once: {names:?}");
                            assert_eq!(names.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), expected);
                        }
                        let names: BTreeSet<_> = removal.names(&owned, keep, &headers, &allowed).map(str::to_owned).collect();
                        assert_eq!(names, expected);
                    }
                }
            }
        }
    }
}
