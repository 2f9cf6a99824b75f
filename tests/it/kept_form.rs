//! A form whose session ended: kept, offered again to the same person, sent on a click.

use std::time::Duration;

use doorward_policy::secret::Secret;
use doorward_policy::session::{COOKIE, SealingKeys};
use doorward_proxy::clock;
use doorward_tests::client::{Answer, Browser};
use doorward_tests::scene::{APP, Plan, SESSION_KEY, Scene, session};

const FORM: &[u8] = b"title=Caf%C3%A9+%3Cb%3E&body=two%0D%0Alines&tag=a&tag=b";

async fn scene() -> Scene {
    let routes = Plan::default().routes.replacen("    rules:", "    keep_form: true\n    rules:", 1);
    Scene::with(Plan { routes, ..Plan::default() }).await
}

/// A browser of Ada's whose session was idle for too long.
fn idle(scene: &Scene) -> Browser {
    let key = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, SESSION_KEY).unwrap();
    let keys = SealingKeys::new(&[Secret::new(key)]).unwrap();
    let then = clock::now().minus(Duration::from_secs(7200));
    let mut browser = scene.browser(APP);
    browser.cookies.insert(COOKIE.into(), session(scene, then, then).seal(&keys, APP, [7; 12]).unwrap());
    browser
}

async fn post(browser: &mut Browser, origin: &str, kind: &str, body: &[u8]) -> Answer {
    let fields = [
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-site", "same-origin"),
        ("accept", "text/html"),
        ("origin", origin),
        ("content-type", kind),
    ];
    browser.request("POST", "/orders?x=1", &fields, body).await
}

const URLENCODED: &str = "application/x-www-form-urlencoded";
const OWN: &str = "https://app.localhost";

/// The link of the page that says so.
fn login_link(answer: &Answer) -> Option<String> {
    let text = answer.text().replace("&amp;", "&").replace("&#x2f;", "/");
    let at = text.find("/_doorward/login?return_to=%2F_doorward%2Fresume")?;
    Some(text[at..].split(['"', '\'']).next()?.to_owned())
}

async fn signed_in_again(scene: &Scene, browser: &mut Browser, link: &str, persona: &str) -> Answer {
    let answer = scene.sign_in(browser, link, persona).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(answer.location().starts_with("/_doorward/resume?form="), "{}", answer.location());
    let resume = answer.location().to_owned();
    browser.go(&resume).await
}

#[tokio::test]
async fn a_form_survives_the_way_to_sign_in_and_is_sent_on_a_click() {
    let scene = scene().await;
    let mut browser = idle(&scene);
    let answer = post(&mut browser, OWN, URLENCODED, FORM).await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    let link = login_link(&answer).unwrap_or_else(|| panic!("{}", answer.text()));
    assert!(!answer.text().contains("Caf"));
    assert_eq!(scene.app.seen().len(), 0, "nothing was passed on");

    let page = signed_in_again(&scene, &mut browser, &link, "ada").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let text = page.text();
    assert!(text.contains("Café &lt;b&gt;") && text.contains("name=\"tag\"") && !text.contains("<b>"), "{text}");
    assert!(text.contains("/orders?x=1") || text.contains("&#x2f;orders?x=1"), "{text}");
    assert_eq!(scene.app.seen().len(), 0, "and nothing by itself");

    // The click.
    let sent = post(&mut browser, OWN, URLENCODED, FORM).await;
    assert_eq!(sent.status, 200);
    assert_eq!(scene.app.seen().last().unwrap().body, FORM);
}

#[tokio::test]
async fn csrf_01_only_what_this_hosts_own_page_posted_in_a_session_of_ours_is_kept() {
    let scene = scene().await;
    let large = [b"a=".as_slice(), &vec![b'x'; 64 * 1024]].concat();
    for (name, with_session, origin, kind, body) in [
        ("another site's page", true, "https://evil.test", URLENCODED, FORM),
        ("a page without origin", true, "null", URLENCODED, FORM),
        ("plain http", true, "http://app.localhost", URLENCODED, FORM),
        ("files", true, OWN, "multipart/form-data; boundary=x", FORM),
        ("no session ever", false, OWN, URLENCODED, FORM),
        ("more than 64 KiB", true, OWN, URLENCODED, &large),
        ("broken escapes", true, OWN, URLENCODED, b"a=%zz"),
    ] {
        let mut browser = if with_session { idle(&scene) } else { scene.browser(APP) };
        let answer = post(&mut browser, origin, kind, body).await;
        assert_eq!(answer.status, 401, "{name}");
        assert_eq!(login_link(&answer), None, "{name}");
    }
    let kept = post(&mut idle(&scene), OWN, URLENCODED, FORM).await;
    assert!(login_link(&kept).is_some());
    // A route that does not ask for it keeps nothing.
    let plain = Scene::start().await;
    assert_eq!(login_link(&post(&mut idle(&plain), OWN, URLENCODED, FORM).await), None);
}

#[tokio::test]
async fn a_kept_form_is_shown_to_nobody_else() {
    let scene = scene().await;
    let mut browser = idle(&scene);
    let link = login_link(&post(&mut browser, OWN, URLENCODED, FORM).await).unwrap();
    // Somebody else sits down at the same browser.
    let page = signed_in_again(&scene, &mut browser, &link, "vera").await;
    assert_eq!(page.status, 410, "{}", page.text());
    assert!(!page.text().contains("Caf"));
    // The one whose form it is still gets it, in another browser too.
    let page = signed_in_again(&scene, &mut scene.browser(APP), &link, "ada").await;
    assert_eq!(page.status, 200, "{}", page.text());
    // Ids that are none.
    let mut ada = scene.signed_in(APP, "ada").await;
    for query in ["", "?form=", "?form=nothing", "?form=a&form=b"] {
        assert_eq!(ada.go(&format!("/_doorward/resume{query}")).await.status, 410, "{query}");
    }
}
