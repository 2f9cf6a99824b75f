//! What the app is told, and which header names are ours alone.
//!
//! Strip before setting: a value we do not set must not come from the client. A name in another spelling is the same
//! name to CGI, WSGI and PHP (`X_Auth_User`, `X.Auth.User`), so every name that is not made of letters, digits and
//! hyphens is dropped; what is left has one spelling, and that one is compared.

mod prepared;
mod template;
mod value;

pub(crate) use prepared::PreparedEdits;
pub use template::{Read, Template, TemplateFault};
pub use value::{encode_list, encode_text};

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::identity::{Identity, IdentityMapping};

/// Most bytes of identity headers, names and values together, that a request may gain.
pub const BUDGET: usize = 8 * 1024;

/// Names that no client may set, whatever the configuration says: forwarding, identity, and method or path overrides.
pub const OWNED: &[&str] = &[
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-cluster-client-ip",
    "fastly-client-ip",
    "x-host",
    "x-scheme",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-request-id",
    "x-envoy-original-path",
    "x-accel-redirect",
    "x-sendfile",
    "x-url-scheme",
    "x-proxyuser-ip",
    "x-appengine-user-ip",
    "front-end-https",
    "proxy",
    "x-user",
    "x-roles",
];

/// Beginnings of such names.
pub const OWNED_PREFIXES: &[&str] = &["x-forwarded-", "x-original-", "x-auth-", "x-authenticated-", "remote-", "x-remote-", "x-doorward-"];

/// The members of those families that are in use somewhere: what a proxy that can only remove names it knows must remove.
pub const WELL_KNOWN: &[&str] = &[
    "remote-addr",
    "remote-email",
    "remote-groups",
    "remote-host",
    "remote-name",
    "remote-roles",
    "remote-user",
    "x-auth-email",
    "x-auth-groups",
    "x-auth-id",
    "x-auth-name",
    "x-auth-permissions",
    "x-auth-request-access-token",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-preferred-username",
    "x-auth-request-redirect",
    "x-auth-request-user",
    "x-auth-roles",
    "x-auth-subject",
    "x-auth-token",
    "x-auth-user",
    "x-auth-username",
    "x-authenticated-email",
    "x-authenticated-groups",
    "x-authenticated-user",
    "x-authenticated-userid",
    "x-doorward-decision",
    "x-doorward-route",
    "x-doorward-secret",
    "x-forwarded-access-token",
    "x-forwarded-by",
    "x-forwarded-client-cert",
    "x-forwarded-email",
    "x-forwarded-for",
    "x-forwarded-groups",
    "x-forwarded-host",
    "x-forwarded-id-token",
    "x-forwarded-method",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-preferred-username",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-tls-client-cert",
    "x-forwarded-tls-client-cert-info",
    "x-forwarded-uri",
    "x-forwarded-user",
    "x-original-for",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-method",
    "x-original-proto",
    "x-original-uri",
    "x-original-url",
    "x-remote-addr",
    "x-remote-email",
    "x-remote-group",
    "x-remote-groups",
    "x-remote-ip",
    "x-remote-user",
];

/// Whether `name` begins as one of [`OWNED_PREFIXES`] does.
fn is_of_a_family(name: &str) -> bool {
    // All of them begin so, and few other names do.
    name.starts_with(['x', 'r']) && OWNED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The names that the edge removes from every request before it sets its own.
#[derive(Debug, Clone, Default)]
pub struct OwnedNames {
    exact: HashSet<Box<str>>,
    /// The lengths of those, by their first letter: a set of bits.
    shapes: [u64; 32],
    /// What some route maps, each once.
    mapped: Vec<HeaderName>,
}

impl OwnedNames {
    /// The built-in names and those of every mapped header of every route: an app never sees another app's header
    /// name set by a client either.
    pub fn new<'n>(mapped: impl IntoIterator<Item = &'n HeaderName>) -> Self {
        let mut mapped: Vec<HeaderName> = mapped.into_iter().cloned().collect();
        mapped.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        mapped.dedup();
        let built_in = OWNED.iter().map(|name| Box::from(*name));
        let exact: HashSet<Box<str>> = built_in.chain(mapped.iter().map(|name| name.as_str().into())).collect();
        let mut shapes = [0; 32];
        for name in &exact {
            let first = name.bytes().next().unwrap_or_default();
            shapes[usize::from(first % 32)] |= 1_u64 << name.len().min(63);
        }
        Self { exact, shapes, mapped }
    }

    /// The names that some route sets, in the order of the alphabet.
    pub fn mapped(&self) -> &[HeaderName] {
        &self.mapped
    }

    /// Whether `name` is ours only by how it begins: no list of names would have it.
    pub fn owns_by_family_alone(&self, name: &str) -> bool {
        is_of_a_family(name) && !self.exact.contains(name) && WELL_KNOWN.binary_search(&name).is_err()
    }

    /// Whether a client's field of this name must go. `name` is lower case, as [`HeaderName`] always is.
    pub fn owns(&self, name: &str) -> bool {
        (self.may_be_exact(name) && self.exact.contains(name)) || is_of_a_family(name)
    }

    /// `false`: no exact name begins with that letter and has that length. Spares most names of a request the hashing.
    fn may_be_exact(&self, name: &str) -> bool {
        name.bytes().next().is_some_and(|first| self.shapes[usize::from(first % 32)] >> name.len().min(63) & 1 == 1)
    }

    /// Whether `name` would be taken for an owned one by a server that folds punctuation.
    pub fn owns_folded(&self, name: &str) -> bool {
        let folded: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        self.owns(&folded) || folded.strip_prefix("http-").is_some_and(|rest| self.owns(rest))
    }

    /// Whether a client's field reaches the app: it is spelled plainly (or kept by name) and is not ours.
    pub fn passes(&self, name: &HeaderName, keep: &[HeaderName]) -> bool {
        let plain = name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if plain { !self.owns(name.as_str()) } else { keep.contains(name) }
    }
}

/// Header names and what they carry, for one route. A clone is the same mapping: what it prepared for somebody serves both.
#[derive(Debug, Clone, Default)]
pub struct HeaderMapping {
    entries: Entries,
}

type Entries = Arc<Vec<(HeaderName, Template)>>;

/// The identity does not fit into [`BUDGET`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("identity headers would exceed {BUDGET} bytes")]
pub struct OverBudget;

impl HeaderMapping {
    pub fn new(entries: Vec<(HeaderName, Template)>) -> Self {
        Self { entries: Arc::new(entries) }
    }

    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.entries.iter().map(|(name, _)| name)
    }

    /// Names and what they carry, in the order of the file.
    pub fn templates(&self) -> impl Iterator<Item = (&HeaderName, &Template)> {
        self.entries.iter().map(|(name, template)| (name, template))
    }

    /// Reads the profile where `mapping` says it is.
    pub fn bind(&mut self, mapping: &IdentityMapping) {
        Arc::make_mut(&mut self.entries).iter_mut().for_each(|(_, template)| template.bind(mapping));
    }

    /// Whether both carry the same under the same names.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.entries == other.entries
    }

    /// What it is known by: two that [are the same](Self::is_same_as) have the same text.
    pub(crate) fn text(&self) -> String {
        self.entries.iter().map(|(name, template)| format!("{name}: {template}\n")).collect()
    }

    /// The top-level claims a session must keep for these headers.
    pub fn top_level(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().flat_map(|(_, template)| template.top_level())
    }

    /// What this identity sets. A header whose every claim is absent is not set: after the strip it is simply not there.
    ///
    /// # Errors
    /// [`OverBudget`]: some of the headers without the others would be a different identity, so none are sent.
    pub fn edits(&self, identity: &Identity) -> Result<HeaderEdits, OverBudget> {
        identity.prepared().of(&self.entries, || self.filled(identity))
    }

    fn filled(&self, identity: &Identity) -> Result<HeaderEdits, OverBudget> {
        let (mut texts, mut places) = (String::new(), Vec::with_capacity(self.entries.len()));
        let mut size = 0;
        for (name, template) in self.entries.iter() {
            let Some(value) = template.write(identity, &mut texts) else { continue };
            size += name.as_str().len() + value.len();
            if size > BUDGET {
                return Err(OverBudget);
            }
            places.push((name, value));
        }
        // All values in one piece of memory, which is kept for as long as the identity is.
        let texts = Bytes::from(texts);
        // The encoding leaves visible ASCII and inner spaces only, so this cannot fail; if it did, the header is not sent.
        let value = |at| HeaderValue::from_maybe_shared(texts.slice(at)).ok();
        let set: Vec<_> = places.into_iter().filter_map(|(name, at)| Some((name.clone(), value(at)?))).collect();
        Ok(HeaderEdits { set: (!set.is_empty()).then(|| set.into()) })
    }
}

/// The headers to set on the way to the app, each exactly once. Cloning copies none of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// `None`: nothing.
    set: Option<Arc<[(HeaderName, HeaderValue)]>>,
}

impl HeaderEdits {
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.set.iter().flat_map(|set| &**set).map(|(name, value)| (name, value))
    }
}

/// The names of `headers` that must not reach the app.
pub fn forged<'h>(headers: &'h HeaderMap, owned: &'h OwnedNames, keep: &'h [HeaderName]) -> impl Iterator<Item = &'h HeaderName> {
    headers.keys().filter(move |name| !owned.passes(name, keep))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hdr_01_every_spelling_of_an_owned_name_goes() {
        let mapped = HeaderName::from_static("x-tenant");
        let owned = OwnedNames::new([&mapped]);
        for name in [
            "x-auth-user",
            "X-AUTH-USER",
            "X_Auth_User",
            "X-Auth_User",
            "X.Auth.User",
            "X-Auth~User",
            "X!Auth#User",
            "X*Auth+User",
            "HTTP_X_AUTH_USER",
            "x-tenant",
            "X_Tenant",
            "X.TENANT",
            "x-forwarded-for",
            "X_Forwarded_Proto",
            "X-Forwarded-Prefix",
            "Forwarded",
            "X-Real-IP",
            "X-Original-URL",
            "X-Rewrite-URL",
            "Remote-User",
            "REMOTE_USER",
            "X-HTTP-Method-Override",
            "x-doorward-anything",
            "X-Request-Id",
        ] {
            let parsed = HeaderName::from_bytes(name.as_bytes()).unwrap();
            assert!(!owned.passes(&parsed, &[]), "{name}");
        }
        for name in ["accept", "x-tenant-hint", "user-agent", "x-custom-9", "authorization-x"] {
            assert!(owned.passes(&HeaderName::from_static(name), &[]), "{name}");
        }
    }

    #[test]
    fn hdr_01_what_spares_the_search_finds_what_the_search_finds() {
        assert!(OWNED_PREFIXES.iter().all(|prefix| prefix.starts_with(['x', 'r'])));
        let mapped = ["x-tenant", "account", "k", &"t".repeat(200)].map(|name| HeaderName::from_bytes(name.as_bytes()).unwrap());
        let owned = OwnedNames::new(&mapped);
        for name in OWNED.iter().copied().chain(WELL_KNOWN.iter().copied()).chain(mapped.iter().map(HeaderName::as_str)) {
            assert!(owned.owns(name), "{name}");
            // The same letter and length, and the same length alone.
            let other = format!("{}q", &name[..name.len() - 1]);
            let known = owned.exact.contains(&*other) || OWNED_PREFIXES.iter().any(|prefix| other.starts_with(prefix));
            assert_eq!(owned.owns(&other), known, "{other}");
            assert!(!owned.owns(&format!("q{}", &name[1..])), "{name}");
        }
        assert!(!owned.owns(""));
    }

    #[test]
    fn hook_03_a_list_of_names_covers_all_but_the_unheard_of() {
        assert!(WELL_KNOWN.is_sorted());
        let mapped = [HeaderName::from_static("x-tenant"), HeaderName::from_static("x-auth-team"), HeaderName::from_static("x-tenant")];
        let owned = OwnedNames::new(&mapped);
        assert_eq!(owned.mapped(), ["x-auth-team", "x-tenant"]);
        assert!(WELL_KNOWN.iter().all(|name| owned.owns(name) && !owned.owns_by_family_alone(name)));
        for (name, alone) in
            [("x-auth-colour", true), ("x-auth-team", false), ("x-auth-user", false), ("accept", false), ("x-real-ip", false)]
        {
            assert_eq!(owned.owns_by_family_alone(name), alone, "{name}");
        }
    }

    #[test]
    fn hdr_02_odd_names_pass_only_when_kept_by_name() {
        let owned = OwnedNames::new([]);
        let odd = HeaderName::from_static("x_device_id");
        assert!(!owned.passes(&odd, &[]));
        assert!(owned.passes(&odd, std::slice::from_ref(&odd)));
        assert!(!owned.owns_folded("x_device_id"));
        assert!(owned.owns_folded("X_Auth_User"));
        assert!(owned.owns_folded("HTTP_X_FORWARDED_FOR"));
    }
}
