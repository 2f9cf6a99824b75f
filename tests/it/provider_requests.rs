//! Requests to a provider as the file describes them: what is written reaches it, encoded, and what is Doorward's stays.

use std::time::Duration;

use doorward_demo::tenant;
use doorward_tests::client::path_of;
use doorward_tests::hostile::{self, Authorization, Endpoint, HostileIdp, Request, User};
use doorward_tests::scene::{APP, Plan, Scene};

const LOGIN: &str = "/_doorward/login?return_to=/private";

/// The usual edge before `idp`, with this below `requests:`.
fn plan(idp: &HostileIdp, requests: &str) -> Plan {
    let usual = Plan::oidc(idp.issuer());
    let provider = format!("{}    client_auth: post\n    requests:\n{requests}", usual.provider);
    Plan { provider, ..usual }
}

/// The last request to this endpoint.
fn last(idp: &HostileIdp, endpoint: Endpoint) -> Request {
    idp.log().into_iter().rfind(|request| request.endpoint == endpoint).expect("a request")
}

/// Where a link to `login` leads.
async fn led_to(scene: &Scene, link: &str) -> Authorization {
    let answer = scene.browser(APP).go(link).await;
    assert_eq!(answer.status, 302, "{link}: {}", answer.text());
    Authorization::parse(answer.location())
}

#[tokio::test]
async fn a_template_reaches_the_authorization_request_as_written_and_encoded() {
    let idp = HostileIdp::start().await;
    let requests = r#"
      authorize: { params: { kc_idp_hint: "${idp_hint}", brand: "a b&state=x=${clientId}", kept: "$${idp_hint}", client_id: "${clientId}" } }
"#;
    let scene = Scene::with(plan(&idp, requests)).await;
    let with_hint = led_to(&scene, &format!("{LOGIN}&idp_hint=google-oauth2")).await;
    assert_eq!(with_hint.must("kc_idp_hint"), "google-oauth2");
    assert_eq!(with_hint.must("brand"), "a b&state=x=doorward");
    assert_eq!(with_hint.must("kept"), "${idp_hint}");
    assert_eq!(with_hint.must("client_id"), hostile::CLIENT_ID);
    assert_eq!(with_hint.get("idp_hint"), None, "under its own name it is nobody's parameter");
    let without = led_to(&scene, LOGIN).await;
    assert_eq!((without.get("kc_idp_hint"), without.get("brand")), (None, Some("a b&state=x=doorward")));
    // And it is a sign-in like any other.
    let mut browser = scene.browser(APP);
    let redirect = browser.go(LOGIN).await;
    let callback = idp.grant(redirect.location(), &User::ada());
    assert_eq!(browser.go(&path_of(&callback)).await.status, 303);
    assert_eq!(browser.go("/private").await.status, 200);
}

#[tokio::test]
async fn oidc_18_an_idp_hint_is_a_short_name_once_and_goes_only_where_a_template_takes_it() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, "      authorize: { params: { kc_idp_hint: \"${idp_hint}\" } }\n")).await;
    for wrong in ["a%26b", "a%0d%0ab", "..%2fx", "", &"a".repeat(65), "google&idp_hint=github"] {
        let answer = scene.browser(APP).go(&format!("{LOGIN}&idp_hint={wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
    }
    let longest = "a".repeat(64);
    assert_eq!(led_to(&scene, &format!("{LOGIN}&idp_hint={longest}")).await.must("kc_idp_hint"), longest);
    // A provider without a place for it hears nothing of it.
    let plain = Scene::with(Plan::oidc(idp.issuer())).await;
    let led = led_to(&plain, &format!("{LOGIN}&idp_hint=google")).await;
    assert!(led.parameters.iter().all(|(_, value)| value != "google"), "{led:?}");
}

#[tokio::test]
async fn an_idp_hint_may_choose_a_connection_of_auth0_where_none_is_settled() {
    let provider = "    requests: { authorize: { params: { connection: \"${idp_hint}\" } } }\n";
    let scene = Scene::with(Plan { provider: provider.into(), ..Plan::default() }).await;
    let led = led_to(&scene, &format!("{LOGIN}&idp_hint=google-oauth2")).await;
    assert_eq!((led.must("connection"), led.must("client_id")), ("google-oauth2", tenant::CLIENT_ID));
    assert_eq!(led_to(&scene, LOGIN).await.get("connection"), None);
}

#[tokio::test]
async fn a_token_request_keeps_what_is_ours_and_adds_what_is_written() {
    let idp = HostileIdp::start().await;
    // The body is the one that another product's documentation has, with two fields more.
    let requests = format!(
        r#"
      token:
        url: "{}oauth/token?tenant=${{clientId}}&region=eu%20west"
        body: "grant_type=authorization_code&code=${{code}}&redirect_uri=${{redirectUri}}&client_id=${{clientId}}&resource=x%26y+z&of=${{code}}"
        headers: {{ X-Tenant: "acme ${{clientId}}", Authorization: "" }}
"#,
        idp.issuer()
    );
    let scene = Scene::with(plan(&idp, &requests)).await;
    let mut browser = scene.browser(APP);
    let redirect = browser.go("/private").await;
    let callback = idp.grant(redirect.location(), &User::ada());
    let answer = browser.go(&path_of(&callback)).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let request = last(&idp, Endpoint::Token);
    assert_eq!(request.target, "/oauth/token?tenant=doorward&region=eu+west");
    let code = request.field("code").expect("one code");
    let field = |name: &str| request.field(name);
    assert_eq!(field("grant_type").as_deref(), Some("authorization_code"));
    assert_eq!(field("client_id").as_deref(), Some(hostile::CLIENT_ID));
    assert_eq!(field("client_secret").as_deref(), Some(hostile::CLIENT_SECRET), "the client proves itself as configured");
    assert!(field("code_verifier").is_some_and(|verifier| verifier.len() >= 43), "PKCE whatever the template says");
    assert_eq!((field("resource").as_deref(), field("of")), (Some("x&y z"), Some(code)));
    assert_eq!(request.form().len(), 8, "{:?}", request.form().iter().map(|(name, _)| name).collect::<Vec<_>>());
    assert_eq!((request.header("x-tenant"), request.header("authorization")), (Some("acme doorward"), None));
}

#[tokio::test]
async fn a_value_that_is_filled_in_can_add_no_field_and_no_header() {
    let idp = HostileIdp::start().await;
    let requests = "      token: { params: { seen: \"${code}\" }, headers: { X-Code: \"<${code}>\" } }\n";
    let scene = Scene::with(plan(&idp, requests)).await;
    let mut browser = scene.browser(APP);
    let redirect = browser.go("/private").await;
    let callback = idp.authorization(redirect.location()).callback(&[("code", "a&grant_type=password%0d%0aX-B:c")]);
    let answer = browser.go(&path_of(&callback)).await;
    assert_ne!(answer.status, 303, "nobody has such a code");
    let request = last(&idp, Endpoint::Token);
    assert_eq!(request.field("seen").as_deref(), Some("a&grant_type=password%0d%0aX-B:c"));
    assert_eq!(request.field("grant_type").as_deref(), Some("authorization_code"));
    assert_eq!(request.header("x-code"), Some("<a&grant_type=password%250d%250aX-B:c>"));
}

#[tokio::test]
async fn a_refresh_request_keeps_what_is_ours_and_adds_what_is_written() {
    let idp = HostileIdp::start().await;
    idp.set_access_lifetime(2);
    let requests = r#"
      refresh:
        body: "grant_type=refresh_token&refresh_token=${refreshToken}&client_id=${clientId}&scope=openid%20email"
        headers: { X-Why: refresh }
"#;
    let session = "  idle: 1h\n  lifetime: 12h\n  store: memory\n  refresh: { ahead: 1m, grace: 5m }\n";
    let usual = plan(&idp, requests);
    let provider = format!("{}    scope: [openid, profile, email, offline_access]\n", usual.provider);
    let scene = Scene::with(Plan { provider, session: session.into(), ..usual }).await;
    let mut browser = scene.browser(APP);
    let redirect = browser.go("/private").await;
    let callback = idp.grant(redirect.location(), &User::ada());
    assert_eq!(browser.go(&path_of(&callback)).await.status, 303);
    // Half of a token's life is the most that it is renewed ahead of its end.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(browser.go("/private").await.status, 200);
    assert!(idp.saw(Endpoint::Token, 2, Duration::from_secs(5)).await, "no refresh");
    let request = last(&idp, Endpoint::Token);
    assert_eq!(request.field("grant_type").as_deref(), Some("refresh_token"));
    assert!(request.field("refresh_token").is_some_and(|token| token.starts_with("refresh-")));
    assert_eq!(request.field("scope").as_deref(), Some("openid email"));
    assert_eq!((request.header("x-why"), request.form().len()), (Some("refresh"), 5));
}

#[tokio::test]
async fn logout_03_a_sign_out_goes_where_the_template_says_with_what_is_ours() {
    let idp = HostileIdp::start().await;
    let requests = format!(
        "      logout: {{ url: \"{}elsewhere/logout?back=${{redirectUri}}\", params: {{ brand: \"a&b\", token: \"${{id_token}}\" }} }}\n",
        idp.issuer()
    );
    for (store, knows) in [("", false), ("  store: memory\n", true)] {
        let session = format!("  idle: 1h\n  lifetime: 12h\n{store}");
        let scene = Scene::with(Plan { session, ..plan(&idp, &requests) }).await;
        let mut browser = scene.browser(APP);
        let redirect = browser.go("/private").await;
        let callback = idp.grant(redirect.location(), &User::ada());
        assert_eq!(browser.go(&path_of(&callback)).await.status, 303);
        let answer = browser.request("POST", "/_doorward/logout", &[("sec-fetch-site", "same-origin")], b"").await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let sent = Authorization::parse(answer.location());
        assert_eq!(sent.endpoint, format!("{}elsewhere/logout", idp.issuer()));
        assert_eq!(sent.must("back"), sent.must("post_logout_redirect_uri"));
        assert!(sent.must("back").starts_with("https://app.localhost"), "{sent:?}");
        assert_eq!((sent.must("brand"), sent.must("client_id")), ("a&b", hostile::CLIENT_ID));
        // Only a session on our side has one: else the parameter is left out.
        assert_eq!((sent.get("token").is_some(), sent.get("id_token_hint").is_some()), (knows, knows));
        assert_eq!(sent.get("token"), sent.get("id_token_hint"));
    }
}
