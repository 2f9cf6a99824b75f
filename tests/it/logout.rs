//! Signing out: here, at the provider, at the provider's word, and by an administrator.

mod admin;
mod at_provider;
mod backchannel;
mod everywhere;
mod frontchannel;

use std::time::Duration;

use doorward_proxy::keys::Tempo;
use doorward_tests::client::{Answer, Browser};
use doorward_tests::hostile::{HostileIdp, User};
use doorward_tests::scene::{APP, Plan, Scene};

use crate::oidc::come_back;

pub const COOKIE: &str = "__Host-doorward";
/// Sessions in this process, with what refreshing would need.
pub const MEMORY: &str = "  idle: 1h\n  lifetime: 12h\n  store: memory\n";
/// The provider's session behind the first sign-in of a test.
pub const SID: &str = "a provider's session 1";
pub const BACKCHANNEL: &str = "/_doorward/logout/backchannel";
pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

pub fn quick() -> Tempo {
    Tempo { bearer_cool_down: Duration::from_millis(20), sign_in_cool_down: Duration::from_millis(5), ..Tempo::default() }
}

/// A provider, and an edge whose `session:` has these lines besides its keys.
pub async fn rig(session: &str) -> (HostileIdp, Scene) {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(Plan { session: session.into(), tempo: quick(), ..Plan::oidc(idp.issuer()) }).await;
    (idp, scene)
}

/// The same with sessions in cookies.
pub async fn cookie_rig() -> (HostileIdp, Scene) {
    rig("  idle: 1h\n  lifetime: 12h\n").await
}

/// A browser in which `user` has signed in, in this session of the provider's.
pub async fn signed_in(idp: &HostileIdp, scene: &Scene, user: &User, sid: &str) -> Browser {
    let mut browser = scene.browser(APP);
    let sid = sid.to_owned();
    idp.next_id_token(move |token| token.claims["sid"] = sid.into());
    let answer = come_back(idp, &mut browser, "/private", user).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    browser
}

/// Whether the browser's session still opens what needs one. Its cookies stay as they are.
pub async fn is_in(browser: &Browser) -> bool {
    match browser.clone().go("/private").await.status {
        200 => true,
        302 => false,
        status => panic!("{status}"),
    }
}

/// What a provider sends to a host of ours.
pub async fn tell(browser: &Browser, token: &str) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", token).finish();
    let mut provider = Browser { cookies: Default::default(), ..browser.clone() };
    provider.request("POST", BACKCHANNEL, &[FORM], body.as_bytes()).await
}

/// Another person than [`User::ada`].
pub fn grace() -> User {
    User { sub: "auth0|grace".into(), ..User::ada() }
}

/// The reason of the last line in the access log.
pub async fn reason(scene: &Scene) -> String {
    scene.log().await.last().unwrap()["reason"].as_str().unwrap().to_owned()
}
