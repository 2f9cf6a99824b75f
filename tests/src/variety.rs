//! Routes of every kind, and everything that somebody may hold who comes to them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_demo::tenant::{self, AUDIENCE, ROLES_CLAIM};
use doorward_policy::secret::Secret;
use doorward_policy::session::{COOKIE, NONCE_LENGTH, Origin, SealingKeys, Session};
use doorward_policy::time::Timestamp;
use doorward_proxy::clock;
use serde_json::{Map, Value, json};

use crate::scene::{Plan, SESSION_KEY, Scene};

/// The hosts of [`plan`], and two that are nobody's.
pub const HOSTS: &[&str] =
    &["app.localhost", "api.localhost", "spa.localhost", "pass.localhost", "both.localhost", "a.wild.localhost", "unknown.test"];

/// For [`plan`]: a hook listener for this machine.
pub const HOOKS: &str = "  hooks: { listen: [\"127.0.0.1:0\"], trusted_peers: [127.0.0.1/32] }\n";

const IDENTITY: &str = r#"
identity:
  roles: ["https://acme.dev/roles"]
headers:
  X-Auth-User: "{user}"
  X-Auth-Email: "{email}"
  X-Auth-Roles: "{roles}"
  X-Auth-Permissions: "{permissions}"
  X-Auth-Team: "{claim:team}"
  X-Tenant: "{claim:org_id}"
"#;

const ROUTES: &str = r#"
  - name: app
    host: app.localhost
    upstream: UPSTREAM
    keep_headers: [x_device_id]
    rules:
      - { path: [/, "/public/**"], allow: public }
      - { path: "/admin/**", allow: { role: admin } }
      - { path: "/closed/**", allow: nobody }
      - { path: "/lan/**", allow: { network: [10.0.0.0/8] } }
      - { path: "/here/**", allow: { public: true, network: [127.0.0.0/8] } }
      - { path: "/elsewhere/**", allow: { public: true, network: [10.0.0.0/8] } }
      - { path: "/forms/**", methods: [GET], allow: public }
      - { path: "/forms/**", methods: [POST, PUT], allow: { role: admin } }
      - { path: "/teams/red/**", allow: { claim: { team: red } } }
      - { allow: signed-in }
  - name: reports
    host: app.localhost
    path: /reports
    upstream: UPSTREAM
    headers: { X-Report-Reader: "{user}" }
    rules:
      - { path: "/reports/open/**", allow: public }
      - { allow: { any_role: [viewer, admin] } }
  - name: api
    host: api.localhost
    upstream: UPSTREAM
    accept: bearer
    cors: { origins: ["https://spa.example"], methods: [GET, POST], headers: [authorization] }
    rules:
      - { path: "/open/**", allow: public }
      - { methods: [GET], allow: { scope: "read:items" } }
      - { allow: { scope: "write:items" } }
  - name: spa
    host: spa.localhost
    upstream: UPSTREAM
    cors: { origins: ["https://spa.example"], methods: [GET, POST], headers: [authorization], preflight: pass }
    rules:
      - { path: "/closed/**", allow: nobody }
      - { methods: [GET, POST], allow: signed-in }
  - name: passing
    host: pass.localhost
    upstream: UPSTREAM
    pass_token: true
    rules: [{ path: "/public/**", allow: public }, { allow: signed-in }]
  - name: both
    host: both.localhost
    upstream: UPSTREAM
    accept: session
    rules: [{ allow: signed-in }]
  - name: wild
    host: "*.wild.localhost"
    upstream: UPSTREAM
    rules: [{ path: "/public/**", allow: public }, { allow: { role: admin } }]
"#;

/// An edge with those routes, and limits that many questions from one address do not meet. `more` goes below `server:`.
pub fn plan(more: &str) -> Plan {
    let limits = "  limits: { connections_per_client: 1000, sign_ins_per_client: 1000000, bad_credentials_per_client: 1000000 }\n";
    Plan { server: format!("{limits}{more}"), identity: IDENTITY.into(), routes: ROUTES.into(), ..Plan::default() }
}

/// Somebody, by the header fields that show who it is.
#[derive(Debug, Clone)]
pub struct Holder {
    pub name: &'static str,
    pub fields: Vec<(&'static str, String)>,
}

/// Nobody, people, and those who are not who they say: everything that may be presented to `host`.
pub fn holders(scene: &Scene, host: &str) -> Vec<Holder> {
    let now = clock::now();
    let hour = Duration::from_secs(3600);
    let holder = |name, fields: &[(&'static str, String)]| Holder { name, fields: fields.to_vec() };
    let session = |sealed: &str| ("cookie", format!("{COOKIE}={sealed}"));
    let viewer = session_of(host, &claims(scene, "vera", &["viewer"]), now);
    let admin = session_of(host, &claims(scene, "ada", &["admin"]), now);
    let red = {
        let mut claims = claims(scene, "eddie", &["editor", "a,b"]);
        claims.insert("team".into(), json!("red"));
        session_of(host, &claims, now)
    };
    let old = session_of(host, &claims(scene, "ada", &["admin"]), now.minus(13 * hour));
    let elsewhere = session_of("elsewhere.localhost", &claims(scene, "ada", &["admin"]), now);
    let reader = scene.tenant.access_token_for("vera", AUDIENCE, "openid read:items");
    let writer = scene.tenant.access_token_for("ada", AUDIENCE, "openid read:items write:items");
    let ended = {
        let mut claims = scene.tenant.access_claims_for("ada", AUDIENCE, "openid read:items write:items");
        claims["exp"] = json!(now.0 - 3600);
        scene.tenant.sign(claims)
    };
    let foreign = {
        let mut claims = scene.tenant.access_claims_for("ada", AUDIENCE, "openid read:items write:items");
        claims["aud"] = json!("https://other-api.acme.dev");
        scene.tenant.sign(claims)
    };
    let forged = format!("{}AAAA", &writer[..writer.len() - 4]);
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    let garbled = format!("{}A{}", &admin[..40], &admin[41..]);
    vec![
        holder("nobody", &[]),
        holder("a viewer", &[session(&viewer)]),
        holder("an admin", &[session(&admin)]),
        holder("a red editor", &[session(&red)]),
        holder("an admin among other cookies", &[("cookie", format!("theme=dark; {COOKIE}={admin}; lang=en"))]),
        holder("an expired session", &[session(&old)]),
        holder("a session of another host", &[session(&elsewhere)]),
        holder("a garbled session", &[session(&garbled)]),
        holder("an empty session", &[session("")]),
        holder("two sessions in one field", &[("cookie", format!("{COOKIE}={viewer}; {COOKIE}={admin}"))]),
        holder("two sessions in two fields", &[session(&viewer), session(&admin)]),
        holder("an attempt of ours", &[("cookie", format!("{COOKIE}-attempt.x=y; a=b"))]),
        holder("a reading token", &[bearer(&reader)]),
        holder("a writing token", &[bearer(&writer)]),
        holder("a writing token, lower case", &[("authorization", format!("bearer {writer}"))]),
        holder("an expired token", &[bearer(&ended)]),
        holder("a token for somebody else", &[bearer(&foreign)]),
        holder("a forged token", &[bearer(&forged)]),
        holder("no token at all", &[("authorization", "Bearer".into())]),
        holder("two tokens", &[bearer(&reader), bearer(&writer)]),
        holder("a password", &[("authorization", "Basic YWRhOmRlbW8=".into())]),
        holder("a token and a session", &[bearer(&reader), session(&admin)]),
        holder("a forged token and a session", &[bearer(&forged), session(&admin)]),
        holder("a password and a session", &[("authorization", "Basic YWRhOmRlbW8=".into()), session(&viewer)]),
    ]
}

/// What the tenant says about one of its people.
fn claims(scene: &Scene, persona: &str, roles: &[&str]) -> Map<String, Value> {
    let claims = json!({
        "iss": scene.tenant.issuer(),
        "sub": format!("auth0|{persona}"),
        "email": format!("{persona}@acme.dev"),
        "iat": clock::now().0,
        "permissions": ["read:items"],
        ROLES_CLAIM: roles,
    });
    claims.as_object().expect("an object").clone()
}

/// A viewer's session at `host` that was last seen so long ago; the value of its cookie.
pub fn session_seen(scene: &Scene, host: &str, ago: Duration) -> String {
    session_of(host, &claims(scene, "vera", &["viewer"]), clock::now().minus(ago))
}

/// A session that began then, sealed for `host` as the edge would.
fn session_of(host: &str, claims: &Map<String, Value>, began: Timestamp) -> String {
    let kept: Vec<Box<str>> = claims.keys().map(|name| name.as_str().into()).collect();
    let origin = Origin { id: "made-by-hand-0000000000", provider: "tenant", client_id: tenant::CLIENT_ID };
    let session = Session::begin(origin, claims, &kept, began);
    session.seal(&sealing_keys(), host, [9; NONCE_LENGTH]).expect("a small session")
}

/// The keys that every scene seals with.
pub fn sealing_keys() -> SealingKeys {
    SealingKeys::new(&[Secret::new(STANDARD.decode(SESSION_KEY).expect("base64"))]).expect("a key")
}
