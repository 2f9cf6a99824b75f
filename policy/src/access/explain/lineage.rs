//! Where what an app is told comes from: claim → attribute → identity → header.

use serde::Serialize;
use serde_json::{Map, Value};

use super::super::Route;
use crate::claim_path::ClaimPath;
use crate::headers::{HeaderEdits, Template};
use crate::identity::{Attribute, AttributeMapping, AttributeSource, Identity, IdentityMapping, RoleSource, UserId};

/// Where somebody's claims come from, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Provenance<'p> {
    pub attributes: &'p AttributeMapping,
    /// All that was said, also what a session does not keep.
    pub claims: Option<&'p Map<String, Value>>,
}

/// One header that a route sets, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeaderTrace {
    pub name: String,
    /// As the configuration has it: `{user}`.
    pub template: String,
    /// `None`: not set, as nothing that it names is there.
    pub value: Option<String>,
    pub from: Vec<PartTrace>,
}

/// One thing that a header names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartTrace {
    /// As it stands in braces: `user`, `roles`, `claim`.
    pub field: String,
    /// Empty where it is no claim: the provider's name, a constant.
    pub claims: Vec<ClaimTrace>,
}

/// One claim that is read, or a rule that gives roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClaimTrace {
    /// The path as the configuration has it, or `role_mapping[0]`.
    pub claim: String,
    /// Where the provider's attributes or namespaces say that it comes from: `id_token https://example.com/groups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    pub present: bool,
}

/// One role, and all that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleTrace {
    pub role: String,
    pub from: Vec<ClaimTrace>,
}

/// The roles of somebody.
pub(super) fn roles(mapping: &IdentityMapping, identity: &Identity, provenance: Option<Provenance<'_>>) -> Vec<RoleTrace> {
    let sourced = mapping.roles_with_sources(identity.claims());
    let from = |sources: &[RoleSource<'_>]| sources.iter().map(|source| of_role(*source, identity, provenance)).collect();
    sourced.iter().map(|role| RoleTrace { role: role.role.to_string(), from: from(&role.from) }).collect()
}

fn of_role(source: RoleSource<'_>, identity: &Identity, provenance: Option<Provenance<'_>>) -> ClaimTrace {
    match source {
        RoleSource::Claim(path) => {
            ClaimTrace { claim: path.as_str().into(), attribute: attribute_of(path, identity, provenance), present: true }
        }
        RoleSource::Rule(_) => ClaimTrace { claim: source.to_string(), attribute: None, present: true },
    }
}

/// Every header of `route`, with what `edits` make of it.
pub(super) fn headers(
    route: &Route,
    edits: &HeaderEdits,
    mapping: &IdentityMapping,
    identity: &Identity,
    provenance: Option<Provenance<'_>>,
) -> Vec<HeaderTrace> {
    let of = Origins { mapping, identity, provenance };
    let value = |name: &http::HeaderName| edits.iter().find(|(own, _)| *own == name).and_then(|(_, value)| value.to_str().ok());
    route
        .headers
        .templates()
        .map(|(name, template)| HeaderTrace {
            name: name.to_string(),
            template: template.to_string(),
            value: value(name).map(str::to_owned),
            from: of.template(template),
        })
        .collect()
}

struct Origins<'o> {
    mapping: &'o IdentityMapping,
    identity: &'o Identity,
    provenance: Option<Provenance<'o>>,
}

impl Origins<'_> {
    fn template(&self, template: &Template) -> Vec<PartTrace> {
        let claims = |name: &str, path: Option<&ClaimPath>| match (path, name) {
            (Some(path), _) => vec![self.claim(path)],
            (None, "user") => match &self.mapping.user {
                UserId::Claim(path) => vec![self.claim(path)],
                UserId::Constant(_) => Vec::new(),
            },
            (None, "email") => vec![self.claim(&self.mapping.email)],
            (None, "name") => vec![self.claim(&self.mapping.name)],
            (None, "roles") => self.roles(),
            (None, _) => Vec::new(),
        };
        template.reads().map(|read| PartTrace { field: read.name.into(), claims: claims(read.name, read.path.as_deref()) }).collect()
    }

    /// What gave roles; or, where nothing did, what could have.
    fn roles(&self) -> Vec<ClaimTrace> {
        let mut from: Vec<ClaimTrace> = Vec::new();
        for role in roles(self.mapping, self.identity, self.provenance) {
            for source in role.from {
                if !from.contains(&source) {
                    from.push(source);
                }
            }
        }
        if from.is_empty() {
            from.extend(self.mapping.roles.iter().map(|path| self.claim(path)));
        }
        from
    }

    fn claim(&self, path: &ClaimPath) -> ClaimTrace {
        let mut present = false;
        path.each(self.identity.claims(), &mut |_| present = true);
        ClaimTrace { claim: path.as_str().into(), attribute: attribute_of(path, self.identity, self.provenance), present }
    }
}

/// Where an attribute of that name comes from, or a claim whose namespace was taken off.
fn attribute_of(path: &ClaimPath, identity: &Identity, provenance: Option<Provenance<'_>>) -> Option<String> {
    let Provenance { attributes, claims } = provenance?;
    let named = |name: &str| attributes.attributes.iter().find(|attribute| *attribute.name == *name);
    if let Some(attribute) = path.top_level().find_map(named) {
        return Some(source_of(attribute));
    }
    if let Some(amr) = attributes.amr.as_ref().filter(|_| path.top_level().any(|name| name == "amr")) {
        return Some(if amr.always { "a constant".into() } else { "a constant where the token has none".into() });
    }
    // A session keeps what is looked at: where the whole name is gone, nobody can say any more which of the two it was.
    let claim = |name: &str| claims.unwrap_or(identity.claims()).get(name);
    let mut whole = path.top_level().flat_map(|name| attributes.long_names(name).map(move |long| (name, long)));
    whole.find(|(name, long)| claim(long).is_some() && claim(long) == claim(name)).map(|(_, long)| long)
}

fn source_of(attribute: &Attribute) -> String {
    match &attribute.from {
        AttributeSource::Constant(_) => "a constant".into(),
        AttributeSource::Claim { source: Some(source), path } => format!("{} {path}", source.name()),
        AttributeSource::Claim { source: None, path } => format!("claim {path}"),
    }
}
