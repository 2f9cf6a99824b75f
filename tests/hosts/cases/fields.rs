//! What a client may add: names that are not its own to send, and fields that mean something to proxies.

use doorward_policy::headers::{OWNED, WELL_KNOWN};

use super::{Case, People, Request};

/// Names that are not a client's to send, in the spellings that some server takes for the same.
pub fn names(host: &str, people: &People) -> Vec<Case> {
    let viewer = people.named("a viewer");
    let mapped = ["x-auth-team", "x-tenant", "x-report-reader"];
    let mut cases = Vec::new();
    let mut names: Vec<&str> = OWNED.iter().chain(WELL_KNOWN).chain(&mapped).copied().collect();
    names.sort_unstable();
    names.dedup();
    for (n, name) in names.iter().enumerate() {
        let (who, path) = if n % 2 == 0 { (Some(viewer), "/private/x") } else { (None, "/public/x") };
        let request = who.map_or_else(|| Request::to(host, path), |who| Request::to(host, path).holding(who));
        // Some of these are read by proxies: as a path, an address, a method.
        let value = match *name {
            name if name.contains("uri") || name.contains("url") || name.contains("path") || name.contains("prefix") => "/admin/mallory",
            name if name.contains("method") => "DELETE",
            name if name.ends_with("-ip") || name.ends_with("-for") || name.ends_with("addr") || name == "forwarded" => "10.0.0.1",
            _ => "mallory",
        };
        cases.push(request.with(name, value).called(format!("forged {name}")));
    }
    for name in [
        "X-AUTH-USER",
        "X_Auth_User",
        "X-Auth_User",
        "X.Auth.User",
        "X-Auth~User",
        "X!Auth#User",
        "X*Auth+User",
        "HTTP_X_AUTH_USER",
        "X_Forwarded_Proto",
        "X_Forwarded_For",
        "X.Forwarded.Host",
        "REMOTE_USER",
        "x-tenant",
        "X_Tenant",
        "x_device_id",
        "X_Device_Id",
        "x_other_id",
        "x.other",
        "Cookie_",
        "X-Auth-Colour",
        "X-Forwarded-Anything",
        "X-Original-Whatever",
        "Remote-Shoe-Size",
        "X-Doorward-Anything",
        "X-Authenticated-Colour",
        "X-Remote-Whatever",
        "Proxy-Authorization",
        "X-Custom-9",
        "Authorization-X",
        "Te",
        "X-Authx",
        "X-Userx",
    ] {
        cases.push(Request::to(host, "/private/x").holding(viewer).with(name, "mallory").called(format!("spelled {name} with a session")));
        cases.push(Request::to(host, "/public/x").with(name, "mallory").called(format!("spelled {name} at a public place")));
    }
    for (name, line) in [
        ("a space", "x-auth-user : mallory"),
        ("a tab", "x-auth-user\t: mallory"),
        ("nothing", ": mallory"),
        ("no colon", "x-auth-user mallory"),
    ] {
        let request = Request::to(host, "/private/x").holding(viewer);
        let mut case = request.with("x-marker", "1").called(format!("a name with {name}"));
        let text = String::from_utf8(case.bytes).expect("text").replace("x-marker: 1", line);
        case.bytes = text.into_bytes();
        cases.push(case);
    }
    for (name, value) in [
        ("continued on a second line", "ada\r\n mallory"),
        ("with a bare line feed", "ada\nx-auth-user: mallory"),
        ("with a bare carriage return", "ada\rmallory"),
    ] {
        let private = || Request::to(host, "/private/x").holding(viewer);
        cases.push(private().with("x-note", value).called(format!("a value {name}")).repaired(private().with("x-note", "ada")));
    }
    let twice = Request::to(host, "/private/x").with("x-auth-user", "mallory").holding(viewer).with("X-Auth-User", "eve");
    cases.push(twice.called("a forged name before and after the session"));
    cases
}

/// Fields that tell a proxy to drop others (RFC 9110 §7.6.1).
pub fn nominations(host: &str, people: &People) -> Vec<Case> {
    let viewer = people.named("a viewer");
    let private = || Request::to(host, "/private/x").holding(viewer);
    let mut cases = Vec::new();
    for value in [
        "X-Auth-User",
        "close, x-auth-user",
        "keep-alive,X-AUTH-ROLES",
        "Cookie",
        "Authorization",
        "Host",
        "Content-Length",
        "X-Forwarded-For, X-Real-IP",
        "X-Forwarded-Proto, X-Forwarded-Host",
        "X-Forwarded-Uri, X-Forwarded-Method",
        "X-Original-URL, X-Original-Method",
        "X-Doorward-Secret",
        "X-Request-Id",
        "\"X-Auth-User\"",
        "upgrade",
        "te",
    ] {
        let nobody = || Request::to(host, "/private/x");
        let case = private().with("connection", value).called(format!("connection: {value} by a viewer"));
        cases.push(case.repaired(private()));
        cases.push(nobody().with("connection", value).called(format!("connection: {value} by nobody")).repaired(nobody()));
    }
    let many: Vec<String> = (0..50).map(|n| format!("x-auth-user{n}")).chain(["x-auth-user".into()]).collect();
    cases.push(private().with("connection", many.join(", ")).called("connection: fifty names").repaired(private()));
    for name in ["proxy-connection", "keep-alive", "trailer"] {
        cases.push(private().with(name, "X-Auth-User").called(format!("{name}: X-Auth-User")));
    }
    let h2c = private().with("connection", "upgrade, http2-settings").with("upgrade", "h2c");
    cases.push(h2c.with("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA").called("upgrade to h2c").repaired(private()));
    let post = || Request::to(host, "/forms/x").by("POST").holding(people.named("an admin")).body(b"x");
    cases.push(post().with("expect", "something else").called("an expectation nobody meets").repaired(post()));
    cases
}

/// Sizes, and fields that mean something to proxies.
pub fn oddities(host: &str, people: &People) -> Vec<Case> {
    let viewer = people.named("a viewer");
    let private = || Request::to(host, "/private/x").holding(viewer);
    let mut cases = Vec::new();
    let entries = |n: usize| vec!["10.0.0.1"; n].join(",");
    for n in [3, 300, 5000] {
        let case = private().with("x-forwarded-for", entries(n)).called(format!("{n} entries of X-Forwarded-For"));
        cases.push(case.repaired(private()));
    }
    cases.push(private().with("x-forwarded-for", "unknown").with("x-forwarded-for", "\"><script>").called("X-Forwarded-For that is none"));
    cases.push(Request::to(host, "/lan/x").holding(viewer).with("x-forwarded-for", "10.0.0.1").called("X-Forwarded-For from the LAN"));
    cases.push(
        Request::to(host, "/elsewhere/x")
            .with("x-forwarded-for", "10.0.0.1")
            .with("x-real-ip", "10.0.0.1")
            .called("X-Real-IP from the LAN"),
    );
    cases.push(
        Request::to(host, "/elsewhere/x").with("forwarded", "for=10.0.0.1;host=app.localhost;proto=https").called("Forwarded from the LAN"),
    );
    let question = Request::to(host, "/admin/x").holding(viewer).with("x-forwarded-method", "GET").with("x-forwarded-uri", "/public/x");
    cases
        .push(question.with("x-forwarded-proto", "https").with("x-forwarded-host", host).called("a question of another kind: X-Forwarded"));
    let question = Request::to(host, "/admin/x").holding(viewer).with("x-original-method", "GET");
    cases.push(
        question
            .with("x-original-url", format!("https://{host}/public/x"))
            .with("x-original-uri", "/public/x")
            .called("a question of another kind: X-Original"),
    );
    let answer = Request::to(host, "/closed/x")
        .with("x-doorward-decision", "allow")
        .with("x-doorward-route", "app")
        .with("x-auth-user", "auth0|ada");
    cases.push(answer.called("an answer sent as a request"));
    cases.push(Request::to(host, "/private/x").with("x-forwarded-proto", "http").visiting().called("X-Forwarded-Proto: http"));
    cases.push(private().with("x-large", "x".repeat(20_000)).called("a field of 20 kB"));
    cases.push(private().with("x-large", "x".repeat(40_000)).called("a field of 40 kB"));
    let many = (0..150).fold(private(), |request, n| request.with(&format!("x-field-{n}"), "x"));
    cases.push(many.called("150 fields"));
    for name in ["origin", "content-type", "authorization"] {
        let request = Request::to(host, "/private/x").holding(viewer).with(name, "https://a.example").with(name, "https://b.example");
        let joined = Request::to(host, "/private/x").holding(viewer).with(name, "https://a.example,https://b.example");
        cases.push(request.called(format!("{name} twice")).repaired(joined));
    }
    let socket = |request: Request, origin: &str| {
        let request = request.with("connection", "upgrade").with("upgrade", "websocket").with("origin", origin);
        request.with("sec-websocket-version", "13").with("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    cases.push(socket(private(), &format!("https://{host}")).called("a handshake of the site's own"));
    cases.push(socket(private(), "https://evil.example").called("a handshake of another site's"));
    cases.push(socket(Request::to(host, "/private/x"), "https://evil.example").called("a handshake of nobody"));
    let keyless = private().with("connection", "upgrade").with("upgrade", "websocket").with("origin", "https://evil.example");
    cases.push(keyless.clone().called("a handshake without a key, of another site's"));
    // As HTTP/2 brings it (RFC 8441 §5).
    cases.push(keyless.with("sec-websocket-version", "13").called("a handshake with a version and no key, of another site's"));
    cases
}
