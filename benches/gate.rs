//! What one decision costs, by what is presented.
//!
//! The promise is about the ratio: an authenticated request costs what an unauthenticated one costs. Compare the lines of
//! one run; a number from one machine means nothing on another. `proxied` in the names is left out on purpose: everything
//! here is what Doorward adds to proxying.

#![allow(clippy::unwrap_used)]

use std::future::Future as _;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Waker};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use doorward_benches::configuration::HOST;
use doorward_benches::request::{ask, target, usual};
use doorward_benches::rig::Rig;
use doorward_policy::access::{Enforce, PathPattern, PathPrefix, Policy, Requirement, Route, Rule};
use doorward_policy::credential::Accept;
use doorward_policy::headers::HeaderMapping;
use doorward_policy::identity::IdentityMapping;
use doorward_policy::request::{HostPattern, Target};
use doorward_policy::wire::{self, HeadLimits};
use doorward_proxy::clock;
use doorward_proxy::hooks::dialect::Dialect;
use http::{HeaderMap, Method};

fn decisions(criterion: &mut Criterion) {
    let rig = Rig::usual().unwrap();
    let (nobody, session, bearer) = (usual(&[]).unwrap(), rig.session().unwrap(), rig.bearer().unwrap());
    let mut group = criterion.benchmark_group("decide");
    assert!(rig.admit("/public/app.js", &nobody) && rig.admit("/admin/users", &session) && rig.admit("/admin/users", &bearer));
    group.bench_function("public", |b| b.iter(|| rig.admit(black_box("/public/app.js"), &nobody)));
    group.bench_function("session", |b| b.iter(|| rig.admit(black_box("/admin/users"), &session)));
    group.bench_function("bearer, seen before", |b| b.iter(|| rig.admit(black_box("/admin/users"), &bearer)));
    group.bench_function("bearer, new (RS256)", |b| {
        b.iter_batched(|| rig.bearer().unwrap(), |headers| rig.admit("/admin/users", &headers), BatchSize::SmallInput);
    });
    group.bench_function("refused", |b| b.iter(|| rig.admit(black_box("/admin/users"), &nobody)));
    group.finish();
}

/// The gate alone: the target is read, and nobody has to be waited for.
fn admitted(criterion: &mut Criterion) {
    let rig = Rig::usual().unwrap();
    let (nobody, session, bearer) = (usual(&[]).unwrap(), rig.session().unwrap(), rig.bearer().unwrap());
    let mut group = criterion.benchmark_group("admit");
    for (name, path, headers) in
        [("public", "/public/app.js", &nobody), ("session", "/admin/users", &session), ("bearer", "/admin/users", &bearer)]
    {
        assert!(rig.admit(path, headers), "{name}");
        let target = target(HOST, path).unwrap();
        let ask = ask(&target, headers, clock::now());
        let mut context = Context::from_waker(Waker::noop());
        group.bench_function(name, |b| b.iter(|| pin!(rig.inside.runtime.admit(black_box(&ask))).poll(&mut context).is_ready()));
    }
    group.finish();
}

/// The same decision with everything that a hook adds: reading the original request, and the fields of a yes.
fn asked(criterion: &mut Criterion) {
    let rig = Rig::usual().unwrap();
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
    let session = question(rig.session().unwrap());
    for dialect in [Dialect::Traefik, Dialect::Nginx] {
        assert_eq!(rig.ask(dialect, &session), 200);
        group.bench_function(format!("session, {}", dialect.label()), |b| b.iter(|| rig.ask(dialect, black_box(&session))));
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
    (policy, target(HOST, &path).unwrap())
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
    let rig = Rig::usual().unwrap();
    let session = rig.session().unwrap();
    let mut group = criterion.benchmark_group("expression");
    assert!(rig.admit("/t/acme/x", &session) && rig.admit("/plain/acme/x", &session));
    group.bench_function("none", |b| b.iter(|| rig.admit(black_box("/plain/acme/x"), &session)));
    group.bench_function("tenant", |b| b.iter(|| rig.admit(black_box("/t/acme/x"), &session)));
    group.finish();
}

criterion_group!(benches, decisions, admitted, asked, reading, looked_up, expressed);
criterion_main!(benches);
