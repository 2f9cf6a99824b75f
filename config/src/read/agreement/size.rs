//! What the tests' claims come to in a cookie.

use doorward_policy::credential::Accept;
use doorward_policy::identity::Proof;
use doorward_policy::session::COOKIE_LIMIT;

use super::super::session::SERVER_SIDE;
use super::super::tests::ReadTest;
use crate::cookie_size::cookie_size;
use crate::problem::WarningCode;
use crate::settings::{Settings, StoreKind};

/// Nobody with such claims could sign in.
pub(super) fn warn_about_large_cookies(tests: &[ReadTest<'_>], settings: &Settings) {
    if settings.session.store != StoreKind::Cookie {
        return;
    }
    for read in tests {
        let Some(size) = size_of(read, settings).filter(|size| *size > COOKIE_LIMIT) else { continue };
        let Some(field) = read.claims_field() else { continue };
        let message = format!("with these claims the session cookie needs {size} bytes, and a cookie has {COOKIE_LIMIT}");
        field.warn(WarningCode::LargeCookie, message, format!("whoever has them cannot sign in; {SERVER_SIDE}"));
    }
}

/// `None` where there is no session.
fn size_of(read: &ReadTest<'_>, settings: &Settings) -> Option<usize> {
    let claims = read.test.claims.as_ref()?;
    let (_, route) = settings.policy.route_for(read.target()?).ok()?;
    let named = read.test.provider.as_deref().and_then(|name| settings.providers.iter().position(|provider| provider.name == name));
    let bearer = match read.test.proof {
        Some(Proof::Bearer) => true,
        Some(Proof::Session) => false,
        None => route.accept == Accept::Bearer,
    };
    if bearer { None } else { cookie_size(settings, named.or_else(|| route.providers.first().copied())?, claims) }
}
