//! DECIDE-01: whoever asks, in whichever dialect, gets the decision of proxy mode, and the app is told the same.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use doorward_policy::access::DenyReason;
use doorward_policy::headers::forged;
use doorward_policy::request::Target;
use doorward_proxy::clock;
use doorward_proxy::entropy::{RequestId, RequestIds};
use doorward_proxy::forward::{self, Forward};
use doorward_proxy::gate::{Ask, Outcome, Way};
use doorward_proxy::hooks::dialect::{self, Dialect, Question};
use doorward_proxy::incoming;
use doorward_proxy::manner::Manner;
use doorward_proxy::reply::Reply;
use doorward_proxy::runtime::Runtime;
use doorward_tests::scene::Scene;
use doorward_tests::variety::{self, HOSTS, Holder};
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pingora::http::RequestHeader;

/// Of every request: no matter which way asks, apps are to be told the same.
static ID: LazyLock<RequestId> = LazyLock::new(|| RequestIds::new().expect("random bytes").next());

const REQUESTS: usize = 100_000;
/// Changing it changes every request; a failure names the one that a request was made from.
const SEED: u64 = 0x5eed_0fd0_0a4a_4d11;

const DIALECTS: &[Dialect] = &[Dialect::Traefik, Dialect::Caddy, Dialect::Haproxy, Dialect::Nginx, Dialect::EnvoyHttp, Dialect::GatewayApi];

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "TRACE", "CONNECT", "get"];

/// Paths are put together from these.
const SEGMENTS: &[&str] = &[
    "public",
    "admin",
    "closed",
    "lan",
    "here",
    "elsewhere",
    "forms",
    "teams",
    "red",
    "reports",
    "open",
    "items",
    "x",
    "",
    ".",
    "..",
    "%2e",
    "%2e%2e",
    "%61dmin",
    "adm%69n",
    "%70ublic",
    "a%2fb",
    "a%5cb",
    "a;b=c",
    "..;",
    "admin;x",
    "public;",
    "%00",
    "%25",
    "%252e",
    "%e2%9c%93",
    "%ff",
    "admin.",
    "ADMIN",
    "a\\b",
    "a b",
    "a#b",
    "\u{e9}",
    "_doorwarx",
    "_doorward",
    "_doorwar%64",
];

const QUERIES: &[&str] = &["", "", "", "?", "?a=b", "?/../admin", "?a=%2e%2e&b=%zz", "?a=b?c", "?a#b", "?a\"b"];

/// Fields that a client adds to look like somebody else, or like a proxy, or like nothing that is known.
const EXTRA: &[(&str, &[&str])] = &[
    ("accept", &["text/html", "*/*", "application/json"]),
    ("sec-fetch-mode", &["navigate", "cors", "no-cors", "websocket"]),
    ("sec-fetch-dest", &["document", "iframe", "empty"]),
    ("x-requested-with", &["XMLHttpRequest"]),
    ("origin", &["https://spa.example", "https://evil.example", "null", "https://app.localhost"]),
    ("access-control-request-method", &["GET", "POST", "PUT", "TRACE"]),
    ("referer", &["https://app.localhost/page", "https://evil.example/"]),
    ("content-type", &["application/json", "application/x-www-form-urlencoded"]),
    ("x-auth-user", &["auth0|mallory", ""]),
    ("x-auth-roles", &["admin"]),
    ("x-auth-colour", &["red"]),
    ("x_auth_user", &["auth0|mallory"]),
    ("x.auth.user", &["auth0|mallory"]),
    ("x-tenant", &["org_other"]),
    ("x-report-reader", &["auth0|mallory"]),
    ("x_device_id", &["7"]),
    ("x_other_id", &["7"]),
    ("remote-user", &["mallory"]),
    ("x-real-ip", &["10.0.0.1"]),
    ("forwarded", &["for=10.0.0.1;proto=https"]),
    ("x-client-ip", &["10.0.0.1"]),
    ("x-http-method-override", &["GET"]),
    ("x-original-uri", &["/public/x"]),
    ("x-rewrite-url", &["/public/x"]),
    ("x-envoy-original-path", &["/public/x"]),
    ("x-forwarded-prefix", &["/public"]),
    ("x-forwarded-user", &["mallory"]),
    ("x-request-id", &["mine"]),
    ("x-doorward-decision", &["allow"]),
    ("x-doorward-route", &["app"]),
    ("proxy-authorization", &["Basic YWRhOmRlbW8="]),
    ("accept-language", &["en"]),
    ("cookie", &["theme=dark", "__Host-doorward-attempt.a=b; x=y"]),
];

/// SplitMix64 (Steele, Lea & Flood 2014): small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.roll() % n as u64).expect("below n")
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A request as the client sent it.
#[derive(Debug)]
#[expect(dead_code, reason = "`holder` is for people who read a failure")]
struct Request {
    method: Method,
    host: String,
    target: String,
    /// All but `Host`.
    headers: HeaderMap,
    client: IpAddr,
    holder: &'static str,
}

fn request(dice: &mut Dice, holders: &[(&'static str, Vec<Holder>)]) -> Request {
    let (host, holders) = &holders[dice.below(holders.len())];
    let holder = &holders[dice.below(holders.len())];
    let mut headers = HeaderMap::new();
    for (name, value) in &holder.fields {
        headers.append(*name, value.parse().expect("a value"));
    }
    let fields = if dice.one_in(4) { 0 } else { dice.below(6) };
    for _ in 0..fields {
        let (name, values) = dice.pick(EXTRA);
        let value: HeaderValue = HeaderValue::from_static(dice.pick(values));
        if !headers.contains_key(name) || name == "cookie" || dice.one_in(8) {
            headers.append(name, value);
        }
    }
    if dice.one_in(12) {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
    }
    let mut target = String::new();
    // The first half of the segments are the places that rules speak of.
    for at in 0..dice.below(4) {
        let known = at == 0 && !dice.one_in(4);
        target.push('/');
        target.push_str(if known { dice.pick(&SEGMENTS[..11]) } else { dice.pick(SEGMENTS) });
    }
    if target.is_empty() || dice.one_in(16) {
        target.push('/');
    }
    target.push_str(dice.pick(QUERIES));
    let host = match dice.below(40) {
        0 => host.to_ascii_uppercase(),
        1 => format!("{host}:443"),
        2 => format!("{host}:8443"),
        3 => format!("{host}."),
        4 => format!("user@{host}"),
        _ => (*host).to_owned(),
    };
    let method = if dice.one_in(2) { "GET" } else { dice.pick(METHODS) };
    let client = dice.pick(&["127.0.0.1", "10.1.2.3", "203.0.113.9", "2001:db8::1"]).parse().expect("an address");
    Request { method: method.parse().expect("a method"), host, target, headers, client, holder: holder.name }
}

/// Yes, with what the app gets; or no, and why.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Yes { told: Vec<(String, Vec<u8>)> },
    No { decision: &'static str, reason: &'static str },
}

/// What proxy mode does: the edge's steps between pingora's request and the app's.
async fn by_proxy(runtime: &Runtime, request: &Request) -> Said {
    let mut head = RequestHeader::build(request.method.clone(), b"/", None).expect("a head");
    for (name, value) in &request.headers {
        head.append_header(name.clone(), value.clone()).expect("a field");
    }
    let target = incoming::check_fields(&head.headers, &runtime.settings.server.limits)
        .and_then(|()| Target::parse(&request.method, request.host.as_bytes(), request.target.as_bytes()).map_err(DenyReason::from));
    let target = match target {
        Ok(target) => target,
        Err(reason) => return Said::No { decision: "deny", reason: reason.label() },
    };
    if runtime.is_own(target.path().as_str()) {
        // Doorward's own pages: no app sees such a path, and whoever asks about it is told so.
        return Said::No { decision: "deny", reason: DenyReason::NoRoute.label() };
    }
    let ask = Ask {
        content: &[],
        target: &target,
        headers: &request.headers,
        client: request.client,
        manner: Manner::of(&request.method, &request.headers),
        way: Way::Proxy,
        request_id: "id",
        now: clock::now(),
    };
    match runtime.admit(&ask).await.outcome {
        Outcome::Answer { decision, reason, .. } => Said::No { decision, reason },
        Outcome::Forward { permit, .. } => {
            let route = &runtime.settings.policy.routes()[permit.route()];
            let forward = Forward {
                target: &target,
                permit: &permit,
                route,
                rewrite: &runtime.settings.routes[permit.route()].upstream.as_ref().expect("an upstream").rewrite,
                owned: runtime.settings.policy.owned_names(),
                client: request.client.to_string().try_into().expect("a field"),
                public_port: runtime.settings.server.public_port,
                host: None,
                request_id: &ID,
                session_token: None,
            };
            forward::request(&mut head, &forward).expect("fields");
            Said::Yes { told: told(runtime, &head.headers) }
        }
    }
}

/// What somebody who asks in `dialect` hears, and what the app gets once it is done as heard.
async fn by_hook(runtime: &Runtime, dialect: Dialect, request: &Request, dice: &mut Dice) -> Said {
    let mut headers = request.headers.clone();
    // What every proxy keeps to itself (RFC 9110 §7.6.1).
    for name in [header::UPGRADE, header::CONNECTION, header::PROXY_AUTHORIZATION] {
        headers.remove(name);
    }
    let client = if dice.one_in(8) { format!("10.0.0.1, {}", request.client) } else { request.client.to_string() };
    let mut set = |name: &'static str, value: &str| headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    set("x-forwarded-for", &client);
    match dialect {
        Dialect::Nginx => {
            set("x-original-url", &format!("https://{}{}", request.host, request.target));
            set("x-original-method", request.method.as_str());
        }
        Dialect::EnvoyHttp | Dialect::GatewayApi => {}
        _ => {
            set("x-forwarded-method", request.method.as_str());
            set("x-forwarded-proto", "https");
            set("x-forwarded-host", &request.host);
            set("x-forwarded-uri", &request.target);
        }
    }
    let in_path = matches!(dialect, Dialect::EnvoyHttp | Dialect::GatewayApi);
    let method = if in_path { request.method.clone() } else { if dice.one_in(2) { Method::GET } else { Method::HEAD } };
    let authority = if in_path { request.host.as_bytes() } else { b"doorward.internal" };
    let started = Instant::now();
    let question = Question { runtime, method: &method, authority: Ok(authority), headers: &headers, request_id: &ID, started };
    let path = if in_path { request.target.as_bytes() } else { b"" };
    let (verdict, reply) = dialect::ask(dialect, &question, path).await;
    let allowed = match dialect {
        Dialect::EnvoyHttp | Dialect::GatewayApi => reply.status == 200,
        _ => (200..300).contains(&reply.status),
    };
    assert_eq!(allowed, verdict.decision == "allow", "status and verdict: {} {}", reply.status, verdict.decision);
    let says = all(&reply, "x-doorward-decision");
    assert_eq!(says, [if allowed { "allow" } else { "refuse" }]);
    if !allowed {
        let told = reply.fields.iter().find(|(name, _)| runtime.settings.policy.owned_names().mapped().contains(name));
        assert!(told.is_none(), "HOOK-06: a refusal tells nobody's identity: {told:?}");
        return Said::No { decision: verdict.decision, reason: verdict.reason };
    }
    let route = verdict.route.expect("a route");
    Said::Yes { told: told(runtime, &as_the_app_gets_it(runtime, dialect, request, route, &reply)) }
}

/// The rewriting that the documentation asks of the proxies, done by the book.
fn as_the_app_gets_it(runtime: &Runtime, dialect: Dialect, request: &Request, route: usize, reply: &Reply) -> HeaderMap {
    let owned = runtime.settings.policy.owned_names();
    let mut headers = request.headers.clone();
    if matches!(dialect, Dialect::EnvoyHttp | Dialect::GatewayApi) {
        for name in all(reply, "x-envoy-auth-headers-to-remove").iter().flat_map(|names| names.split(',')) {
            headers.remove(name);
        }
    } else {
        let keep = &runtime.settings.policy.routes()[route].keep_headers;
        let gone: Vec<HeaderName> = forged(&headers, owned, keep).cloned().collect();
        gone.iter().for_each(|name| drop(headers.remove(name)));
        for name in [header::COOKIE, header::AUTHORIZATION, header::PROXY_AUTHORIZATION] {
            headers.remove(name);
        }
    }
    for name in owned.mapped() {
        assert_eq!(all(reply, name.as_str()).len(), 1, "HOOK-06: {name} once, whatever its value");
    }
    for (name, value) in &reply.fields {
        let told = owned.mapped().contains(name) || [header::COOKIE, header::AUTHORIZATION].contains(name) || name == "x-request-id";
        if told {
            headers.insert(name.clone(), value.clone());
        }
    }
    // Written by the proxy itself, which knows them.
    for (name, value) in [
        ("x-real-ip", request.client.to_string()),
        ("x-forwarded-for", request.client.to_string()),
        ("x-forwarded-proto", "https".to_owned()),
    ] {
        headers.insert(name, value.parse().expect("a value"));
    }
    let host = Target::parse(&Method::GET, request.host.as_bytes(), b"/").expect("it was allowed").host().name().to_owned();
    headers.insert("x-forwarded-host", host.parse().expect("a value"));
    headers
}

/// Every field that could tell the app who is asking, and every odd one; empty is absent.
fn told(runtime: &Runtime, headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let owned = runtime.settings.policy.owned_names();
    let ours = |name: &HeaderName| {
        owned.owns(name.as_str())
            || owned.owns_folded(name.as_str())
            || !name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let credential = |name: &HeaderName| [header::COOKIE, header::AUTHORIZATION, header::PROXY_AUTHORIZATION].contains(name);
    let fields = headers.iter().filter(|(name, value)| (ours(name) || credential(name)) && !value.is_empty());
    let mut told: Vec<_> = fields.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    told.sort_unstable();
    told
}

fn all<'r>(reply: &'r Reply, name: &str) -> Vec<&'r str> {
    reply.fields.iter().filter(|(own, _)| own == name).filter_map(|(_, value)| value.to_str().ok()).collect()
}

/// The differences that are meant: some proxies are told no where proxy mode says yes. Never the other way round.
fn stricter(runtime: &Runtime, dialect: Dialect, request: &Request) -> Option<&'static str> {
    let owned = runtime.settings.policy.owned_names();
    let has = |names: &[&str]| names.iter().any(|name| request.headers.contains_key(*name));
    let folds =
        |name: &HeaderName| !name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && owned.owns_folded(name.as_str());
    match dialect {
        // It can remove names that it knows, and no families.
        Dialect::Nginx if request.headers.keys().any(|name| owned.owns_by_family_alone(name.as_str())) => Some("forged_header"),
        // Two kinds of proxies at once: nobody can tell which field is the client's.
        Dialect::Detected if has(&["x-original-url", "x-original-method", "x-original-uri", "x-rewrite-url", "x-envoy-original-path"]) => {
            Some("hook_source")
        }
        // What servers behind a host fold into a name of ours is the host's to remove; who leaves it in is not trusted with the rest.
        Dialect::Traefik | Dialect::Caddy | Dialect::Haproxy | Dialect::Nginx | Dialect::Detected if request.headers.keys().any(folds) => {
            Some("forged_header")
        }
        _ => None,
    }
}

// One thread: whoever runs beside it is to find the other core free.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn decide_01_every_dialect_decides_as_proxy_mode_and_tells_the_app_the_same() {
    let scene = Scene::with(variety::plan(variety::HOOKS)).await;
    let holders: Vec<(&'static str, Vec<Holder>)> = HOSTS.iter().map(|host| (*host, variety::holders(&scene, host))).collect();
    let holders = Arc::new(holders);
    let (allowed, refused, meant) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let work = (0..2u64).map(|half| {
        let (runtime, holders) = (scene.edge().runtime().clone(), holders.clone());
        let (allowed, refused, meant) = (allowed.clone(), refused.clone(), meant.clone());
        tokio::spawn(async move {
            for n in 0..REQUESTS as u64 / 2 {
                let seed = SEED ^ (2 * n + half).wrapping_mul(0x2545_f491_4f6c_dd1d);
                let mut dice = Dice(seed);
                let request = request(&mut dice, &holders);
                let expected = by_proxy(&runtime, &request).await;
                let counted = if matches!(expected, Said::Yes { .. }) { &allowed } else { &refused };
                counted.fetch_add(1, Ordering::Relaxed);
                // The last is one of the others as soon as it has found out which.
                let detected = dice.one_in(8).then_some(Dialect::Detected);
                for dialect in DIALECTS.iter().copied().chain(detected) {
                    let said = by_hook(&runtime, dialect, &request, &mut dice).await;
                    if let Some(reason) = stricter(&runtime, dialect, &request) {
                        // What proxy mode refuses too may have been refused for that reason first.
                        let no = Said::No { decision: "deny", reason };
                        let either = said == no || (said == expected && matches!(said, Said::No { .. }));
                        assert!(either, "{dialect:?} said {said:?} instead of {no:?}, seed {seed:#x}: {request:#?}");
                        meant.fetch_add(1, Ordering::Relaxed);
                    } else {
                        assert_eq!(said, expected, "{dialect:?} (left) and proxy mode (right), seed {seed:#x}: {request:#?}");
                    }
                }
            }
        })
    });
    for half in futures::future::join_all(work).await {
        half.expect("both agree");
    }
    let [allowed, refused, meant] = [allowed, refused, meant].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(allowed + refused, REQUESTS);
    // All of one kind would say little.
    assert!(allowed > REQUESTS / 10 && refused > REQUESTS / 4 && meant < REQUESTS, "{allowed} allowed, {refused} refused, {meant} meant");
}
