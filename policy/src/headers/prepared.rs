//! Header edits that were made for somebody before, kept with the identity: a request does not pay for what another one has paid
//! for.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::{Entries, HeaderEdits, OverBudget};

/// Mappings whose edits one identity keeps. Most people meet one or two; the edits of further ones are made for each request.
const KEPT: usize = 4;

/// The edits of one identity.
#[derive(Clone, Default)]
pub(crate) struct PreparedEdits([OnceLock<Prepared>; KEPT]);

#[derive(Clone)]
struct Prepared {
    /// Held, so that no other mapping can ever have its address.
    of: Entries,
    edits: Result<HeaderEdits, OverBudget>,
}

impl PreparedEdits {
    /// What `make` makes of this identity under one mapping; it is asked once for each that is kept.
    pub(super) fn of(&self, mapping: &Entries, make: impl Fn() -> Result<HeaderEdits, OverBudget>) -> Result<HeaderEdits, OverBudget> {
        for slot in &self.0 {
            let prepared = slot.get_or_init(|| Prepared { of: mapping.clone(), edits: make() });
            if Arc::ptr_eq(&prepared.of, mapping) {
                return prepared.edits.clone();
            }
        }
        make()
    }
}

impl fmt::Debug for PreparedEdits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreparedEdits")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use serde_json::json;

    use super::*;
    use crate::headers::{BUDGET, HeaderMapping, Template};
    use crate::identity::{Identity, IdentityMapping, Proof};

    fn identity(sub: &str) -> Identity {
        let claims = json!({ "sub": sub, "team": "red" });
        Identity::read(Proof::Bearer, "tenant", claims.as_object().unwrap().clone(), &IdentityMapping::default())
    }

    fn mapping(template: &str) -> HeaderMapping {
        HeaderMapping::new(vec![(HeaderName::from_static("x-auth"), Template::parse(template).unwrap())])
    }

    fn told(mapping: &HeaderMapping, identity: &Identity) -> String {
        mapping.edits(identity).unwrap().iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect()
    }

    fn is_kept(one: &HeaderEdits, other: &HeaderEdits) -> bool {
        one.set.as_ref().zip(other.set.as_ref()).is_some_and(|(one, other)| Arc::ptr_eq(one, other))
    }

    #[test]
    fn hdr_50_what_is_kept_is_one_mappings_and_one_persons() {
        let (ada, bob) = (identity("ada"), identity("bob"));
        let templates = ["{user}", "{claim:team}", "a={user}", "b={user}", "c={user}", "d={user}"];
        let mappings = templates.map(mapping);
        for round in ["made", "kept"] {
            for (mapping, template) in mappings.iter().zip(templates) {
                let expected = |user: &str| format!("x-auth={}", template.replace("{user}", user).replace("{claim:team}", "red"));
                assert_eq!((told(mapping, &ada), told(mapping, &bob)), (expected("ada"), expected("bob")), "{template}, {round}");
            }
        }
        // The same text under another mapping is made anew; a mapping's clone is the mapping.
        assert!(is_kept(&mappings[0].edits(&ada).unwrap(), &mappings[0].clone().edits(&ada).unwrap()));
        assert!(!is_kept(&mappings[0].edits(&ada).unwrap(), &mapping("{user}").edits(&ada).unwrap()));
        assert!(!is_kept(&mappings[KEPT].edits(&ada).unwrap(), &mappings[KEPT].edits(&ada).unwrap()), "there is a bound");
    }

    #[test]
    fn hdr_51_a_mapping_that_is_changed_is_another() {
        let ada = identity("ada");
        let kept = mapping("{username}");
        assert_eq!(told(&kept, &ada), "");
        let mut bound = kept.clone();
        bound.bind(&IdentityMapping { username: crate::claim_path::ClaimPath::name("team"), ..IdentityMapping::default() });
        assert_eq!((told(&bound, &ada).as_str(), told(&kept, &ada).as_str()), ("x-auth=red", ""));
    }

    #[test]
    fn hdr_52_too_much_stays_too_much() {
        for (length, fits) in [(BUDGET - "x-auth".len(), true), (BUDGET - "x-auth".len() + 1, false)] {
            let (somebody, mapping) = (identity(&"a".repeat(length)), mapping("{user}"));
            for _ in 0..2 {
                assert_eq!(mapping.edits(&somebody).is_ok(), fits, "{length}");
            }
        }
    }
}
