//! From tokens to the claims they prove: the ID token, then userinfo, then the access token. The earlier one wins; then the
//! provider's attributes are written, each from its own source. At sign-in and at every refresh alike.

use doorward_config::settings::ProviderKind;
use doorward_policy::access::CredentialFault;
use doorward_policy::credential::RawToken;
use doorward_policy::identity::Sources;
use doorward_policy::session::Record;
use doorward_policy::time::Timestamp;
use doorward_policy::token::{IdTokenExpectation, Nonce, TokenFault, TokenType, UnverifiedToken, VerifiedToken};
use serde_json::{Map, Value};

use crate::bearer::BearerVerifier;
use crate::idp::{ExchangeFault, TokenResponse};
use crate::keys::Budget;
use crate::runtime::ProviderRuntime;

/// What the tokens came with.
#[derive(Debug, Clone, Copy)]
pub enum Occasion<'o> {
    SignIn { nonce: &'o str },
    Refresh(&'o Record),
}

/// What was proven.
#[derive(Debug)]
pub struct Proven {
    pub claims: Map<String, Value>,
    /// When the access token ends, where it is one that we can read.
    pub access_ends: Option<Timestamp>,
}

/// Why tokens prove nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimsFault {
    /// Metadata or keys cannot be had: another try may prove them.
    ProviderDown,
    /// The userinfo request failed.
    Exchange(ExchangeFault),
    IdToken(TokenFault),
    AccessToken(TokenFault),
    /// The ID token and the access token are about two people.
    OtherSubject,
}

/// Verifies what `answer` holds, and asks for what the configuration wants besides.
///
/// # Errors
/// [`ClaimsFault`].
pub async fn gather(
    provider: &ProviderRuntime,
    answer: &TokenResponse,
    occasion: Occasion<'_>,
    now: Timestamp,
) -> Result<Proven, ClaimsFault> {
    let settings = provider.settings();
    let id_token = match (&answer.id_token, occasion) {
        (Some(raw), _) => Some(id_token(provider, raw, &answer.access_token, occasion, now).await?.claims().clone()),
        (None, Occasion::SignIn { .. }) => return Err(ClaimsFault::Exchange(ExchangeFault::NoIdToken)),
        // OIDC Core §12.2: it may be left out, and what the last one said holds on.
        (None, Occasion::Refresh(record)) => record.tokens.id_token_claims(),
    };
    // Without any ID token the session itself says who it is; but no attribute is read from it: what stands there now is no
    // longer what a token said.
    let known = match (&id_token, occasion) {
        (Some(claims), _) => claims,
        (None, Occasion::Refresh(record)) => &record.session.claims,
        (None, Occasion::SignIn { .. }) => return Err(ClaimsFault::Exchange(ExchangeFault::NoIdToken)),
    };
    let mut userinfo = None;
    if settings.userinfo {
        let current = provider.keys.ready(Budget::SignIn).await.ok_or(ClaimsFault::ProviderDown)?;
        let subject = known.get("sub").and_then(Value::as_str).unwrap_or_default();
        let said = provider.client.userinfo(&current.metadata, &answer.access_token, subject).await;
        userinfo = Some(said.map_err(ClaimsFault::Exchange)?);
    }
    let mut access = None;
    if let Some(bearer) = &provider.bearer {
        access = access_token(bearer, settings.kind, &answer.access_token, now).await?;
    }
    if access.as_ref().is_some_and(|access| access.get("sub") != known.get("sub")) {
        return Err(ClaimsFault::OtherSubject);
    }
    #[allow(clippy::cast_possible_truncation)]
    let ends = |access: &Map<String, Value>| access.get("exp").and_then(Value::as_f64).map(|seconds| Timestamp(seconds as i64));
    let access_ends = access.as_ref().and_then(ends);
    let said = Sources { id_token: Some(known), userinfo: userinfo.as_ref(), access_token: access.as_ref() };
    let mut claims = said.merged();
    provider.attributes.apply(&mut claims, &Sources { id_token: id_token.as_ref(), ..said });
    Ok(Proven { claims, access_ends })
}

async fn id_token(
    provider: &ProviderRuntime,
    raw: &str,
    access_token: &str,
    occasion: Occasion<'_>,
    now: Timestamp,
) -> Result<VerifiedToken, ClaimsFault> {
    let (settings, keys) = (provider.settings(), &provider.keys);
    let mut current = keys.believed_or_fetched(Budget::SignIn, now).await.ok_or(ClaimsFault::ProviderDown)?;
    let token = UnverifiedToken::parse(RawToken::new(raw), &settings.algorithms, TokenType::Jwt).map_err(ClaimsFault::IdToken)?;
    let expected = IdTokenExpectation {
        issuer: &settings.issuer,
        client_id: &settings.client_id,
        nonce: match occasion {
            Occasion::SignIn { nonce } => Nonce::Exactly(nonce),
            Occasion::Refresh(record) => Nonce::Repeated(record.session.claims.get("nonce").and_then(Value::as_str)),
        },
        access_token: Some(access_token),
        organization: settings.organization.as_deref(),
    };
    // The keys may have changed just before signing: sign-ins have a budget of their own to look. Twice, because the
    // first fetch may be one that somebody else began before the key was published.
    for _ in 0..2 {
        match token.verify_id_token(&current.keys, &expected, now) {
            Err(TokenFault::UnknownKey) => {
                current = keys.newer_than(current.generation, Budget::SignIn).await.ok_or(ClaimsFault::IdToken(TokenFault::UnknownKey))?;
            }
            outcome => return outcome.map_err(ClaimsFault::IdToken),
        }
    }
    token.verify_id_token(&current.keys, &expected, now).map_err(ClaimsFault::IdToken)
}

/// What the access token says, when it is a JWT for our audience; an opaque one is nobody's to read.
async fn access_token(
    bearer: &BearerVerifier,
    kind: ProviderKind,
    raw: &str,
    now: Timestamp,
) -> Result<Option<Map<String, Value>>, ClaimsFault> {
    match bearer.claims(RawToken::new(raw), now).await {
        Ok(access) => Ok(Some(access)),
        Err(CredentialFault::Token(
            TokenFault::Malformed | TokenFault::Audience | TokenFault::Type | TokenFault::Algorithm | TokenFault::TooLong,
        )) => Ok(None),
        // Other providers hand out tokens for APIs of their own, signed and named as they like; nothing is believed of them.
        Err(CredentialFault::Token(TokenFault::Issuer | TokenFault::UnknownKey | TokenFault::Signature | TokenFault::MissingClaim))
            if kind == ProviderKind::Oidc =>
        {
            Ok(None)
        }
        Err(CredentialFault::Token(fault)) => Err(ClaimsFault::AccessToken(fault)),
        Err(_) => Err(ClaimsFault::ProviderDown),
    }
}
