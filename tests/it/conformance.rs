//! Modules of the OpenID Foundation's conformance suite for relying parties, by their own names. `docs/conformance.md`
//! lists all of them and says what each does; tests about sign-outs, refreshes and links stand with their subjects.

mod beyond;
mod discovery;
mod session;
mod sign_in;
mod table;

use std::time::Duration;

use doorward_proxy::keys::Tempo;
use doorward_tests::client::{Answer, Browser, parameter, path_of};
use doorward_tests::hostile::{Endpoint, HostileIdp, Token, User};
use doorward_tests::scene::{APP, Plan, Scene};

use crate::logout::FORM;
use crate::oidc::{ONE_ROUTE, assert_refused};
use crate::unstuck::by_form;

const ATTEMPT: &str = "__Host-doorward-attempt.";

/// How the provider's answer comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Query,
    Form,
}

/// The provider of one module, and an edge before it that asks for userinfo as the suite expects.
struct Case {
    idp: HostileIdp,
    scene: Scene,
    by: By,
}

impl Case {
    async fn start(by: By) -> Self {
        Self::before(HostileIdp::start().await, by, |plan| plan).await
    }

    /// Another provider, and what is different about the edge before it.
    async fn before(idp: HostileIdp, by: By, change: impl FnOnce(Plan) -> Plan) -> Self {
        let mode = if by == By::Form { "    response_mode: form_post\n" } else { "" };
        let plan = Plan {
            // Without an audience, so that access tokens are opaque as the suite's are.
            provider: format!("    userinfo: true\n{mode}"),
            routes: ONE_ROUTE.into(),
            tempo: Tempo { sign_in_cool_down: Duration::from_millis(5), ..Tempo::default() },
            ..Plan::oidc(idp.issuer())
        };
        let scene = Scene::with(change(plan)).await;
        Self { idp, scene, by }
    }

    /// Ada signs in: the callback's status and the reason.
    async fn sign_in(&self) -> (u16, String) {
        self.sign_in_as(&User::ada()).await
    }

    async fn sign_in_as(&self, user: &User) -> (u16, String) {
        let mut browser = self.scene.browser(APP);
        let location = self.begin(&mut browser).await;
        let answer = self.come_back(&mut browser, &self.idp.grant(&location, user)).await;
        let reason = self.scene.reason_of(&answer).await;
        let reached = self.scene.app.bytes();
        if answer.status == 303 {
            assert_eq!(browser.go("/private").await.status, 200);
            assert_eq!(self.scene.app.last().one("x-auth-user"), Some(user.sub.as_str()));
        } else {
            assert_refused(&reason, &answer, answer.status);
            assert!(browser.cookies.keys().all(|name| !name.starts_with(ATTEMPT)), "{reason}: the attempt is spent");
            assert_eq!(browser.go("/private").await.status, 302);
            assert_eq!(self.scene.app.bytes(), reached, "{reason}");
        }
        (answer.status, reason)
    }

    /// Where the browser was sent.
    async fn begin(&self, browser: &mut Browser) -> String {
        let redirect = browser.go("/private").await;
        assert_eq!(redirect.status, 302, "{}", redirect.text());
        if self.by == By::Form {
            assert_eq!(parameter(redirect.location(), "response_mode"), "form_post");
        }
        redirect.location().to_owned()
    }

    async fn come_back(&self, browser: &mut Browser, callback: &str) -> Answer {
        let back = path_of(callback);
        match self.by {
            By::Query => browser.go(&back).await,
            By::Form => {
                let (path, body) = back.split_once('?').unwrap();
                by_form::post(browser, path, FORM, body).await
            }
        }
    }
}

fn refused(reason: &str) -> (u16, String) {
    (502, reason.to_owned())
}

fn signed_in() -> (u16, String) {
    (303, "signed_in".to_owned())
}

/// An ID token that lies in one thing signs nobody in, and the same without the lie does.
async fn refuses(by: By, lie: fn(&mut Token), reason: &str) {
    let case = Case::start(by).await;
    case.idp.next_id_token(lie);
    assert_eq!(case.sign_in().await, refused(reason));
    // The suite fails a client that goes on with what came along.
    assert_eq!(case.idp.requests(Endpoint::Userinfo), 0);
    assert_eq!(case.sign_in().await, signed_in());
    assert_eq!(case.idp.requests(Endpoint::Userinfo), 1);
}
