//! Which claims are the user, the profile and the roles, and which other claims earn a role.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use super::Condition;
use super::conversion::is_exact;
use crate::claim_path::ClaimPath;
use crate::token::ClaimsSet;

/// Claims → names. All role sources add up.
#[derive(Debug, Clone)]
pub struct IdentityMapping {
    pub user: UserId,
    pub email: ClaimPath,
    pub name: ClaimPath,
    pub username: ClaimPath,
    pub first_name: ClaimPath,
    pub last_name: ClaimPath,
    pub phone: ClaimPath,
    pub locale: ClaimPath,
    pub roles: Vec<ClaimPath>,
    pub role_rules: Vec<RoleRule>,
    pub no_roles: NoRoles,
}

/// Who somebody is, for apps and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserId {
    Claim(ClaimPath),
    /// One account that all share.
    Constant(Box<str>),
}

/// What becomes of somebody without any role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoRoles {
    /// Rules decide, as about everybody.
    #[default]
    Allow,
    /// Nothing is open to them but what is open to anybody.
    Deny,
}

/// What is told of somebody besides user, e-mail address and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileField {
    Username,
    FirstName,
    LastName,
    Phone,
    Locale,
}

/// Roles for everyone whose claims meet a condition.
#[derive(Debug, Clone)]
pub struct RoleRule {
    pub when: Condition,
    pub roles: Vec<Box<str>>,
}

/// A role, and all that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcedRole<'m> {
    pub role: Box<str>,
    pub from: Vec<RoleSource<'m>>,
}

/// What gave a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleSource<'m> {
    /// The claim itself names it.
    Claim(&'m ClaimPath),
    /// The rule at this place in [`IdentityMapping::role_rules`] gives it.
    Rule(usize),
}

impl fmt::Display for RoleSource<'_> {
    /// As the configuration calls it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(path) => write!(f, "claim {path}"),
            Self::Rule(index) => write!(f, "role_mapping[{index}]"),
        }
    }
}

impl From<ClaimPath> for UserId {
    fn from(path: ClaimPath) -> Self {
        Self::Claim(path)
    }
}

impl UserId {
    /// Who somebody with these claims is; `None`: nobody that could be told from anybody else.
    pub fn of<'s>(&'s self, claims: &'s impl ClaimsSet) -> Option<Cow<'s, str>> {
        match self {
            Self::Claim(path) => text_of(path, claims),
            Self::Constant(user) => Some(Cow::Borrowed(user)),
        }
    }
}

impl ProfileField {
    pub const ALL: [Self; 5] = [Self::Username, Self::FirstName, Self::LastName, Self::Phone, Self::Locale];

    /// What the configuration, headers and `session` call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::FirstName => "first_name",
            Self::LastName => "last_name",
            Self::Phone => "phone",
            Self::Locale => "locale",
        }
    }

    /// The claim of OIDC Core §5.1 that it is, unless the configuration says another.
    pub fn claim(self) -> &'static str {
        match self {
            Self::Username => "preferred_username",
            Self::FirstName => "given_name",
            Self::LastName => "family_name",
            Self::Phone => "phone_number",
            Self::Locale => "locale",
        }
    }
}

impl Default for IdentityMapping {
    /// What OIDC Core §5.1 calls them, and no roles.
    fn default() -> Self {
        let field = |field: ProfileField| ClaimPath::name(field.claim());
        Self {
            user: ClaimPath::name("sub").into(),
            email: ClaimPath::name("email"),
            name: ClaimPath::name("name"),
            username: field(ProfileField::Username),
            first_name: field(ProfileField::FirstName),
            last_name: field(ProfileField::LastName),
            phone: field(ProfileField::Phone),
            locale: field(ProfileField::Locale),
            roles: Vec::new(),
            role_rules: Vec::new(),
            no_roles: NoRoles::Allow,
        }
    }
}

impl IdentityMapping {
    /// Where a field of the profile is read.
    pub fn path_of(&self, field: ProfileField) -> &ClaimPath {
        match field {
            ProfileField::Username => &self.username,
            ProfileField::FirstName => &self.first_name,
            ProfileField::LastName => &self.last_name,
            ProfileField::Phone => &self.phone,
            ProfileField::Locale => &self.locale,
        }
    }

    /// A field of somebody's profile. An [`super::Identity`] does not hold it: few ask for it, and many requests would pay.
    pub fn profile<'c>(&self, field: ProfileField, claims: &'c Map<String, Value>) -> Option<Cow<'c, str>> {
        text_of(self.path_of(field), claims)
    }

    /// The roles of somebody with these claims, in their order, and what gave each: for people who ask why, not for requests.
    pub fn roles_with_sources(&self, claims: &Map<String, Value>) -> Vec<SourcedRole<'_>> {
        let mut roles: Vec<SourcedRole<'_>> = Vec::new();
        self.each_role(claims, &mut |role, source| match roles.iter_mut().find(|known| *known.role == *role) {
            _ if role.is_empty() => {}
            Some(known) if known.from.contains(&source) => {}
            Some(known) => known.from.push(source),
            None => roles.push(SourcedRole { role: role.into(), from: vec![source] }),
        });
        roles
    }

    /// Visits each role that somebody with these claims has, as often as something gives it.
    pub(super) fn each_role<'m>(&'m self, claims: &impl ClaimsSet, visit: &mut dyn FnMut(&str, RoleSource<'m>)) {
        for path in &self.roles {
            path.each_text(claims, &mut |role| visit(role, RoleSource::Claim(path)));
        }
        if self.role_rules.is_empty() {
            return;
        }
        let map = claims.to_map();
        for (index, rule) in self.role_rules.iter().enumerate().filter(|(_, rule)| rule.when.holds(&map)) {
            rule.roles.iter().for_each(|role| visit(role, RoleSource::Rule(index)));
        }
    }

    /// The top-level claims a session must keep for this mapping.
    pub fn top_level(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        if let UserId::Claim(path) = &self.user {
            names.extend(path.top_level());
        }
        let profile = ProfileField::ALL.into_iter().map(|field| self.path_of(field));
        for path in [&self.email, &self.name].into_iter().chain(profile).chain(&self.roles) {
            names.extend(path.top_level());
        }
        for rule in &self.role_rules {
            names.extend(rule.when.paths().into_iter().flat_map(ClaimPath::top_level));
        }
        names
    }
}

/// One text with something in it, or a number as its digits: where those were lost, two people would be one.
pub(crate) fn text_of<'c>(path: &ClaimPath, claims: &'c impl ClaimsSet) -> Option<Cow<'c, str>> {
    let claim = path.one_claim(claims)?;
    match claim.as_str() {
        Some(text) => Some(Cow::Borrowed(text)).filter(|text| !text.is_empty()),
        None => claim.as_number().filter(|number| is_exact(number)).map(|number| Cow::Owned(number.to_string())),
    }
}

#[cfg(test)]
mod tests;
