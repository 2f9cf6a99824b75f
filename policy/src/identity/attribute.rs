//! Attributes: what a provider says of somebody, under the names that rules, roles and headers use.

use serde_json::Value;

use crate::claim_path::ClaimPath;

/// How one provider's claims become attributes. The default adds nothing.
#[derive(Debug, Clone, Default)]
pub struct AttributeMapping {
    pub namespaces: Vec<Box<str>>,
    pub amr: Option<AmrRule>,
    pub attributes: Vec<Attribute>,
}

/// One attribute.
#[derive(Debug, Clone)]
pub struct Attribute {
    /// What rules, roles and headers call it. A claim of the same name in a token is never read in its place.
    pub name: Box<str>,
    /// What people read; `None`: the name.
    pub label: Option<Box<str>>,
    pub from: AttributeSource,
    pub kind: AttributeType,
    /// A value of another type is converted where that loses nothing.
    pub weak: bool,
}

/// Where an attribute's value comes from.
#[derive(Debug, Clone)]
pub enum AttributeSource {
    /// A claim; without a source, wherever it is found first: the ID token, userinfo, the access token.
    Claim { source: Option<ClaimSource>, path: ClaimPath },
    /// The same for everybody.
    Constant(Value),
}

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimSource {
    IdToken,
    Userinfo,
    AccessToken,
}

/// What an attribute may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AttributeType {
    #[default]
    Any,
    String,
    Number,
    Bool,
    StringArray,
    NumberArray,
    BoolArray,
}

/// What stands in `amr` (RFC 8176).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmrRule {
    pub values: Vec<Box<str>>,
    /// True: whatever the token says. False: only where it says nothing.
    pub always: bool,
}
