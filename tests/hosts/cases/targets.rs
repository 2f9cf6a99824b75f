//! Where to: paths, authorities and methods in every form.

use doorward_tests::scene::Scene;

use super::{Case, People, Request};

/// Targets that somebody could read in two ways, and some that only look so; by an admin, who may go anywhere.
pub fn paths(host: &str, people: &People) -> Vec<Case> {
    let long = |n: usize| format!("/public/{}", "a".repeat(n)).into_bytes();
    let mut targets: Vec<(String, Vec<u8>)> = [
        "/",
        "/?/admin",
        "/public",
        "/public/",
        "/public/..x/.y/z...",
        "/%70ublic/%61",
        "/public/%e2%9c%93",
        "/public/%E2%9C%93",
        "/public/a%20b",
        "/public/a!$&'()*+,=:@b",
        "/public/a;b=c",
        "/public?/../admin",
        "/public?a=%2e%2E&b=%zz",
        "/public?",
        "/public?a?b",
        "/public/100%25",
        "/admin",
        "/admin/",
        "/%61dmin",
        "/adm%69n/x",
        "/admin/%23x",
        "/admin/%3fx",
        "/admin/x;y=z",
        "/administrator",
        "/ADMIN",
        "/admin.",
        "/admin%20",
        "/%ef%bd%81dmin",
        "/reports",
        "/reports/",
        "/reportsx",
        "/%72eports/x",
        "/reports/../reports/x",
        "/public/../admin",
        "/public/./x",
        "/admin/../public/x",
        "/..",
        "/public/..",
        "/./admin",
        "/public/%2e%2e/admin",
        "/public/%2E%2E/admin",
        "/public/.%2e/admin",
        "/%2e/admin",
        "/public/%252e%252e/admin",
        "/public/..%2fadmin",
        "/public%2f..%2fadmin",
        "/public/%2e%2e%2fadmin",
        "/admin%2fx",
        "/admin%2Fx",
        "/public/..%5cadmin",
        "/public\\..\\admin",
        "//admin",
        "/public//../admin",
        "///",
        "/admin//x",
        "/public/x//",
        "/%2f/admin",
        "/admin;x=1",
        "/public;/../admin",
        "/public/..;/admin",
        "/;x/admin",
        "/admin%3bx",
        "/admin%00",
        "/public/%00/x",
        "/public/%0d%0a",
        "/public/%7f",
        "/public/%c0%af",
        "/public/adm%ffin",
        "/%u0061dmin",
        "/public/%",
        "/public/%zz",
        "/public/a\"b",
        "/public/a<b",
        "/public/a#/../admin",
        "/public/a|b",
        "/public/a{b}",
        "/public/a^b",
        "/public/a`b",
        "/public?a=b|c{d}",
        "/public?a\"b",
        "/public?a<b",
        "admin",
        "?x",
        "/_doorwarx/x",
        "/_doorward.x",
        "/_doorward%20/x",
    ]
    .map(|target| (target.to_owned(), target.as_bytes().to_vec()))
    .into();
    targets.extend([
        ("a raw byte".to_owned(), b"/public/adm\xffin".to_vec()),
        ("UTF-8".to_owned(), "/public/\u{e9}".as_bytes().to_vec()),
        ("a raw byte in the query".to_owned(), b"/public?a=\xff".to_vec()),
        ("NUL".to_owned(), b"/public/a\x00b".to_vec()),
        ("a tab".to_owned(), b"/public/a\tb".to_vec()),
        ("8 KiB".to_owned(), long(8192 - 8)),
        ("9 KiB".to_owned(), long(9 * 1024)),
        ("20 KiB".to_owned(), long(20 * 1024)),
        ("15 KiB of query".to_owned(), [b"/public?".to_vec(), b"q".repeat(15 * 1024)].concat()),
        ("4000 segments".to_owned(), [b"/public".to_vec(), b"/a".repeat(4000)].concat()),
        ("2000 escapes".to_owned(), [b"/public/x".to_vec(), b"%2e".repeat(2000)].concat()),
    ]);
    let mut cases = Vec::new();
    for (name, target) in targets {
        for who in ["an admin", "nobody"] {
            // Nobody can only see what is public, or be sent to sign in: the odd ones are an admin's.
            if who == "nobody" && !(name.starts_with("/public/%") || name.starts_with("/%") || name.starts_with("//")) {
                continue;
            }
            let case = Request::to(host, &target).holding(people.named(who)).called(format!("path {name} by {who}"));
            let repaired = [escaped(&target), resolved(&target)].into_iter().filter(|repaired| *repaired != target);
            cases.push(repaired.fold(case, |case, repaired| case.repaired(Request::to(host, repaired).holding(people.named(who)))));
        }
    }
    cases
}

/// The question's own endpoints and those of browsers, in every spelling: from outside, the first are nowhere.
pub fn own(host: &str, people: &People) -> Vec<Case> {
    let targets = [
        "/_doorward",
        "/_doorward/",
        "/_doorward/session",
        "/_doorwar%64/session",
        "/_doorward/%73ession",
        "/_doorward/session/",
        "/_doorward//session",
        "//_doorward/session",
        "/_DOORWARD/session",
        "/_doorward/nothing",
        "/_doorward;x/session",
        "/public/../_doorward/session",
        "/_doorward/check",
        "/_doorward/check/",
        "/_doorward/check/nginx",
        "/_doorward/check/nginx/refusal",
        "/_doorward/check/haproxy",
        "/_doorward/check/caddy",
        "/_doorward/check/traefik",
        "/_doorward/check/envoy/public/x",
        "/_doorward/check/gateway-api/public/x",
        "/_doorward/check/nginx?x",
        "/_doorward/check/nginx/",
        "/_doorward/check/nginx/..",
        "/_doorward/%63heck/nginx",
        "/_doorwar%64/check/nginx",
        "/%5Fdoorward/check/nginx",
        "/%5fdoorward/%63%68%65%63%6b/%6eginx",
        "/_doorward%2fcheck/nginx",
        "/_doorward/check%2fnginx",
        "/_doorward/check%5cnginx",
        "/_doorward/check%00/nginx",
        "/_doorward/check%20/nginx",
        "/_doorward/check;x/nginx",
        "//_doorward/check/nginx",
        "/_doorward//check/nginx",
        "/_doorward/check//nginx",
        "/_doorward/./check/nginx",
        "/_doorward/x/../check/nginx",
        "/public/../_doorward/check/nginx",
        "/public/%2e%2e/_doorward/check/nginx",
        "/_doorward/CHECK/nginx",
        "/_Doorward/check/nginx",
        "/_doorward/checks",
        "/_doorward/check.nginx",
        "\\_doorward\\check\\nginx",
    ];
    let mut cases = Vec::new();
    for target in targets {
        for who in ["an admin", "nobody"] {
            let plain = Request::to(host, target).holding(people.named(who));
            // With a question to answer, in both forms, should it get there.
            let asking = plain.clone().with("x-original-url", "https://app.localhost/public/x").with("x-original-method", "GET");
            let asking = asking.with("x-forwarded-method", "GET").with("x-forwarded-uri", "/public/x").with("x-forwarded-proto", "https");
            let asking = asking.with("x-forwarded-host", "app.localhost").with("x-forwarded-for", "127.0.0.1");
            let repaired = Request { target: resolved(target.as_bytes()), ..plain.clone() };
            cases.push(plain.called(format!("own {target} by {who}")).repaired(repaired.clone()));
            cases.push(asking.called(format!("own {target} by {who}, with a question")).repaired(repaired));
        }
    }
    cases
}

/// The path with what does not belong into one escaped (RFC 3986 §2.1, §3.3).
fn escaped(target: &[u8]) -> Vec<u8> {
    let path = target.iter().position(|b| *b == b'?').unwrap_or(target.len());
    let escape = |b: &u8| match b {
        b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => format!("%{b:02X}").into_bytes(),
        _ => vec![*b],
    };
    target[..path].iter().flat_map(escape).chain(target[path..].iter().copied()).collect()
}

/// Who is asked: authorities in all forms.
pub fn hosts(port: u16, people: &People) -> Vec<Case> {
    let viewer = people.named("a viewer");
    let mut cases = Vec::new();
    for host in [
        "app.localhost",
        "APP.LOCALHOST",
        "app.localhost.",
        "app.localhost:443",
        "app.localhost:8443",
        "app.localhost:",
        "app.localhost:99999",
        "app.localhost:x",
        "unknown.test",
        "127.0.0.1",
        "[::1]",
        "localhost",
        "evil.example",
        "user@app.localhost",
        "app.localhost/admin",
        "app.localhost?x",
        "app.localhost#x",
        "app.localhost, api.localhost",
        "app..localhost",
        ".app.localhost",
        "%61pp.localhost",
        "app.localhost\\x",
        "wild.localhost",
        "a.b.wild.localhost",
        "a.wild.localhost",
        "xn--app-.localhost",
        "app_.localhost",
        "",
    ] {
        // Without what is no port.
        let name = host.split(':').next().unwrap_or(host);
        let private = |host: &str| Request::to(host, "/private/x").holding(viewer);
        cases.push(private(host).called(format!("host {host:?} by a viewer")).repaired(private(name)));
        cases.push(Request::to(host, "/public/x").called(format!("host {host:?} by nobody")).repaired(Request::to(name, "/public/x")));
    }
    let app = format!("app.localhost:{port}");
    let bare = |request: Request, name: &str| Request { host: None, ..request }.called(name);
    cases.push(bare(Request::to(&app, "/public/x"), "no host"));
    cases.push(
        bare(Request::to(&app, "/public/x").with("host", &app).with("host", &app), "the same host twice")
            .repaired(Request::to(&app, "/public/x")),
    );
    cases.push(bare(Request::to(&app, "/public/x").with("host", "api.localhost").with("host", &app), "two hosts"));
    cases.push(bare(Request::to(&app, "/public/x").with("host", &app).with("Host", "api.localhost"), "two hosts, the other way round"));
    cases.push(bare(Request::to(&app, "/public/x").with("x-forwarded-host", &app), "a forwarded host and no other"));
    cases
}

/// The path without dot segments (RFC 3986 §5.2.4), escaped or not, and without empty ones.
fn resolved(target: &[u8]) -> Vec<u8> {
    let path = target.iter().position(|b| *b == b'?').unwrap_or(target.len());
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in target[..path].split(|b| *b == b'/') {
        match segment.to_ascii_lowercase().as_slice() {
            b"" | b"." | b"%2e" => {}
            b".." | b"%2e%2e" | b".%2e" | b"%2e." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let folder = target[..path].ends_with(b"/") && !segments.is_empty();
    let joined = segments.into_iter().flat_map(|segment| [b"/", segment].concat()).collect::<Vec<u8>>();
    let joined = if joined.is_empty() { b"/".to_vec() } else { joined };
    [&joined[..], if folder { &b"/"[..] } else { b"" }, &target[path..]].concat()
}

/// Methods, content and preflights.
pub fn methods(scene: &Scene, port: u16) -> Vec<Case> {
    let people = People::of(scene, "app.localhost");
    let at = |host: &str| format!("{host}:{port}");
    let app = at("app.localhost");
    let mut cases = Vec::new();
    for method in
        ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "PURGE", "TRACE", "TRACK", "get", "GeT", "FOO", "G-T", "CONNECT"]
    {
        for (who, path) in [("nobody", "/public/x"), ("nobody", "/forms/x"), ("an admin", "/forms/x"), ("a viewer", "/private/x")] {
            let request = Request::to(&app, path).by(method).holding(people.named(who));
            let request = if matches!(method, "POST" | "PUT" | "PATCH") { request.body(b"name=value&other=1") } else { request };
            cases.push(request.called(format!("{method} {path} by {who}")));
        }
    }
    cases.push(
        Request::to(&app, "/forms/x").by("POST").holding(people.named("an admin")).body(&b"x".repeat(200_000)).called("a body of 200 kB"),
    );
    cases.push(Request::to(&app, "/private").body(b"content").holding(people.named("a viewer")).called("GET with a body"));
    cases.push(Request::to(&app, "/public").by("POST").with("content-length", "0").called("a body of no bytes"));
    let chunked = Request {
        body: b"5\r\nhello\r\n0\r\n\r\n".to_vec(),
        ..Request::to(&app, "/forms/x").by("POST").with("transfer-encoding", "chunked")
    };
    cases.push(chunked.clone().holding(people.named("an admin")).called("chunks"));
    cases.push(chunked.holding(people.named("a viewer")).called("chunks of somebody who may not"));
    cases.push(Request::to(&app, "*").by("OPTIONS").called("OPTIONS of the server as a whole"));
    cases.push(Request::to(&app, "*").called("GET of the server as a whole"));
    cases.push(Request::to(&app, &app).by("CONNECT").called("CONNECT with an authority"));
    for (scheme, host) in [("https", &app), ("http", &app), ("HTTPS", &app), ("https", &at("api.localhost")), ("ftp", &app)] {
        let target = format!("{scheme}://{host}/private/x");
        let name = format!("absolute form {}", target.replace(&port.to_string(), "PORT"));
        let plain = Request::to(host, "/private/x").holding(people.named("a viewer"));
        cases.push(Request::to(&app, &target).holding(people.named("a viewer")).called(name).repaired(plain));
    }
    let spa = People::of(scene, "spa.localhost");
    let preflight = |host: &str, path: &str, origin: &str, method: &str| {
        let request = Request::to(&at(host), path).by("OPTIONS").with("origin", origin);
        request.with("access-control-request-method", method).with("access-control-request-headers", "authorization")
    };
    for host in ["api.localhost", "spa.localhost", "app.localhost"] {
        for (origin, method) in
            [("https://spa.example", "GET"), ("https://spa.example", "DELETE"), ("https://evil.example", "GET"), ("null", "TRACE")]
        {
            let name = format!("preflight of {origin} for {method} at {host}");
            cases.push(preflight(host, "/x", origin, method).called(&name));
        }
    }
    cases.push(preflight("spa.localhost", "/closed/x", "https://spa.example", "GET").called("preflight for what nobody may"));
    cases.push(preflight("spa.localhost", "/x", "https://spa.example", "GET").body(b"content").called("preflight with a body"));
    let identified = preflight("spa.localhost", "/x", "https://spa.example", "GET").holding(spa.named("a viewer"));
    cases.push(identified.with("x-auth-user", "mallory").called("preflight with a session and a forged name"));
    for origin in ["https://spa.example", "https://evil.example"] {
        let request = Request::to(&at("spa.localhost"), "/x").with("origin", origin).holding(spa.named("a viewer"));
        cases.push(request.called(format!("cross-origin call of {origin}")));
        let request = Request::to(&at("api.localhost"), "/items").with("origin", origin);
        cases.push(request.called(format!("cross-origin call of {origin} without a token")));
    }
    cases
}
