//! Several providers at one route: whose sessions and tokens count, and how people choose.

use doorward_demo::tenant;
use doorward_tests::asker::{Asker, HOOKS, Kind, Request};
use doorward_tests::client::{Answer, Browser, parameter, path_of};
use doorward_tests::hostile::{Endpoint, Fault, HostileIdp, Profile, User};
use doorward_tests::scene::{APP, Plan, Scene};
use serde_json::json;

const BOTH: &str = "both.localhost";
const SESSION: &str = "__Host-doorward";
const ROUTES: &str = r#"
  - { name: choice, host: app.localhost, provider: [work, home, hidden], upstream: "UPSTREAM", rules: [{ path: "/public/**", allow: public }, { allow: signed-in }] }
  - { name: one, host: app.localhost, path: /one, provider: other, upstream: "UPSTREAM", accept: session, rules: [{ allow: signed-in }] }
  - { name: shown, host: app.localhost, path: /shown, provider: [home, silent], upstream: "UPSTREAM", accept: session, rules: [{ allow: signed-in }] }
  - { name: elsewhere, host: both.localhost, provider: [home, work], upstream: "UPSTREAM", accept: session, rules: [{ allow: signed-in }] }
"#;
const IDENTITY: &str = "\nheaders:\n  X-Auth-Email: \"{email}\"\n  X-Auth-Provider: \"{provider}\"\n  X-Auth-Issuer: \"{issuer}\"\n";
const NAMES: [&str; 5] = ["work", "home", "hidden", "other", "silent"];

/// Providers of these names, all of them alike but for what they are called.
struct Rig {
    idps: Vec<HostileIdp>,
    scene: Scene,
}

impl Rig {
    async fn start() -> Self {
        Self::with("  limits: { connections_per_client: 1000 }\n", ROUTES).await
    }

    async fn with(server: &str, routes: &str) -> Self {
        let mut idps = Vec::new();
        let mut providers = String::new();
        for name in NAMES {
            let idp = HostileIdp::start_as(Profile { client_secret: Some(tenant::CLIENT_SECRET.into()), ..Profile::default() }).await;
            let more = match name {
                "work" => "    label: Acme staff\n    email_domains: [acme.dev, staff.example]\n",
                "hidden" => "    hidden: true\n    email_domains: [hidden.example]\n",
                "silent" => "    hidden: true\n",
                _ => "",
            };
            providers.push_str(&format!(
                "  {name}:\n    kind: oidc\n    issuer: \"{}\"\n    client_id: doorward\n    client_secret: {{ file: secret }}\n    insecure_http: true\n    audience: https://api.acme.dev\n    access_token_type: jwt\n{more}",
                idp.issuer()
            ));
            idps.push(idp);
        }
        let plan = Plan { server: server.into(), provider: providers, routes: routes.into(), identity: IDENTITY.into(), ..Plan::default() };
        let scene = Scene::with(plan).await;
        Self { idps, scene }
    }

    fn idp(&self, name: &str) -> &HostileIdp {
        &self.idps[NAMES.iter().position(|own| *own == name).unwrap()]
    }

    /// Chooses `name` on the way to `path`, signs in there and comes back.
    async fn sign_in(&self, browser: &mut Browser, path: &str, name: &str) -> Answer {
        let return_to: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
        let redirect = browser.go(&format!("/_doorward/login?return_to={return_to}&provider={name}")).await;
        assert_eq!(redirect.status, 302, "{}", redirect.text());
        browser.go(&path_of(&self.idp(name).grant(redirect.location(), &User::ada()))).await
    }

    async fn reason(&self) -> String {
        self.scene.log().await.last().unwrap()["reason"].as_str().unwrap().to_owned()
    }

    /// Where a bearer with this token gets to, and who the app is told issued it.
    async fn call(&self, token: &str) -> (Answer, Option<String>) {
        self.scene.app.forget();
        let answer = self.scene.ask(APP, "GET", "/items", &[("authorization", &format!("Bearer {token}"))]).await;
        let told = self.scene.app.seen().first().and_then(|seen| seen.one("x-auth-provider").map(str::to_owned));
        (answer, told)
    }
}

/// The links of a page, as a browser reads them.
fn links(page: &str) -> Vec<String> {
    let unescape = |text: &str| text.replace("&amp;", "&").replace("&#x2f;", "/");
    page.split("href=\"").skip(1).map(|rest| unescape(rest.split('"').next().unwrap())).collect()
}

#[tokio::test]
async fn providers_01_a_page_asks_which_and_the_choice_leads_back() {
    let rig = Rig::start().await;
    let mut browser = rig.scene.browser(APP);
    let redirect = browser.go("/private?page=2").await;
    assert_eq!((redirect.status, redirect.location()), (302, "/_doorward/login?return_to=%2Fprivate%3Fpage%3D2"));
    let page = browser.go(redirect.location()).await;
    assert_eq!((page.status, rig.reason().await.as_str()), (200, "choose_provider"));
    assert!(browser.cookies.is_empty(), "nothing has begun: {:?}", browser.cookies);
    let text = page.text();
    let (first, second) = (text.find("Acme staff").unwrap(), text.find(">home<").or(text.find("home</")).unwrap());
    assert!(first < second, "the order of the route: {text}");
    assert!(
        !text.contains("hidden</") && !text.contains("provider=hidden") && !text.contains("provider=other") && !text.contains("tenant"),
        "{text}"
    );
    let chosen: Vec<String> = links(&text).into_iter().filter(|link| link.contains("provider=")).collect();
    assert_eq!(chosen.len(), 2, "{chosen:?}");
    let redirect = browser.go(&chosen[1]).await;
    assert!(redirect.location().starts_with(rig.idp("home").issuer()), "{}", redirect.location());
    let back = browser.go(&path_of(&rig.idp("home").grant(redirect.location(), &User::ada()))).await;
    assert_eq!((back.status, back.location()), (303, "/private?page=2"), "{}", back.text());
    assert_eq!(browser.go("/private?page=2").await.status, 200);
    let seen = rig.scene.app.last();
    assert_eq!((seen.one("x-auth-provider"), seen.one("x-auth-issuer")), (Some("home"), Some(rig.idp("home").issuer())));
    // It is not remembered.
    assert_eq!(rig.scene.browser(APP).go(&chosen[0].replace("&provider=work", "")).await.status, 200);
}

#[tokio::test]
async fn providers_02_only_what_this_place_uses_can_be_chosen() {
    let rig = Rig::start().await;
    let rows = [
        ("of the page", APP, "return_to=/x&provider=work", Some("work")),
        ("not on the page", APP, "return_to=/x&provider=hidden", Some("hidden")),
        ("of another route of this host", APP, "return_to=/x&provider=other", Some("other")),
        ("of no route", APP, "return_to=/x&provider=tenant", None),
        ("of another host", BOTH, "return_to=/x&provider=other", None),
        ("of nobody", APP, "return_to=/x&provider=evil", None),
        ("nothing", APP, "return_to=/x&provider=", None),
        ("the one of that route", APP, "return_to=/one/x", Some("other")),
        ("the one that is shown there", APP, "return_to=/shown/x", Some("home")),
        ("an address", APP, "return_to=/x&email=Ada@ACME.dev", Some("work")),
        ("an address with spaces around it", APP, "return_to=/x&email=+ada@staff.example+", Some("work")),
        ("an address of a hidden one", APP, "return_to=/x&email=ada@hidden.example", Some("hidden")),
        ("an address, where only another route has its provider", APP, "return_to=/one/x&email=ada@acme.dev", Some("other")),
        ("the name wins", APP, "return_to=/x&provider=home&email=ada@acme.dev", Some("home")),
    ];
    for (name, host, query, expected) in rows {
        let answer = rig.scene.browser(host).go(&format!("/_doorward/login?{query}")).await;
        match expected {
            Some(provider) => {
                assert!(answer.status == 302 && answer.location().starts_with(rig.idp(provider).issuer()), "{name}: {answer:?}")
            }
            None => assert_eq!((answer.status, answer.all("set-cookie").len()), (404, 0), "{name}"),
        }
    }
    // PARAM-01
    for query in ["provider=work&provider=work", "email=a@acme.dev&email=a@acme.dev"] {
        assert_eq!(rig.scene.browser(APP).go(&format!("/_doorward/login?{query}")).await.status, 400, "{query}");
    }
    // By host: the order is that host's.
    let text = rig.scene.browser(BOTH).go("/_doorward/login").await.text();
    assert!(text.find("provider=home").unwrap() < text.find("provider=work").unwrap() && !text.contains("provider=hidden"), "{text}");
}

#[tokio::test]
async fn providers_03_an_address_that_nobody_knows_says_so_and_is_shown_escaped() {
    let rig = Rig::start().await;
    for address in [
        "ada@sub.acme.dev",
        "ada@acme.dev.evil.test",
        "ada",
        "ada@acme.dev@evil.test",
        "@acme.dev",
        "\"><script>alert(1)</script>@acme.dev",
    ] {
        let typed: String = url::form_urlencoded::byte_serialize(address.as_bytes()).collect();
        let mut browser = rig.scene.browser(APP);
        let page = browser.go(&format!("/_doorward/login?return_to=/x&email={typed}")).await;
        assert_eq!((page.status, rig.reason().await.as_str()), (200, "choose_provider"), "{address}");
        let text = page.text();
        assert!(text.contains("Nobody signs in here with that address") && !text.contains("<script>alert"), "{address}: {text}");
        assert!(browser.cookies.is_empty() && text.contains("provider=work"), "{address}");
    }
    let text = rig.scene.browser(APP).go("/_doorward/login?return_to=/x").await.text();
    assert!(!text.contains("Nobody signs in") && text.contains("name=\"email\""), "{text}");
    // What was typed is the provider's hint.
    let redirect = rig.scene.browser(APP).go("/_doorward/login?return_to=/x&email=ada@acme.dev&login_hint=eve@evil.test").await;
    assert_eq!(parameter(redirect.location(), "login_hint"), "ada@acme.dev");
}

#[tokio::test]
async fn providers_04_what_a_link_wishes_survives_the_page() {
    let rig = Rig::start().await;
    let text = rig.scene.browser(APP).go("/_doorward/login?return_to=/x%3Fa%3Db&prompt=select_account&scope=evil").await.text();
    let link = links(&text).into_iter().find(|link| link.contains("provider=work")).unwrap();
    assert!(!link.contains("scope"), "{link}");
    let redirect = rig.scene.browser(APP).go(&link).await;
    assert_eq!(parameter(redirect.location(), "prompt"), "select_account");
    assert!(!parameter(redirect.location(), "scope").contains("evil"));
}

#[tokio::test]
async fn sess_33_a_session_of_any_of_the_routes_providers_counts_and_no_other() {
    let rig = Rig::start().await;
    for (name, here, one) in [("work", 200, 302), ("home", 200, 302), ("hidden", 200, 302), ("other", 302, 200)] {
        let mut browser = rig.scene.browser(APP);
        let back = rig.sign_in(&mut browser, "/x", name).await;
        assert_eq!(back.status, 303, "{name}: {}", back.text());
        rig.scene.app.forget();
        assert_eq!(browser.go("/x").await.status, here, "{name}");
        let told = rig.scene.app.seen().first().and_then(|seen| seen.one("x-auth-provider").map(str::to_owned));
        assert_eq!(told.as_deref(), (here == 200).then_some(name));
        if here == 302 {
            assert_eq!(rig.reason().await, "session_other_provider");
        }
        assert_eq!(browser.go("/one/x").await.status, one, "{name}");
        // It may be good at another route of this host, so it stays.
        assert!(browser.cookies.contains_key(SESSION), "{name}");
    }
}

#[tokio::test]
async fn jwt_47_a_token_is_verified_by_the_provider_that_issued_it_and_by_no_other() {
    let rig = Rig::start().await;
    for name in ["work", "home", "hidden"] {
        let (answer, told) = rig.call(&rig.idp(name).access_token(&User::ada(), |_| {})).await;
        assert_eq!((answer.status, told.as_deref()), (200, Some(name)), "{name}: {}", answer.text());
        // Remembered, too.
        let token = rig.idp(name).access_token(&User::ada(), |_| {});
        assert_eq!((rig.call(&token).await.0.status, rig.call(&token).await.1.as_deref()), (200, Some(name)));
    }
    let issuer = rig.idp("work").issuer().to_owned();
    let far = rig.idp("other").access_token(&User::ada(), |_| {});
    let lies = rig.idp("home").access_token(&User::ada(), |token| token.claims["iss"] = json!(issuer.clone()));
    let kid = rig.idp("work").current_kid();
    let disguised = {
        let issuer = issuer.clone();
        rig.idp("home").access_token(&User::ada(), |token| {
            token.claims["iss"] = json!(issuer);
            token.header["kid"] = json!(kid);
        })
    };
    let nobody = rig.idp("home").access_token(&User::ada(), |token| token.claims["iss"] = json!("https://evil.test/"));
    let nameless = rig.idp("home").access_token(&User::ada(), |token| {
        token.claims.as_object_mut().unwrap().remove("iss");
    });
    for (name, token) in [
        ("of another route's provider", far),
        ("signed by one, named by another", lies),
        ("and with the name of that one's key", disguised),
        ("of nobody's", nobody),
        ("of no issuer", nameless),
    ] {
        let (answer, told) = rig.call(&token).await;
        assert_eq!((answer.status, told), (401, None), "{name}: {}", answer.text());
    }
}

#[tokio::test]
async fn providers_07_the_fault_that_is_told_is_the_issuers() {
    let rig = Rig::start().await;
    let old = |claims: &mut serde_json::Value| {
        claims["exp"] = json!(1_700_000_000);
        claims["iat"] = json!(1_600_000_000);
    };
    for name in ["work", "home"] {
        let expired = rig.idp(name).access_token(&User::ada(), |token| old(&mut token.claims));
        let (answer, _) = rig.call(&expired).await;
        assert_eq!((answer.status, rig.reason().await.as_str()), (401, "token_expired"), "{name}");
        assert!(answer.field("www-authenticate").unwrap().contains("the token has expired"), "{name}");
        let foreign = rig.idp(name).access_token(&User::ada(), |token| token.claims["aud"] = json!("https://other.example"));
        rig.call(&foreign).await;
        assert_eq!(rig.reason().await, "token_audience", "{name}");
    }
}

#[tokio::test]
async fn providers_08_a_provider_that_is_down_is_no_trouble_for_the_others() {
    let rig = Rig::start().await;
    rig.idp("work").fault(Endpoint::Discovery, Fault::Status(500));
    let (answer, told) = rig.call(&rig.idp("home").access_token(&User::ada(), |_| {})).await;
    assert_eq!((answer.status, told.as_deref()), (200, Some("home")));
    assert_eq!(rig.idp("work").requests(Endpoint::Discovery), 0, "and is not asked about their tokens");
    // Its own tokens: nobody can say, which is no verdict.
    let (answer, _) = rig.call(&rig.idp("work").access_token(&User::ada(), |_| {})).await;
    assert_eq!((answer.status, rig.reason().await.as_str()), (503, "cannot_verify"));
}

#[tokio::test]
async fn providers_05_behind_another_proxy_the_page_is_one_redirect_away() {
    let routes = ROUTES.replace("upstream: \"UPSTREAM\", ", "");
    let rig = Rig::with(HOOKS, &routes).await;
    let asker = Asker::of(&rig.scene);
    for kind in [Kind::Traefik, Kind::Caddy, Kind::Haproxy] {
        let check = asker.ask(kind, &Request::visit(APP, "/private")).await;
        assert_eq!((check.status, check.location()), (302, "https://app.localhost/_doorward/login?return_to=%2Fprivate"), "{kind:?}");
    }
    let fields = [
        ("host", APP),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "192.0.2.7"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("accept", "text/html"),
    ];
    let page = asker.request("GET", "/_doorward/login?return_to=%2Fprivate", &fields).await;
    assert!(page.status == 200 && page.text().contains("Acme staff"), "{}", page.text());
    let token = rig.idp("home").access_token(&User::ada(), |_| {});
    let bearer = format!("Bearer {token}");
    for kind in Kind::ALL {
        let answer = asker.ask(kind, &Request::get(APP, "/items").with("authorization", &bearer)).await;
        assert_eq!((answer.status, answer.field("x-auth-provider")), (200, Some("home")), "{kind:?}");
    }
}
