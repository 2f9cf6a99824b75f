//! Answers that a provider lets the browser post (OAuth 2.0 Form Post Response Mode).

use doorward_tests::asker::{Asker, HOOKS};
use doorward_tests::client::{Answer, Browser, parameter, path_of};
use doorward_tests::hostile::{Endpoint, HostileIdp, User};
use doorward_tests::scene::{APP, Plan, Scene};

use super::{ATTEMPT, CALLBACK, ROUNDS, SESSION, forget_attempts, reason, rig};

const BY_FORM: &str = "    response_mode: form_post\n";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const CROSS_SITE: [(&str, &str); 4] =
    [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-fetch-site", "cross-site"), ("accept", "text/html")];

/// What the provider's page would post.
fn answer_for(idp: &HostileIdp, location: &str) -> String {
    path_of(&idp.grant(location, &User::ada())).split_once('?').unwrap().1.to_owned()
}

/// Posts as the provider's page makes a browser do: cookies that keep to their own site stay at home.
pub async fn post(browser: &mut Browser, path: &str, kind: (&str, &str), body: &str) -> Answer {
    let at_home = browser.cookies.remove(SESSION);
    let answer = browser.request("POST", path, &[&CROSS_SITE[..], &[kind]].concat(), body.as_bytes()).await;
    browser
        .cookies
        .extend(at_home.filter(|_| !answer.cookies().iter().any(|(name, _)| name == SESSION)).map(|value| (SESSION.into(), value)));
    answer
}

#[tokio::test]
async fn oidc_12_cookie_09_an_answer_by_form_signs_in_and_only_its_cookies_cross_sites() {
    let (idp, scene) = rig(BY_FORM).await;
    let mut browser = scene.browser(APP);
    let redirect = browser.go("/private?page=2").await;
    assert_eq!(parameter(redirect.location(), "response_mode"), "form_post");
    let cookie = redirect.field("set-cookie").unwrap();
    for attribute in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=None", "; Max-Age=600"] {
        assert!(cookie.starts_with(ATTEMPT) && cookie.contains(attribute), "{cookie}");
    }
    let back = post(&mut browser, CALLBACK, FORM, &answer_for(&idp, redirect.location())).await;
    assert_eq!((back.status, back.location()), (303, "/private?page=2"), "{}", back.text());
    let line = |name: &str| back.all("set-cookie").into_iter().find(|line| line.starts_with(&format!("{name}="))).unwrap().to_owned();
    assert!(line(SESSION).contains("SameSite=Lax") && line(ROUNDS).contains("SameSite=None"), "{:?}", back.fields);
    assert_eq!(browser.go("/private?page=2").await.status, 200);
    // The twin that answers in the query keeps everything at home.
    let (_idp, scene) = rig("").await;
    let redirect = scene.browser(APP).go("/private").await;
    assert!(redirect.field("set-cookie").unwrap().contains("SameSite=Lax"));
    assert!(!redirect.location().contains("response_mode"));
}

#[tokio::test]
async fn oidc_11_12_param_01_02_only_a_form_and_only_a_whole_one_is_an_answer() {
    let (idp, scene) = rig(BY_FORM).await;
    let mut browser = scene.browser(APP);
    let redirect = browser.go("/private").await;
    let state = parameter(redirect.location(), "state");
    let good = answer_for(&idp, redirect.location());
    let get = browser.go(&format!("{CALLBACK}?{good}")).await;
    assert_eq!((get.status, get.field("allow")), (405, Some("POST")), "OIDC-11: not in the query");
    let rows = [
        ("a query besides", "?x=1", FORM, good.clone(), 400),
        ("an empty query besides", "?", FORM, good.clone(), 400),
        ("PARAM-02 in both", "?code=c", FORM, good.clone(), 400),
        ("OIDC-12 plain text", "", ("content-type", "text/plain"), good.clone(), 400),
        ("OIDC-12 multipart", "", ("content-type", "multipart/form-data; boundary=x"), good.clone(), 400),
        ("OIDC-12 JSON", "", ("content-type", "application/json"), good.clone(), 400),
        ("OIDC-12 with a parameter", "", ("content-type", "application/x-www-form-urlencoded; charset=utf-7"), good.clone(), 400),
        ("OIDC-12 no type", "", ("x-nothing", "x"), good.clone(), 400),
        ("OIDC-12 more than 16 KiB", "", FORM, format!("{good}&x={}", "a".repeat(16 * 1024)), 413),
        ("nothing", "", FORM, String::new(), 400),
        ("PARAM-01 two codes", "", FORM, format!("{good}&code=x"), 400),
        ("PARAM-01 two states", "", FORM, format!("{good}&state=x"), 400),
        ("PARAM-01 two issuers", "", FORM, format!("{good}&iss=a&iss=a"), 400),
        ("PARAM-02 an empty code", "", FORM, format!("code=&state={state}"), 400),
        ("PARAM-02 a broken escape", "", FORM, format!("code=%zz&state={state}"), 400),
        ("OIDC-11 an ID token", "", FORM, format!("{good}&id_token=e30.e30."), 400),
        ("a made-up state", "", FORM, "code=c&state=AAAA".into(), 400),
    ];
    for (name, query, kind, body, status) in rows {
        let answer = post(&mut browser, &format!("{CALLBACK}{query}"), kind, &body).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert!(answer.all("set-cookie").is_empty(), "{name}");
    }
    assert_eq!(idp.requests(Endpoint::Token), 0);
    assert_eq!(post(&mut browser, CALLBACK, FORM, &good).await.status, 303, "after all that, the right one");
    // And the other way round: who is asked in the query is not answered by a form.
    let (idp, scene) = rig("").await;
    let mut browser = scene.browser(APP);
    let redirect = browser.go("/private").await;
    let answer = post(&mut browser, CALLBACK, FORM, &answer_for(&idp, redirect.location())).await;
    assert_eq!((answer.status, answer.field("allow"), idp.requests(Endpoint::Token)), (405, Some("GET"), 0));
}

#[tokio::test]
async fn conf_form_post_oidcc_client_test_form_post_error() {
    let (idp, scene) = rig(BY_FORM).await;
    let mut browser = scene.browser(APP);
    let redirect = browser.go("/private").await;
    let refused = path_of(&idp.refuse(redirect.location(), "login_required", "<script>x")).split_once('?').unwrap().1.to_owned();
    let page = post(&mut browser, CALLBACK, FORM, &refused).await;
    assert_eq!(page.status, 400, "{}", page.text());
    assert!(page.text().contains("&lt;script&gt;") && page.text().contains("wants to ask you something"), "{}", page.text());
    assert!(!browser.cookies.contains_key(SESSION));
    assert_eq!(reason(&scene).await, "login_required");
}

#[tokio::test]
async fn unstuck_01_a_lost_attempt_begins_again_after_a_form_too() {
    let (idp, scene) = rig(BY_FORM).await;
    let mut browser = scene.browser(APP);
    let redirect = browser.go("/private?x").await;
    forget_attempts(&mut browser);
    let again = post(&mut browser, CALLBACK, FORM, &answer_for(&idp, redirect.location())).await;
    // OIDC-23: the form goes nowhere else.
    assert_eq!(again.status, 303, "{}", again.text());
    let back = post(&mut browser, CALLBACK, FORM, &answer_for(&idp, again.location())).await;
    assert_eq!((back.status, back.location()), (303, "/private?x"));
    // From a frame nothing begins.
    let redirect = scene.browser(APP).go("/private").await;
    let framed = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe"), FORM];
    let body = answer_for(&idp, redirect.location());
    assert_eq!(scene.browser(APP).request("POST", CALLBACK, &framed, body.as_bytes()).await.status, 400);
}

#[tokio::test]
async fn oidc_12_an_answer_by_form_reaches_us_behind_another_proxy() {
    let idp = HostileIdp::start().await;
    let plan = Plan::oidc(idp.issuer());
    let scene = Scene::with(Plan { server: HOOKS.into(), provider: plan.provider.clone() + BY_FORM, ..plan }).await;
    let asker = Asker::of(&scene);
    let visit = [("host", APP), ("x-forwarded-proto", "https")];
    let login = asker.request("GET", "/_doorward/login?return_to=/private", &[&visit[..], &CROSS_SITE].concat()).await;
    let cookie = login.cookies().into_iter().map(|(name, value)| format!("{name}={value}")).collect::<String>();
    let body = answer_for(&idp, login.location());
    let post = |body: &str| {
        let fields = [&visit[..], &CROSS_SITE, &[FORM, ("cookie", &cookie)]].concat();
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("POST {CALLBACK} HTTP/1.1\r\n{fields}content-length: {}\r\n\r\n{body}", body.len())
    };
    assert_eq!(asker.send(post(&format!("{body}&x={}", "a".repeat(17 * 1024)))).await.status, 413);
    let back = asker.send(post(&body)).await;
    assert_eq!((back.status, back.location()), (303, "/private"), "{}", back.text());
}
