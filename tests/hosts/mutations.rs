//! ADV-NGX-04: what people do to an nginx configuration, done to the printed one. Either the same comparison that the
//! printed text passes notices, or what the mutation breaks is held by something else; then the test says what.

use doorward_tests::recorder::Recorder;

use crate::cases::{self, Case};
use crate::exceptions;
use crate::matrix::{self, Finding, Protocol};
use crate::stage::{Given, Kind, Stage};

/// Enough of the matrix to notice each mutation, and not more.
fn chosen(stage: &Stage) -> Vec<Case> {
    let names = [
        "nobody at app.localhost/public/x?q=1",
        "nobody at app.localhost/private/page?q=a%20b&c",
        "nobody at app.localhost/admin/users",
        "an admin at app.localhost/admin/users",
        "a viewer at app.localhost/admin/users",
        "a viewer at app.localhost/reports/annual",
        "nobody at app.localhost/reports/annual",
        "a viewer at app.localhost/closed/x",
        "an admin among other cookies at app.localhost/private/page?q=a%20b&c",
        "a reading token at pass.localhost/x",
        "a token and a session at app.localhost/private/page?q=a%20b&c",
        "path /admin/../public/x by an admin",
        "path /public/..%2fadmin by an admin",
        "path //admin by an admin",
        "path /public/x// by an admin",
        "path /%61dmin by an admin",
        "path /public/a%20b by an admin",
        "path /public/100%25 by an admin",
        "path /public?a=%2e%2E&b=%zz by an admin",
        "POST /forms/x by an admin",
        "a body of 200 kB",
        "chunks",
        "own /_doorward/check/nginx by an admin",
        "own /_doorward/check/nginx by nobody, with a question",
        "forged x-auth-user",
        "forged x-auth-roles",
        "forged x-forwarded-for",
        "forged remote-user",
        "forged x-original-url",
        "spelled X_Auth_User with a session",
        "spelled X_Auth_User at a public place",
        "spelled X.Auth.User at a public place",
        "X-Forwarded-For from the LAN",
        "host \"app.localhost:8443\" by a viewer",
        "rewritten by a viewer",
        "a script by nobody",
    ];
    let mut all = cases::all(&stage.scene, stage.port);
    all.extend(cases::for_mutations(&stage.scene, stage.port));
    let chosen: Vec<Case> = all.into_iter().filter(|case| names.contains(&case.name.as_str())).collect();
    let missing = names.iter().find(|name| chosen.iter().all(|case| case.name != **name));
    assert!(missing.is_none(), "no case is called {missing:?}");
    chosen
}

/// What is found beyond the exceptions that the printed text has.
async fn found(mutate: impl FnOnce(String) -> String) -> Vec<(String, Finding)> {
    let changed = |text: String| {
        let mutated = mutate(text.clone());
        assert!(mutated != text, "the mutation does nothing: the printed text has changed");
        mutated
    };
    let stage = Stage::given(Kind::Nginx, |plan| plan, Recorder::start().await, Given::default(), changed).await;
    let found = matrix::run(&stage, &chosen(&stage), &[Protocol::Http1]).await;
    let known = |name: &str, finding: Finding| {
        exceptions::of(Kind::Nginx, Protocol::Http1, name).is_some_and(|exception| exception.finding() == finding)
    };
    found.into_iter().map(|((_, name), (finding, _))| (name, finding)).filter(|(name, finding)| !known(name, *finding)).collect()
}

/// The mutation is noticed, by this case at least.
async fn caught(name: &str, by: &str, mutate: impl FnOnce(String) -> String) {
    let found = found(mutate).await;
    assert!(found.iter().any(|(case, finding)| case == by && *finding == Finding::Wrong), "{name}: not noticed by `{by}`: {found:?}");
}

/// The mutation lets nothing through, and tells no app anything else.
async fn harmless(name: &str, mutate: impl FnOnce(String) -> String) -> Vec<(String, Finding)> {
    let found = found(mutate).await;
    let wrong: Vec<_> = found.iter().filter(|(_, finding)| *finding == Finding::Wrong).collect();
    assert!(wrong.is_empty(), "{name}: {wrong:?}");
    found
}

/// Puts a line before every line that holds `mark`.
fn before(mark: &'static str, line: &'static str) -> impl Fn(String) -> String {
    move |text| {
        let lines = text.lines().map(|own| if own.contains(mark) { format!("{line}\n{own}\n") } else { format!("{own}\n") });
        lines.collect()
    }
}

/// Takes away every line that holds `mark`.
fn without(mark: &'static str) -> impl Fn(String) -> String {
    move |text| text.lines().filter(|own| !own.contains(mark)).map(|own| format!("{own}\n")).collect()
}

fn instead(of: &'static str, put: &'static str) -> impl Fn(String) -> String {
    move |text| text.replace(of, put)
}

#[tokio::test]
async fn hook_20_the_part_of_the_matrix_finds_nothing_in_the_printed_text() {
    assert_eq!(found(|text| format!("{text}\n# nothing else\n")).await, []);
}

#[tokio::test]
async fn hook_21_22_mutations_that_open_a_door_are_noticed() {
    caught("an identity header that is not set", "forged x-auth-user", without("proxy_set_header X-Auth-User")).await;
    caught("a well-known name that is not removed", "forged remote-user", without("proxy_set_header Remote-User")).await;
    caught("the client's own addresses", "forged x-forwarded-for", |text| {
        text.replacen("proxy_set_header X-Forwarded-For $remote_addr;", "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", 1)
    })
    .await;
    caught(
        "the client's cookies",
        "an admin among other cookies at app.localhost/private/page?q=a%20b&c",
        without("proxy_set_header Cookie"),
    )
    .await;
    caught(
        "a location with fields of its own",
        "forged x-auth-user",
        before("proxy_pass http://$doorward_app", "proxy_set_header X-Powered-By somebody;"),
    )
    .await;
    caught(
        "a rewrite before the question",
        "rewritten by a viewer",
        before("auth_request /_doorward/check/nginx", "rewrite ^/old/(.*)$ /admin/$1 last;"),
    )
    .await;
    caught("scripts are open, straight to the app", "a script by nobody", |text| {
        let location = "location ~ \\.(js|css)$ { auth_request off; proxy_pass http://doorward_app_app; }";
        text.replacen("    location / {", &format!("    {location}\n    location / {{"), 1)
    })
    .await;
}

#[tokio::test]
async fn hook_23_24_mutations_that_open_no_door_are_held_by_something_else() {
    // Whoever was not asked about has no route, and without one there is no app to go to.
    let found = harmless("satisfy any", instead("satisfy all;", "satisfy any;\n    allow 127.0.0.0/8;")).await;
    assert!(found.iter().any(|(case, _)| case.starts_with("an admin at")), "everybody is refused: {found:?}");
    harmless("auth_request off", before("set $doorward_here app;", "auth_request off;")).await;
    harmless("scripts are open, by the same upstream", |text| {
        let location = "location ~ \\.(js|css)$ { auth_request off; set $doorward_here app; proxy_pass http://$doorward_app; }";
        text.replacen("    location / {", &format!("    {location}\n    location / {{"), 1)
    })
    .await;
    // The question brings such names along, and Doorward refuses it.
    harmless("names with `_`", instead("underscores_in_headers off", "underscores_in_headers on")).await;
    harmless("odd names", instead("ignore_invalid_headers on", "ignore_invalid_headers off")).await;
    // A location inherits the question.
    harmless("scripts in a location of their own", |text| {
        let location = "location ~ \\.(js|css)$ { set $doorward_here app; proxy_pass http://$doorward_app; }";
        text.replacen("    location / {", &format!("    {location}\n    location / {{"), 1)
    })
    .await;
    // Where a refused request is sent instead, it is asked about again: the question is about the path as it came.
    harmless("a refusal that becomes a 200", |text| {
        let shown = "proxy_intercept_errors on;\n    recursive_error_pages on;\n    error_page 401 403 =200 /public/x;";
        text.replace("error_page 401 403 = @doorward_refusal;", shown).replace("proxy_intercept_errors off;", "")
    })
    .await;
    // The body of a question is never read.
    harmless("the body goes along", |text| {
        without("proxy_pass_request_body off;")(text).replace("proxy_set_header Content-Length \"\";", "")
    })
    .await;
    // The question is about the path as it came, whatever nginx makes of it to find a location.
    harmless("slashes are not merged", instead("merge_slashes on", "merge_slashes off")).await;
    // In a question, that is the question's own path.
    harmless("a question about the path as nginx reads it", instead("$request_uri;", "$uri;")).await;
    harmless("the name as the client wrote it", |text| text.replace("://$host", "://$http_host")).await;
    harmless("the client's own list of addresses in the question", |text| {
        let asked = text.rfind("proxy_set_header X-Forwarded-For $remote_addr;").expect("a question");
        format!("{}{}", &text[..asked], text[asked..].replacen("$remote_addr", "$proxy_add_x_forwarded_for", 1))
    })
    .await;
}

/// The check answers whom it is asked by: without `internal`, that is anybody. The matrix sees it by the answer's status.
#[tokio::test]
async fn hook_25_a_check_that_is_not_internal_is_noticed() {
    let found = found(without("internal;")).await;
    assert!(found.iter().any(|(case, _)| case == "own /_doorward/check/nginx by an admin"), "{found:?}");
}

/// `Cache-Control: no-store` keeps an answer out of nginx's cache, until somebody tells nginx to ignore it.
#[tokio::test]
async fn hook_26_an_answer_that_is_kept_for_somebody_else_is_noticed() {
    let keep = |ignore: &'static str| {
        move |text: String| {
            let cache = format!("proxy_cache doorward; proxy_cache_key $host$request_uri; proxy_cache_valid 200 1m; {ignore}");
            let text = text.replace("        internal;", &format!("        internal;\n        {cache}"));
            format!("proxy_cache_path cache keys_zone=doorward:1m;\n{text}")
        }
    };
    let plain = found(keep("")).await;
    assert!(plain.iter().all(|(_, finding)| *finding != Finding::Wrong), "{plain:?}");
    let found = found(keep("proxy_ignore_headers Cache-Control Vary Set-Cookie Expires;")).await;
    assert!(found.iter().any(|(_, finding)| *finding == Finding::Wrong), "{found:?}");
}
