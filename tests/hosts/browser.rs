//! Chromium behind each host proxy: it signs in at the certified provider, to the sample apps.

use doorward_demo::{App, AppKind};
use doorward_tests::idp::{AUDIENCE, CLIENT_ID, CLIENT_SECRET, Idp, PASSWORD};
use doorward_tests::ports::free_port;
use doorward_tests::recorder::Recorder;
use doorward_tests::scene::Plan;
use doorward_tests::{chromium, scene};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::stage::{Given, Kind, Stage};

const IDENTITY: &str = r#"
identity:
  roles: ["https://acme.dev/roles"]
headers:
  X-Auth-User: "{user}"
  X-Auth-Email: "{email}"
  X-Auth-Name: "{name}"
  X-Auth-Roles: "{roles}"
  X-Auth-Permissions: "{permissions}"
"#;

/// Runs a script of `browser/` against this host proxy; answers what it reports.
async fn run(kind: Kind, script: &str) -> Value {
    scene::install();
    let port = free_port();
    let origin = |app: &str| format!("https://{app}.localhost:{port}");
    let idp = Idp::start(free_port(), &[origin("cms"), origin("iot")], "/_doorward/callback/tenant").await;
    let (cms, iot) = (App::start(AppKind::Cms).await.expect("an app"), App::start(AppKind::Iot).await.expect("an app"));
    let routes = format!(
        r#"
  - name: cms
    host: cms.localhost
    upstream: http://{}
    rules:
      - {{ path: /, allow: public }}
      - {{ path: "/admin/**", allow: {{ role: admin }} }}
      - {{ allow: signed-in }}
  - name: iot
    host: iot.localhost
    upstream: http://{}
    rules: [{{ allow: signed-in }}]
"#,
        cms.address(),
        iot.address()
    );
    let plan = |plan: Plan| Plan {
        issuer: Some(idp.issuer.clone()),
        client: Some(format!("    client_id: {CLIENT_ID}\n    client_secret: {{ file: certified }}\n    client_auth: post")),
        provider: format!("    audience: {AUDIENCE}\n    access_token_type: jwt\n"),
        files: vec![("certified".into(), CLIENT_SECRET.into())],
        identity: IDENTITY.into(),
        routes,
        ..plan
    };
    let stage = Stage::given(kind, plan, Recorder::start().await, Given { port, ..Given::default() }, |text| text).await;
    let settings = json!({ "cms": origin("cms"), "iot": origin("iot"), "issuer": idp.issuer, "password": PASSWORD });
    let report = chromium::run(script, settings).await;
    let said = stage.process.said();
    report.unwrap_or_else(|problem| panic!("{kind:?}: {problem}\n{said}"))
}

#[tokio::test]
async fn chromium_signs_every_persona_in_to_both_apps_behind_nginx() {
    assert_eq!(
        run(Kind::Nginx, "personas.mjs").await,
        json!({
            "ada": { "forms": 1, "admin": 200, "whoami": 200 },
            "eddie": { "forms": 1, "admin": 403, "whoami": 200 },
            "vera": { "forms": 1, "admin": 403, "whoami": 200 },
        })
    );
}

#[tokio::test]
async fn oidc_20_chromium_signs_in_in_two_tabs_at_once_behind_each_host() {
    // To a browser, one Envoy is as the other. Two at a time: most of it is waiting.
    let hosts = [Kind::Nginx, Kind::Haproxy, Kind::Caddy, Kind::Traefik, Kind::Envoy];
    let visits = futures::stream::iter(hosts).map(|kind| async move { (kind, run(kind, "tabs.mjs").await) });
    for (kind, report) in visits.buffer_unordered(2).collect::<Vec<_>>().await {
        assert_eq!(report, json!({ "first": "/articles/1", "second": "/articles/2", "late": "/articles/3" }), "{kind:?}");
    }
}
