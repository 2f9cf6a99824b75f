//! What an asking proxy demands on top of the rules, in the query of its question: `allowed_groups`, `allowed_emails` and
//! `allowed_email_domains`, as oauth2-proxy reads them. Each that is there must hold; it can only narrow.

use super::requirement::email_domain;
use crate::identity::Identity;
use crate::login::parse_parameters;

/// The demands of one question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Sorted: neither side is short by itself.
    groups: Option<Vec<String>>,
    emails: Option<Vec<String>>,
    email_domains: Option<Vec<String>>,
}

/// Why a question's query is no filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FilterFault {
    #[error("the query cannot be read")]
    Query,
    /// A misspelt demand must not be taken for none.
    #[error("a parameter that begins with `allowed` and is none of the three")]
    Unknown,
    /// A template that filled in nothing must not be taken for no demand.
    #[error("a demand that nobody could meet")]
    Empty,
}

impl Filter {
    /// Reads a query. Lists are separated by commas; a parameter that comes twice adds to its list.
    ///
    /// # Errors
    /// [`FilterFault`]; the caller refuses.
    pub fn parse(query: Option<&str>) -> Result<Self, FilterFault> {
        let mut filter = Self::default();
        for (name, value) in parse_parameters(query.unwrap_or("")).ok_or(FilterFault::Query)? {
            let list = match name.as_str() {
                "allowed_groups" => &mut filter.groups,
                "allowed_emails" => &mut filter.emails,
                "allowed_email_domains" => &mut filter.email_domains,
                name if name.starts_with("allowed") => return Err(FilterFault::Unknown),
                _ => continue,
            };
            let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned);
            list.get_or_insert_default().extend(entries);
        }
        filter.groups.iter_mut().for_each(|groups| groups.sort_unstable());
        let lists = [&filter.groups, &filter.emails, &filter.email_domains];
        if lists.into_iter().flatten().any(Vec::is_empty) { Err(FilterFault::Empty) } else { Ok(filter) }
    }

    /// Whether it demands nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether somebody meets every demand. Groups are the identity's roles and its `groups` claim; addresses count only
    /// when the provider verified them.
    pub fn admits(&self, identity: &Identity) -> bool {
        let is_wanted = |wanted: &[String], group: &str| wanted.binary_search_by(|want| want.as_str().cmp(group)).is_ok();
        let groups = || self.groups.as_ref().is_none_or(|wanted| identity.groups().any(|group| is_wanted(wanted, group)));
        let domain = email_domain(identity);
        let email = domain.and(identity.email());
        let emails = || {
            self.emails.as_ref().is_none_or(|wanted| email.is_some_and(|email| wanted.iter().any(|want| want.eq_ignore_ascii_case(email))))
        };
        let domains =
            || self.email_domains.as_ref().is_none_or(|wanted| domain.is_some_and(|domain| wanted.iter().any(|want| covers(want, domain))));
        groups() && emails() && domains()
    }
}

/// `example.com` is that domain alone; `.example.com` and `*.example.com` are those below it.
fn covers(wanted: &str, domain: &str) -> bool {
    let below = wanted.strip_prefix('*').unwrap_or(wanted);
    if !below.starts_with('.') {
        return wanted.eq_ignore_ascii_case(domain);
    }
    let at = domain.len().saturating_sub(below.len());
    at > 0 && below.len() > 1 && domain.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(below))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::claim_path::ClaimPath;
    use crate::identity::{IdentityMapping, Proof};

    fn with_groups(roles: Vec<String>, groups: Vec<String>) -> Identity {
        let claims = json!({ "roles": roles, "groups": groups });
        let claims = claims.as_object().unwrap().clone();
        let mapping = IdentityMapping { roles: vec![ClaimPath::name("roles")], ..IdentityMapping::default() };
        Identity::read(Proof::Bearer, "tenant", claims, &mapping)
    }

    #[test]
    fn hook_o2p_groups_are_the_roles_and_what_the_claim_adds() {
        for count in [2, 100] {
            let roles: Vec<String> = (0..count).map(|at| format!("r{at}")).collect();
            let identity = with_groups(roles.clone(), ["r1", "g1", "", "r0", "g2"].map(str::to_owned).into());
            assert_eq!(identity.groups().collect::<Vec<_>>(), [&roles[..], &["g1".to_owned(), "g2".to_owned()]].concat());
        }
    }

    /// All compared with all of them would take a minute.
    #[test]
    fn adv_tra_06_many_groups_are_not_compared_with_many_roles_nor_with_many_wanted() {
        let names = |kind: char| (0..30_000).map(|at| format!("{kind}{at}")).collect();
        let identity = with_groups(names('r'), names('g'));
        let many = (0..30_000).map(|at| format!("w{at}")).collect::<Vec<_>>().join(",");
        for (wanted, admitted) in [("g29999", true), ("g30000", false)] {
            for wanted in [wanted.to_owned(), format!("{wanted},{many}"), format!("{many},{wanted}")] {
                let filter = Filter::parse(Some(&format!("allowed_groups={wanted}"))).unwrap();
                assert_eq!(filter.admits(&identity), admitted, "{} bytes", wanted.len());
            }
        }
    }

    #[test]
    fn hook_o2p_a_demand_that_cannot_be_read_is_not_taken_for_none() {
        assert!(Filter::parse(None).unwrap().is_empty());
        assert!(Filter::parse(Some("rd=/x")).unwrap().is_empty());
        let filter = Filter::parse(Some("allowed_groups=b,a&allowed_groups=c&allowed_emails=x%40y.example")).unwrap();
        assert_eq!(filter.groups.unwrap(), ["a", "b", "c"]);
        assert_eq!(filter.emails.unwrap(), ["x@y.example"]);
        for (query, fault) in [
            ("allowed_group=a", FilterFault::Unknown),
            ("allowed-groups=a", FilterFault::Unknown),
            ("allowed_groups=", FilterFault::Empty),
            ("allowed_groups=,", FilterFault::Empty),
            ("allowed_groups=a&allowed_emails=", FilterFault::Empty),
            ("allowed_groups=%zz", FilterFault::Query),
        ] {
            assert_eq!(Filter::parse(Some(query)), Err(fault), "{query}");
        }
    }

    #[test]
    fn hook_o2p_domains_are_compared_as_wholes() {
        for (wanted, domain, holds) in [
            ("acme.dev", "acme.dev", true),
            ("acme.dev", "ACME.dev", true),
            ("acme.dev", "sub.acme.dev", false),
            ("acme.dev", "xacme.dev", false),
            (".acme.dev", "sub.acme.dev", true),
            ("*.acme.dev", "sub.acme.dev", true),
            (".acme.dev", "acme.dev", false),
            (".acme.dev", ".acme.dev", false),
            (".acme.dev", "xacme.dev", false),
            ("*", "acme.dev", false),
            (".", "acme.dev", false),
            ("*.", "acme.dev.", false),
        ] {
            assert_eq!(covers(wanted, domain), holds, "{wanted} {domain}");
        }
    }
}
