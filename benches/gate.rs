//! What one decision costs, by what is presented.
//!
//! The promise is about the ratio: an authenticated request costs what an unauthenticated one costs. Compare the lines of
//! one run; a number from one machine means nothing on another. `proxied` in the names is left out on purpose: everything
//! here is what Doorward adds to proxying.

#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use doorward_demo::tenant::{AUDIENCE, CLIENT_ID, CLIENT_SECRET, Tenant, TenantSettings};
use doorward_policy::access::{Enforce, PathPattern, PathPrefix, Policy, Requirement, Route, Rule};
use doorward_policy::credential::Accept;
use doorward_policy::headers::HeaderMapping;
use doorward_policy::identity::IdentityMapping;
use doorward_policy::request::{HostPattern, Target};
use doorward_policy::session::{COOKIE, Origin, Session};
use doorward_policy::wire::{self, HeadLimits};
use doorward_proxy::access_log::AccessLog;
use doorward_proxy::clock;
use doorward_proxy::entropy;
use doorward_proxy::gate::{Ask, Outcome, Way};
use doorward_proxy::hooks::dialect::{self, Dialect, Question};
use doorward_proxy::keys::Tempo;
use doorward_proxy::manner::Manner;
use doorward_proxy::runtime::Runtime;
use http::{HeaderMap, Method, header};

const HOST: &str = "app.localhost";

/// A runtime with one route, and the credentials that pass it.
struct Bench {
    tokio: tokio::runtime::Runtime,
    runtime: Arc<Runtime>,
    tenant: Tenant,
}

impl Bench {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let tenant = tokio.block_on(Tenant::start(TenantSettings::default())).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("tls.crt", &made.cert.pem());
        write("tls.key", &made.signing_key.serialize_pem());
        write("secret", CLIENT_SECRET);
        write("session.key", "Vb1wVgZ9dOeD8YFzN0xkT3mI5lQyKq7uHs2aXcRjP4o=");
        write("doorward.yaml", &configuration(&tenant));
        let loaded =
            doorward_config::load(&folder.path().join("doorward.yaml")).unwrap_or_else(|report| panic!("{}", report.render(false)));
        let runtime = Runtime::new(loaded.settings, Tempo::default(), AccessLog::new(std::io::sink()), tokio.handle().clone()).unwrap();
        Self { tokio, runtime: Arc::new(runtime), tenant }
    }

    fn admit(&self, path: &str, headers: &HeaderMap) -> bool {
        let target = Target::parse(&Method::GET, HOST.as_bytes(), path.as_bytes()).unwrap();
        let ask = Ask {
            content: &[],
            target: &target,
            headers,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            manner: Manner::Script,
            way: Way::Proxy,
            request_id: "bench",
            now: clock::now(),
        };
        let admission = self.tokio.block_on(self.runtime.admit(&ask));
        matches!(admission.outcome, Outcome::Forward { .. })
    }

    fn ask(&self, dialect: Dialect, headers: &HeaderMap) -> u16 {
        let runtime = &*self.runtime;
        let question = Question { runtime, method: &Method::GET, authority: Ok(b"doorward.internal"), headers, request_id: "bench" };
        self.tokio.block_on(dialect::ask(dialect, &question, b"")).1.status
    }

    fn session(&self) -> HeaderMap {
        let provider = self.runtime.providers[0].settings();
        let claims = self.tenant.id_claims_for("ada", CLIENT_ID, "openid profile email");
        let origin = Origin { id: "bench", provider: &provider.name, client_id: &provider.client_id };
        let session = Session::begin(origin, claims.as_object().unwrap(), self.runtime.settings.policy.kept_claims(), clock::now());
        let sealed = session.seal(&self.runtime.settings.session.keys, HOST, entropy::random().unwrap()).unwrap();
        usual(&[(header::COOKIE, format!("theme=dark; {COOKIE}={sealed}; lang=en"))])
    }

    fn bearer(&self) -> HeaderMap {
        // Each token is another one: equal tokens would be found among those seen before.
        static TOKENS: AtomicU64 = AtomicU64::new(0);
        let mut claims = self.tenant.access_claims_for("ada", AUDIENCE, "openid read:items");
        claims["number"] = TOKENS.fetch_add(1, Ordering::Relaxed).into();
        usual(&[(header::AUTHORIZATION, format!("Bearer {}", self.tenant.sign(claims)))])
    }
}

fn configuration(tenant: &Tenant) -> String {
    format!(
        r#"
version: 1
server:
  listen: ["127.0.0.1:0"]
  public_port: 443
  tls: {{ certificates: [{{ cert: tls.crt, key: tls.key }}] }}
providers:
  tenant: {{ kind: auth0, domain: "{}", insecure_http: true, client_id: {CLIENT_ID}, client_secret: {{ file: secret }}, audience: "{AUDIENCE}" }}
session: {{ keys: [{{ file: session.key }}] }}
identity: {{ roles: ["https://acme.dev/roles"] }}
headers: {{ X-Auth-User: "{{user}}", X-Auth-Email: "{{email}}", X-Auth-Roles: "{{roles}}" }}
routes:
  - name: app
    host: {HOST}
    upstream: http://127.0.0.1:9
    rules:
      - {{ path: "/public/**", allow: public }}
      - {{ path: "/admin/**", allow: {{ role: admin }} }}
      - {{ path: "/t/{{tenant}}/**", allow: {{ when: "path.tenant == 'acme' && 'admin' in roles" }} }}
      - {{ allow: signed-in }}
"#,
        tenant.address()
    )
}

/// The fields a browser sends, and those of a case.
fn usual(more: &[(header::HeaderName, String)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"),
        ("accept", "*/*"),
        ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
        ("referer", "https://app.localhost/admin/users"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    for (name, value) in more {
        headers.insert(name.clone(), value.parse().unwrap());
    }
    headers
}

fn decisions(criterion: &mut Criterion) {
    let bench = Bench::new();
    let (nobody, session, bearer) = (usual(&[]), bench.session(), bench.bearer());
    let mut group = criterion.benchmark_group("decide");
    assert!(bench.admit("/public/app.js", &nobody) && bench.admit("/admin/users", &session) && bench.admit("/admin/users", &bearer));
    group.bench_function("public", |b| b.iter(|| bench.admit(black_box("/public/app.js"), &nobody)));
    group.bench_function("session", |b| b.iter(|| bench.admit(black_box("/admin/users"), &session)));
    group.bench_function("bearer, seen before", |b| b.iter(|| bench.admit(black_box("/admin/users"), &bearer)));
    group.bench_function("bearer, new (RS256)", |b| {
        b.iter_batched(|| bench.bearer(), |headers| bench.admit("/admin/users", &headers), BatchSize::SmallInput);
    });
    group.bench_function("refused", |b| b.iter(|| bench.admit(black_box("/admin/users"), &nobody)));
    group.finish();
}

/// The same decision with everything that a hook adds: reading the original request, and the fields of a yes.
fn asked(criterion: &mut Criterion) {
    let bench = Bench::new();
    let mut group = criterion.benchmark_group("hook");
    let question = |mut headers: HeaderMap| {
        for (name, value) in [
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", HOST),
            ("x-forwarded-uri", "/admin/users"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-original-method", "GET"),
            ("x-original-url", "https://app.localhost/admin/users"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        headers
    };
    let session = question(bench.session());
    for dialect in [Dialect::Traefik, Dialect::Nginx] {
        assert_eq!(bench.ask(dialect, &session), 200);
        group.bench_function(format!("session, {}", dialect.label()), |b| b.iter(|| bench.ask(dialect, black_box(&session))));
    }
    group.finish();
}

fn reading(criterion: &mut Criterion) {
    let head = b"GET /admin/users?page=2 HTTP/1.1\r\nhost: app.localhost\r\nuser-agent: curl/8.5.0\r\naccept: */*\r\ncookie: theme=dark; lang=en\r\n\r\n";
    let mut group = criterion.benchmark_group("read");
    group.bench_function("request head", |b| b.iter(|| wire::scan(black_box(head), 0, &HeadLimits::default())));
    group.bench_function("target", |b| {
        b.iter(|| Target::parse(&Method::GET, black_box(b"app.localhost"), black_box(b"/admin/users?page=2")).is_ok())
    });
    group.finish();
}

/// A policy of `routes` routes with `rules` rules each, and the place that is found last by whoever looks one after the other.
fn policy_of(routes: usize, rules: usize) -> (Policy, Target) {
    let rule = |at: usize| Rule {
        name: format!("r/{at}").into(),
        paths: vec![PathPattern::parse(&format!("/apps/{{app}}/area{at}/**")).unwrap()],
        methods: vec![Method::GET],
        allow: Requirement::SignedIn,
        step_up: None,
        enforce: Enforce::Deny,
    };
    let route = |at: usize| Route {
        name: format!("r{at}").into(),
        hosts: vec![HostPattern::parse(HOST).unwrap()],
        path: PathPrefix::parse(&format!("/apps/app{at}")).unwrap(),
        providers: vec![0],
        accept: Accept::Both,
        rules: (0..rules).map(rule).collect(),
        headers: HeaderMapping::new(Vec::new()),
        keep_headers: Vec::new(),
        pass_token: false,
        cors: None,
    };
    let policy = Policy::new((0..routes).map(route).collect(), IdentityMapping::default()).unwrap();
    let path = format!("/apps/app{}/area{}/users/42", routes - 1, rules - 1);
    (policy, Target::parse(&Method::GET, HOST.as_bytes(), path.as_bytes()).unwrap())
}

/// Finding the rule: ten thousand routes, or a thousand rules, cost what ten cost.
fn looked_up(criterion: &mut Criterion) {
    for (name, cases) in [("rules", [(1, 10), (1, 1000)].as_slice()), ("routes", &[(10, 1), (1000, 1), (10_000, 1)])] {
        let mut group = criterion.benchmark_group(name);
        for (routes, rules) in cases {
            let (policy, target) = policy_of(*routes, *rules);
            let found = policy.rule_for(&target).map(|found| (found.route_index, found.rule_index));
            assert_eq!(found, Ok((routes - 1, rules - 1)));
            group.bench_function((routes * rules).to_string(), |b| b.iter(|| policy.rule_for(black_box(&target)).is_ok()));
        }
        group.finish();
    }
}

/// What a `when` adds to a decision, once the identity was read for the first one.
fn expressed(criterion: &mut Criterion) {
    let bench = Bench::new();
    let session = bench.session();
    let mut group = criterion.benchmark_group("expression");
    assert!(bench.admit("/t/acme/x", &session) && bench.admit("/plain/acme/x", &session));
    group.bench_function("none", |b| b.iter(|| bench.admit(black_box("/plain/acme/x"), &session)));
    group.bench_function("tenant", |b| b.iter(|| bench.admit(black_box("/t/acme/x"), &session)));
    group.finish();
}

criterion_group!(benches, decisions, asked, reading, looked_up, expressed);
criterion_main!(benches);
