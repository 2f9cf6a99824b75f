//! The endpoints of oauth2-proxy, as ingress-nginx and Traefik ask them.

use doorward_tests::asker::{Asker, CLIENT};
use doorward_tests::client::{Answer, path_of};
use doorward_tests::scene::{APP, Plan, Scene};

fn plan(more: &str) -> Plan {
    let server = format!(
        "  limits: {{ connections_per_client: 1000 }}\n  hooks: {{ listen: [\"127.0.0.1:0\"], trusted_peers: [127.0.0.1/32], compatibility: [oauth2-proxy]{more} }}\n"
    );
    Plan { server, ..Plan::default() }
}

/// What ingress-nginx sends to `auth-url`.
async fn auth(asker: &Asker, query: &str, url: &str, cookie: &str) -> Answer {
    let fields = [
        ("host", APP),
        ("x-original-url", url),
        ("x-original-method", "GET"),
        ("x-sent-from", "nginx-ingress-controller"),
        ("x-real-ip", CLIENT),
        ("x-forwarded-for", CLIENT),
        ("x-auth-request-redirect", "/private"),
        ("cookie", cookie),
    ];
    asker.request("GET", &format!("/oauth2/auth{query}"), &fields).await
}

async fn visit(asker: &Asker, path: &str, more: &[(&str, &str)]) -> Answer {
    let mut fields = vec![
        ("host", APP),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", CLIENT),
        ("accept", "text/html"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-site", "same-origin"),
    ];
    fields.extend(more);
    asker.request("GET", path, &fields).await
}

fn cookies(answer: &Answer) -> String {
    let set = answer.cookies().into_iter().filter(|(_, value)| !value.is_empty());
    set.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

/// Signs in through `/oauth2/start` and `/oauth2/callback`, as an existing registration at the provider has it.
async fn sign_in(scene: &Scene, asker: &Asker, persona: &str) -> (Answer, String) {
    let start = visit(asker, "/oauth2/start?rd=%2Fprivate%3Fa%3D1%26b%3D2", &[]).await;
    assert_eq!(start.status, 302, "{}", start.text());
    assert!(start.location().contains("redirect_uri=https%3A%2F%2Fapp.localhost%2Foauth2%2Fcallback"), "{}", start.location());
    let back = scene.tenant.sign_in(start.location(), persona).unwrap();
    let callback = visit(asker, &path_of(&back), &[("cookie", &cookies(&start))]).await;
    let session = cookies(&callback);
    (callback, session)
}

#[tokio::test]
async fn hook_o2p_an_existing_ingress_keeps_working() {
    let scene = Scene::with(plan("")).await;
    let asker = Asker::of(&scene);
    let private = "https://app.localhost/private?a=1";
    let anonymous = auth(&asker, "", private, "").await;
    assert_eq!((anonymous.status, anonymous.field("location")), (401, None));
    let (callback, session) = sign_in(&scene, &asker, "ada").await;
    assert_eq!((callback.status, callback.location()), (303, "/private?a=1&b=2"));
    let known = auth(&asker, "", private, &format!("theme=dark; {session}")).await;
    assert_eq!(known.status, 202, "{}", known.text());
    assert_eq!(known.field("x-auth-request-user"), Some("auth0|ada"));
    assert_eq!(known.field("x-auth-request-email"), Some("ada@acme.dev"));
    assert_eq!(known.field("gap-auth"), Some("ada@acme.dev"));
    assert!(
        known.field("x-auth-request-groups").is_some_and(|groups| groups.split(',').any(|group| group == "admin")),
        "{:?}",
        known.fields
    );
    assert_eq!(known.all("x-auth-request-preferred-username").len(), 1);
    assert_eq!(known.field("x-auth-user"), Some("auth0|ada"), "mapped headers too");
    assert_eq!(known.field("cookie"), Some("theme=dark"));
    assert_eq!((known.field("cache-control"), known.field("x-accel-expires")), (Some("no-store"), Some("0")));
    // Signed in and not entitled: 403, not the 401 that begins another sign-in.
    let closed = auth(&asker, "", "https://app.localhost/closed/x", &session).await;
    assert_eq!(closed.status, 403);
    let public = auth(&asker, "", "https://app.localhost/public/x", "").await;
    assert_eq!((public.status, public.field("x-auth-request-user"), public.field("gap-auth")), (202, Some(""), Some("")));
    for answer in [&anonymous, &closed] {
        assert!(answer.fields.iter().all(|(name, _)| !name.to_lowercase().starts_with("x-auth") && !name.eq_ignore_ascii_case("gap-auth")));
    }
}

#[tokio::test]
async fn hook_o2p_the_preferred_username_is_the_one_that_the_configuration_names() {
    for (username, told) in [("", ""), ("  username: sub\n", "auth0|ada")] {
        let plan = plan("");
        let identity = plan.identity.replace("identity:\n", &format!("identity:\n{username}"));
        let scene = Scene::with(Plan { identity, ..plan }).await;
        let asker = Asker::of(&scene);
        let (_, session) = sign_in(&scene, &asker, "ada").await;
        let known = auth(&asker, "", "https://app.localhost/private", &session).await;
        assert_eq!(known.field("x-auth-request-preferred-username"), Some(told));
        let userinfo = visit(&asker, "/oauth2/userinfo", &[("cookie", &session)]).await.json();
        assert_eq!(userinfo["preferredUsername"].as_str().unwrap_or(""), told, "{userinfo}");
    }
}

#[tokio::test]
async fn hook_o2p_the_three_filters_narrow_and_never_widen() {
    let scene = Scene::with(plan("")).await;
    let asker = Asker::of(&scene);
    let (_, session) = sign_in(&scene, &asker, "ada").await;
    let private = "https://app.localhost/private";
    for (query, status) in [
        ("", 202),
        ("?allowed_groups=admin", 202),
        ("?allowed_groups=nobody,admin", 202),
        ("?allowed_groups=nobody", 403),
        ("?allowed_emails=ada@acme.dev", 202),
        ("?allowed_emails=eve@acme.dev", 403),
        ("?allowed_email_domains=acme.dev", 202),
        ("?allowed_email_domains=.dev", 202),
        ("?allowed_email_domains=cme.dev", 403),
        ("?allowed_groups=admin&allowed_emails=eve@acme.dev", 403),
        ("?unrelated=1", 202),
        ("?allowed_groups=", 403),
        ("?allowed_group=nobody", 403),
        ("?allowed_groups=%zz", 403),
    ] {
        let answer = auth(&asker, query, private, &session).await;
        assert_eq!(answer.status, status, "{query}");
        assert_eq!(answer.field("x-auth-request-user").is_some(), status == 202, "{query}");
    }
    assert_eq!(auth(&asker, "?allowed_groups=admin", private, "").await.status, 401);
    // Signing in does not help a request that came without TLS: a 401 would begin it again and again.
    assert_eq!(auth(&asker, "", "http://app.localhost/private", "").await.status, 403);
    // A filter is not satisfied by a path that asks nobody.
    assert_eq!(auth(&asker, "?allowed_groups=admin", "https://app.localhost/public/x", "").await.status, 401);
    assert_eq!(auth(&asker, "?allowed_groups=admin", "https://app.localhost/closed/x", &session).await.status, 403);
    assert!(scene.metric("doorward_decisions_total{decision=\"deny\",reason=\"filter\",route=\"app\"}").await >= 3.0);
}

#[tokio::test]
async fn hook_o2p_the_fields_of_one_kind_of_host_are_believed() {
    for (more, believed, other) in [("", true, false), (", original_request: x-forwarded", false, true)] {
        let scene = Scene::with(plan(more)).await;
        let asker = Asker::of(&scene);
        let original = [("host", APP), ("x-original-url", "https://app.localhost/public/x"), ("x-original-method", "GET")];
        let forwarded = [
            ("host", APP),
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", APP),
            ("x-forwarded-uri", "/public/x"),
            ("x-forwarded-for", CLIENT),
        ];
        for (fields, passes) in [(&original[..], believed), (&forwarded, other), (&original[..1], false)] {
            let status = asker.request("GET", "/oauth2/auth", fields).await.status;
            assert_eq!(status, if passes { 202 } else { 403 }, "{more}: {fields:?}");
        }
        let closed: Vec<_> = forwarded.map(|(name, value)| (name, if value == "/public/x" { "/closed/x" } else { value })).into();
        let both: Vec<_> = original.into_iter().chain(closed.into_iter().skip(1)).collect();
        let status = asker.request("GET", "/oauth2/auth", &both).await.status;
        assert_eq!(status, if believed { 202 } else { 403 }, "{more}: the other kind is not looked at");
    }
}

/// An ingress that was made for oauth2-proxy removes what that sets, and nothing else.
#[tokio::test]
async fn hook_o2p_names_that_such_a_host_does_not_remove_are_refused() {
    let scene = Scene::with(plan("")).await;
    let asker = Asker::of(&scene);
    for (name, status) in [
        ("x-colour", 202),
        ("x-auth-request-redirect", 202),
        ("x-auth-request-user", 403),
        ("x-auth-request-groups", 403),
        ("x-forwarded-user", 202),
        ("x-auth-user", 403),
        ("x-auth-roles", 403),
        ("x-auth-colour", 403),
        ("remote-colour", 403),
        ("x_auth_user", 403),
    ] {
        let fields = [("host", APP), ("x-original-url", "https://app.localhost/public/x"), ("x-original-method", "GET"), (name, "root")];
        assert_eq!(asker.request("GET", "/oauth2/auth", &fields).await.status, status, "{name}");
    }
    // One host in the request line and another in `Host`.
    let two = [("host", "both.localhost"), ("x-original-url", "https://app.localhost/public/x"), ("x-original-method", "GET")];
    assert_eq!(asker.request("GET", "/oauth2/auth", &two).await.status, 403);
}

#[tokio::test]
async fn hook_o2p_targets_are_checked_in_the_known_order() {
    let scene = Scene::with(plan("")).await;
    let asker = Asker::of(&scene);
    let lands = async |path: &str, more: &[(&str, &str)]| {
        let start = visit(&asker, path, more).await;
        let back = scene.tenant.sign_in(start.location(), "ada").unwrap();
        visit(&asker, &path_of(&back), &[("cookie", &cookies(&start))]).await.location().to_owned()
    };
    let fields = [("x-auth-request-redirect", "/from-header"), ("x-forwarded-uri", "/from-uri")];
    assert_eq!(lands("/oauth2/start?rd=/from-query", &fields).await, "/from-query");
    assert_eq!(lands("/oauth2/sign_in?rd=https://app.localhost/from-query", &fields).await, "https://app.localhost/from-query");
    assert_eq!(lands("/oauth2/start", &fields).await, "/from-header");
    assert_eq!(lands("/oauth2/start", &fields[1..]).await, "/from-uri");
    assert_eq!(lands("/oauth2/start", &[]).await, "/");
    for bad in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/oauth2/start",
        "/_doorward/login",
        "%2f%2fevil.example",
        "/%6fauth2/start",
        "https://app.localhost/oauth2/start",
        "/a&rd=/b",
    ] {
        assert_eq!(lands(&format!("/oauth2/start?rd={bad}"), &fields).await, "/", "{bad}");
    }
}

/// `error_page 401 =403 /oauth2/sign_in` changes the status, and then the body is all that a browser shows.
#[tokio::test]
async fn hook_o2p_a_redirect_to_sign_in_can_be_read_as_well() {
    let scene = Scene::with(plan("")).await;
    let asker = Asker::of(&scene);
    let answer = visit(&asker, "/oauth2/sign_in?rd=/private", &[]).await;
    assert_eq!((answer.status, answer.all("set-cookie").len()), (302, 1));
    assert!(answer.field("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{:?}", answer.fields);
    assert!(answer.field("content-security-policy").is_some());
    let page = answer.text();
    let state = doorward_tests::client::parameter(answer.location(), "state");
    assert!(page.contains("You are not signed in") && page.contains(&state), "the page has the same way on: {page}");
}

#[tokio::test]
async fn hook_o2p_who_one_is_and_the_way_out() {
    let scene = Scene::with(plan("")).await;
    let asker = Asker::of(&scene);
    assert_eq!(visit(&asker, "/oauth2/userinfo", &[]).await.status, 401);
    let (_, session) = sign_in(&scene, &asker, "ada").await;
    let info = visit(&asker, "/oauth2/userinfo", &[("cookie", &session)]).await;
    let known = info.json();
    assert_eq!((info.status, known["user"].as_str(), known["email"].as_str()), (200, Some("auth0|ada"), Some("ada@acme.dev")));
    assert!(known["groups"].as_array().unwrap().iter().any(|group| group == "admin"));
    let out = |path: &'static str| visit(&asker, path, &[]);
    let with = async |session: &str, path: &str, site: &str| {
        let fields =
            [("host", APP), ("sec-fetch-site", site), ("sec-fetch-mode", "navigate"), ("accept", "text/html"), ("cookie", session)];
        asker.request("GET", path, &fields).await
    };
    // LOGOUT-01: another site's link only gets a question.
    let question = with(&session, "/oauth2/sign_out?rd=%2Fbye", "cross-site").await;
    assert!(question.status == 200 && question.all("set-cookie").is_empty());
    let local = with(&session, "/oauth2/sign_out?rd=%2Fbye", "same-origin").await;
    assert_eq!((local.status, local.location()), (303, "/bye"));
    assert!(local.all("set-cookie").iter().any(|line| line.starts_with("__Host-doorward=;")));
    // Anything else ends the provider's session too.
    let (_, session) = sign_in(&scene, &asker, "ada").await;
    let foreign = with(&session, "/oauth2/sign_out?rd=https%3A%2F%2Fevil.example%2F", "same-origin").await;
    assert!(foreign.location().contains("/v2/logout?") && !foreign.location().contains("evil"), "{}", foreign.location());
    assert_eq!(out("/oauth2/unknown").await.status, 404);
}

#[tokio::test]
async fn hook_10_probes_have_one_spelling_and_need_no_host_of_ours() {
    let scene = Scene::with(plan("")).await;
    let asker = Asker::of(&scene);
    let probe = |path: &'static str| asker.request("GET", path, &[("host", "doorward.internal")]);
    for (path, text) in [("/ping", "OK"), ("/ready", "OK"), ("/robots.txt", "User-agent: *\nDisallow: /\n")] {
        let answer = probe(path).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, text), "{path}");
    }
    for path in ["/ping/", "/pingx", "/PING", "/oauth2/ping"] {
        assert!(probe(path).await.status >= 400, "{path}");
    }
    // ADV-O2P-08: who asks makes no difference.
    let fields =
        [("host", APP), ("user-agent", "GoogleHC/1.0"), ("x-original-url", "https://app.localhost/private"), ("x-original-method", "GET")];
    assert_eq!(asker.request("GET", "/oauth2/auth", &fields).await.status, 401);
    scene.edge().announce_stop();
    assert_eq!(probe("/ready").await.status, 503);
}
