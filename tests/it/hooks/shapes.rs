//! Questions exactly as the real hosts write them, for those whose programs the tests cannot run everywhere.

use doorward_tests::asker::{Asker, HOOKS};
use doorward_tests::client::Answer;
use doorward_tests::scene::{APP, Plan, Scene};

/// Traefik 3, `trustForwardHeader` unset: five fields overwritten, everything else of the client's left.
const TRAEFIK: &str = "GET /_doorward/check/traefik HTTP/1.1\r
Host: doorward.internal:9180\r
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r
Accept-Encoding: gzip, deflate, br, zstd\r
Accept-Language: en-US,en;q=0.5\r
Cookie: theme=dark\r
Priority: u=0, i\r
Sec-Fetch-Dest: document\r
Sec-Fetch-Mode: navigate\r
Sec-Fetch-Site: none\r
Sec-Fetch-User: ?1\r
Te: trailers\r
Upgrade-Insecure-Requests: 1\r
X-Forwarded-For: 192.0.2.7\r
X-Forwarded-Host: app.localhost\r
X-Forwarded-Method: GET\r
X-Forwarded-Port: 443\r
X-Forwarded-Proto: https\r
X-Forwarded-Server: 6c1f5f3f9d4e\r
X-Forwarded-Uri: /private?a=1&b=%C3%A9\r
X-Real-Ip: 192.0.2.7\r
\r
";

/// Caddy 2's `forward_auth`: its own user agent only where the client had none, and `Via`.
const CADDY: &str = "GET /_doorward/check/caddy HTTP/1.1\r
Host: 127.0.0.1:9180\r
User-Agent: Mozilla/5.0\r
Accept: text/html\r
Accept-Encoding: gzip\r
Via: 2.0 Caddy\r
X-Forwarded-For: 192.0.2.7\r
X-Forwarded-Host: app.localhost\r
X-Forwarded-Method: GET\r
X-Forwarded-Proto: https\r
X-Forwarded-Uri: /private?a=1&b=%C3%A9\r
\r
";

/// ingress-nginx's `auth-url`.
const INGRESS_NGINX: &str = "GET /_doorward/check/nginx HTTP/1.1\r
Host: doorward.auth.svc.cluster.local\r
X-Original-URL: https://app.localhost/private?a=1&b=%C3%A9\r
X-Original-Method: GET\r
X-Sent-From: nginx-ingress-controller\r
X-Real-IP: 192.0.2.7\r
X-Forwarded-For: 192.0.2.7\r
X-Auth-Request-Redirect: /private?a=1&b=%C3%A9\r
X-Request-ID: 2f4b6f4e0d8d2b6c9a1b7a1c5d3e4f60\r
Accept: text/html\r
Sec-Fetch-Mode: navigate\r
Sec-Fetch-Dest: document\r
\r
";

/// `haproxy-auth-request`: HEAD, and what `http-request set-header` wrote before.
const HAPROXY_AUTH_REQUEST: &str = "HEAD /_doorward/check/haproxy HTTP/1.1\r
accept: text/html\r
x-forwarded-method: GET\r
x-forwarded-proto: https\r
x-forwarded-host: app.localhost\r
x-forwarded-uri: /private?a=1&b=%C3%A9\r
x-forwarded-for: 192.0.2.7\r
host: 127.0.0.1:9180\r
connection: close\r
\r
";

/// Envoy's HTTP service: the request's own line behind the prefix.
const ENVOY: &str = "GET /_doorward/check/envoy/private?a=1&b=%C3%A9 HTTP/1.1\r
host: app.localhost\r
content-length: 0\r
accept: text/html\r
cookie: theme=dark\r
x-envoy-internal: true\r
x-forwarded-for: 192.0.2.7\r
x-forwarded-proto: https\r
x-envoy-expected-rq-timeout-ms: 2000\r
\r
";

const LOGIN: &str = "https://app.localhost/_doorward/login?return_to=%2Fprivate%3Fa%3D1%26b%3D%25C3%25A9";

async fn start() -> (Scene, Asker) {
    let scene = Scene::with(Plan { server: HOOKS.into(), ..Plan::default() }).await;
    let asker = Asker::of(&scene);
    (scene, asker)
}

fn with_cookie(shape: &str, cookie: &str) -> String {
    let lines = shape.split("\r\n").filter(|line| !line.to_lowercase().starts_with("cookie:"));
    lines.collect::<Vec<_>>().join("\r\n").replacen("\r\n\r\n", &format!("\r\nCookie: theme=dark; {cookie}\r\n\r\n"), 1)
}

#[tokio::test]
async fn hook_05_the_shapes_of_real_hosts_are_understood() {
    let (scene, asker) = start().await;
    let browser = scene.signed_in(APP, "ada").await;
    let cookie: String = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    for (name, shape, challenge) in [
        ("traefik", TRAEFIK, 302),
        ("caddy", CADDY, 302),
        ("ingress-nginx", INGRESS_NGINX, 401),
        ("haproxy-auth-request", HAPROXY_AUTH_REQUEST, 302),
        ("envoy", ENVOY, 302),
    ] {
        let anonymous = asker.send(shape).await;
        assert_eq!((anonymous.status, anonymous.field("location")), (challenge, Some(LOGIN)), "{name}");
        let known: Answer = asker.send(with_cookie(shape, &cookie)).await;
        assert_eq!(
            (known.status, known.field("x-auth-user"), known.field("cookie")),
            (200, Some("auth0|ada"), Some("theme=dark")),
            "{name}"
        );
        assert_eq!(asker.send(with_cookie(shape, &cookie).replace("/private", "/closed")).await.status, 403, "{name}");
        assert_eq!(asker.send(shape.replace("app.localhost", "other.localhost")).await.status / 100, 4, "{name}");
    }
}

/// Over an entry point that trusts a forwarder, the scheme of a handshake is `wss`, and the list of clients is longer.
#[tokio::test]
async fn hook_05_traefik_behind_a_trusted_forwarder_and_with_the_requests_own_method() {
    let (scene, asker) = start().await;
    let _ = &scene;
    let chain = TRAEFIK.replace("X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 198.51.100.1, 192.0.2.7");
    assert_eq!(asker.send(&chain).await.status, 302);
    let handshake = TRAEFIK.replace("X-Forwarded-Proto: https", "X-Forwarded-Proto: wss").replace(
        "Te: trailers",
        "Sec-Websocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-Websocket-Version: 13\r\nOrigin: https://app.localhost",
    );
    let answer = asker.send(&handshake).await;
    assert_eq!((answer.status, answer.field("location")), (401, None), "a handshake is never redirected");
    // `preserveRequestMethod` changes how the question is asked, not what it is about.
    for method in ["POST", "DELETE", "OPTIONS"] {
        let asked = TRAEFIK.replacen("GET ", &format!("{method} "), 1).replace("Te: trailers", "Content-Length: 0");
        assert_eq!(asker.send(&asked).await.status, 302, "{method}");
    }
    let lines: Vec<_> = scene.log().await;
    assert!(lines.iter().all(|line| line["client"] == "192.0.2.7" && line["dialect"] == "traefik" && line["method"] == "GET"), "{lines:?}");
}
