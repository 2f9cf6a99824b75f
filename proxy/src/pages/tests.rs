//! Every page, in every language, with whatever may be on it.

use std::path::Path;

use super::*;

const ATTACK: &str = "</p></style><script>alert(1)</script>\"'>{{ 7*7 }}{% raw %}";

fn ours() -> Pages {
    Pages::new(&[], None).unwrap()
}

fn body(reply: &Reply) -> String {
    String::from_utf8(reply.body.to_vec()).unwrap()
}

fn field<'r>(reply: &'r Reply, name: &str) -> &'r str {
    let mut values = reply.fields.iter().filter(|(present, _)| present == name);
    let value = values.next().map(|(_, value)| value.to_str().unwrap()).unwrap_or_default();
    assert!(values.next().is_none(), "`{name}` comes twice");
    value
}

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn with(files: &[(&str, &[u8])]) -> Result<Pages, String> {
    let folder = folder(files);
    let shown = |error: PagesFault| error.to_string().replace(&folder.path().display().to_string(), "pages");
    Pages::new(&[], Some(folder.path())).map_err(shown)
}

#[test]
fn err_01_what_is_shown_is_escaped_on_every_page() {
    let pages = ours();
    let mut seen = 0;
    samples::each(&|_| ATTACK.to_owned(), &mut |name, page| {
        let html = body(&pages.show(page, Language::English));
        let scripts = html.matches("<script").count();
        assert_eq!(scripts, usize::from(matches!(page, Page::Fragment(_))), "{name}: {html}");
        assert!(!html.contains("&gt;49"), "{name}: a value became a template");
        assert!(html.matches("</style>").count() == 1, "{name}: a value ends the style");
        let shown = html.matches("&lt;script&gt;alert(1)").count();
        let nothing = ["picker-email-alone", "picker-bare", "whoami-bare"];
        assert!(shown > 0 || nothing.contains(&name), "{name}: the attack is nowhere, so this proves nothing");
        seen += shown;
    });
    assert!(seen > 60, "{seen}");
}

#[test]
fn every_page_is_made_in_every_language_and_says_which() {
    let pages = ours();
    for language in Language::ALL {
        samples::each(&str::to_owned, &mut |name, page| {
            let reply = pages.show(page, *language);
            let html = body(&reply);
            assert_eq!(field(&reply, "content-language"), language.tag(), "{name}");
            assert!(html.contains(&format!("<html lang=\"{}\">", language.tag())), "{name}");
            assert!(html.contains("</main>") && !html.contains('{') || html.matches('{').count() == braces(&pages, page), "{name}: {html}");
            assert!((200..600).contains(&reply.status), "{name}");
        });
    }
    let title = |language| body(&pages.show(Page::Picker(&PickerPage { app: None, choices: &[], email: None }), language));
    assert!(title(Language::German).contains("<h1>Anmelden</h1>") && title(Language::English).contains("<h1>Sign in</h1>"));
}

/// Of the style and the script: a page has no others, or a place was not filled.
fn braces(pages: &Pages, page: Page<'_>) -> usize {
    let script = if matches!(page, Page::Fragment(_)) { SCRIPT.matches('{').count() } else { 0 };
    pages.templates.style.matches('{').count() + script
}

#[test]
fn pages_run_nothing_and_fetch_nothing_and_only_posted_forms_name_their_origin() {
    let pages = ours();
    samples::each(&str::to_owned, &mut |name, page| {
        let reply = pages.show(page, Language::English);
        let (policy, html) = (field(&reply, "content-security-policy"), body(&reply));
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{name}: {policy}");
        assert_eq!(policy.contains("script-src"), matches!(page, Page::Fragment(_)), "{name}: {policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("img-src"), "{name}: {policy}");
        assert_eq!(field(&reply, "cache-control"), "no-store", "{name}");
        let posts = html.contains("method=\"post\"");
        assert_eq!(field(&reply, "referrer-policy"), if posts { "same-origin" } else { "no-referrer" }, "{name}");
        assert!(!html.contains(" style=") && !handles_events(&html), "{name}: something that the policy refuses");
    });
}

/// Whether some tag has an attribute like `onclick=`.
fn handles_events(html: &str) -> bool {
    let mut rest = html.split(" on").skip(1);
    rest.any(|rest| rest.trim_start_matches(|letter: char| letter.is_ascii_lowercase()).starts_with('='))
}

#[test]
fn the_policy_names_the_style_and_the_script_that_are_on_the_page() {
    for pages in [ours(), with(&[("style.css", b"main { color: teal }\r\n")]).unwrap()] {
        let fragment = FragmentPage { login_url: "/login?return_to=%2F" };
        let reply = pages.fragment(&fragment, Language::English);
        let (policy, html) = (field(&reply, "content-security-policy").to_owned(), body(&reply));
        for tag in ["style", "script"] {
            let (_, after) = html.split_once(&format!("<{tag}>")).unwrap();
            let (inside, _) = after.split_once(&format!("</{tag}>")).unwrap();
            assert!(policy.contains(&format!("{tag}-src '{}'", hash(inside))), "{tag}: {policy}");
        }
    }
}

#[test]
fn a_page_that_stands_for_an_apps_answer_is_never_a_yes() {
    let pages = ours();
    for reply in [
        pages.fragment(&FragmentPage { login_url: "/l" }, Language::English),
        pages.session_ended_form(&SessionEndedFormPage { login_url: "/l", request_id: "r" }, Language::English),
    ] {
        assert_eq!((reply.status, field(&reply, "www-authenticate")), (401, "Bearer"));
    }
}

#[test]
fn a_kept_form_shows_names_and_hides_values() {
    let fields = [("secret".to_owned(), "hunter2\r\n".to_owned()), ("tag".to_owned(), "a".to_owned()), ("tag".to_owned(), "b".to_owned())];
    let html = body(&ours().resume(&ResumePage { action: "/a?b=1&c=2", fields: &fields, discard_url: "/" }, Language::English));
    assert_eq!(html.matches("hunter2").count(), 1, "in its hidden field alone: {html}");
    assert!(html.contains("<input type=\"hidden\" name=\"secret\" value=\"hunter2\r\n\">"), "{html}");
    assert_eq!(html.matches("<li>tag</li>").count(), 1, "{html}");
    assert_eq!(html.matches("name=\"tag\"").count(), 2, "{html}");
    assert!(html.contains("action=\"&#x2f;a?b=1&amp;c=2\""), "{html}");
}

#[test]
fn a_denial_is_explained_only_where_it_may_be() {
    let pages = ours();
    let denied = |explained| {
        let page = DeniedPage { face: Face::FORBIDDEN, who: None, explained, request_id: "r", other_account_url: None, prefix: "/_d" };
        body(&pages.denied(&page, Language::English))
    };
    let missing = vec![Missing { what: What::Role, names: vec!["admin".to_owned()] }];
    let told = denied(Some(Explained { rule: "/vault/**".to_owned(), missing }));
    assert!(told.contains("<li>admin</li>") && told.contains("vault"), "{told}");
    let quiet = denied(None);
    assert!(!quiet.contains("admin") && !quiet.contains("vault") && !quiet.contains(">Rule<"), "{quiet}");
}

#[test]
fn a_folders_templates_replace_ours_by_name() {
    let base = b"<html lang='{{ language }}'><style>{{ style }}</style><p>Acme</p>{% block content %}{% endblock %}</html>";
    let pages = with(&[("base.html", base), ("notes.txt", b"{{ broken"), ("style.css", b"\xef\xbb\xbfp { color: teal }")]).unwrap();
    let reply = pages.signed_out(&SignedOutPage { at_provider: true, everywhere: false, back_url: "/" }, Language::French);
    let html = body(&reply);
    assert!(html.starts_with("<html lang='fr'><style>p { color: teal }</style><p>Acme</p>"), "{html}");
    assert!(html.contains("class=\"button\""), "our own block inside it: {html}");
    assert!(field(&reply, "content-security-policy").contains("; img-src data:"));
}

#[test]
fn a_folder_that_would_fail_later_fails_now_and_says_where() {
    assert!(with(&[]).is_ok());
    for (name, file, text) in [
        ("error.html", &b"<p>\n{{ title"[..], "pages/error.html:2: syntax error: unexpected end of input"),
        ("error.html", b"{{ title }}\n\n{{ titel }}", "pages/error.html:3: undefined value"),
        ("whoami.html", b"{{ title }}\n{{ session.id }}", "pages/whoami.html:2: undefined value"),
        ("base.html", b"{{ title }}\n{{ words.common.nothing }}", "pages/base.html:2: undefined value"),
        ("loop.html", b"{% if not causes %}\n{{ nothing }}{% endif %}", "pages/loop.html:2: undefined value"),
        ("picker.html", b"{% extends 'layout.html' %}", "pages/picker.html:1: template not found"),
        ("picker.html", b"{{ words.picker.app | fill(site=app) }}", "pages/picker.html:1: invalid operation"),
        ("eror.html", b"{{ title }}", "`pages/eror.html` replaces no page: there are `base.html`"),
        ("print.css", b"", "`pages/print.css` replaces no page"),
        ("error.html", b"\xff", "`pages/error.html` is not UTF-8"),
        ("style.css", b"p{}</style><script>", "`pages/style.css` contains `</`"),
    ] {
        let fault = with(&[(name, file)]).expect_err(name);
        assert!(fault.starts_with(text), "{name}: {fault}");
    }
    let large = vec![b' '; 256 * 1024 + 1];
    assert_eq!(with(&[("error.html", &large)]).unwrap_err(), "`pages/error.html` is larger than 256 KiB");
    assert!(with(&[("error.html", &large[1..])]).is_ok());
    let absent = Pages::new(&[], Some(Path::new("/nowhere/pages"))).unwrap_err().to_string();
    assert!(absent.starts_with("failed to read `/nowhere/pages`: "), "{absent}");
}

/// What a template is given must be described, and what is described must be given.
#[test]
fn the_documentation_names_every_template_and_every_variable() {
    let docs = include_str!("../../../docs/pages.md");
    for (name, _) in templates::OURS {
        assert!(docs.contains(&format!("| `{name}` |")), "docs/pages.md: `{name}`");
    }
    let pages = ours();
    let everywhere = ["title", "language", "words", "style", "status", "request_id"];
    for name in everywhere {
        assert!(docs.contains(&format!("| `{name}` |")), "docs/pages.md: `{name}`");
    }
    samples::each(&str::to_owned, &mut |_, page| {
        let (template, values) = (page.template(), page.values(pages.words(Language::English)));
        let (_, section) = docs.split_once(&format!("\n`{template}`: ")).unwrap_or_else(|| panic!("docs/pages.md: {template}"));
        let section = section.split("\n\n").next().unwrap();
        let given: Vec<String> = values.try_iter().unwrap().map(|key| key.to_string()).collect();
        for key in given.iter().filter(|key| !everywhere.contains(&key.as_str())) {
            assert!(section.contains(&format!("`{key}`")), "docs/pages.md does not describe `{key}` of {template}");
        }
        // What stands in backticks and is no part of another name.
        let described = section.split('`').skip(1).step_by(2).filter(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        let others = ["name", "text", "label", "url", "what", "names", "explain_denials", "email", "script"];
        for name in described.filter(|name| !others.contains(name)) {
            assert!(given.iter().any(|key| key == name), "docs/pages.md describes `{name}`, which {template} is not given");
        }
    });
}
