//! What each request is: how it is sent, what it may name, and what in it is Doorward's.

use crate::settings::Placeholder::{self, AccessToken, ClientId, Code, IdToken, IdpHint, RedirectUri, RefreshToken};

/// How a request leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::read::provider) enum Sent {
    /// A browser is sent there: all there is is a query.
    Redirect,
    /// By us, as a form.
    Form,
    /// By us, as a query.
    Get,
}

#[derive(Debug)]
pub(in crate::read::provider) struct Shape {
    pub(super) sent: Sent,
    /// What has a value when it is sent.
    pub(super) placeholders: &'static [Placeholder],
    /// Parameters of ours, and how they may be written: as they are sent.
    pub(super) ours: &'static [(&'static str, &'static str)],
    /// Parameters of ours that are never written.
    pub(super) reserved: &'static [&'static str],
    /// And all those of the authorization request.
    pub(super) reserves_authorize: bool,
    /// The one `Authorization` that may be written, as it is sent; otherwise it is the client's own proof.
    pub(super) authorization: Option<&'static str>,
}

const CLIENT: (&str, &str) = ("client_id", "${clientId}");

pub(super) const AUTHORIZE: Shape = Shape {
    sent: Sent::Redirect,
    placeholders: &[ClientId, RedirectUri, IdpHint],
    ours: &[("response_type", "code"), CLIENT, ("redirect_uri", "${redirectUri}")],
    reserved: &[],
    reserves_authorize: true,
    authorization: None,
};

pub(super) const TOKEN: Shape = Shape {
    sent: Sent::Form,
    placeholders: &[ClientId, RedirectUri, Code],
    ours: &[("grant_type", "authorization_code"), ("code", "${code}"), ("redirect_uri", "${redirectUri}"), CLIENT],
    reserved: &["code_verifier", "client_secret", "client_assertion", "client_assertion_type", "refresh_token"],
    reserves_authorize: false,
    authorization: None,
};

pub(super) const REFRESH: Shape = Shape {
    sent: Sent::Form,
    placeholders: &[ClientId, RefreshToken],
    ours: &[("grant_type", "refresh_token"), ("refresh_token", "${refreshToken}"), CLIENT],
    reserved: &["code", "code_verifier", "redirect_uri", "client_secret", "client_assertion", "client_assertion_type"],
    reserves_authorize: false,
    authorization: None,
};

/// OpenID Connect RP-Initiated Logout 1.0 §2, and Auth0's `returnTo`.
pub(super) const LOGOUT: Shape = Shape {
    sent: Sent::Redirect,
    placeholders: &[ClientId, RedirectUri, IdToken],
    ours: &[CLIENT, ("post_logout_redirect_uri", "${redirectUri}"), ("returnTo", "${redirectUri}"), ("id_token_hint", "${id_token}")],
    reserved: &["state", "logout_hint"],
    reserves_authorize: false,
    authorization: None,
};

/// RFC 7662 §2.1
pub(in crate::read::provider) const INTROSPECTION: Shape = Shape {
    sent: Sent::Form,
    placeholders: &[ClientId, AccessToken],
    ours: &[("token", "${accessToken}"), ("token_type_hint", "access_token"), CLIENT],
    reserved: &["client_secret", "client_assertion", "client_assertion_type"],
    reserves_authorize: false,
    authorization: None,
};

/// OIDC Core §5.3.1
pub(in crate::read::provider) const USERINFO: Shape = Shape {
    sent: Sent::Get,
    placeholders: &[ClientId],
    ours: &[],
    // RFC 6750 §2.3: not in an address, which others write down.
    reserved: &["access_token"],
    reserves_authorize: false,
    authorization: Some("Bearer ${accessToken}"),
};
