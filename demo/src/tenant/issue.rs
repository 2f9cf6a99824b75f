//! What goes into the tokens.

use serde_json::{Map, Value, json};

use super::settings::{ROLES_CLAIM, User};
use super::token_text::{merged, random_text};
use super::{Shared, lock};
use crate::tenant::keys::SignWith;

/// What somebody agreed to: the subject of codes, refresh families and tokens.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) sub: String,
    pub(super) client_id: String,
    pub(super) audience: Option<String>,
    /// What is granted, not what was asked for.
    pub(super) scope: Vec<String>,
    pub(super) organization: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) sid: String,
    pub(super) auth_time: i64,
    /// `auth_time` belongs into the ID token only when it was asked for (`max_age`, `prompt=login`).
    pub(super) show_auth_time: bool,
}

impl Grant {
    /// A grant that no browser asked for.
    pub(super) fn direct(shared: &Shared, user: &User, client_id: &str, audience: Option<&str>, scope: &str) -> Grant {
        if let Some(audience) = audience {
            assert!(shared.api(audience).is_some(), "no API `{audience}`");
        }
        Grant {
            sub: user.sub.clone(),
            client_id: client_id.to_owned(),
            audience: audience.map(str::to_owned),
            scope: shared.granted_scope(user, audience, scope),
            organization: None,
            nonce: None,
            sid: random_text(24),
            auth_time: shared.now(),
            show_auth_time: false,
        }
    }

    pub(super) fn has(&self, scope: &str) -> bool {
        self.scope.iter().any(|granted| granted == scope)
    }
}

impl Shared {
    /// OIDC scopes as asked for; an API's scopes as far as the API has them and, with RBAC, the user too.
    pub(super) fn granted_scope(&self, user: &User, audience: Option<&str>, requested: &str) -> Vec<String> {
        let api = audience.and_then(|audience| self.api(audience));
        let grants = |scope: &&str| match *scope {
            "openid" | "profile" | "email" => true,
            "offline_access" => api.is_none_or(|api| api.allow_offline_access),
            scope => api.is_some_and(|api| {
                api.scopes.iter().any(|known| known == scope)
                    && (!api.enforce_permissions || user.permissions.iter().any(|known| known == scope))
            }),
        };
        let mut granted: Vec<String> = Vec::new();
        for scope in requested.split(' ').filter(grants) {
            if !granted.iter().any(|known| known == scope) {
                granted.push(scope.to_owned());
            }
        }
        granted
    }

    /// OIDC Core §2, with the claims that an Action would add.
    pub(super) fn id_claims(&self, grant: &Grant, user: &User) -> Value {
        let now = self.now();
        let mut claims = json!({
            "iss": self.issuer,
            "sub": user.sub,
            "aud": grant.client_id,
            "iat": now,
            "exp": now + seconds(self.settings.lifetimes.id_token),
            "sid": grant.sid,
        });
        if let Some(nonce) = &grant.nonce {
            claims["nonce"] = json!(nonce);
        }
        if grant.show_auth_time {
            claims["auth_time"] = json!(grant.auth_time);
        }
        claims = merged(claims, &self.person_claims(grant, user));
        merged(claims, &self.organization_claims(grant))
    }

    /// What `/userinfo` and the ID token say about a person, by scope (OIDC Core §5.4).
    pub(super) fn person_claims(&self, grant: &Grant, user: &User) -> Value {
        let mut claims = custom_claims(user);
        if grant.has("profile") {
            claims.insert("name".into(), json!(user.name));
            claims.insert("nickname".into(), json!(user.nickname));
            claims.insert("updated_at".into(), json!("2026-01-01T00:00:00.000Z"));
        }
        if grant.has("email") {
            claims.insert("email".into(), json!(user.email));
            claims.insert("email_verified".into(), json!(user.email_verified));
        }
        Value::Object(claims)
    }

    pub(super) fn access_claims(&self, grant: &Grant, user: &User, audience: &str) -> Value {
        let dialect = self.switches().token_dialect;
        let mut claims = self.api_claims(&user.sub, &grant.client_id, audience, &grant.scope.join(" "));
        // With `openid`, the token is also good for the userinfo endpoint.
        if grant.has("openid") {
            claims["aud"] = json!([audience, self.url("userinfo")]);
        }
        if dialect.has_permissions() {
            // All of the user's permissions for this API, whatever was asked for.
            let of_this_api =
                |permission: &&String| self.api(audience).is_some_and(|api| api.scopes.iter().any(|scope| scope == *permission));
            claims["permissions"] = json!(user.permissions.iter().filter(of_this_api).collect::<Vec<_>>());
        }
        claims = merged(claims, &Value::Object(custom_claims(user)));
        merged(claims, &self.organization_claims(grant))
    }

    /// The token of an application itself (RFC 6749 §4.4).
    pub(super) fn machine_claims(&self, client_id: &str, audience: &str, scope: &str) -> Value {
        let dialect = self.switches().token_dialect;
        let mut claims = self.api_claims(&format!("{client_id}@clients"), client_id, audience, scope);
        if !dialect.is_rfc9068() {
            claims["gty"] = json!("client-credentials");
        }
        if dialect.has_permissions() {
            claims["permissions"] = json!(scope.split_whitespace().collect::<Vec<_>>());
        }
        claims
    }

    /// `sid` or `sub` or both, and never a `nonce` (OIDC Back-Channel Logout §2.4).
    pub(super) fn logout_claims(&self, client_id: &str, sub: Option<&str>, sid: Option<&str>) -> Value {
        let now = self.now();
        let claims = json!({
            "iss": self.issuer,
            "aud": client_id,
            "iat": now,
            "exp": now + 120,
            "jti": random_text(16),
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        let subject = json!({ "sub": sub, "sid": sid });
        merged(claims, &subject)
    }

    pub(super) fn access_token_header(&self) -> Value {
        match self.switches().token_dialect.is_rfc9068() {
            true => json!({ "typ": "at+jwt" }),
            false => json!({ "typ": "JWT" }),
        }
    }

    pub(super) fn sign_id_token(&self, grant: &Grant, user: &User) -> String {
        let claims = merged(self.id_claims(grant, user), &self.switches().id_token_over);
        let signer = lock(&self.keys).signer(SignWith::Current);
        signer.sign(&json!({}), &claims)
    }

    pub(super) fn sign_access_token(&self, claims: Value) -> String {
        let header = self.access_token_header();
        let claims = merged(claims, &self.switches().access_token_over);
        let signer = lock(&self.keys).signer(SignWith::Current);
        signer.sign(&header, &claims)
    }

    /// The claims that every JWT access token has. Auth0's own profile names the application `azp` and has no `jti`;
    /// RFC 9068 §2.2 names it `client_id` and wants one.
    fn api_claims(&self, sub: &str, client_id: &str, audience: &str, scope: &str) -> Value {
        let now = self.now();
        let lifetime = self.api(audience).map(|api| api.token_lifetime).unwrap_or_default();
        let claims = json!({
            "iss": self.issuer,
            "sub": sub,
            "aud": audience,
            "iat": now,
            "exp": now + seconds(lifetime),
            "scope": scope,
        });
        let dialect = match self.switches().token_dialect.is_rfc9068() {
            true => json!({ "client_id": client_id, "jti": random_text(16) }),
            false => json!({ "azp": client_id }),
        };
        merged(claims, &dialect)
    }

    fn organization_claims(&self, grant: &Grant) -> Value {
        match &grant.organization {
            Some(organization) => json!({ "org_id": organization }),
            None => json!({}),
        }
    }
}

fn custom_claims(user: &User) -> Map<String, Value> {
    let mut claims = Map::new();
    if !user.roles.is_empty() {
        claims.insert(ROLES_CLAIM.into(), json!(user.roles));
    }
    claims.extend(user.app_claims.clone());
    claims
}

fn seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
