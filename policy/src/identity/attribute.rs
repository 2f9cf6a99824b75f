//! Attributes: what a provider says of somebody, under the names that rules, roles and headers use.

use serde_json::Value;

use crate::claim_path::ClaimPath;

/// Claims that say what a token is, for whom, and what its issuer vouches for: neither an attribute nor a namespace ever
/// writes one, also where nobody refused the name before.
pub const RESERVED: &[&str] = &[
    "iss",
    "sub",
    "aud",
    "azp",
    "client_id",
    "exp",
    "iat",
    "nbf",
    "jti",
    "sid",
    "nonce",
    "at_hash",
    "c_hash",
    "auth_time",
    "acr",
    "amr",
    "email_verified",
    "org_id",
    "scope",
    "permissions",
    "events",
    "cnf",
    "act",
    // Auth0's: when the session has to end.
    "session_expiry",
];

/// How one provider's claims become attributes. The default adds nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttributeMapping {
    /// Of custom claims: a whole name, read as what follows its last `/`; or a beginning that ends in `/`, of which every
    /// claim is read by the rest of its name.
    pub namespaces: Vec<Box<str>>,
    pub amr: Option<AmrRule>,
    pub attributes: Vec<Attribute>,
}

/// One attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl ClaimSource {
    /// In the order in which they are believed.
    pub const ALL: [Self; 3] = [Self::IdToken, Self::Userinfo, Self::AccessToken];

    /// As it is written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::IdToken => "id_token",
            Self::Userinfo => "userinfo",
            Self::AccessToken => "access_token",
        }
    }
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

impl AttributeType {
    pub const ALL: [Self; 7] = [Self::Any, Self::String, Self::Number, Self::Bool, Self::StringArray, Self::NumberArray, Self::BoolArray];

    /// As it is written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::String => "string",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::StringArray => "string_array",
            Self::NumberArray => "number_array",
            Self::BoolArray => "bool_array",
        }
    }
}

/// What stands in `amr` (RFC 8176), whoever asks: rules, headers and step-up alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmrRule {
    pub values: Vec<Box<str>>,
    /// True: whatever the token says. False: only where it says nothing.
    pub always: bool,
}
