//! The tenant's own pages: escaped, without script.

use doorward_demo::tenant::{Client, TenantSettings, User};

use crate::client::*;

const HOSTILE: &str = "<script>alert(1)</script>\"'&";

async fn login_page(tenant: &doorward_demo::Tenant, changes: &[(&str, &str)]) -> (String, Answer) {
    let redirect = get(tenant, &authorization(tenant, changes)).await;
    let state = query_of(redirect.location()).remove("state").expect("a state");
    (state, get(tenant, redirect.location()).await)
}

#[tokio::test]
async fn whatever_comes_in_is_escaped() {
    let mut client = Client::confidential("odd", "s");
    client.name = HOSTILE.into();
    let settings = TenantSettings::default().client(client).user(User::new(HOSTILE, "odd@acme.dev", HOSTILE).roles(&[HOSTILE]));
    let tenant = tenant_with(settings).await;
    let (state, page) = login_page(&tenant, &[("client_id", "odd"), ("login_hint", HOSTILE)]).await;
    let wrong = post(&tenant, "/u/login", &[("state", &state), ("username", HOSTILE), ("password", "x")]).await;
    let mismatch = get(&tenant, &authorization(&tenant, &[("redirect_uri", HOSTILE)])).await;
    let unknown = get(&tenant, &authorization(&tenant, &[("client_id", HOSTILE)])).await;
    let logout = get(&tenant, &format!("/v2/logout?{}", encoded(&[("returnTo", HOSTILE)]))).await;
    for page in [page, wrong, mismatch, unknown, logout] {
        assert!(page.body.contains("&lt;script&gt;"), "{}", page.body);
        assert!(!page.body.contains("<script"), "{}", page.body);
        assert!(page.body.contains("never for production"));
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    }
}

#[tokio::test]
async fn a_wrong_password_stays_on_the_page_and_the_right_one_leaves_it() {
    let tenant = tenant().await;
    let (state, _) = login_page(&tenant, &[]).await;
    let ask =
        async |password: &str| post(&tenant, "/u/login", &[("state", &state), ("username", "ada@acme.dev"), ("password", password)]).await;
    let wrong = ask("wrong").await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.body.contains("Wrong email or password.") && wrong.body.contains("ada@acme.dev"));
    assert!(ask("demo").await.location().starts_with(CALLBACK));
    assert_eq!(ask("demo").await.status, 400, "the page was used");
}

#[tokio::test]
async fn cancelling_tells_the_app() {
    let tenant = tenant().await;
    let (state, _) = login_page(&tenant, &[]).await;
    let answer = post(&tenant, "/u/login", &[("state", &state), ("action", "cancel")]).await;
    let query = query_of(answer.location());
    assert_eq!((query["error"].as_str(), query["state"].as_str()), ("access_denied", "st-1"));
    assert_eq!(answer.header("set-cookie"), None);
}

#[tokio::test]
async fn a_blocked_persona_is_refused_and_gets_no_session() {
    let tenant = tenant().await;
    tenant.set_blocked("vera", true);
    let (state, _) = login_page(&tenant, &[]).await;
    let refused = post(&tenant, "/u/login", &[("state", &state), ("persona", "auth0|vera")]).await;
    assert_eq!(query_of(refused.location())["error_description"], "user is blocked");
    assert_eq!(refused.header("set-cookie"), None);
    let (state, _) = login_page(&tenant, &[]).await;
    let other = post(&tenant, "/u/login", &[("state", &state), ("persona", "auth0|ada")]).await;
    assert!(query_of(other.location()).contains_key("code"));
}

#[tokio::test]
async fn a_login_hint_fills_the_form() {
    let tenant = tenant().await;
    let (_, page) = login_page(&tenant, &[("login_hint", "eddie@acme.dev")]).await;
    assert!(page.body.contains("value=\"eddie@acme.dev\""));
}
