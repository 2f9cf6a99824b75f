//! What four guides to Auth0 set up by hand, each as a configuration: its own tests pass and reach every rule, and the whole
//! edge with a tenant that issues such claims does what they say.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use doorward_demo::tenant::{self, Api, TenantSettings, User};
use doorward_tests::scene::{APP, Plan, Scene};
use serde_json::json;

use crate::command_line::{binary, text};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples").join(format!("{name}.yaml"))
}

/// The tests in the file, by the program.
fn passes(name: &str) {
    let file = example(name).display().to_string();
    let run = |arguments: &[&str]| {
        let output = Command::new(binary()).args(arguments).env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, said, _) = run(&["check", &file]);
    assert!(code == Some(0) && said.contains("fine"), "{name}: {said}");
    let (code, said, complaints) = run(&["test", &file, "--coverage"]);
    assert_eq!(code, Some(0), "{name}: {said}{complaints}");
    assert!(said.contains(" 0 failed") && !said.contains("never"), "{name}: {said}");
}

/// The part of an example from this key to the next at the margin.
fn section(name: &str, key: &str) -> String {
    let text = std::fs::read_to_string(example(name)).unwrap();
    let from = text.find(&format!("\n{key}:")).unwrap_or_else(|| panic!("{name} has no {key}")) + 1;
    let rest = &text[from..];
    let mut end = rest.len();
    for (at, _) in rest.match_indices('\n') {
        if rest[at + 1..].starts_with(|first: char| first.is_ascii_lowercase()) {
            end = at + 1;
            break;
        }
    }
    rest[..end].to_owned()
}

/// An edge with the example's identity, headers and rules, before the stand-in tenant: only addresses are others.
fn plan(name: &str, host: &str, upstream: &str, tenant: TenantSettings) -> Plan {
    let routes = section(name, "routes").replace("routes:", "").replace(host, APP).replace(upstream, "UPSTREAM");
    let identity = ["identity", "headers"].map(|key| {
        let text = std::fs::read_to_string(example(name)).unwrap();
        if text.contains(&format!("\n{key}:")) { section(name, key) } else { String::new() }
    });
    Plan { identity: format!("\n{}", identity.concat()), routes, tenant: Some(tenant), ..Plan::default() }
}

/// The values of a field that the app was sent last.
fn told(scene: &Scene, field: &str) -> Vec<String> {
    scene.app.last().all(field).into_iter().map(str::to_owned).collect()
}

#[test]
fn seeds_every_example_passes_its_own_tests_and_reaches_every_rule() {
    for name in ["cumulocity", "cloudentity", "cloudsignal", "mia-cms"] {
        passes(name);
    }
}

#[tokio::test]
async fn seeds_cumulocity_permissions_of_the_access_token_are_roles() {
    let api = Api::new(tenant::AUDIENCE, &["device:admin", "device:read"]);
    let person = |sub: &str, name: &str| {
        User::new(sub, &format!("{name}@acme.dev"), name)
            .claim("https://cumulocity/user_id", json!(sub))
            .claim("https://cumulocity/email", json!(format!("{name}@acme.dev")))
            .claim("https://cumulocity/username", json!(name))
    };
    let tenant = TenantSettings::default()
        .api(api)
        .user(person("auth0|c8y-admin", "dora").permissions(&["device:admin"]))
        .user(person("auth0|c8y-nobody", "nora"));
    let scene = Scene::with(Plan {
        provider: "    callback_aliases: [/tenant/oauth]\n".into(),
        ..plan("cumulocity", "iot.acme.dev", "http://10.0.0.6:8080", tenant)
    })
    .await;
    let mut dora = scene.browser(APP);
    let back = scene.sign_in(&mut dora, "/apps/administration/", "auth0|c8y-admin").await;
    assert_eq!(back.status, 303, "{}", back.text());
    assert_eq!(dora.go("/apps/administration/").await.status, 200);
    assert_eq!(told(&scene, "x-auth-user"), ["auth0|c8y-admin"]);
    assert_eq!(told(&scene, "x-auth-username"), ["dora"]);
    assert_eq!(told(&scene, "x-auth-email"), ["dora@acme.dev"]);
    assert_eq!(told(&scene, "x-auth-roles"), ["admins,devices"]);
    // No rule of the mapping holds: access denied, although the rule asks for nothing but a sign-in.
    let mut nora = scene.browser(APP);
    scene.sign_in(&mut nora, "/apps/cockpit/", "auth0|c8y-nobody").await;
    let refused = nora.go("/apps/cockpit/").await;
    assert_eq!((refused.status, scene.reason_of(&refused).await), (403, "no_roles".into()));
}

#[tokio::test]
async fn seeds_cloudentity_a_typed_attribute_of_the_id_token_decides() {
    let tenant = TenantSettings::default()
        .user(User::new("auth0|member", "ada@acme.dev", "ada").claim("https://example.com/groups", json!(["editors", "readers"])))
        .user(User::new("auth0|wrong", "eddie@acme.dev", "eddie").claim("https://example.com/groups", json!("editors")));
    let mut plan = plan("cloudentity", "portal.acme.dev", "http://10.0.0.5:3000", tenant);
    plan.routes = plan.routes.replace("provider: [auth0, workforce]", "provider: tenant");
    let attributes = r"      groups: { claim: 'https://example\.com/groups', source: id_token, type: string_array, label: Groups }";
    assert!(std::fs::read_to_string(example("cloudentity")).unwrap().contains(attributes));
    plan.provider = format!("    amr: {{ values: [pwd], when: always }}\n    attributes:\n{attributes}\n      plan: {{ value: basic }}\n");
    let scene = Scene::with(plan).await;
    let mut ada = scene.browser(APP);
    assert_eq!(ada.go("/news/today").await.status, 200, "optional: nobody is known, and that is fine");
    assert!(told(&scene, "x-auth-user").is_empty());
    scene.sign_in(&mut ada, "/account", "auth0|member").await;
    assert_eq!(ada.go("/groups/editors/minutes").await.status, 200);
    assert_eq!(told(&scene, "x-auth-groups"), ["editors,readers"]);
    assert_eq!(told(&scene, "x-auth-amr"), ["pwd"]);
    assert_eq!(told(&scene, "x-auth-plan"), ["basic"]);
    let refused = ada.go("/groups/owners/minutes").await;
    assert_eq!((refused.status, scene.reason_of(&refused).await), (403, "expression".into()));
    assert_eq!(ada.go("/news/today").await.status, 200);
    assert_eq!(told(&scene, "x-auth-user"), ["auth0|member"], "optional: who is known is told");
    // A text where a list of texts is wanted is no attribute.
    let mut eddie = scene.browser(APP);
    scene.sign_in(&mut eddie, "/account", "auth0|wrong").await;
    assert_eq!(eddie.go("/groups/editors/minutes").await.status, 403);
}

#[tokio::test]
async fn seeds_cloudsignal_topics_of_a_claim_reach_rules_and_the_broker() {
    let topics = json!(["agents/#", "alerts/sensor7"]);
    let tenant = TenantSettings::default()
        .user(User::new("sensor7", "sensor7@acme.dev", "sensor7").claim("https://cloudsignal.io/mqtt_topics", topics))
        .user(User::new("sensor8", "sensor8@acme.dev", "sensor8"));
    let attribute = r"      mqtt_topics: { claim: 'https://cloudsignal\.io/mqtt_topics', source: access_token, type: string_array, label: MQTT topics }";
    assert!(std::fs::read_to_string(example("cloudsignal")).unwrap().contains(attribute));
    let scene = Scene::with(Plan {
        provider: format!("    attributes:\n{attribute}\n"),
        ..plan("cloudsignal", "mqtt.acme.dev", "http://10.0.0.9:8083", tenant)
    })
    .await;
    let bearer = |who: &str| format!("Bearer {}", scene.token(who));
    let ask = async |path: &str, who: &str| scene.ask(APP, "GET", path, &[("authorization", &bearer(who))]).await.status;
    assert_eq!(ask("/mqtt", "sensor7").await, 200);
    assert_eq!(told(&scene, "x-mqtt-username"), ["sensor7"]);
    assert_eq!(told(&scene, "x-mqtt-topics"), ["agents/#,alerts/sensor7"]);
    assert_eq!(ask("/topics/alerts/sensor7", "sensor7").await, 200);
    assert_eq!(ask("/topics/users/sensor7/inbox", "sensor7").await, 200);
    // The same without the claim, and for what belongs to another.
    assert_eq!(ask("/mqtt", "sensor8").await, 403);
    assert_eq!(ask("/topics/alerts/sensor8", "sensor7").await, 403);
    assert_eq!(ask("/topics/users/sensor7/inbox", "sensor8").await, 403);
    // A session of a browser may do the same.
    let mut browser = scene.browser(APP);
    scene.sign_in(&mut browser, "/", "sensor7").await;
    assert_eq!(browser.go("/mqtt").await.status, 200);
    assert_eq!(told(&scene, "x-mqtt-topics"), ["agents/#,alerts/sensor7"]);
}

#[tokio::test]
async fn seeds_mia_groups_of_app_metadata_are_roles_and_headers() {
    let tenant = TenantSettings::default()
        .user(
            User::new("auth0|mia-admin", "ada@acme.dev", "ada")
                .claim("https://acme.dev/app_metadata", json!({ "groups": ["admin"] }))
                .claim("https://acme.dev/user_metadata", json!({ "department": "web" })),
        )
        .user(
            User::new("auth0|mia-editor", "eddie@acme.dev", "eddie")
                .claim("https://acme.dev/app_metadata", json!({ "groups": ["editor-it"] })),
        );
    let namespaces = r#"    claims_namespaces: ["https://acme.dev/app_metadata", "https://acme.dev/user_metadata"]"#;
    assert!(std::fs::read_to_string(example("mia-cms")).unwrap().contains(namespaces));
    let mut plan = plan("mia-cms", "cms.acme.dev", "http://10.0.0.5:3000", tenant);
    plan.provider = format!("    callback_aliases: [/web-login/callback]\n    after_logout: /web-login\n{namespaces}\n");
    let scene = Scene::with(plan).await;
    let mut ada = scene.browser(APP);
    let redirect = ada.go("/users/").await;
    assert!(redirect.location().contains("%2Fweb-login%2Fcallback"), "{}", redirect.location());
    scene.sign_in(&mut ada, "/users/", "auth0|mia-admin").await;
    assert_eq!(ada.go("/users/").await.status, 200);
    assert_eq!(told(&scene, "miauserid"), ["auth0|mia-admin"]);
    assert_eq!(told(&scene, "miausergroups"), ["admin,cms-admin"]);
    assert_eq!(told(&scene, "miauserproperties"), ["web"]);
    assert_eq!(told(&scene, "x-edge"), ["doorward"]);
    let mut eddie = scene.browser(APP);
    scene.sign_in(&mut eddie, "/", "auth0|mia-editor").await;
    assert_eq!(eddie.go("/v2/books").await.status, 200);
    assert_eq!(eddie.go("/users/").await.status, 403);
    // The page behind a sign-out signs nobody in.
    assert_eq!(scene.browser(APP).go("/web-login").await.status, 200);
}
