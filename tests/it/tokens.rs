//! Bearer tokens over the wire: what is refused, as what, and what a token never does.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_demo::tenant::{self, SignWith};
use doorward_tests::client::{Answer, Raw};
use doorward_tests::hostile::{self, Endpoint, Fault, HostileIdp, User, forge};
use doorward_tests::scene::{API, APP, Plan, Scene};
use serde_json::{Value, json};

const BOTH: &str = "both.localhost";
const SESSION: &str = "__Host-doorward";
const INVALID: &str = "Bearer error=\"invalid_token\"";

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// The claims of a token that reads items.
fn claims(scene: &Scene) -> Value {
    scene.tenant.access_claims_for("ada", tenant::AUDIENCE, "openid read:items")
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn unsigned(token: &str, signature: &[u8]) -> String {
    let (message, _) = token.rsplit_once('.').unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

async fn bearer(scene: &Scene, host: &str, path: &str, token: &str) -> Answer {
    scene.ask(host, "GET", path, &[("authorization", &format!("Bearer {token}"))]).await
}

/// The reason of the last line in the access log.
async fn reason(scene: &Scene) -> String {
    scene.log().await.last().unwrap()["reason"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn jwt_01_03_20_22_23_40_to_45_a_token_that_differs_in_one_thing_is_refused() {
    let scene = Scene::start().await;
    let tenant = &scene.tenant;
    let right = claims(&scene);
    let changed = |name: &str, value: Value| tenant.sign(with(right.clone(), name, value));
    let header = |header: Value| tenant.sign_with(SignWith::Current, header, right.clone());
    let keys: Value = reqwest::get(format!("{}.well-known/jwks.json", tenant.issuer())).await.unwrap().json().await.unwrap();
    let key = &keys["keys"][0];
    let modulus = URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap();
    let hmac = |secret: &[u8]| {
        let token = header(json!({ "alg": "HS256" }));
        let (message, _) = token.rsplit_once('.').unwrap();
        unsigned(&token, hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes()).as_ref())
    };
    let issuer = tenant.issuer().to_owned();
    let rows: Vec<(&str, String, &str)> = vec![
        ("alg none", unsigned(&header(json!({ "alg": "none" })), b""), "token_algorithm"),
        ("alg none with a right signature", header(json!({ "alg": "none" })), "token_algorithm"),
        ("alg None", unsigned(&header(json!({ "alg": "None" })), b""), "token_algorithm"),
        ("no alg", header(json!({ "alg": null })), "token_algorithm"),
        ("alg rs256", header(json!({ "alg": "rs256" })), "token_algorithm"),
        ("alg RS512", header(json!({ "alg": "RS512" })), "token_algorithm"),
        ("HS256 with the modulus", hmac(&modulus), "token_algorithm"),
        ("HS256 with the key as JSON", hmac(key.to_string().as_bytes()), "token_algorithm"),
        ("HS256 with nothing", hmac(b""), "token_algorithm"),
        ("JWT-08 an embedded key", header(json!({ "jwk": key, "kid": "mine" })), "token_unknown_key"),
        ("JWT-09 a kid that is a path", header(json!({ "kid": "../../../dev/null" })), "token_unknown_key"),
        ("JWT-09 a kid that is a number", header(json!({ "kid": 1 })), "token_malformed"),
        ("JWT-09 a kid of 100 KiB", header(json!({ "kid": "k".repeat(9_000) })), "token_malformed"),
        ("JWT-12 crit", header(json!({ "crit": ["exp"] })), "token_critical"),
        ("JWT-12 b64", header(json!({ "b64": false })), "token_critical"),
        ("foreign key under our kid", tenant.sign_with(SignWith::Foreign, json!({}), right.clone()), "token_signature"),
        ("signature of another token", unsigned(&tenant.sign(right.clone()), b"x"), "token_signature"),
        ("no signature", unsigned(&tenant.sign(right.clone()), b""), "token_signature"),
        ("JWT-20 no iss", tenant.sign(without(right.clone(), "iss")), "token_missing_claim"),
        ("JWT-20 no aud", tenant.sign(without(right.clone(), "aud")), "token_missing_claim"),
        ("JWT-20 no exp", tenant.sign(without(right.clone(), "exp")), "token_missing_claim"),
        ("JWT-20 no sub", tenant.sign(without(right.clone(), "sub")), "token_missing_claim"),
        ("JWT-21 nbf is a text", changed("nbf", json!("9999999999")), "token_claim_type"),
        ("JWT-21 sub is a number", changed("sub", json!(7)), "token_claim_type"),
        ("JWT-22 another issuer", changed("iss", json!("https://evil.test/")), "token_issuer"),
        ("JWT-22 no final slash", changed("iss", json!(issuer.trim_end_matches('/'))), "token_issuer"),
        ("JWT-22 the issuer in a list", changed("iss", json!([issuer])), "token_claim_type"),
        ("JWT-23 expired", changed("exp", json!(now() - 60)), "token_expired"),
        ("JWT-23 not yet", changed("nbf", json!(now() + 120)), "token_not_yet_valid"),
        ("JWT-23 issued tomorrow", changed("iat", json!(now() + 86_400)), "token_not_yet_valid"),
        ("JWT-24 ends in 1e300", changed("exp", json!(1e300)), "token_claim_type"),
        ("JWT-40 an ID token", tenant.id_token_for("ada", tenant::CLIENT_ID, "openid profile"), "token_audience"),
        ("JWT-41 no audience", changed("aud", json!([])), "token_audience"),
        ("JWT-41 both in one text", changed("aud", json!(format!("{} x", tenant::AUDIENCE))), "token_audience"),
        ("JWT-41 a number among them", changed("aud", json!([tenant::AUDIENCE, 1])), "token_claim_type"),
        ("JWT-42 another API's", changed("aud", json!("https://other.acme.dev")), "token_audience"),
        ("JWT-44 typ dpop+jwt", header(json!({ "typ": "dpop+jwt" })), "token_type"),
        ("JWT-45 a logout token", tenant.logout_token_for(tenant::CLIENT_ID, Some("auth0|ada"), None), "token_audience"),
        ("JWT-45 typ logout+jwt", header(json!({ "typ": "logout+jwt" })), "token_type"),
        ("an opaque token", "v2.opaque~token".into(), "token_malformed"),
        ("JWT-07 five segments", "e30.e30.e30.e30.e30".into(), "token_malformed"),
        ("JWT-07 four segments", format!("{}.e30", tenant.sign(right.clone())), "token_malformed"),
    ];
    assert_eq!(scene.call("/items", &tenant.sign(right.clone())).await.status, 200, "the token that all others differ from");
    scene.app.forget();
    let mut replies = HashSet::new();
    for (name, token, label) in &rows {
        let answer = scene.call("/items", token).await;
        assert_eq!(answer.status, 401, "{name}: {}", answer.text());
        let expired = "Bearer error=\"invalid_token\", error_description=\"the token has expired\"";
        assert_eq!(answer.field("www-authenticate"), Some(if *label == "token_expired" { expired } else { INVALID }), "{name}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{name}");
        assert_eq!(reason(&scene).await, *label, "{name}");
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("request_id");
        replies.insert(body.to_string());
    }
    // TIM-01: nobody learns from the body what was wrong.
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert_eq!(scene.app.bytes(), 0);
    assert_eq!(scene.call("/items", &tenant.sign(right)).await.status, 200);
}

#[tokio::test]
async fn jwt_02_26_forgeries_of_another_provider_are_refused_and_what_is_only_unusual_passes() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(Plan::oidc(idp.issuer())).await;
    let ada = User::ada().with("scope", "read:items");
    let token = |change: fn(&mut hostile::Token)| idp.access_token(&ada, change);
    assert_eq!(scene.call("/items", &token(|_| {})).await.status, 200);
    scene.app.forget();
    let refused: &[forge::Named] = &[
        ("HS256 with the public key's PEM", forge::hs256_with_public_key),
        ("HS256 with an empty secret", forge::hs256_with_empty_secret),
        ("none", forge::alg_none),
        ("none, signed", forge::alg_none_but_signed),
        ("a stranger's signature", forge::strangers_signature),
        ("one bit of the signature", forge::damaged_signature),
        ("two sub members", forge::duplicate_subject),
        ("an embedded key", forge::embedded_key),
        ("crit", forge::unknown_critical_header),
        ("255 characters and one", forge::long_subject),
        ("no sub", forge::missing_subject),
        ("no exp", forge::missing_expiry),
        ("exp as text", forge::expiry_as_string),
    ];
    for (name, change) in refused {
        let answer = scene.call("/items", &token(*change)).await;
        assert_eq!((answer.status, answer.field("www-authenticate")), (401, Some(INVALID)), "{name}");
    }
    assert_eq!(scene.app.bytes(), 0);
    let accepted: &[forge::Named] = &[
        ("no typ", forge::no_typ),
        ("an unknown claim", forge::unknown_claim),
        ("aggregated claims", forge::aggregated_claims),
        // JWT-10: two keys are published; both are tried.
        ("no kid", forge::no_kid),
    ];
    for (name, change) in accepted {
        assert_eq!(scene.call("/items", &token(*change)).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn jwt_25_a_clock_an_hour_off_at_the_provider() {
    let scene = Scene::start().await;
    for (seconds, status, label) in [
        (3600, 401, "token_not_yet_valid"),
        (-3600, 200, "bearer"),
        (-90_000, 401, "token_expired"),
        (20, 200, "bearer"),
        (0, 200, "bearer"),
    ] {
        scene.tenant.set_clock_offset(seconds);
        let answer = scene.call("/items", &scene.token("ada")).await;
        assert_eq!(answer.status, status, "{seconds}: {}", answer.text());
        assert_eq!(reason(&scene).await, label, "{seconds}");
    }
}

#[tokio::test]
async fn jwt_60_exactly_one_well_formed_authorization_field_counts() {
    let scene = Scene::start().await;
    let token = scene.token("ada");
    let one = |value: String| vec![value];
    let rows: Vec<(&str, Vec<String>, u16)> = vec![
        ("well-formed", one(format!("Bearer {token}")), 200),
        ("scheme in lower case", one(format!("bearer {token}")), 200),
        ("scheme in upper case", one(format!("BEARER {token}")), 200),
        ("two fields, the same", vec![format!("Bearer {token}"), format!("Bearer {token}")], 400),
        ("two fields, the first good", vec![format!("Bearer {token}"), "Bearer x".into()], 400),
        ("two fields, another scheme first", vec!["Basic eDp5".into(), format!("Bearer {token}")], 400),
        ("a list", one(format!("Bearer {token}, Bearer {token}")), 400),
        ("two spaces", one(format!("Bearer  {token}")), 400),
        ("a tab", one(format!("Bearer\t{token}")), 400),
        ("no token", one("Bearer".into()), 400),
        ("more than a token", one(format!("Bearer {token} x")), 400),
        ("a quote", one(format!("Bearer \"{token}\"")), 400),
        ("a byte beyond ASCII", one(format!("Bearer {token}\u{e9}")), 400),
        ("20 KiB", one(format!("Bearer {}", "a".repeat(20 * 1024))), 400),
        ("another scheme", one("Basic eDp5".into()), 401),
        ("a scheme that begins alike", one(format!("Bearerx {token}")), 401),
        ("DPoP", one(format!("DPoP {token}")), 401),
    ];
    for (name, values, status) in rows {
        scene.app.forget();
        let fields: Vec<(&str, &str)> = values.iter().map(|value| ("Authorization", value.as_str())).collect();
        let answer = scene.ask(API, "GET", "/items", &fields).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(scene.app.seen().len(), usize::from(status == 200), "{name}");
        assert!(!answer.text().contains(&token), "{name}");
    }
    // ADV-MISC-01: a field's name is looked up without case.
    for name in ["authorization", "AUTHORIZATION", "Authorization", "aUTHORIZATION"] {
        assert_eq!(scene.ask(API, "GET", "/items", &[(name, &format!("Bearer {token}"))]).await.status, 200, "{name}");
        assert_eq!(scene.ask(API, "GET", "/items", &[(name, "Bearer x.y.z")]).await.status, 401, "{name}");
    }
}

#[tokio::test]
async fn jwt_61_a_bearer_that_is_not_good_never_falls_back_to_a_good_cookie() {
    let scene = Scene::start().await;
    let browser = scene.signed_in(BOTH, "vera").await;
    let good = format!("Bearer {}", scene.token("ada"));
    let foreign = format!("Bearer {}", scene.tenant.sign_with(SignWith::Foreign, json!({}), claims(&scene)));
    let rows: &[(&str, &str, u16, Option<&str>)] = &[
        ("no bearer: the cookie counts", "", 200, Some("vera")),
        ("another scheme: the cookie counts", "Basic eDp5", 200, Some("vera")),
        ("both good: the bearer counts", &good, 200, Some("ada")),
        ("a foreign signature", &foreign, 401, None),
        ("no token at all", "Bearer x", 401, None),
        ("malformed", "Bearer", 400, None),
        ("two in one", "Bearer a, Bearer b", 400, None),
    ];
    for (name, authorization, status, user) in rows {
        scene.app.forget();
        let fields: Vec<(&str, &str)> =
            Some(("authorization", *authorization)).filter(|(_, value)| !value.is_empty()).into_iter().collect();
        let answer = browser.clone().request("GET", "/x", &fields, b"").await;
        assert_eq!(answer.status, *status, "{name}: {}", answer.text());
        // A bad bearer is no reason to throw the session away.
        assert!(answer.all("set-cookie").is_empty(), "{name}");
        let seen = scene.app.seen();
        assert_eq!(seen.len(), usize::from(user.is_some()), "{name}");
        if let Some(user) = user {
            assert_eq!(seen[0].one("x-auth-user"), Some(format!("auth0|{user}").as_str()), "{name}");
        } else {
            assert!(answer.field("www-authenticate").unwrap().starts_with("Bearer error="), "{name}");
        }
    }
    // Also a navigation is told, not redirected: RFC 6750 §3.
    let navigation =
        [("authorization", foreign.as_str()), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", "text/html")];
    assert_eq!(browser.clone().request("GET", "/x", &navigation, b"").await.status, 401);
}

#[tokio::test]
async fn jwt_62_a_token_in_the_query_or_in_a_form_is_no_token_and_is_not_logged() {
    let scene = Scene::start().await;
    let token = scene.token("ada");
    for query in [format!("access_token={token}"), format!("authorization=Bearer%20{token}"), format!("token={token}&bearer={token}")] {
        let answer = scene.ask(API, "GET", &format!("/items?{query}"), &[]).await;
        assert_eq!((answer.status, answer.field("www-authenticate")), (401, Some("Bearer")));
    }
    let form = format!("access_token={token}");
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let posted = scene.browser(API).request("POST", "/items", &kind, form.as_bytes()).await;
    assert_eq!(posted.status, 401);
    assert_eq!(scene.app.bytes(), 0);
    assert_eq!(scene.call(&format!("/items?access_token={token}"), &token).await.status, 200);
    assert!(!scene.log_text().await.contains(token.split('.').nth(1).unwrap()));
}

#[tokio::test]
async fn jwt_46_a_token_is_no_session_and_a_session_is_no_token() {
    let scene = Scene::start().await;
    let browser = scene.signed_in(BOTH, "ada").await;
    let session = browser.cookies[SESSION].clone();
    let as_token = bearer(&scene, BOTH, "/x", &session).await;
    assert_eq!((as_token.status, as_token.field("www-authenticate")), (401, Some(INVALID)));
    let access = scene.token("ada");
    let id_token = scene.tenant.id_token_for("ada", tenant::CLIENT_ID, "openid");
    for (name, value) in [("access token", &access), ("ID token", &id_token)] {
        let mut thief = scene.browser(APP);
        thief.cookies.insert(SESSION.into(), value.clone());
        let answer = thief.go("/private").await;
        assert_eq!(answer.status, 302, "{name}");
        assert!(!thief.cookies.contains_key(SESSION), "{name}: the cookie is cleared");
        assert_eq!(reason(&scene).await, "session_unreadable", "{name}");
    }
    // On a route for bearers alone a session is nothing, and on a route for sessions alone a bearer is nothing.
    let at_api = scene.ask(API, "GET", "/items", &[("cookie", &format!("{SESSION}={session}"))]).await;
    assert_eq!((at_api.status, at_api.field("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(scene.app.bytes(), 0);
    assert_eq!(bearer(&scene, BOTH, "/x", &access).await.status, 200);
    assert_eq!(browser.clone().go("/x").await.status, 200);
}

#[tokio::test]
async fn jwt_47_a_key_counts_for_its_own_issuer_even_under_the_same_kid() {
    let (one, two) = (HostileIdp::start().await, HostileIdp::start().await);
    for idp in [&one, &two] {
        idp.fault(
            Endpoint::Jwks,
            Fault::edit(|document| {
                document["keys"].as_array_mut().unwrap().truncate(1);
                document["keys"][0]["kid"] = json!("shared");
            }),
        );
    }
    let plan = Plan::oidc(one.issuer());
    let second = format!(
        "  second:\n    kind: oidc\n    issuer: \"{}\"\n    client_id: doorward\n    client_secret: {{ file: hostile }}\n    audience: {}\n    access_token_type: jwt\n    insecure_http: true\n",
        two.issuer(),
        hostile::AUDIENCE
    );
    let route = |host: &str, provider: &str| {
        format!(
            "\n  - {{ name: {provider}, host: {host}, provider: {provider}, upstream: \"UPSTREAM\", accept: bearer, rules: [{{ allow: signed-in }}] }}"
        )
    };
    let provider = plan.provider.clone() + &second;
    let scene = Scene::with(Plan { provider, routes: route(API, "tenant") + &route(APP, "second") + "\n", ..plan }).await;
    let forged = |idp: &HostileIdp, issuer: &str| {
        let issuer = issuer.to_owned();
        idp.access_token(&User::ada(), move |token| {
            token.header["kid"] = json!("shared");
            token.claims["iss"] = json!(issuer);
        })
    };
    for (name, token, host, status) in [
        ("the first's own", forged(&one, one.issuer()), API, 200),
        ("the second's own", forged(&two, two.issuer()), APP, 200),
        ("the first's at the second", forged(&one, one.issuer()), APP, 401),
        ("the second's at the first", forged(&two, two.issuer()), API, 401),
        ("the first's key, the second's name, at the second", forged(&one, two.issuer()), APP, 401),
        ("the first's key, the second's name, at the first", forged(&one, two.issuer()), API, 401),
        ("the second's key, the first's name, at the first", forged(&two, one.issuer()), API, 401),
    ] {
        assert_eq!(bearer(&scene, host, "/x", &token).await.status, status, "{name}");
    }
    assert_eq!(scene.app.seen().len(), 2);
}

#[tokio::test]
async fn jwt_48_49_machines_are_callers_and_an_organization_is_exact() {
    let plan = Plan { provider: "    organization: org_acme\n".into(), ..Plan::default() };
    let scene = Scene::with(plan).await;
    let of = |organization: Value| scene.tenant.sign(with(claims(&scene), "org_id", organization));
    for (name, token, status) in [
        ("ours", of(json!("org_acme")), 200),
        ("none", scene.token("ada"), 401),
        ("another", of(json!("org_acme2")), 401),
        ("other case", of(json!("ORG_ACME")), 401),
        ("a list", of(json!(["org_acme"])), 401),
    ] {
        assert_eq!(scene.call("/items", &token).await.status, status, "{name}");
    }
    let scene = Scene::start().await;
    let machine = scene.tenant.machine_token_for("m2m", tenant::AUDIENCE, "read:items");
    assert_eq!(scene.call("/items", &machine).await.status, 200);
    assert_eq!(scene.app.last().one("x-auth-user"), Some("m2m@clients"));
    let powerless = scene.tenant.machine_token_for("m2m", tenant::AUDIENCE, "");
    assert_eq!(scene.call("/items", &powerless).await.status, 403);
}

#[tokio::test]
async fn jwt_63_on_an_optional_path_a_bad_token_is_nobody_and_a_good_one_somebody() {
    let plan = Plan::default();
    let routes = plan.routes.replace("{ path: \"/open/**\", allow: public }", "{ path: \"/open/**\", allow: optional }");
    let scene = Scene::with(Plan { routes, ..plan }).await;
    for (token, user) in [(Some("x.y.z".to_owned()), None), (None, None), (Some(scene.token("ada")), Some("auth0|ada"))] {
        let value = token.as_ref().map(|token| format!("Bearer {token}"));
        let fields: Vec<(&str, &str)> = value.iter().map(|value| ("authorization", value.as_str())).collect();
        assert_eq!(scene.ask(API, "GET", "/open/x", &fields).await.status, 200);
        let seen = scene.app.last();
        assert_eq!(seen.one("x-auth-user"), user);
        assert_eq!(seen.one("authorization"), None, "JWT-65");
    }
    let token = scene.token("ada");
    assert_eq!(bearer(&scene, "pass.localhost", "/x", &token).await.status, 200);
    assert_eq!(scene.app.last().one("authorization"), Some(format!("Bearer {token}").as_str()), "JWT-65: where it was asked for");
}

#[tokio::test]
async fn jwt_64_what_a_caller_is_told_and_never_a_redirect() {
    let scene = Scene::start().await;
    let navigation = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", "text/html")];
    let script = [("accept", "application/json")];
    let reader = format!("Bearer {}", scene.token("ada"));
    let expired = format!("Bearer {}", scene.tenant.sign(with(claims(&scene), "exp", json!(now() - 100))));
    let rows: &[(&str, &str, &str, u16, &str)] = &[
        ("nothing", "GET", "", 401, "Bearer"),
        ("not good", "GET", "Bearer x.y.z", 401, INVALID),
        ("expired", "GET", &expired, 401, "Bearer error=\"invalid_token\", error_description=\"the token has expired\""),
        ("malformed", "GET", "Bearer", 400, "Bearer error=\"invalid_request\""),
    ];
    for (name, method, authorization, status, told) in rows {
        for manner in [&navigation[..], &script[..]] {
            let mut fields = manner.to_vec();
            if !authorization.is_empty() {
                fields.push(("authorization", authorization));
            }
            let answer = scene.ask(API, method, "/items", &fields).await;
            assert_eq!(
                (answer.status, answer.field("www-authenticate"), answer.field("location")),
                (*status, Some(*told), None),
                "{name} {manner:?}"
            );
            assert!(answer.all("set-cookie").is_empty(), "{name}");
        }
    }
    let refused = scene.ask(API, "POST", "/items", &[("authorization", &reader), ("accept", "application/json")]).await;
    assert_eq!((refused.status, refused.field("www-authenticate")), (403, Some("Bearer error=\"insufficient_scope\"")));
    assert_eq!(refused.json()["error"], "forbidden");
    assert_eq!(scene.app.bytes(), 0);
}

#[tokio::test]
async fn conc_01_a_remembered_token_is_a_fact_and_never_a_decision() {
    let scene = Scene::start().await;
    let reader = scene.token("ada");
    let authorization = format!("Bearer {reader}");
    let ask = |method: &'static str, host: &'static str, path: &'static str| {
        let fields = [("authorization", authorization.as_str())];
        let mut browser = scene.browser(host);
        async move { browser.request(method, path, &fields, b"").await.status }
    };
    assert_eq!(ask("GET", API, "/items").await, 200);
    assert_eq!(
        (scene.metric("doorward_jwt_cache_total{result=\"hit\"}").await, scene.metric("doorward_jwt_cache_total{result=\"miss\"}").await),
        (0.0, 1.0)
    );
    for (method, host, path, status) in [
        ("GET", API, "/items", 200),
        ("POST", API, "/items", 403),
        ("GET", API, "/items", 200),
        ("DELETE", API, "/items", 403),
        ("GET", BOTH, "/x", 200),
    ] {
        assert_eq!(ask(method, host, path).await, status, "{method} {host}{path}");
    }
    assert_eq!(
        (scene.metric("doorward_jwt_cache_total{result=\"hit\"}").await, scene.metric("doorward_jwt_cache_total{result=\"miss\"}").await),
        (5.0, 1.0)
    );
    // JWKS-10: equal in its first kilobyte is not equal.
    let other = scene.tenant.sign(with(with(claims(&scene), "a_pad", json!("x".repeat(1500))), "sub", json!("auth0|eddie")));
    assert_eq!(scene.call("/items", &other).await.status, 200);
    assert_eq!(scene.app.last().one("x-auth-user"), Some("auth0|eddie"));
    let bent = format!("{}{}", &other[..other.len() - 4], "AAAA");
    assert_eq!(scene.call("/items", &bent).await.status, 401);
}

#[tokio::test]
async fn jwks_10_a_remembered_token_is_forgotten_when_it_ends() {
    let scene = Scene::start().await;
    // Clocks may be half a minute apart: this one ends, with that, in two seconds.
    let ending = scene.tenant.sign(with(claims(&scene), "exp", json!(now() - 28)));
    // This one is remembered, and soon must not be.
    let remembered = scene.tenant.sign(with(claims(&scene), "exp", json!(now() + 2)));
    for token in [&ending, &remembered, &remembered] {
        assert_eq!(scene.call("/items", token).await.status, 200);
    }
    let hits = scene.metric("doorward_jwt_cache_total{result=\"hit\"}").await;
    assert_eq!(hits, 1.0);
    tokio::time::sleep(Duration::from_millis(3300)).await;
    let refused = scene.call("/items", &ending).await;
    assert_eq!(refused.status, 401);
    assert!(refused.field("www-authenticate").unwrap().ends_with("\"the token has expired\""));
    assert_eq!(scene.call("/items", &remembered).await.status, 200, "within the half minute");
    assert_eq!(scene.metric("doorward_jwt_cache_total{result=\"hit\"}").await, hits, "but not from memory");
}

#[tokio::test]
async fn conc_02_hdr_42_many_callers_on_few_connections_are_never_mixed_up() {
    const USERS: usize = 60;
    const EACH: usize = 120;
    let scene = Scene::start().await;
    let tokens: Vec<String> =
        (0..USERS).map(|user| scene.tenant.sign(with(claims(&scene), "sub", json!(format!("auth0|user-{user}"))))).collect();
    let session = scene.signed_in(BOTH, "vera").await.cookies[SESSION].clone();
    scene.app.forget();
    let connections = (0..4).map(|connection| {
        let (tokens, session) = (&tokens, &session);
        let scene = &scene;
        async move {
            let mut raw: Raw = scene.raw("app.localhost").await;
            for at in 0..EACH {
                let user = (at * 7 + connection * 13) % USERS;
                // Every fifth is nobody, every seventh a session.
                let (host, path, credential, marker) = match at {
                    at if at % 5 == 0 => (API, "/open/x", String::new(), "nobody".to_owned()),
                    at if at % 7 == 0 => (BOTH, "/x", format!("cookie: {SESSION}={session}\r\n"), "auth0|vera".to_owned()),
                    _ => (API, "/items", format!("authorization: Bearer {}\r\n", tokens[user]), format!("auth0|user-{user}")),
                };
                raw.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{credential}x-marker: {marker}\r\n\r\n").as_bytes()).await;
                let answer = raw.answer().await.expect("the connection stays");
                assert_eq!(answer.status, 200, "{marker}");
            }
        }
    });
    futures::future::join_all(connections).await;
    let seen = scene.app.seen();
    assert_eq!(seen.len(), 4 * EACH);
    for request in seen {
        let marker = request.one("x-marker").unwrap();
        assert_eq!(request.one("x-auth-user").unwrap_or("nobody"), marker, "{}", request.head);
    }
}
