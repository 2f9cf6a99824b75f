//! Links to `login`: what they may say, who may follow them, and sign-ins that a provider begins.

use doorward_tests::client::{Browser, parameter, path_of};
use doorward_tests::hostile::{Endpoint, HostileIdp, User};
use doorward_tests::scene::{APP, Plan, Scene};
use serde_json::json;

use super::{ATTEMPT, CALLBACK, SESSION, plain, reason, rig};

const NAVIGATION: [(&str, &str); 3] = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", "text/html")];

fn has(location: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(location).unwrap();
    let values: Vec<String> = url.query_pairs().filter(|(own, _)| own == name).map(|(_, value)| value.into_owned()).collect();
    assert!(values.len() <= 1, "PARAM-06: `{name}` in {location}");
    values.into_iter().next()
}

#[tokio::test]
async fn oidc_19_24_a_look_ahead_begins_no_sign_in() {
    let (_idp, scene) = rig("").await;
    let ahead: [&[(&str, &str)]; 6] = [
        &[("sec-purpose", "prefetch")],
        &[("sec-purpose", "prefetch;prerender")],
        &[("sec-purpose", "prefetch;anonymous-client-ip")],
        &[("purpose", "prefetch")],
        &[("x-moz", "prefetch")],
        &[("x-purpose", "preview")],
    ];
    for path in ["/private", "/_doorward/login?return_to=/private", "/_doorward/whoami"] {
        for fields in ahead {
            // As a browser that says where it goes does, and as one that does not.
            for says in [&NAVIGATION[..], &NAVIGATION[2..]] {
                let mut browser = scene.browser(APP);
                let answer = browser.request("GET", path, &[says, fields].concat(), b"").await;
                assert_eq!((answer.status, answer.field("location")), (401, None), "{path} {fields:?}: {}", answer.text());
                assert!(answer.all("set-cookie").is_empty() && browser.cookies.is_empty(), "{path} {fields:?}");
                assert_eq!(answer.field("cache-control"), Some("no-store"), "{path} {fields:?}");
            }
        }
        let mut browser = scene.browser(APP);
        assert_eq!(browser.request("GET", path, &NAVIGATION, b"").await.status, 302, "{path}: and then somebody goes there");
        assert_eq!(browser.cookies.len(), 1);
    }
    assert_eq!(scene.app.bytes(), 0);
}

#[tokio::test]
async fn oidc_18_a_link_sets_what_the_configuration_lets_it_and_nothing_else() {
    let asked = "login_hint=ada%40acme.dev&ui_locales=de%20en&screen_hint=signup&organization=org_1&invitation=inv&connection=github&prompt=select_account";
    let names = ["login_hint", "ui_locales", "screen_hint", "organization", "invitation", "connection", "prompt"];
    let rows: [(&str, &str, &[&str]); 4] = [
        ("by default", "", &["login_hint", "ui_locales", "prompt"]),
        ("none", "    login_parameters: []\n", &["prompt"]),
        ("some", "    login_parameters: [organization, invitation]\n", &["organization", "invitation", "prompt"]),
        ("all", "    login_parameters: [login_hint, ui_locales, screen_hint, organization, invitation, connection]\n", &names),
    ];
    for (name, lines, expected) in rows {
        let (_idp, scene) = rig(lines).await;
        let answer = scene.browser(APP).go(&format!("/_doorward/login?return_to=/private&{asked}")).await;
        for parameter in names {
            assert_eq!(has(answer.location(), parameter).is_some(), expected.contains(&parameter), "{name}: {parameter}");
        }
    }
    let (_idp, scene) = rig("    authorize: { ui_locales: de, prompt: login }\n    organization: org_1\n").await;
    let answer = scene.browser(APP).go("/_doorward/login?organization=org_2&ui_locales=fr&prompt=select_account&login_hint=a").await;
    for (name, value) in [("organization", "org_1"), ("ui_locales", "de"), ("prompt", "login"), ("login_hint", "a")] {
        assert_eq!(parameter(answer.location(), name), value, "what is configured stays");
    }
    let (_idp, scene) = rig("").await;
    for (prompt, passes) in [("login", true), ("none", false), ("consent", false), ("login%20none", false)] {
        let answer = scene.browser(APP).go(&format!("/_doorward/login?prompt={prompt}")).await;
        assert_eq!(has(answer.location(), "prompt").is_some(), passes, "{prompt}");
    }
    let long = "a".repeat(600);
    for (name, query, status) in [
        ("PARAM-01 two hints", "login_hint=a&login_hint=a".to_owned(), 400),
        ("PARAM-01 two prompts", "prompt=login&prompt=login".to_owned(), 400),
        ("too long", format!("login_hint={long}"), 400),
        ("a line end", "login_hint=a%0d%0ab".to_owned(), 400),
        ("empty", "login_hint=".to_owned(), 400),
        ("one", "login_hint=a".to_owned(), 302),
    ] {
        assert_eq!(scene.browser(APP).go(&format!("/_doorward/login?{query}")).await.status, status, "{name}");
    }
}

#[tokio::test]
async fn oidc_15_an_organization_that_a_link_asks_for_must_come_back() {
    let (idp, scene) = rig("    login_parameters: [organization]\n").await;
    for (name, asked, claim, value, status) in [
        ("its id", "org_1", "org_id", "org_1", 303),
        ("another id", "org_1", "org_id", "org_2", 502),
        ("an id in another case", "org_1", "org_id", "ORG_1", 502),
        ("its name", "Acme", "org_name", "acme", 303),
        ("another name", "Acme", "org_name", "acme2", 502),
        ("an id where a name was asked for", "acme", "org_id", "acme", 502),
        ("nothing", "org_1", "other", "org_1", 502),
    ] {
        let mut browser = scene.browser(APP);
        let redirect = browser.go(&format!("/_doorward/login?return_to=/private&organization={asked}")).await;
        assert_eq!(parameter(redirect.location(), "organization"), asked, "{name}");
        idp.next_id_token(move |token| token.claims[claim] = json!(value));
        let back = browser.go(&path_of(&idp.grant(redirect.location(), &User::ada()))).await;
        assert_eq!(back.status, status, "{name}: {}", back.text());
        assert_eq!(browser.cookies.contains_key(SESSION), status == 303, "{name}");
    }
    assert_eq!(reason(&scene).await, "token_organization");
    // Where nobody asks for one, none is needed.
    let mut browser = scene.browser(APP);
    assert_eq!(super::come_back(&idp, &mut browser, "/private").await.status, 303);
}

#[tokio::test]
async fn conf_third_party_oidcc_client_test_3rd_party_init_login() {
    let (idp, scene) = rig("    third_party_login: true\n").await;
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let issuer = encode(idp.issuer());
    let target = encode("https://app.localhost/private?page=3");
    let sign_in = async |browser: &mut Browser, location: &str| browser.go(&path_of(&idp.grant(location, &User::ada()))).await;

    let mut browser = scene.browser(APP);
    let path = format!("/_doorward/login?iss={issuer}&login_hint=ada%40acme.dev&target_link_uri={target}&scope=admin&prompt=login");
    let redirect = browser.go(&path).await;
    assert_eq!(redirect.status, 302, "{}", redirect.text());
    assert_eq!(has(redirect.location(), "login_hint").as_deref(), Some("ada@acme.dev"));
    assert_eq!(has(redirect.location(), "prompt"), None, "an issuer says whose sign-in it is, and no more");
    let back = sign_in(&mut browser, redirect.location()).await;
    assert_eq!((back.status, back.location()), (303, "https://app.localhost/private?page=3"));

    // The same by POST, from the provider's own page; a form that somebody's frame posts begins nothing.
    let body = format!("iss={issuer}&target_link_uri={target}");
    let form = [("content-type", "application/x-www-form-urlencoded"), ("origin", "https://idp.example"), ("sec-fetch-site", "cross-site")];
    let mut browser = scene.browser(APP);
    let posted = browser.request("POST", "/_doorward/login", &[&NAVIGATION[..], &form].concat(), body.as_bytes()).await;
    assert_eq!(posted.status, 303, "{}", posted.text());
    assert!(browser.cookies.is_empty());
    let redirect = browser.go(posted.location()).await;
    assert_eq!(sign_in(&mut browser, redirect.location()).await.location(), "https://app.localhost/private?page=3");
    let framed = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe"), ("accept", "text/html")];
    let answer = scene.browser(APP).request("POST", "/_doorward/login", &[&framed[..], &form].concat(), body.as_bytes()).await;
    assert_eq!((answer.status, answer.field("location")), (401, None));
}

#[tokio::test]
async fn oidc_18_adv_mao_03_a_sign_in_begins_only_at_the_word_of_an_issuer_that_may() {
    let (idp, scene) = rig("    third_party_login: true\n").await;
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let good = encode(idp.issuer());
    let closed = HostileIdp::start().await;
    let shut = Scene::with(Plan::oidc(closed.issuer())).await;
    let own = encode(closed.issuer());
    let rows: Vec<(&str, &Scene, String, u16)> = vec![
        ("the issuer", &scene, format!("iss={good}"), 302),
        ("another", &scene, "iss=https%3A%2F%2Fevil.test%2F".into(), 403),
        ("without its last slash", &scene, format!("iss={}", encode(idp.issuer().trim_end_matches('/'))), 403),
        ("in capital letters", &scene, format!("iss={}", good.to_uppercase()), 403),
        ("empty", &scene, "iss=".into(), 403),
        ("twice", &scene, format!("iss={good}&iss={good}"), 400),
        ("two targets", &scene, format!("iss={good}&target_link_uri=/a&target_link_uri=/a"), 400),
        ("a target elsewhere", &scene, format!("iss={good}&target_link_uri=https%3A%2F%2Fevil.test%2F"), 403),
        ("a target by backslash", &scene, format!("iss={good}&target_link_uri=%2F%5Cevil.test"), 403),
        ("a target with a tab", &scene, format!("iss={good}&target_link_uri=%2F%09%2Fevil.test"), 403),
        ("a target of ours", &scene, format!("iss={good}&target_link_uri=%2F_doorward%2Flogout"), 403),
        ("an issuer that may not", &shut, format!("iss={own}"), 403),
        ("the same by name, which is no third party's", &shut, "provider=tenant".into(), 302),
    ];
    for (name, scene, query, status) in rows {
        let mut browser = scene.browser(APP);
        let answer = browser.go(&format!("/_doorward/login?{query}")).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(browser.cookies.len(), usize::from(status == 302), "{name}");
        assert!(status == 302 || answer.text().contains("<h1>"), "{name}");
    }
    let form = [("content-type", "application/x-www-form-urlencoded"), ("accept", "text/html")];
    for (name, scene, path, body, status) in [
        ("not offered", &shut, "/_doorward/login", format!("iss={own}"), 405),
        ("another issuer", &scene, "/_doorward/login", "iss=https%3A%2F%2Fevil.test%2F".into(), 403),
        ("no issuer", &scene, "/_doorward/login", "return_to=/x".into(), 400),
        ("a query besides", &scene, "/_doorward/login?prompt=login", format!("iss={good}"), 400),
        ("17 KiB", &scene, "/_doorward/login", format!("iss={good}&x={}", "a".repeat(17 * 1024)), 413),
        ("the issuer", &scene, "/_doorward/login", format!("iss={good}"), 303),
    ] {
        let answer = scene.browser(APP).request("POST", path, &form, body.as_bytes()).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
    assert_eq!((idp.requests(Endpoint::Token), closed.requests(Endpoint::Token)), (0, 0));
}

#[tokio::test]
async fn oidc_08_after_a_refusal_the_link_asks_the_provider_to_ask() {
    let (idp, scene) = rig("").await;
    for (error, asks) in
        [("access_denied", true), ("unauthorized", true), ("login_required", true), ("interaction_required", true), ("server_error", false)]
    {
        let mut browser = scene.browser(APP);
        let redirect = browser.go("/private?a=1").await;
        let page = browser.go(&path_of(&idp.refuse(redirect.location(), error, "no"))).await;
        assert_eq!(page.field("location"), None, "{error}: nothing by itself");
        let text = plain(&page);
        let link = "/_doorward/login?return_to=%2Fprivate%3Fa%3D1";
        assert!(text.contains(link) && text.contains(&format!("{link}&prompt=login")) == asks, "{error}: {text}");
    }
    let mut browser = scene.browser(APP);
    let again = browser.go("/_doorward/login?return_to=%2Fprivate&prompt=login").await;
    assert_eq!(has(again.location(), "prompt").as_deref(), Some("login"));
    assert!(browser.cookies.keys().all(|name| name.starts_with(ATTEMPT)));
    assert!(again.location().contains(&CALLBACK.replace('/', "%2F")));
}
