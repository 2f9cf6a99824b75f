//! What a provider says of somebody, under the names that rules, roles, headers, `session` and `whoami` use.

use doorward_tests::client::{Answer, Browser, path_of};
use doorward_tests::hostile::{Endpoint, Fault, HostileIdp, Token, User};
use doorward_tests::scene::{API, APP, Plan, Scene};
use serde_json::{Value, json};

const MAPPED: &str = r#"    userinfo: true
    claims_namespaces: ["https://mia.eu/app_metadata", "https://acme.dev/"]
    amr: { values: [pwd], when: always }
    attributes:
      groups: { claim: 'https://example\.com/groups', source: id_token, type: string_array, label: "Groups & <more>" }
      department: { claim: department, source: userinfo, type: string }
      tier: { claim: plan.tier, source: access_token, type: number, weak: true }
      level: { claim: app_metadata.level, type: number }
      plant: { value: hamburg, label: Plant }
"#;
const IDENTITY: &str = r#"
identity:
  roles: [groups]
  role_mapping:
    - { when: { path: level, op: gte, value: 3 }, roles: [trusted] }
    - { when: { path: amr, op: in, value: mfa }, roles: [strong] }
headers:
  X-Auth-User: "{user}"
  X-Auth-Roles: "{roles}"
  X-Groups: "{claim:groups}"
  X-Department: "{claim:department}"
  X-Tier: "{claim:tier}"
  X-Level: "{claim:level}"
  X-Plant: "{claim:plant}"
  X-Team: "{claim:team}"
  X-Amr: "{amr}"
  X-First: "{first_name}"
  X-Edge: doorward
"#;
const ROUTES: &str = r#"
  - name: app
    host: app.localhost
    upstream: UPSTREAM
    rules:
      - { path: /public, allow: public }
      - { path: /either, allow: optional }
      - { path: "/admin/**", allow: { role: admin } }
      - { allow: signed-in }
  - name: api
    host: api.localhost
    upstream: UPSTREAM
    accept: bearer
    rules:
      - { path: "/admin/**", allow: { role: admin } }
      - { allow: signed-in }
"#;

const REFRESHED: &str = "  idle: 1h\n  lifetime: 12h\n  store: memory\n  refresh: { ahead: 1m, grace: 5m }\n";
const OFFLINE: &str = "    scope: [openid, profile, email, offline_access]\n";

fn plan(idp: &HostileIdp, provider: &str) -> Plan {
    let oidc = Plan::oidc(idp.issuer());
    Plan { provider: format!("{}{provider}", oidc.provider), identity: IDENTITY.into(), routes: ROUTES.into(), ..oidc }
}

async fn rig() -> (HostileIdp, Scene) {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, MAPPED)).await;
    (idp, scene)
}

/// What each source says besides what it has to.
#[derive(Clone)]
struct Said {
    id_token: Value,
    userinfo: Value,
    access_token: Value,
}

impl Said {
    fn all() -> Self {
        Self {
            id_token: json!({ "https://example.com/groups": ["editor"], "https://mia.eu/app_metadata": { "level": 3 }, "given_name": "Ada" }),
            userinfo: json!({ "department": "engines" }),
            access_token: json!({ "plan": { "tier": "2" } }),
        }
    }
}

fn saying(claims: Value) -> impl FnOnce(&mut Token) + Send + 'static {
    move |token| add(&mut token.claims, &claims)
}

fn add(document: &mut Value, claims: &Value) {
    for (name, value) in claims.as_object().unwrap() {
        document[name] = value.clone();
    }
}

async fn sign_in(idp: &HostileIdp, browser: &mut Browser, said: Said) -> Answer {
    idp.next_id_token(saying(said.id_token));
    idp.next_access_token(saying(said.access_token));
    idp.fault(Endpoint::Userinfo, Fault::edit(move |answer| add(answer, &said.userinfo)));
    let redirect = browser.go("/private").await;
    assert_eq!(redirect.status, 302, "{}", redirect.text());
    browser.go(&path_of(&idp.grant(redirect.location(), &User::ada()))).await
}

async fn signed_in(idp: &HostileIdp, scene: &Scene, said: Said) -> Browser {
    let mut browser = scene.browser(APP);
    let callback = sign_in(idp, &mut browser, said).await;
    assert_eq!(callback.status, 303, "{}", callback.text());
    browser
}

/// What the app is told.
async fn told(scene: &Scene, browser: &mut Browser, name: &str) -> Option<String> {
    assert_eq!(browser.fetch("/private").await.status, 200);
    scene.app.last().one(name).map(str::to_owned)
}

#[tokio::test]
async fn attr_20_each_attribute_comes_from_its_source_and_reaches_the_app() {
    let (idp, scene) = rig().await;
    let mut browser = signed_in(&idp, &scene, Said::all()).await;
    for (name, value) in [
        ("x-groups", Some("editor")),
        ("x-auth-roles", Some("editor,trusted")),
        ("x-department", Some("engines")),
        ("x-tier", Some("2")),
        ("x-level", Some("3")),
        ("x-plant", Some("hamburg")),
        ("x-amr", Some("pwd")),
        ("x-first", Some("Ada")),
        ("x-edge", Some("doorward")),
        ("x-team", None),
    ] {
        assert_eq!(told(&scene, &mut browser, name).await.as_deref(), value, "{name}");
    }
    assert_eq!(browser.fetch("/admin/").await.status, 403);
}

#[tokio::test]
async fn attr_21_a_claim_of_an_attributes_name_elsewhere_is_not_the_attribute() {
    let (idp, scene) = rig().await;
    let forged = json!({ "groups": ["admin"], "department": "board", "tier": 9, "level": 9, "plant": "elsewhere" });
    for (source, forge) in [
        ("id_token", (|said, claims| add(&mut said.id_token, claims)) as fn(&mut Said, &Value)),
        ("userinfo", |said, claims| add(&mut said.userinfo, claims)),
        ("access_token", |said, claims| add(&mut said.access_token, claims)),
    ] {
        // Beside the true ones …
        let mut said = Said::all();
        forge(&mut said, &forged);
        // … of which one stands under its own name, in its own source.
        if source == "userinfo" {
            said.userinfo["department"] = "engines".into();
        }
        let mut browser = signed_in(&idp, &scene, said).await;
        assert_eq!(browser.fetch("/admin/").await.status, 403, "{source}");
        for (name, value) in
            [("x-groups", "editor"), ("x-department", "engines"), ("x-tier", "2"), ("x-level", "3"), ("x-plant", "hamburg")]
        {
            assert_eq!(told(&scene, &mut browser, name).await.as_deref(), Some(value), "{source} {name}");
        }
        // And instead of them.
        let mut said = Said { id_token: json!({}), userinfo: json!({}), access_token: json!({}) };
        forge(&mut said, &forged);
        let mut browser = signed_in(&idp, &scene, said).await;
        assert_eq!(browser.fetch("/admin/").await.status, 403, "{source}");
        for name in ["x-groups", "x-auth-roles", "x-tier", "x-level"] {
            assert_eq!(told(&scene, &mut browser, name).await, None, "{source} {name}");
        }
        let department = (source == "userinfo").then_some("board");
        assert_eq!(told(&scene, &mut browser, "x-department").await.as_deref(), department, "{source}");
    }
    // The twin: the claim that the attribute is read from.
    let mut said = Said::all();
    said.id_token["https://example.com/groups"] = json!(["admin"]);
    assert_eq!(signed_in(&idp, &scene, said).await.fetch("/admin/").await.status, 200);
}

#[tokio::test]
async fn attr_22_the_wrong_type_is_dropped_counted_and_grants_nothing() {
    let (idp, scene) = rig().await;
    for (claim, value, header, told_of_it) in [
        ("https://example.com/groups", json!("admin"), "x-groups", None),
        ("https://example.com/groups", json!(["admin", 1]), "x-groups", None),
        ("https://example.com/groups", json!(["admin"]), "x-groups", Some("admin")),
        ("https://mia.eu/app_metadata", json!({ "level": "9" }), "x-level", None),
        ("https://mia.eu/app_metadata", json!({ "level": 9 }), "x-level", Some("9")),
    ] {
        let mut said = Said::all();
        said.id_token[claim] = value.clone();
        let mut browser = signed_in(&idp, &scene, said).await;
        assert_eq!(told(&scene, &mut browser, header).await.as_deref(), told_of_it, "{value}");
        let admin = browser.fetch("/admin/").await.status;
        assert_eq!(admin, if told_of_it == Some("admin") { 200 } else { 403 }, "{value}");
    }
    let dropped = |name: &str| format!("doorward_attributes_dropped_total{{attribute=\"{name}\",provider=\"tenant\"}}");
    assert_eq!((scene.metric(&dropped("groups")).await, scene.metric(&dropped("level")).await), (2.0, 1.0));
}

#[tokio::test]
async fn attr_23_a_namespace_gives_a_short_name_that_replaces_nothing() {
    let (idp, scene) = rig().await;
    for (claims, team) in [
        (json!({ "https://acme.dev/team": "looms" }), Some("looms")),
        (json!({ "https://acme.dev/team": "looms", "team": "own" }), Some("own")),
        (json!({ "https://acme.dev.evil/team": "looms" }), None),
    ] {
        let mut said = Said::all();
        add(&mut said.id_token, &claims);
        let mut browser = signed_in(&idp, &scene, said).await;
        assert_eq!(told(&scene, &mut browser, "x-team").await.as_deref(), team, "{claims}");
    }
    // What a token is stays the token's.
    let mut said = Said::all();
    add(&mut said.id_token, &json!({ "https://acme.dev/sub": "mallory", "https://acme.dev/amr": ["mfa"] }));
    let mut browser = signed_in(&idp, &scene, said).await;
    assert_eq!(told(&scene, &mut browser, "x-auth-user").await.as_deref(), Some("auth0|ada"));
    assert_eq!(told(&scene, &mut browser, "x-amr").await.as_deref(), Some("pwd"));
}

#[tokio::test]
async fn attr_24_how_somebody_signed_in_is_replaced_or_filled_in() {
    for (when, said_amr, amr, strong) in
        [("always", json!(["mfa"]), "pwd", false), ("absent", json!(["mfa"]), "mfa", true), ("absent", json!(null), "pwd", false)]
    {
        let idp = HostileIdp::start().await;
        let scene = Scene::with(plan(&idp, &MAPPED.replace("always", when))).await;
        let mut said = Said::all();
        said.id_token["amr"] = said_amr.clone();
        let mut browser = signed_in(&idp, &scene, said).await;
        assert_eq!(told(&scene, &mut browser, "x-amr").await.as_deref(), Some(amr), "{when} {said_amr}");
        let roles = told(&scene, &mut browser, "x-auth-roles").await.unwrap();
        assert_eq!(roles.contains("strong"), strong, "{when} {said_amr}");
    }
}

#[tokio::test]
async fn attr_25_a_bearer_has_what_its_access_token_says_and_no_more() {
    let (idp, scene) = rig().await;
    let claims = json!({
        "plan": { "tier": "2" }, "https://acme.dev/team": "looms", "https://mia.eu/app_metadata": { "level": 4 },
        "https://example.com/groups": ["admin"], "groups": ["admin"], "department": "board", "amr": ["mfa"], "plant": "elsewhere",
    });
    let token = idp.access_token(&User::ada(), saying(claims));
    for _ in 0..2 {
        // The second time it is remembered.
        assert_eq!(scene.call("/items", &token).await.status, 200);
        let seen = scene.app.last();
        for (name, value) in [
            ("x-tier", Some("2")),
            ("x-team", Some("looms")),
            ("x-level", Some("4")),
            ("x-plant", Some("hamburg")),
            ("x-amr", Some("pwd")),
            ("x-auth-roles", Some("trusted")),
            ("x-groups", None),
            ("x-department", None),
        ] {
            assert_eq!(seen.one(name), value, "{name}");
        }
        assert_eq!(scene.call("/admin/", &token).await.status, 403);
    }
}

#[tokio::test]
async fn attr_26_a_refresh_maps_anew() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(Plan { session: REFRESHED.into(), ..plan(&idp, &format!("{MAPPED}{OFFLINE}")) }).await;
    idp.set_access_lifetime(0);
    let mut browser = signed_in(&idp, &scene, Said::all()).await;
    // The ID token says less, userinfo and the access token something else.
    idp.next_id_token(saying(json!({ "https://example.com/groups": "admin", "groups": ["admin"], "amr": ["mfa"] })));
    idp.next_access_token(saying(json!({ "plan": { "tier": 7 } })));
    idp.fault(Endpoint::Userinfo, Fault::with("department", "looms"));
    idp.set_access_lifetime(86_400);
    for (name, value) in [
        ("x-tier", Some("7")),
        ("x-department", Some("looms")),
        ("x-plant", Some("hamburg")),
        ("x-amr", Some("pwd")),
        ("x-groups", None),
        ("x-level", None),
        ("x-auth-roles", None),
    ] {
        assert_eq!(told(&scene, &mut browser, name).await.as_deref(), value, "{name}");
    }
    assert_eq!(browser.fetch("/admin/").await.status, 403);
}

#[tokio::test]
async fn attr_27_userinfo_of_somebody_else_is_no_source() {
    let (idp, scene) = rig().await;
    let mut said = Said::all();
    said.userinfo["sub"] = "auth0|mallory".into();
    let mut browser = scene.browser(APP);
    let callback = sign_in(&idp, &mut browser, said).await;
    assert_eq!(callback.status, 502, "{}", callback.text());
    assert_eq!(browser.fetch("/private").await.status, 401);
    idp.clear();
    // The twin.
    assert_eq!(sign_in(&idp, &mut scene.browser(APP), Said::all()).await.status, 303);
}

#[tokio::test]
async fn attr_28_session_and_whoami_show_attributes_by_their_labels() {
    let (idp, scene) = rig().await;
    let mut said = Said::all();
    said.id_token["https://example.com/groups"] = json!(["<script>alert(1)</script>", "editor"]);
    let mut browser = signed_in(&idp, &scene, said).await;
    let session = browser.fetch("/_doorward/session").await.json();
    assert_eq!(
        session["attributes"],
        json!([
            { "name": "groups", "label": "Groups & <more>", "value": ["<script>alert(1)</script>", "editor"] },
            { "name": "department", "label": "department", "value": "engines" },
            { "name": "tier", "label": "tier", "value": 2 },
            { "name": "level", "label": "level", "value": 3 },
            { "name": "plant", "label": "Plant", "value": "hamburg" },
        ])
    );
    assert_eq!((&session["first_name"], &session["last_name"]), (&json!("Ada"), &json!(null)));
    let page = browser.go("/_doorward/whoami").await.text();
    assert!(page.contains("Groups &amp; &lt;more&gt;") && page.contains("&lt;script&gt;alert(1)&lt;"), "{page}");
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(page.contains("Plant") && page.contains("hamburg") && page.contains("First name"), "{page}");
}

#[tokio::test]
async fn attr_29_a_constant_is_told_of_everybody_who_is_known_and_taken_from_everybody() {
    let (idp, scene) = rig().await;
    let mut browser = signed_in(&idp, &scene, Said::all()).await;
    let forged = [("x-edge", "forged"), ("x-plant", "forged")];
    for path in ["/private", "/either"] {
        assert_eq!(browser.request("GET", path, &forged, b"").await.status, 200);
        let seen = scene.app.last();
        assert_eq!((seen.all("x-edge"), seen.all("x-plant")), (vec!["doorward"], vec!["hamburg"]), "{path}");
    }
    for path in ["/public", "/either"] {
        assert_eq!(scene.browser(APP).request("GET", path, &forged, b"").await.status, 200);
        let seen = scene.app.last();
        assert!(seen.all("x-edge").is_empty() && seen.all("x-plant").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn map_04_nobody_comes_in_whom_the_user_claim_does_not_name() {
    let idp = HostileIdp::start().await;
    let identity = IDENTITY.replacen("identity:\n", "identity:\n  user: employee_id\n", 1);
    let scene = Scene::with(Plan { identity, ..plan(&idp, "") }).await;
    for (claim, status) in [(json!(null), 502), (json!(""), 502), (json!(["e1"]), 502), (json!("e1"), 303), (json!(7), 303)] {
        let mut browser = scene.browser(APP);
        let said = Said { id_token: json!({ "employee_id": claim.clone() }), userinfo: json!({}), access_token: json!({}) };
        let callback = sign_in(&idp, &mut browser, said).await;
        assert_eq!(callback.status, status, "{claim}: {}", callback.text());
        assert_eq!(browser.fetch("/private").await.status, if status == 303 { 200 } else { 401 }, "{claim}");
    }
    let refused = r#"doorward_logins_total{outcome="error",provider="tenant",reason="user_claim_missing"}"#;
    assert_eq!(scene.metric(refused).await, 3.0);
    for (claims, status) in [(json!({}), 401), (json!({ "employee_id": "" }), 401), (json!({ "employee_id": "e1" }), 200)] {
        let token = idp.access_token(&User::ada(), saying(claims.clone()));
        for _ in 0..2 {
            let answer = scene.ask(API, "GET", "/items", &[("authorization", &format!("Bearer {token}"))]).await;
            assert_eq!(answer.status, status, "{claims}");
        }
    }
}

#[tokio::test]
async fn map_05_a_session_that_no_longer_says_who_it_is_means_signing_in_again() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, "")).await;
    let browser = signed_in(&idp, &scene, Said::all()).await;
    for (user, status) in [("employee_id", 401), ("email", 200)] {
        let twin = scene.twin(|text| text.replacen("identity:\n", &format!("identity:\n  user: {user}\n"), 1)).await;
        let mut there = Browser { address: twin.edge().addresses()[0], ..browser.clone() };
        assert_eq!(there.fetch("/private").await.status, status, "{user}");
    }
}

#[tokio::test]
async fn map_05_a_refresh_that_takes_the_user_away_ends_what_the_session_opens() {
    for (refreshed, status) in [(json!({ "employee_id": "e1" }), 200), (json!({}), 401), (json!({ "employee_id": "" }), 401)] {
        let idp = HostileIdp::start().await;
        let identity = IDENTITY.replacen("identity:\n", "identity:\n  user: employee_id\n", 1);
        let scene = Scene::with(Plan { identity, session: REFRESHED.into(), ..plan(&idp, OFFLINE) }).await;
        idp.set_access_lifetime(0);
        let said = Said { id_token: json!({ "employee_id": "e1" }), userinfo: json!({}), access_token: json!({}) };
        let mut browser = signed_in(&idp, &scene, said).await;
        idp.set_access_lifetime(86_400);
        idp.next_id_token(saying(refreshed.clone()));
        for _ in 0..2 {
            assert_eq!(browser.fetch("/private").await.status, status, "{refreshed}");
        }
        assert_eq!(scene.app.seen().is_empty(), status == 401);
    }
}
