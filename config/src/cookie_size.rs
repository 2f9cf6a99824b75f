//! How large the session cookie of somebody with these claims would be.

use doorward_policy::identity::Sources;
use doorward_policy::session::{CookiePlace, NONCE_LENGTH, Origin, Session, TooLarge};
use doorward_policy::time::Timestamp;
use serde_json::{Map, Value};

use crate::settings::Settings;

/// As long as one that is made: 128 bits in base64.
const ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Name and value together, in bytes; `provider` is an index into [`Settings::providers`]. The claims stand for those of the
/// ID token, userinfo and the access token. `None` when there is no such provider.
///
/// Beyond [`doorward_policy::session::COOKIE_LIMIT`] nobody with these claims can sign in while sessions are kept in cookies.
pub fn cookie_size(settings: &Settings, provider: usize, claims: &Map<String, Value>) -> Option<usize> {
    let provider = settings.providers.get(provider)?;
    let sources = Sources { id_token: Some(claims), userinfo: Some(claims), access_token: Some(claims) };
    let (mut context, _) = provider.attributes.context(&sources);
    context.entry("iss").or_insert_with(|| provider.issuer.as_str().into());
    let now = Timestamp(1_800_000_000);
    let origin = Origin { id: ID, provider: &provider.name, client_id: &provider.client_id };
    let mut session = Session::begin(origin, &context, settings.policy.kept_claims(), now);
    // Whatever its claims say of an end: ours is always written.
    session.cap.get_or_insert(now.plus(settings.session.lifetime));
    let place = settings.session.domain.as_deref().map_or(CookiePlace::Host("localhost"), CookiePlace::Domain);
    match session.seal(&settings.session.keys, place, [0; NONCE_LENGTH]) {
        Ok(sealed) => Some(place.name().len() + 1 + sealed.len()),
        Err(TooLarge(size)) => Some(size),
    }
}
