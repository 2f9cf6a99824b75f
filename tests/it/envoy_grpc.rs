//! Envoy asks over gRPC (SECURITY: HOOK).

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_policy::secret::Secret;
use doorward_policy::session::SealingKeys;
use doorward_tests::asker::Request;
use doorward_tests::client::{Browser, Raw};
use doorward_tests::scene::{API, APP, Plan, SESSION_KEY, Scene, session};
use envoy_types::pb::envoy::config::core::v3::address::Address as Place;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{Address, HeaderMap, HeaderValue, HeaderValueOption, Metadata, Pipe, SocketAddress};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request as Attributes, TlsSession};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Timestamp};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpSocket, TcpStream};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

const GRPC: &str = "  limits: { connections_per_client: 1000 }\n  hooks: { grpc: [\"127.0.0.1:0\"], trusted_peers: [127.0.0.1/32] }\n";
const CLIENT: &str = "192.0.2.7";

async fn scene() -> Scene {
    Scene::with(plan(GRPC)).await
}

fn plan(server: &str) -> Plan {
    Plan { server: server.into(), ..Plan::default() }
}

/// An Envoy.
#[derive(Debug, Clone)]
struct Envoy {
    client: AuthorizationClient<Channel>,
    /// `initial_metadata` of its `grpc_service`.
    secrets: Vec<&'static str>,
}

impl Envoy {
    async fn of(scene: &Scene) -> Self {
        Self::from(scene, Ipv4Addr::LOCALHOST).await
    }

    async fn from(scene: &Scene, from: Ipv4Addr) -> Self {
        Self::over(scene, move |socket| async move { Ok(socket) }, from).await.expect("an open port")
    }

    /// `wrap` makes what is spoken over from a socket.
    async fn over<S, F>(
        scene: &Scene,
        wrap: impl Fn(TcpStream) -> F + Clone + Send + Sync + 'static,
        from: Ipv4Addr,
    ) -> Result<Self, tonic::transport::Error>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = std::io::Result<S>> + Send,
    {
        let address = port(scene);
        let connect = tower::service_fn(move |_| {
            let wrap = wrap.clone();
            async move {
                let socket = TcpSocket::new_v4()?;
                socket.bind(SocketAddr::new(from.into(), 0))?;
                Ok::<_, std::io::Error>(TokioIo::new(wrap(socket.connect(address).await?).await?))
            }
        });
        let channel = Endpoint::from_static("http://doorward.internal").connect_with_connector(connect).await?;
        Ok(Self { client: AuthorizationClient::new(channel), secrets: Vec::new() })
    }

    async fn call(&self, question: CheckRequest) -> Result<CheckResponse, Status> {
        let mut request = tonic::Request::new(question);
        for secret in &self.secrets {
            request.metadata_mut().append("x-doorward-secret", secret.parse().unwrap());
        }
        self.client.clone().check(request).await.map(tonic::Response::into_inner)
    }

    async fn ask(&self, question: CheckRequest) -> Answer {
        Answer(self.call(question).await.expect("an answer"))
    }

    async fn about(&self, request: &Request<'_>) -> Answer {
        self.ask(question(request)).await
    }
}

fn port(scene: &Scene) -> SocketAddr {
    scene.edge().grpc_addresses()[0]
}

/// Every part that Envoy fills in, as its `CheckRequestUtils` does.
fn question(request: &Request<'_>) -> CheckRequest {
    let own = [
        (":authority", request.host),
        (":method", request.method),
        (":path", request.target),
        (":scheme", "https"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", CLIENT),
        ("x-request-id", "a6c83a32-33e4-4d7a-b2a7-c8e8a9c1a2d0"),
    ];
    let mut headers: HashMap<String, String> = HashMap::new();
    for (name, value) in own.iter().chain(&request.fields) {
        // Fields of one name are joined.
        headers.entry((*name).to_owned()).and_modify(|all| *all += &format!(",{value}")).or_insert_with(|| (*value).to_owned());
    }
    let http = HttpRequest {
        id: "4711215683421733".into(),
        method: request.method.into(),
        path: request.target.into(),
        host: request.host.into(),
        scheme: "https".into(),
        protocol: "HTTP/2".into(),
        headers,
        ..HttpRequest::default()
    };
    let destination = Peer { principal: "app.localhost".into(), ..peer("10.9.0.1", 8443) };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(peer(CLIENT, 53_211)),
            destination: Some(destination),
            request: Some(Attributes { time: Some(Timestamp { seconds: 1_790_000_000, nanos: 5 }), http: Some(http) }),
            metadata_context: Some(Metadata::default()),
            route_metadata_context: Some(Metadata::default()),
            tls_session: Some(TlsSession { sni: request.host.into() }),
            ..AttributeContext::default()
        }),
    }
}

/// The same with `encode_raw_headers`: a list, bytes, and nothing joined.
fn raw_question(request: &Request<'_>) -> CheckRequest {
    let mut question = question(&Request { fields: Vec::new(), ..request.clone() });
    let http = http_of(&mut question);
    let field = |key: &str, value: &[u8]| HeaderValue { key: key.to_owned(), raw_value: value.to_vec(), ..HeaderValue::default() };
    let own: BTreeMap<_, _> = std::mem::take(&mut http.headers).into_iter().collect();
    let own = own.iter().map(|(name, value)| field(name, value.as_bytes()));
    let headers = own.chain(request.fields.iter().map(|(name, value)| field(name, value.as_bytes()))).collect();
    http.header_map = Some(HeaderMap { headers });
    question
}

fn peer(address: &str, port: u32) -> Peer {
    use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
    let socket =
        SocketAddress { address: address.into(), port_specifier: Some(PortSpecifier::PortValue(port)), ..SocketAddress::default() };
    Peer { address: Some(Address { address: Some(Place::SocketAddress(socket)) }), ..Peer::default() }
}

fn context_of(question: &mut CheckRequest) -> &mut AttributeContext {
    question.attributes.as_mut().unwrap()
}

fn http_of(question: &mut CheckRequest) -> &mut HttpRequest {
    context_of(question).request.as_mut().unwrap().http.as_mut().unwrap()
}

#[derive(Debug)]
struct Answer(CheckResponse);

impl Answer {
    fn code(&self) -> i32 {
        self.0.status.as_ref().expect("always said").code
    }

    fn ok(&self) -> &OkHttpResponse {
        assert_eq!(self.code(), 0, "{self:?}");
        match &self.0.http_response {
            Some(HttpResponse::OkResponse(ok)) => ok,
            other => panic!("a yes without its part: {other:?}"),
        }
    }

    fn denied(&self) -> &DeniedHttpResponse {
        assert_ne!(self.code(), 0, "{self:?}");
        match &self.0.http_response {
            Some(HttpResponse::DeniedResponse(denied)) => denied,
            other => panic!("a no without its part: {other:?}"),
        }
    }

    /// What the client gets: 200 for what is passed on.
    fn status(&self) -> i32 {
        if self.code() == 0 { 200 } else { self.denied().status.as_ref().unwrap().code }
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.denied()
            .headers
            .iter()
            .filter_map(|option| option.header.as_ref())
            .filter(|field| field.key == name)
            .map(|field| &*field.value)
            .collect()
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    fn reason(&self) -> String {
        text(&self.metadata()["reason"])
    }

    fn metadata(&self) -> &HashMap<String, envoy_types::pb::google::protobuf::Value> {
        let Struct { fields } = self.0.dynamic_metadata.as_ref().expect("always said");
        fields
    }

    /// The fields that the app gets, as Envoy makes them: what is to be set, then what is to be removed.
    fn app_sees(&self, request: &Request<'_>) -> BTreeMap<String, Vec<String>> {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &request.fields {
            fields.entry((*name).to_owned()).or_default().push((*value).to_owned());
        }
        for HeaderValueOption { header, append_action, .. } in &self.ok().headers {
            let header = header.as_ref().unwrap();
            assert_eq!(*append_action, HeaderAppendAction::OverwriteIfExistsOrAdd as i32, "{}", header.key);
            assert!(!header.value.is_empty(), "{} would stay, empty", header.key);
            fields.insert(header.key.clone(), vec![header.value.clone()]);
        }
        for name in &self.ok().headers_to_remove {
            assert!(!name.starts_with(':') && name != "host", "{name} cannot be removed");
            fields.remove(name);
        }
        fields
    }
}

fn text(value: &envoy_types::pb::google::protobuf::Value) -> String {
    match &value.kind {
        Some(Kind::StringValue(text)) => text.clone(),
        other => panic!("no text: {other:?}"),
    }
}

fn cookie_of(browser: &Browser) -> String {
    browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

fn tells_nothing(answer: &Answer) {
    for option in &answer.denied().headers {
        let name = &option.header.as_ref().unwrap().key;
        assert!(!name.starts_with("x-auth") && !["cookie", "authorization", "x-doorward-route"].contains(&name.as_str()), "{name}");
    }
    assert_eq!(answer.field("x-doorward-decision"), Some("refuse"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(answer.metadata().keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), ["decision", "reason"].into());
}

#[tokio::test]
async fn hook_01_only_trusted_peers_may_ask_and_nobody_else_is_told_anything() {
    let scene = scene().await;
    let public = question(&Request::get(APP, "/public/x"));
    assert_eq!(Envoy::of(&scene).await.ask(public.clone()).await.code(), 0);
    let stranger = Envoy::from(&scene, Ipv4Addr::new(127, 0, 0, 2)).await;
    let refused = stranger.call(public).await.unwrap_err();
    assert_eq!((refused.code(), refused.metadata().keys().count() <= 3), (Code::PermissionDenied, true), "{refused:?}");
    assert_eq!(scene.metric("doorward_hook_requests_total{code=\"4xx\",dialect=\"untrusted\"}").await, 1.0);
    assert_eq!(scene.metric("doorward_hook_requests_total{code=\"2xx\",dialect=\"envoy_grpc\"}").await, 1.0);
    let log = scene.log().await;
    let line = log.iter().find(|line| line["reason"] == "hook_untrusted").expect("a line");
    assert_eq!((line["client"].as_str(), line["decision"].as_str()), (Some("127.0.0.2"), Some("refuse")));
    let line = log.iter().find(|line| line["dialect"] == "envoy_grpc").expect("a line");
    let said =
        ["client", "method", "host", "path", "protocol", "route", "rule", "decision", "reason"].map(|key| line[key].as_str().unwrap());
    assert_eq!(said, [CLIENT, "GET", APP, "/public/x", "h2", "app", "app/1", "allow", "public"]);
}

#[tokio::test]
async fn hook_01_a_shared_secret_is_demanded_of_trusted_addresses_too() {
    let server = "  hooks: { grpc: [\"127.0.0.1:0\"], trusted_peers: [127.0.0.1/32], secret: { file: hook-secret } }\n";
    let scene = Scene::with(Plan { files: vec![("hook-secret".into(), "correct-horse-battery\n".into())], ..plan(server) }).await;
    let envoy = Envoy::of(&scene).await;
    let public = question(&Request::get(APP, "/public/x").with("x-doorward-secret", "correct-horse-battery"));
    for (secrets, code) in [
        (vec!["correct-horse-battery"], Code::Ok),
        (vec![], Code::PermissionDenied),
        (vec!["correct-horse-batterz"], Code::PermissionDenied),
        (vec!["correct-horse-battery", "correct-horse-battery"], Code::PermissionDenied),
    ] {
        let envoy = Envoy { secrets: secrets.clone(), ..envoy.clone() };
        let answer = envoy.call(public.clone()).await;
        assert_eq!(answer.as_ref().map_or_else(Status::code, |_| Code::Ok), code, "{secrets:?}");
    }
    let stranger = Envoy { secrets: vec!["correct-horse-battery"], ..Envoy::from(&scene, Ipv4Addr::new(127, 0, 0, 2)).await };
    assert_eq!(stranger.call(public).await.unwrap_err().code(), Code::PermissionDenied);
    // LOG-01
    assert!(!scene.log_text().await.contains("correct-horse"));
}

#[tokio::test]
async fn hook_01_a_client_certificate_can_be_demanded() {
    let ((pem, ours), (_, others)) = (authority(), authority());
    let server = "  hooks: { grpc: [\"127.0.0.1:0\"], trusted_peers: [127.0.0.1/32], tls: true, client_ca: hosts.pem }\n";
    let scene = Scene::with(Plan { files: vec![("hosts.pem".into(), pem)], ..plan(server) }).await;
    let public = question(&Request::get(APP, "/public/x"));
    for (name, identity, alpn, passes) in [
        ("ours", Some(signed(&ours)), &["h2"][..], true),
        ("ours, which knows better", Some(signed(&ours)), &[], true),
        ("ours, for another protocol", Some(signed(&ours)), &["http/1.1"], false),
        ("none", None, &["h2"], false),
        ("another's", Some(signed(&others)), &["h2"], false),
    ] {
        assert_eq!(is_answered(&scene, identity, alpn).await, passes, "{name}");
    }
    // Without TLS there is nobody to talk to.
    let plain = Envoy::over(&scene, |socket| async move { Ok(socket) }, Ipv4Addr::LOCALHOST).await;
    let plain = match plain {
        Ok(envoy) => envoy.call(public).await.is_ok(),
        Err(_) => false,
    };
    assert!(!plain);
    assert!(scene.metric("doorward_tls_handshakes_total{outcome=\"completed\"}").await >= 2.0);
    assert!(scene.metric("doorward_tls_handshakes_total{outcome=\"failed\"}").await >= 2.0);
}

/// A certificate authority of its own.
fn authority() -> (String, rcgen::Issuer<'static, rcgen::KeyPair>) {
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), rcgen::Issuer::new(params, key))
}

fn signed(by: &rcgen::Issuer<'_, rcgen::KeyPair>) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new(vec!["envoy.internal".to_owned()]).unwrap().signed_by(&key, by).unwrap();
    (made.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

/// Whether somebody with this certificate is answered.
async fn is_answered(scene: &Scene, identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>, alpn: &[&str]) -> bool {
    let config = Arc::new(client_config(scene, identity, alpn));
    let wrap = move |socket| {
        let connector = tokio_rustls::TlsConnector::from(config.clone());
        async move { connector.connect(ServerName::try_from("localhost").unwrap(), socket).await }
    };
    match Envoy::over(scene, wrap, Ipv4Addr::LOCALHOST).await {
        Ok(envoy) => envoy.call(question(&Request::get(APP, "/public/x"))).await.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test]
async fn hook_01_another_authority_counts_from_a_reload_on() {
    let ((pem, ours), (other, others)) = (authority(), authority());
    let server = "  hooks: { grpc: [\"127.0.0.1:0\"], trusted_peers: [127.0.0.1/32], tls: true, client_ca: hosts.pem }\n";
    let files = vec![("hosts.pem".into(), pem.clone()), ("others.pem".into(), other)];
    let scene = Scene::with(Plan { files, ..plan(server) }).await;
    let answered =
        async || [is_answered(&scene, Some(signed(&ours)), &["h2"]).await, is_answered(&scene, Some(signed(&others)), &["h2"]).await];
    assert_eq!(answered().await, [true, false]);
    scene.reconfigure(|text| text.replace("client_ca: hosts.pem", "client_ca: others.pem")).await;
    assert_eq!(answered().await, [false, true]);
    // The same file with another authority in it.
    std::fs::write(scene.folder.path().join("others.pem"), pem).unwrap();
    scene.reload().await.unwrap();
    assert_eq!(answered().await, [true, false]);
}

#[tokio::test]
async fn adv_aut_06_an_envoy_stays_connected_through_a_reload_and_is_told_what_counts_now() {
    let scene = scene().await;
    let envoy = Envoy::of(&scene).await;
    let ada = scene.signed_in(APP, "ada").await.cookie();
    let about = async |path: &'static str| envoy.about(&Request::get(APP, path).with("cookie", &ada)).await.status();
    assert_eq!((about("/private").await, about("/closed/x").await), (200, 403));
    let (accepted, change) = (scene.metric("doorward_connections").await, |text: String| {
        text.replace("path: \"/closed/**\", allow: nobody", "path: \"/closed/**\", allow: signed-in").replace("X-Auth-User", "X-Auth-Who")
    });
    scene.reconfigure(change).await;
    assert_eq!((about("/private").await, about("/closed/x").await), (200, 200));
    assert_eq!(scene.metric("doorward_connections").await, accepted, "on the same connection");
    let request = Request::get(APP, "/closed/x").with("cookie", &ada).with("x-auth-who", "root");
    let seen = envoy.about(&request).await.app_sees(&request);
    assert_eq!((seen.get("x-auth-who"), seen.get("x-auth-user")), (Some(&vec!["auth0|ada".to_owned()]), None));
}

#[tokio::test]
async fn a_shadow_is_counted_and_logged_and_changes_no_answer() {
    let routes = "\n  - name: app\n    host: app.localhost\n    upstream: UPSTREAM\n    rules:\n      - { path: \"/try/**\", allow: { role: admin }, enforce: log }\n      - { allow: signed-in }\n";
    let scene = Scene::with(Plan { routes: routes.into(), ..plan(GRPC) }).await;
    let envoy = Envoy::of(&scene).await;
    let vera = scene.signed_in(APP, "vera").await.cookie();
    for (path, shadow) in [("/try/x", Some("role")), ("/other", None)] {
        let request = Request::get(APP, path).with("cookie", &vera);
        let answer = envoy.about(&request).await;
        assert_eq!(answer.app_sees(&request).get("x-auth-user"), Some(&vec!["auth0|vera".to_owned()]), "{path}");
        assert_eq!(answer.reason(), "session");
        let line = scene.log().await.into_iter().find(|line| line["path"] == path && line["dialect"] == "envoy_grpc").unwrap();
        assert_eq!((line["rule"].as_str(), line["shadow"][0]["reason"].as_str()), (Some("app/2"), shadow), "{path}");
    }
    let series = |decision: &str, reason: &str| {
        format!("doorward_shadow_decisions_total{{decision=\"{decision}\",reason=\"{reason}\",route=\"app\",rule=\"app/1\"}}")
    };
    assert_eq!(scene.metric(&series("deny", "role")).await, 1.0);
    // Enforced, the same rule refuses.
    scene.reconfigure(|text| text.replace(", enforce: log", "")).await;
    assert_eq!(envoy.about(&Request::get(APP, "/try/x").with("cookie", &vera)).await.status(), 403);
}

fn client_config(scene: &Scene, identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>, alpn: &[&str]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(scene.ca.clone()).unwrap();
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match identity {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

#[tokio::test]
async fn hook_06_the_app_gets_our_identity_headers_and_nobody_elses() {
    let scene = scene().await;
    let envoy = Envoy::of(&scene).await;
    let cookie = cookie_of(&scene.signed_in(APP, "ada").await);
    let cookies = format!("theme=dark; {cookie}; __Host-doorward-attempt.a=b; lang=en");
    let forged = |request: Request<'static>| {
        let forged = ["x-auth-user", "x-auth-colour", "x_auth_user", "x-real-ip", "x-original-url", "remote-user", "proxy-authorization"];
        forged.into_iter().fold(request, |request, name| request.with(name, "root"))
    };
    for ask in [question, raw_question] {
        let request = forged(Request::get(APP, "/private")).with("accept", "*/*").with("authorization", "Basic eDp5");
        let request = Request { fields: request.fields.iter().copied().chain([("cookie", cookies.as_str())]).collect(), ..request };
        let answer = envoy.ask(ask(&request)).await;
        let seen = answer.app_sees(&request);
        let seen: BTreeMap<&str, &str> = seen.iter().map(|(name, values)| (name.as_str(), values[0].as_str())).collect();
        let expected = BTreeMap::from([
            ("accept", "*/*"),
            ("cookie", "theme=dark; lang=en"),
            ("x-auth-user", "auth0|ada"),
            ("x-auth-email", "ada@acme.dev"),
            ("x-auth-roles", "admin"),
            ("x-auth-permissions", seen["x-auth-permissions"]),
        ]);
        assert_eq!(seen, expected);
        // These are Envoy's own.
        for name in ["x-request-id", "x-forwarded-for", "x-forwarded-proto"] {
            assert!(!answer.ok().headers_to_remove.iter().any(|removed| removed == name), "{name}");
            assert!(!answer.ok().headers.iter().any(|option| option.header.as_ref().unwrap().key == name), "{name}");
        }
        // CVE-2026-30851: nobody is there, and no header is.
        let request = forged(Request::get(APP, "/public/x"));
        let answer = envoy.ask(ask(&request)).await;
        assert_eq!(answer.app_sees(&request), BTreeMap::new());
        for name in ["x-auth-user", "x-auth-email", "x-auth-roles", "x-auth-permissions", "cookie", "authorization"] {
            assert!(answer.ok().headers_to_remove.iter().any(|removed| removed == name), "{name} may be there and not be shown to us");
        }
    }
}

#[tokio::test]
async fn jwt_65_a_token_reaches_the_app_only_where_the_route_says_so() {
    let scene = scene().await;
    let envoy = Envoy::of(&scene).await;
    let token = format!("Bearer {}", scene.token("ada"));
    for (host, passes) in [("pass.localhost", true), (API, false)] {
        let request = Request::get(host, "/items").with("authorization", &token);
        let seen = envoy.about(&request).await.app_sees(&request);
        assert_eq!(seen.get("authorization"), passes.then(|| vec![token.clone()]).as_ref(), "{host}");
    }
}

#[tokio::test]
async fn hook_05_a_refusal_is_never_ok_and_carries_what_the_browser_is_to_get() {
    let scene = scene().await;
    let envoy = Envoy::of(&scene).await;
    let cookie = cookie_of(&scene.signed_in(APP, "ada").await);
    let visit = envoy.about(&Request::visit(APP, "/private?a=1&b=2")).await;
    assert_eq!((visit.status(), visit.code()), (302, 16));
    assert_eq!(visit.field("location"), Some("https://app.localhost/_doorward/login?return_to=%2Fprivate%3Fa%3D1%26b%3D2"));
    let script = envoy.about(&Request::get(APP, "/private")).await;
    assert_eq!((script.status(), script.code(), script.field("location")), (401, 16, None));
    assert!(script.field("www-authenticate").is_some() && script.denied().body.contains("login_required"));
    assert_eq!(script.field("content-type"), Some("application/json"));
    // Envoy itself turns the status into a gRPC one.
    let grpc = envoy.about(&Request::get(APP, "/private").by("POST").with("content-type", "application/grpc")).await;
    assert_eq!((grpc.status(), grpc.code()), (401, 16));
    let page = envoy.about(&Request::visit(APP, "/closed/x").with("cookie", &cookie)).await;
    assert_eq!((page.status(), page.code()), (403, 7));
    assert!(page.denied().body.contains("This is closed") && page.field("content-security-policy").is_some());
    assert_eq!(envoy.about(&Request::get(APP, "/admin/x").with("cookie", &cookie)).await.status(), 200, "ada is an admin");
    let unknown = envoy.about(&Request::get("unknown.localhost", "/")).await;
    assert_eq!((unknown.status(), unknown.code()), (421, 7));
    let token = envoy.about(&Request::get(API, "/items").with("authorization", "Bearer x.y.z")).await;
    assert_eq!((token.status(), token.code()), (401, 16));
    let damaged = envoy.about(&Request::visit(APP, "/private").with("cookie", "__Host-doorward=damaged")).await;
    assert!(damaged.field("set-cookie").is_some_and(|cookie| cookie.starts_with("__Host-doorward=;")), "{damaged:?}");
    for answer in [&visit, &script, &grpc, &page, &unknown, &token, &damaged] {
        tells_nothing(answer);
        // The first of a name replaces what Envoy would say.
        let mut names = std::collections::HashSet::new();
        for option in &answer.denied().headers {
            let first = names.insert(option.header.as_ref().unwrap().key.clone());
            let action = if first { HeaderAppendAction::OverwriteIfExistsOrAdd } else { HeaderAppendAction::AppendIfExistsOrAdd };
            assert_eq!(option.append_action, action as i32, "{option:?}");
        }
    }
    // An answer of ours that looks friendly is a refusal to Envoy, and it relays it as it is.
    let preflight =
        Request::get(API, "/items").by("OPTIONS").with("origin", "https://spa.example").with("access-control-request-method", "GET");
    let preflight = envoy.about(&preflight).await;
    assert_eq!((preflight.status(), preflight.code()), (204, 7));
    assert_eq!(preflight.field("access-control-allow-origin"), Some("https://spa.example"));
    let plain = |mut question: CheckRequest| {
        let http = http_of(&mut question);
        http.scheme = "http".into();
        http.headers.insert(":scheme".into(), "http".into());
        question
    };
    let insecure = envoy.ask(plain(question(&Request::get(APP, "/public/x")))).await;
    assert_eq!((insecure.status(), insecure.reason().as_str()), (403, "hook_insecure"));
    let insecure = envoy.ask(plain(question(&Request::visit(APP, "/public/x?y")))).await;
    assert_eq!((insecure.status(), insecure.field("location")), (302, Some("https://app.localhost/public/x?y")));
}

#[tokio::test]
async fn hook_11_what_is_missing_or_said_in_two_ways_is_refused() {
    let scene = scene().await;
    let envoy = Envoy::of(&scene).await;
    let public = Request::get(APP, "/public/x").with("accept", "*/*");
    assert_eq!(envoy.ask(question(&public)).await.code(), 0);
    assert_eq!(envoy.ask(raw_question(&public)).await.code(), 0);
    type Change = fn(&mut CheckRequest);
    let cases: &[(&str, Change, i32, &str)] = &[
        ("no attributes", |question| question.attributes = None, 400, "hook_source"),
        ("no request", |question| context_of(question).request = None, 400, "hook_source"),
        ("no http", |question| context_of(question).request = Some(Attributes::default()), 400, "hook_source"),
        ("an empty http", |question| *http_of(question) = HttpRequest::default(), 400, "hook_source"),
        (
            "connect",
            |question| {
                let http = http_of(question);
                (http.method, http.path) = ("CONNECT".into(), String::new());
                http.headers.remove(":path");
                http.headers.insert(":method".into(), "CONNECT".into());
            },
            400,
            "hook_source",
        ),
        ("no path", |question| http_of(question).path.clear(), 400, "hook_source"),
        ("another path", |question| http_of(question).path = "/public/y".into(), 400, "hook_source"),
        ("another host", |question| http_of(question).host = "both.localhost".into(), 400, "hook_source"),
        ("another method", |question| http_of(question).method = "POST".into(), 400, "hook_source"),
        ("another scheme", |question| http_of(question).scheme = "http".into(), 400, "hook_source"),
        ("a scheme that is none", |question| http_of(question).scheme = "ws".into(), 400, "hook_source"),
        ("a second host", |question| drop(http_of(question).headers.insert("host".into(), API.into())), 400, "hook_source"),
        ("a query apart", |question| http_of(question).query = "a=b".into(), 400, "hook_source"),
        ("both lists", |question| http_of(question).header_map = Some(HeaderMap::default()), 400, "hook_source"),
        ("a name that is none", |question| drop(http_of(question).headers.insert("a b".into(), "c".into())), 400, "hook_source"),
        ("a line break", |question| drop(http_of(question).headers.insert("a".into(), "b\nc: d".into())), 400, "hook_source"),
        (
            "dots",
            |question| {
                let http = http_of(question);
                http.path = "/public/../private".into();
                http.headers.insert(":path".into(), http.path.clone());
            },
            400,
            "bad_request",
        ),
        (
            "a thousand fields",
            |question| http_of(question).headers.extend((0..1000).map(|n| (format!("x-{n}"), "v".to_owned()))),
            431,
            "header_too_large",
        ),
        (
            "fields that are too long",
            |question| http_of(question).headers.extend((0..5).map(|n| (format!("x-{n}"), "v".repeat(8000)))),
            431,
            "header_too_large",
        ),
        (
            "a cookie in bytes",
            |question| {
                let raw = raw_question(&Request::get(APP, "/public/x"));
                *question = raw;
                let field = HeaderValue { key: "cookie".into(), raw_value: b"a=\xff".to_vec(), ..HeaderValue::default() };
                http_of(question).header_map.as_mut().unwrap().headers.push(field);
            },
            400,
            "bad_request",
        ),
    ];
    for (name, change, status, reason) in cases {
        let mut question = question(&public);
        change(&mut question);
        let answer = envoy.ask(question).await;
        assert_eq!((answer.status(), answer.reason().as_str(), answer.code()), (*status, *reason, 7), "{name}");
        tells_nothing(&answer);
    }
}

#[tokio::test]
async fn hook_11_bytes_that_are_no_message_are_an_error_and_fields_from_the_future_are_nothing() {
    let scene = scene().await;
    let address = port(&scene);
    let good = encoded(&question(&Request::get(APP, "/public/x")));
    let (_, answer) = call_with(address, "/envoy.service.auth.v3.Authorization/Check", &good).await;
    assert!(!answer.is_empty());
    // Field 99, a string, in the outermost message.
    let unknown = [&good[..], &[0x9a, 0x06, 0x02, b'h', b'i']].concat();
    let (status, same) = call_with(address, "/envoy.service.auth.v3.Authorization/Check", &unknown).await;
    assert_eq!((status.as_deref(), same.len()), (Some("0"), answer.len()));
    // A byte that is no text where text is.
    let at = good.windows(9).position(|bytes| bytes == b"/public/x").unwrap();
    let mut broken = good.clone();
    broken[at + 8] = 0xff;
    for (name, message) in
        [("not UTF-8", broken), ("cut off", good[..good.len() - 3].to_vec()), ("noise", vec![0xff; 40]), ("too large", vec![0; 600_000])]
    {
        let (status, body) = call_with(address, "/envoy.service.auth.v3.Authorization/Check", &message).await;
        assert!(status.as_deref().is_some_and(|status| status != "0") && body.is_empty(), "{name}: {status:?}");
    }
    let (status, body) = call_with(address, "/envoy.service.auth.v2.Authorization/Check", &good).await;
    assert_eq!((status.as_deref(), body.len()), (Some("12"), 0));
    assert_eq!(scene.metric("doorward_hook_requests_total{code=\"5xx\",dialect=\"envoy_grpc\"}").await, 5.0);
    let log = scene.log().await;
    let lines = |reason: &str| log.iter().filter(|line| line["reason"] == reason).count();
    assert_eq!((lines("hook_message"), lines("hook_method")), (4, 1));
}

fn encoded(question: &CheckRequest) -> Vec<u8> {
    envoy_types::util::pack_any(question.clone()).value
}

/// One gRPC call, byte by byte; its status and the message that came back.
async fn call_with(address: SocketAddr, path: &str, message: &[u8]) -> (Option<String>, Vec<u8>) {
    let socket = TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = http::Request::post(format!("http://doorward.internal{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (answer, mut stream) = client.send_request(request, false).unwrap();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    // RFC 9113 §5.2: h2 holds back what there is no window for. The answer may come first.
    let _ = stream.send_data([&[0], &length[..], message].concat().into(), true);
    let answer = answer.await.unwrap();
    let status = |headers: &http::HeaderMap| headers.get("grpc-status").map(|status| status.to_str().unwrap().to_owned());
    if let Some(early) = status(answer.headers()) {
        return (Some(early), Vec::new());
    }
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
    }
    let trailers = body.trailers().await.unwrap();
    (trailers.as_ref().and_then(status), bytes)
}

#[tokio::test]
async fn cookie_01_credentials_that_come_twice_are_nobodys_however_envoy_tells_it() {
    let scene = scene().await;
    let envoy = Envoy::of(&scene).await;
    let cookie = cookie_of(&scene.signed_in(APP, "ada").await);
    let bearer = format!("Bearer {}", scene.token("ada"));
    assert_eq!(envoy.about(&Request::get(APP, "/private").with("cookie", &cookie)).await.code(), 0);
    assert_eq!(envoy.about(&Request::get(API, "/items").with("authorization", &bearer)).await.code(), 0);
    let twice = [
        Request::get(APP, "/private").with("cookie", &cookie).with("cookie", &cookie),
        Request::get(APP, "/private").with("cookie", &cookie).with("cookie", "__Host-doorward=x"),
        Request::get(API, "/items").with("authorization", &bearer).with("authorization", &bearer),
        Request::get(API, "/items").with("authorization", "Basic eDp5").with("authorization", &bearer),
        Request::get("both.localhost", "/x").with("authorization", "Basic eDp5").with("authorization", "Basic eDp5"),
    ];
    for request in &twice {
        for ask in [question, raw_question] {
            let answer = envoy.ask(ask(request)).await;
            assert!((400..=401).contains(&answer.status()), "{answer:?}");
        }
    }
    // Crumbs of one list (RFC 9113 §8.2.3) are no second cookie; joined with a comma they could be part of another.
    let crumbs = Request::get(APP, "/private").with("cookie", "theme=dark").with("cookie", &cookie);
    let answer = envoy.ask(raw_question(&crumbs)).await;
    assert_eq!(answer.app_sees(&crumbs)["cookie"], ["theme=dark"]);
    let answer = envoy.ask(question(&crumbs)).await;
    assert_eq!((answer.status(), answer.reason().as_str()), (400, "hook_source"));
}

#[tokio::test]
async fn hook_11_a_route_can_be_named_whatever_the_host() {
    let scene = scene().await;
    let envoy = Envoy::of(&scene).await;
    let named = |host: &'static str, name: &str, more: Option<&str>| {
        let mut question = question(&Request::get(host, "/public/x"));
        let extensions = &mut context_of(&mut question).context_extensions;
        extensions.insert("route".into(), name.into());
        extensions.extend(more.map(|key| (key.to_owned(), "api".to_owned())));
        let envoy = envoy.clone();
        async move { envoy.ask(question).await }
    };
    let answer = named("cluster.internal", "app", Some("virtual_host")).await;
    assert_eq!((answer.code(), text(&answer.metadata()["route"])), (0, "app".to_owned()));
    // The host's own route is public there; the named one is not.
    let answer = named(APP, "both", None).await;
    assert_eq!((answer.status(), answer.code()), (401, 16));
    // No name is no name; a wrong one is a mistake of the operator's.
    assert_eq!(named(APP, "", None).await.code(), 0);
    assert_eq!(named("cluster.internal", "", None).await.status(), 421);
    for wrong in ["App", "app ", "none", "0"] {
        let answer = named(APP, wrong, None).await;
        assert_eq!((answer.status(), answer.reason().as_str()), (400, "hook_source"), "{wrong}");
    }
}

#[tokio::test]
async fn hook_11_the_client_is_who_is_connected_to_envoy_whatever_it_says_of_itself() {
    let scene = scene().await;
    let envoy = Envoy::of(&scene).await;
    let cookie = cookie_of(&scene.signed_in(APP, "ada").await);
    let from = |source: Option<Peer>| {
        let forged = Request::get(APP, "/lan/x").with("cookie", &cookie).with("forwarded", "for=10.0.0.1").with("x-real-ip", "10.0.0.1");
        let mut question = question(&forged);
        http_of(&mut question).headers.insert("x-forwarded-for".into(), "10.0.0.1".into());
        context_of(&mut question).source = source;
        let envoy = envoy.clone();
        async move { envoy.ask(question).await.reason() }
    };
    assert_eq!(from(Some(peer("10.1.2.3", 1))).await, "session");
    assert_eq!(from(Some(peer("::ffff:10.1.2.3", 1))).await, "session");
    let pipe = Place::Pipe(Pipe { path: "10.1.2.3".into(), ..Pipe::default() });
    let pipe = Peer { address: Some(Address { address: Some(pipe) }), ..Peer::default() };
    for other in [Some(peer(CLIENT, 1)), Some(peer("10.1.2.3:80", 1)), Some(peer("", 0)), Some(Peer::default()), Some(pipe), None] {
        assert_eq!(from(other).await, "network");
    }
}

#[tokio::test]
async fn hook_11_metadata_is_typed_and_holds_nothing_secret() {
    let identity =
        "\nidentity:\n  roles: [\"https://acme.dev/roles\"]\nheaders:\n  X-Auth-User: \"{user}\"\n  X-Auth-Session: \"{claim:sid}\"\n";
    let scene = Scene::with(Plan { identity: identity.into(), ..plan(GRPC) }).await;
    let envoy = Envoy::of(&scene).await;
    let cookie = cookie_of(&scene.signed_in(APP, "ada").await);
    let answer = envoy.about(&Request::get(APP, "/private").with("cookie", &cookie)).await;
    let metadata = answer.metadata();
    let said = ["decision", "reason", "route", "rule", "sub"].map(|key| text(&metadata[key]));
    assert_eq!(said, ["allow", "session", "app", "app/5", "auth0|ada"]);
    match &metadata["roles"].kind {
        Some(Kind::ListValue(list)) => assert_eq!(list.values.iter().map(text).collect::<Vec<_>>(), ["admin"]),
        other => panic!("no list: {other:?}"),
    }
    let sid = text(&metadata["sid"]);
    assert!(!sid.is_empty() && !cookie.contains(&sid), "{sid}");
    assert_eq!(metadata.len(), 7, "{metadata:?}");
    assert!(!format!("{metadata:?}").contains(cookie.split_once('=').unwrap().1));
    // Nobody is there to be spoken of.
    let answer = envoy.about(&Request::get(APP, "/public/x")).await;
    let keys: std::collections::BTreeSet<&str> = answer.metadata().keys().map(String::as_str).collect();
    assert_eq!(keys, ["decision", "reason", "route", "rule"].into());
}

#[tokio::test]
async fn hook_07_a_yes_carries_the_renewed_cookie_and_works_without() {
    let scene = scene().await;
    let envoy = Envoy::of(&scene).await;
    let keys = SealingKeys::new(&[Secret::new(STANDARD.decode(SESSION_KEY).unwrap())]).unwrap();
    let ago = |seconds| doorward_proxy::clock::now().minus(Duration::from_secs(seconds));
    let sealed = session(&scene, ago(2000), ago(1000)).seal(&keys, APP, [9; 12]).unwrap();
    let request = format!("__Host-doorward={sealed}");
    let request = Request::get(APP, "/private").with("cookie", &request);
    for _ in 0..2 {
        let answer = envoy.about(&request).await;
        let [option] = &answer.ok().response_headers_to_add[..] else { panic!("{answer:?}") };
        let field = option.header.as_ref().unwrap();
        assert_eq!((field.key.as_str(), option.append_action), ("set-cookie", HeaderAppendAction::AppendIfExistsOrAdd as i32));
        assert!(field.value.starts_with("__Host-doorward=") && field.value.contains("; Secure; HttpOnly; SameSite=Lax"));
    }
    let fresh = cookie_of(&scene.signed_in(APP, "ada").await);
    assert!(envoy.about(&Request::get(APP, "/private").with("cookie", &fresh)).await.ok().response_headers_to_add.is_empty());
}

#[tokio::test]
async fn hook_04_our_own_paths_are_nobodys_to_pass_on() {
    let scene = scene().await;
    let envoy = Envoy::of(&scene).await;
    for path in ["/_doorward/login", "/_doorward/check/traefik", "/%5fdoorward/session"] {
        assert_eq!(envoy.about(&Request::get(APP, path)).await.reason(), "no_route", "{path}");
    }
}

#[tokio::test]
async fn dos_03_a_connection_says_something_soon_or_ends() {
    let limits = "  limits: { connections_per_client: 1000, handshake: 300ms, header: 300ms, idle: 1s }\n";
    let server = format!("{limits}  hooks: {{ grpc: [\"127.0.0.1:0\"], trusted_peers: [127.0.0.1/32] }}\n");
    let scene = Scene::with(plan(&server)).await;
    let ended = |mut raw: Raw| async move {
        let started = std::time::Instant::now();
        let end = async { while !raw.more().await.is_empty() {} };
        tokio::time::timeout(Duration::from_secs(8), end).await.expect("an end");
        started.elapsed()
    };
    let friend: IpAddr = Ipv4Addr::LOCALHOST.into();
    let silent = Raw::plain(port(&scene), friend).await;
    let mut slow = Raw::plain(port(&scene), friend).await;
    slow.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let mut stranger = Raw::plain(port(&scene), Ipv4Addr::new(127, 0, 0, 2).into()).await;
    stranger.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let (silent, slow, stranger) = tokio::join!(ended(silent), ended(slow), ended(stranger));
    for took in [silent, slow, stranger] {
        assert!((200..2000).contains(&took.as_millis()), "{took:?}");
    }
    assert_eq!(scene.metric("doorward_refused_total{reason=\"preface_deadline\"}").await, 2.0);
    // Somebody who asks now and then stays connected; who does not is told to go, and comes again.
    let envoy = Envoy::of(&scene).await;
    for pause in [600, 600, 600, 1800, 0] {
        assert_eq!(envoy.about(&Request::get(APP, "/public/x")).await.code(), 0);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    assert_eq!(scene.metric("doorward_connections").await, 1.0);
}

#[tokio::test]
async fn hook_11_strangers_do_not_take_the_places_of_those_who_may_ask() {
    let scene = scene().await;
    let stranger: IpAddr = Ipv4Addr::new(127, 0, 0, 2).into();
    let mut held = Vec::new();
    for _ in 0..80 {
        held.push(Raw::plain(port(&scene), stranger).await);
    }
    assert_eq!(Envoy::of(&scene).await.about(&Request::get(APP, "/public/x")).await.code(), 0);
    assert!(scene.metric("doorward_refused_total{reason=\"total_cap\"}").await >= 10.0);
}

#[tokio::test]
async fn a_stop_waits_for_nobody_who_is_not_asking() {
    let mut scene = scene().await;
    let envoy = Envoy::of(&scene).await;
    assert_eq!(envoy.about(&Request::get(APP, "/public/x")).await.code(), 0);
    let started = std::time::Instant::now();
    assert!(scene.stop().await, "clean");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert!(envoy.call(question(&Request::get(APP, "/public/x"))).await.is_err());
}

#[tokio::test]
async fn a_stop_lets_a_question_in_flight_be_answered() {
    let mut scene = scene().await;
    scene.tenant.set_delay("jwks", Duration::from_millis(800));
    let envoy = Envoy::of(&scene).await;
    let bearer = format!("Bearer {}", scene.token("ada"));
    let asked = tokio::spawn(async move { envoy.about(&Request::get(API, "/items").with("authorization", &bearer)).await.code() });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(scene.stop().await, "clean");
    assert_eq!(asked.await.unwrap(), 0);
}

#[tokio::test]
async fn met_04_a_question_that_was_given_up_is_in_the_log() {
    let scene = scene().await;
    scene.tenant.set_delay("jwks", Duration::from_millis(800));
    let envoy = Envoy::of(&scene).await;
    let bearer = format!("Bearer {}", scene.token("ada"));
    let request = Request::get(API, "/items").with("authorization", &bearer);
    assert!(tokio::time::timeout(Duration::from_millis(200), envoy.about(&request)).await.is_err());
    let log = scene.log().await;
    assert_eq!(log.iter().filter(|line| line["reason"] == "hook_cancelled").count(), 1, "{log:?}");
    // The keys were fetched all the same, for whoever asks next.
    assert_eq!(envoy.about(&request).await.code(), 0);
    assert_eq!(scene.metric("doorward_hook_requests_total{code=\"5xx\",dialect=\"envoy_grpc\"}").await, 1.0);
}
