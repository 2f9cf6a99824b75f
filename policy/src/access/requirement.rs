//! What a rule demands of whoever asks.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::time_window::TimeWindow;
use crate::claim_path::ClaimPath;
use crate::expression::Expression;
use crate::identity::Identity;
use crate::time::Timestamp;

/// A rule's `allow`.
#[derive(Debug, Clone)]
pub enum Requirement {
    /// Everybody. Nobody asks who it is: no credential is looked at, and the app is told nothing.
    Public,
    /// Everybody; who it is, where a good credential says so. A bad one counts as none.
    Optional,
    /// Everybody who is known.
    SignedIn,
    /// Nobody: the path is closed.
    Nobody,
    /// Everybody who is known (unless `anonymous`) and meets all of it.
    Needs(Box<Needs>),
}

/// Every part that is written must hold; a part that is not written asks nothing.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// `public: true` beside `network` or `time`: the place and the time are enough, and no credential is looked at.
    pub anonymous: bool,
    pub any_role: Vec<Box<str>>,
    pub all_roles: Vec<Box<str>>,
    pub permissions: Vec<Box<str>>,
    pub scopes: Vec<Box<str>>,
    pub claims: Vec<ClaimTest>,
    /// Lower case.
    pub email_domains: Vec<Box<str>>,
    pub networks: Vec<IpNet>,
    /// Any of them; none: at all times.
    pub times: Vec<TimeWindow>,
    /// Looked at last. What is not `true` is no.
    pub when: Option<Expression>,
}

/// One claim and what it must be or hold.
#[derive(Debug, Clone)]
pub enum ClaimTest {
    /// The claim is one of these values, by JSON type.
    Equals(ClaimPath, Vec<Value>),
    /// The claim is an array, or names separated by spaces, that holds one of these.
    Contains(ClaimPath, Vec<Value>),
}

/// The first part that did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmet {
    Network,
    Role,
    Permission,
    Scope,
    Claim,
    EmailDomain,
    Time,
    /// `when` is not true.
    Expression,
}

impl From<Needs> for Requirement {
    fn from(needs: Needs) -> Self {
        Self::Needs(Box::new(needs))
    }
}

impl Requirement {
    /// Whether nobody needs to be known for it.
    pub fn is_anonymous(&self) -> bool {
        matches!(self, Self::Public | Self::Optional | Self::Nobody) || matches!(self, Self::Needs(needs) if needs.anonymous)
    }

    /// Whether nobody asks who it is: no session is opened, no store or key waited for.
    pub fn is_public(&self) -> bool {
        matches!(self, Self::Public) || matches!(self, Self::Needs(needs) if needs.anonymous && !needs.asks_who())
    }

    /// The expression, where there is one.
    pub fn when(&self) -> Option<&Expression> {
        match self {
            Self::Needs(needs) => needs.when.as_ref(),
            Self::Public | Self::Optional | Self::SignedIn | Self::Nobody => None,
        }
    }

    pub(super) fn top_level(&self) -> Vec<&str> {
        let Self::Needs(needs) = self else { return Vec::new() };
        let tested = needs.claims.iter().flat_map(|test| match test {
            ClaimTest::Equals(path, _) | ClaimTest::Contains(path, _) => path.top_level(),
        });
        let seen = needs.when.iter().flat_map(Expression::claims).map(AsRef::as_ref);
        tested.chain(seen).collect()
    }
}

impl Needs {
    /// Checked before anybody is asked to sign in: signing in would not help.
    pub fn network_allows(&self, client: IpAddr) -> bool {
        self.networks.is_empty() || in_networks(&self.networks, client)
    }

    /// The same: another person comes too early or too late as well.
    pub fn time_allows(&self, now: Timestamp) -> bool {
        TimeWindow::any_holds(&self.times, now)
    }

    /// When the last of its times is over that is not over at `now`; `None`: no time counts.
    pub(super) fn closes(&self, now: Timestamp) -> Option<Timestamp> {
        TimeWindow::all_close(&self.times, now)
    }

    /// Whether anything is asked of who it is. A rule that is public for a place asks nothing of it.
    fn asks_who(&self) -> bool {
        let Self { anonymous: _, any_role, all_roles, permissions, scopes, claims, email_domains, networks: _, times: _, when } = self;
        let lists = [any_role, all_roles, permissions, scopes, email_domains];
        lists.iter().any(|list| !list.is_empty()) || !claims.is_empty() || when.is_some()
    }

    /// Whether this identity meets everything else but `when`, which looks at the request as well.
    ///
    /// # Errors
    /// [`Unmet`]: the first part that does not hold.
    pub fn met_by(&self, identity: &Identity) -> Result<(), Unmet> {
        let (roles, permissions, scopes) = (identity.roles(), identity.permissions(), identity.scopes());
        let unless = |met: bool, unmet: Unmet| if met { Ok(()) } else { Err(unmet) };
        unless(self.any_role.is_empty() || self.any_role.iter().any(|role| roles.contains(role)), Unmet::Role)?;
        unless(self.all_roles.iter().all(|role| roles.contains(role)), Unmet::Role)?;
        unless(self.permissions.iter().all(|name| permissions.contains(name)), Unmet::Permission)?;
        unless(self.scopes.iter().all(|name| scopes.contains(name)), Unmet::Scope)?;
        unless(self.claims.iter().all(|test| test.holds(identity)), Unmet::Claim)?;
        unless(self.email_domains.is_empty() || self.email_allows(identity), Unmet::EmailDomain)
    }

    /// The domain exactly as listed.
    pub(super) fn email_allows(&self, identity: &Identity) -> bool {
        email_domain(identity).is_some_and(|domain| self.email_domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain)))
    }
}

/// The domain of an address that the provider verified.
pub(super) fn email_domain(identity: &Identity) -> Option<&str> {
    identity.email().filter(|_| identity.email_is_verified()).and_then(domain_of)
}

/// The domain of an e-mail address with exactly one `@` and nothing that needs quoting.
pub fn domain_of(address: &str) -> Option<&str> {
    let mut parts = address.split('@');
    let (Some(local), Some(domain), None) = (parts.next(), parts.next(), parts.next()) else { return None };
    let plain = !local.is_empty() && address.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'"');
    plain.then_some(domain)
}

impl ClaimTest {
    pub(super) fn holds(&self, identity: &Identity) -> bool {
        match self {
            Self::Equals(path, values) => path.one(identity.claims()).is_some_and(|claim| values.contains(claim)),
            Self::Contains(path, values) => {
                let mut held = false;
                path.each(identity.claims(), &mut |claim| held |= crate::identity::contains_any(claim, values));
                held
            }
        }
    }
}

/// `::ffff:10.0.0.1` is 10.0.0.1.
pub(crate) fn in_networks(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}
