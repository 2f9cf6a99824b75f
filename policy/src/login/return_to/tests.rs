use proptest::prelude::*;
use url::Url;

use super::*;

/// `app.example.com`, everything below `apps.example.com`, and `admin.example.com:8443`.
struct Ours;

impl Places for Ours {
    fn holds(&self, host: &str, port: u16) -> bool {
        match port {
            443 => host == "app.example.com" || host.strip_suffix(".apps.example.com").is_some_and(|rest| !rest.is_empty()),
            8443 => host == "admin.example.com",
            _ => false,
        }
    }

    fn prefix(&self) -> &str {
        "/_doorward"
    }
}

const BASE: &str = "https://app.example.com/";

fn parse(text: &str) -> Result<String, ReturnToFault> {
    ReturnTo::parse(text, &Ours).map(|target| target.as_str().to_owned())
}

/// Where a browser ends up.
fn lands_on_ours(target: &str) -> bool {
    let url = Url::parse(BASE).unwrap().join(target).unwrap();
    url.scheme() == "https" && url.host_str().is_some_and(|host| Ours.holds(host, url.port().unwrap_or(443)))
}

const REFUSED: &[&str] = &[
    // scheme-relative
    "//evil.test",
    "///evil.test",
    "////evil.test",
    "/\\evil.test",
    "\\/evil.test",
    "\\\\evil.test",
    "/\\/evil.test",
    "\\/\\/evil.test",
    "/\\\\evil.test",
    // what a browser strips or trims
    "/\t/evil.test",
    "/\n/evil.test",
    "/\r/evil.test",
    "/\t\\evil.test",
    "\t//evil.test",
    "\n//evil.test",
    " //evil.test",
    "\u{1}//evil.test",
    "\u{b}//evil.test",
    "\u{0}//evil.test",
    "/\u{0}/evil.test",
    "/ /evil.test",
    "/\u{a0}/evil.test",
    // dot segments and escapes
    "/.//evil.test",
    "/..//evil.test",
    "/./\\evil.test",
    "/%2e//evil.test",
    "/%2e%2e//evil.test",
    "/a/..//evil.test",
    "/%2f/evil.test",
    "/%2f%2fevil.test",
    "/%5cevil.test",
    "/%09/evil.test",
    "/%0a/evil.test",
    "/%0d%0aLocation:%20https://evil.test",
    "/x\r\nSet-Cookie: a=b",
    "/%00/evil.test",
    "/http://evil.test",
    // authority tricks
    "//evil.test/%2f..",
    "//evil.test/..;/css",
    "//evil%E3%80%82test",
    "//evil\u{3002}test",
    "//evil%00.example.com",
    "//[::1]",
    "//2130706433",
    "//0x7f.1",
    "//app.example.com@evil.test",
    "//evil.test\\@app.example.com",
    "//app.example.com:pw@evil.test",
    // absolute
    "https://evil.test",
    "HTTPS://EVIL.TEST",
    "https:evil.test",
    "https:/evil.test",
    "https:\\\\evil.test",
    "https:///evil.test",
    "https://evil.test#app.example.com",
    "https://evil.test?app.example.com",
    "https://evil.test/app.example.com",
    "https://app.example.com.evil.test",
    "https://app.example.comevil.test",
    "https://evil-app.example.com.evil.test",
    "https://evilapps.example.com",
    "https://xapps.example.com",
    "https://app.example.com@evil.test",
    "https://app.example.com%40evil.test",
    "https://app.example.com%2f@evil.test",
    "https://app.example.com\\@evil.test",
    "https://app.example.com%09.evil.test",
    "https://app.example.com:8444/",
    "https://app.example.com:443@evil.test/",
    "https://app.example.com:80/",
    "http://app.example.com/",
    "https://app.example.com%00.evil.test",
    "https://\u{ff41}pp.example.com.evil.test",
    "https://\u{430}pp.example.com/",
    "https://user@app.example.com/",
    "https://app.example.com./",
    "https://[app.example.com]/",
    "https://app\u{3002}example.com/",
    // schemes
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "\u{1}javascript:alert(1)",
    "javascript://app.example.com/%0aalert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://app.example.com/1",
    "view-source:https://evil.test",
    "ftp://app.example.com/",
    // relative, and our own endpoints
    "app.example.com/x",
    "evil.test",
    "./x",
    "../x",
    "?x=1",
    "#x",
    "",
    "/%",
    "/%zz",
    "/%ff",
    "/_doorward/callback/auth0?code=x&state=y",
    "/_doorward/logout",
    "/_doorward/login?return_to=/x",
    "/%5fdoorward/logout",
    "/_doorward",
    "/_doorward;x/logout",
    "https://app.example.com/_doorward/logout",
];

const ALLOWED: &[(&str, &str)] = &[
    ("/", "/"),
    ("/x", "/x"),
    ("/x?y=1", "/x?y=1"),
    ("/x?next=https://evil.test", "/x?next=https://evil.test"),
    ("/x?u=//evil.test", "/x?u=//evil.test"),
    ("/a/b/c/", "/a/b/c/"),
    ("/x#frag", "/x#frag"),
    ("/x?y=%2F%2Fevil.test", "/x?y=%2F%2Fevil.test"),
    ("/%E2%9C%93", "/%E2%9C%93"),
    ("/a%20b", "/a%20b"),
    ("/x;p=1", "/x;p=1"),
    ("/x?y=a%0d%0ab", "/x?y=a%0d%0ab"),
    ("/@user", "/@user"),
    ("/x:y", "/x:y"),
    ("/.well-known/x", "/.well-known/x"),
    ("https://app.example.com/", "https://app.example.com/"),
    ("https://app.example.com", "https://app.example.com/"),
    ("https://app.example.com?x=1", "https://app.example.com/?x=1"),
    ("https://app.example.com/x?y=1", "https://app.example.com/x?y=1"),
    ("https://APP.example.com/x", "https://app.example.com/x"),
    ("https://team.apps.example.com/", "https://team.apps.example.com/"),
    ("https://a.b.apps.example.com/x", "https://a.b.apps.example.com/x"),
    ("https://admin.example.com:8443/x", "https://admin.example.com:8443/x"),
    ("https://app.example.com:443/x", "https://app.example.com/x"),
    ("/_doorward/whoami", "/_doorward/whoami"),
    ("/_doorwardish", "/_doorwardish"),
];

#[test]
fn redir_every_listed_attack_is_refused() {
    for attack in REFUSED {
        assert!(parse(attack).is_err(), "{attack:?} became {:?}", parse(attack));
    }
    let long = format!("/{}", "a".repeat(5000));
    assert_eq!(parse(&long), Err(ReturnToFault::Length));
}

#[test]
fn redir_the_attacks_escaped_once_or_twice_stay_on_our_host() {
    for attack in REFUSED {
        let once: String = percent_encoding::utf8_percent_encode(attack, percent_encoding::NON_ALPHANUMERIC).to_string();
        let twice: String = percent_encoding::utf8_percent_encode(&once, percent_encoding::NON_ALPHANUMERIC).to_string();
        for text in [once.clone(), format!("/{once}"), twice.clone(), format!("/{twice}")] {
            if let Ok(target) = parse(&text) {
                assert!(lands_on_ours(&target), "{text}");
            }
        }
    }
}

#[test]
fn redir_honest_targets_are_kept() {
    for (text, target) in ALLOWED {
        assert_eq!(parse(text).as_deref(), Ok(*target), "{text}");
        assert!(lands_on_ours(target), "{text}");
    }
}

#[test]
fn redir_our_own_login_is_a_target_only_to_go_on_with_a_hand_off() {
    let sealed = "aB-_9".repeat(1000);
    let target = ReturnTo::to_handoff(&sealed, &Ours).unwrap();
    assert_eq!(target.handoff(&Ours), Some(&*sealed));
    assert_eq!(parse(target.as_str()).as_deref(), Ok(target.as_str()));
    for bad in [
        "/_doorward/login",
        "/_doorward/login?handoff=",
        "/_doorward/login?handoff=a&return_to=/x",
        "/_doorward/login?handoff=a%20",
        "/_doorward/login?handoff=a#b",
        "/_doorward/login?handoff=a/../b",
        "/_doorward/login?x=1&handoff=a",
        "/_doorward/login/?handoff=a",
        "/_doorward//login?handoff=a",
        "/_doorward/%6cogin?handoff=a",
        "/_doorward/logout?handoff=a",
        "https://app.example.com/_doorward/login?handoff=a",
        &format!("/_doorward/login?handoff={}", "a".repeat(6 * 1024 + 1)),
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert_eq!(ReturnTo::parse("/other/login?handoff=a", &Ours).unwrap().handoff(&Ours), None, "an app's own");
}

#[test]
fn adv_o2p_03_a_domain_below_ours_needs_its_dot() {
    assert!(parse("https://badapps.example.com/").is_err());
    assert!(parse("https://apps.example.com/").is_err());
    assert!(parse("https://x.apps.example.com/").is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8192))]

    #[test]
    fn redir_whatever_is_accepted_lands_on_our_host(parts in prop::collection::vec(prop::sample::select(vec![
        "/", "//", "\\", "\t", "\n", " ", "@", ":", ":443", ":8443", "?", "#", "%2f", "%5c", "%09", "%00", "%", ";", ".", "..", "https:", "https://", "http://", "javascript:",
        "app.example.com", "evil.test", "x.apps.example.com", "a", "\u{3002}", "[::1]",
    ]), 0..8)) {
        let text = parts.concat();
        if let Ok(target) = parse(&text) {
            prop_assert!(lands_on_ours(&target), "{text:?} became {target:?}");
            // What was accepted is accepted again, as the same.
            let again = parse(&target);
            prop_assert_eq!(again.as_deref(), Ok(target.as_str()));
        }
    }

    #[test]
    fn redir_arbitrary_text_never_leaves(text in "[ -~\\t\\n]{0,40}") {
        if let Ok(target) = parse(&text) {
            prop_assert!(lands_on_ours(&target), "{text:?} became {target:?}");
        }
    }
}
