//! Every page once with everything on it and once with as little as possible. Templates that replace ours are tried with
//! them before the edge starts; tests look at them.

use std::time::Duration;

use super::page::Page;
use super::views::{
    Choice, DeniedPage, EmailForm, ErrorPage, Explained, FragmentPage, LoopCause, LoopPage, Missing, PickerPage, ProfileEntry, ResumePage,
    SessionEndedFormPage, ShownAttribute, SignOutPage, SignedOutPage, What, Who, WhoamiPage,
};
use crate::respond::Face;

const PREFIX: &str = "/_doorward";
const LOGIN: &str = "/_doorward/login?return_to=%2Farticles";

/// Calls `see` with a name and a page, for each. `text` may replace what is not ours: names, addresses, claims.
pub fn each(text: &dyn Fn(&str) -> String, see: &mut dyn FnMut(&'static str, Page<'_>)) {
    errors(text, see);
    sign_ins(text, see);
    denials(text, see);
    sessions(text, see);
    forms(text, see);
}

fn errors(text: &dyn Fn(&str) -> String, see: &mut dyn FnMut(&'static str, Page<'_>)) {
    let (request_id, said, login) = (text("b7qk-00412"), text("user closed the window"), text(LOGIN));
    let error = |face, login_url| ErrorPage { face, request_id: &request_id, login_url, prefix: PREFIX, details: &[] };
    see("error", Page::Error(&error(Face::UPSTREAM_TIMEOUT, None)));
    see("error-sign-in", Page::Error(&error(Face::LOGIN_REQUIRED, Some(&login))));
    see("error-forbidden", Page::Error(&error(Face::NETWORK, None)));
    let details: &[(&str, &str)] = &[("error", "access_denied"), ("description", &said), ("Other", &said)];
    see("error-details", Page::Error(&ErrorPage { details, ..error(Face::ACCESS_DENIED, Some(LOGIN)) }));
}

fn sign_ins(text: &dyn Fn(&str) -> String, see: &mut dyn FnMut(&'static str, Page<'_>)) {
    let (app, staff, partners, typed) =
        (text("cms.acme.dev"), text("Acme staff"), text("Partners and suppliers"), text("ada@acme.example"));
    let (one, two, login) = (text("/_doorward/login?provider=auth0"), text("/_doorward/login?provider=partners"), text("/articles"));
    let choices = [Choice { label: &staff, url: &one }, Choice { label: &partners, url: &two }];
    let hidden = [("return_to", login.as_str())];
    let email = |typed, unknown| Some(EmailForm { action: "/_doorward/login", hidden: &hidden, typed, unknown });
    see("picker", Page::Picker(&PickerPage { app: Some(&app), choices: &choices, email: None }));
    see("picker-email", Page::Picker(&PickerPage { app: Some(&app), choices: &choices, email: email("", false) }));
    see("picker-unknown", Page::Picker(&PickerPage { app: None, choices: &choices[..1], email: email(&typed, true) }));
    see("picker-email-alone", Page::Picker(&PickerPage { app: None, choices: &[], email: email("", false) }));
    see("picker-bare", Page::Picker(&PickerPage { app: None, choices: &[], email: None }));

    let request_id = text("b7qk-00413");
    let looped = |causes, login_url| LoopPage { causes, login_url, request_id: &request_id };
    see("loop", Page::Loop(&looped(LoopCause::ALL, Some(LOGIN))));
    see("loop-one", Page::Loop(&looped(&LoopCause::ALL[..1], Some(&one))));
    see("loop-unknown", Page::Loop(&looped(&[], None)));
    see("fragment", Page::Fragment(&FragmentPage { login_url: &one }));
}

fn denials(text: &dyn Fn(&str) -> String, see: &mut dyn FnMut(&'static str, Page<'_>)) {
    let (name, email, user, request_id) = (text("Vera Rubin"), text("vera@acme.dev"), text("auth0|vera"), text("b7qk-00414"));
    let (account, claim) = (text("/_doorward/login?prompt=select_account&return_to=%2Fadmin%2F"), text("plan: gold"));
    let missing = |what, names: &[&str]| Missing { what, names: names.iter().map(|name| text(name)).collect() };
    let denied = |who, missing| DeniedPage {
        face: Face::FORBIDDEN,
        who,
        explained: Some(Explained { rule: text("GET /admin/**"), missing }),
        request_id: &request_id,
        other_account_url: Some(&account),
        prefix: PREFIX,
    };
    let whole = Who { name: Some(&name), email: Some(&email), user: Some(&user) };
    see("denied", Page::Denied(&denied(Some(whole), vec![missing(What::AnyRole, &["admin", "editor-in-chief"])])));
    let everything = vec![
        missing(What::Role, &["admin"]),
        missing(What::Permission, &["articles:publish"]),
        missing(What::Scope, &["device:read"]),
        missing(What::Claim, &[&claim]),
        missing(What::EmailDomain, &["acme.dev"]),
        missing(What::Expression, &["claims.org_id == path.tenant"]),
    ];
    let partly = Who { name: None, email: None, user: Some(&user) };
    see("denied-much", Page::Denied(&denied(Some(partly), everything)));
    see(
        "denied-quiet",
        Page::Denied(&DeniedPage { explained: None, ..denied(Some(Who { name: None, email: Some(&email), user: None }), vec![]) }),
    );
    see("denied-bare", Page::Denied(&DeniedPage { explained: None, other_account_url: None, ..denied(None, vec![]) }));
}

fn sessions(text: &dyn Fn(&str) -> String, see: &mut dyn FnMut(&'static str, Page<'_>)) {
    let (who, action, everywhere, back) =
        (text("ada@acme.dev"), text("/_doorward/logout?return_to=%2F"), text("/_doorward/logout?everywhere=1"), text("/"));
    let whole = SignOutPage { action: &action, everywhere: Some(&everywhere), who: Some(&who), stay_url: &back };
    see("sign-out", Page::SignOut(&whole));
    see("sign-out-bare", Page::SignOut(&SignOutPage { everywhere: None, who: None, ..whole }));
    let signed_out = |at_provider, everywhere| SignedOutPage { at_provider, everywhere, back_url: &back };
    see("signed-out", Page::SignedOut(&signed_out(false, false)));
    see("signed-out-everywhere", Page::SignedOut(&signed_out(true, true)));

    let many = |names: &[&str]| names.iter().map(|name| text(name)).collect::<Vec<_>>();
    let whoami = WhoamiPage {
        name: Some(text("Ada Lovelace")),
        user: Some(text("auth0|5f7c8ec7c33c6c004bbafe82")),
        email: Some(who.clone()),
        provider: text("Acme staff"),
        profile: vec![ProfileEntry { what: "username", text: text("ada") }, ProfileEntry { what: "first_name", text: text("Ada") }],
        roles: many(&["admin", "editor"]),
        permissions: many(&["articles:write", "articles:publish", "devices:restart-after-maintenance"]),
        attributes: vec![
            ShownAttribute { label: text("Site"), values: many(&["Hamburg"]) },
            ShownAttribute { label: text("Teams"), values: many(&["engines", "looms"]) },
            ShownAttribute { label: text("Projects"), values: vec![] },
        ],
        began: Duration::from_secs(25 * 60),
        ends: Duration::from_secs(7 * 3600),
        prefix: PREFIX.to_owned(),
        everywhere: true,
    };
    see("whoami", Page::Whoami(&whoami));
    let (profile, attributes) = (vec![], vec![]);
    let nobody = WhoamiPage { name: None, user: None, email: None, profile, roles: vec![], permissions: vec![], attributes, ..whoami };
    let bare = WhoamiPage { everywhere: false, ..nobody };
    see("whoami-bare", Page::Whoami(&bare));
}

fn forms(text: &dyn Fn(&str) -> String, see: &mut dyn FnMut(&'static str, Page<'_>)) {
    let (action, discard, login, request_id) = (text("/articles/42/comments"), text("/articles/42"), text(LOGIN), text("b7qk-00415"));
    let fields: Vec<(String, String)> =
        [("title", "On engines"), ("body", "First line\r\nsecond line"), ("tag", "a"), ("tag", "b"), ("", "")]
            .iter()
            .map(|(name, value)| (if name.is_empty() { String::new() } else { text(name) }, text(value)))
            .collect();
    see("resume", Page::Resume(&ResumePage { action: &action, fields: &fields, discard_url: &discard }));
    see("resume-bare", Page::Resume(&ResumePage { action: &action, fields: &[], discard_url: &discard }));
    see("session-ended-form", Page::SessionEndedForm(&SessionEndedFormPage { login_url: &login, request_id: &request_id }));
}
