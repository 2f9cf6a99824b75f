//! `tests`: requests, and what the operator expects to become of them. `doorward test` tries them.

mod fit;
mod request;

use std::collections::HashMap;
use std::net::IpAddr;

use doorward_policy::access::DenyReason;
use doorward_policy::identity::Proof;
use doorward_policy::request::{Target, TargetFault};
use http::HeaderName;
use serde_json::Value as Json;

pub(super) use fit::check_all;

use super::field::{Field, all};
use super::map::Map;
use super::word;
use crate::document::{Span, Value};
use crate::problem::Finding;
use crate::settings::{Expect, PolicyTest};

/// Most tests of one file.
const LIMIT: usize = 10_000;

const WORDS: &[(&str, Expect)] =
    &[("allow", Expect::Allow), ("deny", Expect::Deny), ("sign-in", Expect::SignIn), ("token", Expect::Token), ("step-up", Expect::StepUp)];

/// A test and where it stands.
pub(super) struct ReadTest<'d> {
    pub(super) test: PolicyTest,
    target: Result<Target, TargetFault>,
    field: Field<'d>,
}

impl<'d> ReadTest<'d> {
    /// What is asked for; `None` where it could be read in two ways.
    pub(super) fn target(&self) -> Option<&Target> {
        self.target.as_ref().ok()
    }

    /// Where the test stands, for warnings about what its claims come to.
    pub(super) fn claims_field(&self) -> Option<Field<'d>> {
        self.field.map()?.optional("claims")
    }
}

pub(super) fn read_all<'d>(field: &Field<'d>) -> Option<Vec<ReadTest<'d>>> {
    let items = field.any_items()?;
    if items.len() > LIMIT {
        return field.refuse(format!("more than {LIMIT} tests"), "keep those that would fail first");
    }
    let mut names = HashMap::new();
    all(items.iter().map(|item| read(item, &mut names)))
}

fn read<'d>(item: &Field<'d>, names: &mut HashMap<String, Span>) -> Option<ReadTest<'d>> {
    let map = item.map()?;
    let name = map.required("name").and_then(|field| read_name(&field, names));
    let request = match map.optional("request") {
        Some(field) => request::read(&field),
        None => map.missing("request", "add `request: GET https://app.acme.dev/`"),
    };
    let claims = map.maybe("claims", read_claims);
    let provider = map.maybe("provider", |field| field.name().map(str::to_owned));
    let proofs = [("session", Proof::Session), ("bearer", Proof::Bearer)];
    let proof = map.maybe("proof", |field| field.one_of(&proofs));
    let client = map.maybe("client", read_client);
    let at = map.maybe("at", Field::moment);
    let expect = match map.optional("expect") {
        Some(field) => read_expect(&field),
        None => map.missing("expect", "say what becomes of it: `expect: allow`, `deny`, `sign-in`, `token` or `step-up`"),
    };
    let rule = map.maybe("rule", |field| field.name().map(str::to_owned));
    let reason = map.maybe("reason", read_reason);
    let headers = map.or("headers", Vec::new(), read_headers);
    let roles = map.maybe("roles", |field| all(field.any_items()?.iter().map(|item| item.text().map(str::to_owned))));
    map.finish(&[
        ("url", "write `request: GET https://app.acme.dev/`"),
        ("method", "write `request: GET https://app.acme.dev/`"),
        ("path", "write `request: GET https://app.acme.dev/`"),
        ("user", "write `claims: { sub: … }`"),
        ("identity", "write `claims: { … }`"),
        ("ip", "write `client: …`"),
        ("time", "write `at: …`"),
        ("now", "write `at: …`"),
        ("status", "write `expect: …`: what is decided, not how it is answered"),
        ("decision", "write `expect: …`"),
    ]);
    let expect = check_sense(&map, expect);
    let (request, proof) = (request?, proof?);
    let test = PolicyTest {
        name: name?.to_owned(),
        line: item.reading.line_of(item.at().start),
        method: request.method,
        url: request.url,
        claims: claims?,
        provider: provider?,
        proof,
        client: client?,
        at: at?,
        expect: expect?,
        rule: rule?,
        reason: reason?,
        headers: headers?,
        roles: roles?,
    };
    Some(ReadTest { test, target: request.target, field: item.clone() })
}

fn read_name<'d>(field: &Field<'d>, names: &mut HashMap<String, Span>) -> Option<&'d str> {
    let text = field.text()?;
    if let Some(first) = names.get(text) {
        let finding = Finding::error(format!("two tests are called `{}`", field.shown())).at(field.span()).key(&field.key);
        field.reading.report(finding.related(first, "first here").help("reports tell tests apart by name"));
        return None;
    }
    names.insert(text.to_owned(), field.span().clone());
    Some(text)
}

fn read_claims(field: &Field<'_>) -> Option<serde_json::Map<String, Json>> {
    field.map()?;
    match field.json()? {
        Json::Object(claims) => Some(claims),
        _ => None,
    }
}

fn read_client(field: &Field<'_>) -> Option<IpAddr> {
    match field.name()?.parse::<IpAddr>() {
        Ok(address) => Some(address.to_canonical()),
        Err(_) => field.refuse(format!("`{}` is no address", field.shown()), "the client's own, without port: `203.0.113.7`"),
    }
}

fn read_expect(field: &Field<'_>) -> Option<Expect> {
    if let Value::Integer(_) = field.value() {
        let help = "write what is decided: `allow`, `deny`, `sign-in`, `token` or `step-up`; how it is answered depends on who asks";
        return field.refuse(format!("`{}` is a status", field.shown()), help);
    }
    let meant = match field.any_text()? {
        "allowed" | "pass" | "ok" | "yes" => Some("allow"),
        "denied" | "forbidden" | "refuse" | "no" => Some("deny"),
        "signin" | "sign_in" | "login" | "redirect" => Some("sign-in"),
        "bearer" | "unauthorized" => Some("token"),
        "step_up" | "stepup" | "mfa" => Some("step-up"),
        _ => None,
    };
    match meant {
        Some(meant) => field.refuse(format!("`{}` is no outcome", field.shown()), format!("write `{meant}`")),
        None => field.one_of(WORDS),
    }
}

fn read_reason(field: &Field<'_>) -> Option<String> {
    let text = field.any_text()?;
    let known: Vec<&str> = DenyReason::ALL.iter().map(|reason| reason.label()).collect();
    if known.contains(&text) {
        return Some(text.to_owned());
    }
    let finding = Finding::error(format!("`{}` is no reason of a denial", field.shown())).at(field.span()).key(&field.key);
    field.reading.report(match word::nearest(text, known.iter().copied()) {
        Some(near) => finding.label(format!("did you mean `{near}`?")),
        None => finding.help(format!("known are {}", word::list(&known))),
    });
    None
}

fn read_headers(field: &Field<'_>) -> Option<Vec<(HeaderName, String)>> {
    let map = field.map()?;
    all(map.entries().map(|(entry, field)| match HeaderName::from_bytes(entry.key.as_bytes()) {
        Ok(name) => Some((name, field.any_text()?.to_owned())),
        Err(_) => {
            let message = format!("`{}` is no name for a header", entry.key);
            field.reading.refuse(&entry.key_span, &field.key, message, "write it as it stands under `headers` of the route")
        }
    }))
}

/// What cannot come true, whatever the rules say.
fn check_sense(map: &Map<'_>, expect: Option<Expect>) -> Option<Expect> {
    let expect = expect?;
    let known = map.optional("claims").is_some();
    let refuse = |key: &'static str, message: &str, help: &str| map.optional(key).and_then(|field| field.refuse::<Expect>(message, help));
    for key in ["provider", "proof", "roles"] {
        if !known && map.optional(key).is_some() {
            return refuse(key, "without `claims` nobody has signed in", "add `claims: { … }`, or take it away");
        }
    }
    if expect != Expect::Deny && map.optional("reason").is_some() {
        return refuse("reason", "only a denial has a reason", "write `expect: deny`, or take `reason` away");
    }
    if expect != Expect::Allow && map.optional("headers").is_some() {
        return refuse("headers", "the app is told nothing unless the request may pass", "write `expect: allow`, or take `headers` away");
    }
    match expect {
        Expect::SignIn | Expect::Token if known => refuse(
            "expect",
            "whoever has claims has proven who they are already",
            "take `claims` away: then nobody has; or expect `allow`, `deny` or `step-up`",
        ),
        Expect::StepUp if !known => refuse(
            "expect",
            "nobody has signed in who could be asked to do it again",
            "add `claims: { … }`, with the `auth_time` and `acr` of their sign-in; or expect `sign-in`",
        ),
        Expect::Allow | Expect::Deny | Expect::SignIn | Expect::Token | Expect::StepUp => Some(expect),
    }
}
