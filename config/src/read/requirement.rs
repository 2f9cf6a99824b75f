//! A rule's `allow`. Whatever is written here asks for something: an empty text or list is a mistake, because it would
//! ask for nothing.

mod time;
mod when;

use doorward_policy::access::{ClaimTest, Needs, PathPattern, Requirement};
use doorward_policy::claim_path::ClaimPath;
use doorward_policy::request::Host;
use serde_json::Value as Json;

use super::field::{Field, all};
use super::map::Map;
use super::word;
use crate::document::Value;

/// What others call it, and what to write here.
const HINTS: &[(&str, &str)] = &[
    ("roles", "write `any_role` or `all_roles`"),
    ("group", "write `role`; `identity.roles` says which claims are roles"),
    ("groups", "write `any_role`; `identity.roles` says which claims are roles"),
    ("any_group", "write `any_role`; `identity.roles` says which claims are roles"),
    ("user", "write `claim: { sub: … }`"),
    ("users", "write `claim: { sub: [ … ] }`"),
    ("email", "write `claim: { email: … }`, or `email_domain`"),
    ("emails", "write `claim: { email: [ … ] }`, or `email_domain`"),
    ("domain", "write `email_domain`"),
    ("ip", "write `network`"),
    ("networks", "write `network`, which may be a list"),
    ("claims", "write `claim: { path: value }`"),
    ("expression", "write `when: \"…\"`"),
    ("cel", "write `when: \"…\"`"),
    ("if", "write `when: \"…\"`"),
    ("days", "write `time: { days: [ … ], zone: … }`"),
    ("hours", "write `time: { from: …, to: …, zone: … }`"),
    ("anonymous", "write `allow: public`"),
    ("authenticated", "write `allow: signed-in`"),
];

const WORDS: &[&str] = &["public", "optional", "signed-in", "nobody"];

/// `paths`: the rule's; `None` where they have a mistake of their own.
pub(super) fn read(field: &Field<'_>, paths: Option<&[PathPattern]>) -> Option<Requirement> {
    match field.value() {
        Value::Map(_) => read_needs(field, paths),
        Value::Text(_) => match field.any_text()? {
            "public" => Some(Requirement::Public),
            "optional" => Some(Requirement::Optional),
            "signed-in" => Some(Requirement::SignedIn),
            "nobody" => Some(Requirement::Nobody),
            other => {
                let hint = match other {
                    "anyone" | "anonymous" | "everyone" | "all" | "*" => Some("public"),
                    "maybe" | "identify" | "try" => Some("optional"),
                    "authenticated" | "signed_in" | "user" | "users" | "login" => Some("signed-in"),
                    "none" | "deny" => Some("nobody"),
                    _ => None,
                };
                let message = format!("`{}` is not one of {}", field.shown(), word::list(WORDS));
                match hint {
                    Some(hint) => field.refuse(message, format!("write `{hint}`")),
                    None => field.unknown(&message, WORDS),
                }
            }
        },
        Value::Broken => None,
        _ => {
            field.refuse("it is not said who is allowed", "`public`, `optional`, `signed-in`, `nobody`, or a map such as `{ role: admin }`")
        }
    }
}

fn read_needs(field: &Field<'_>, paths: Option<&[PathPattern]>) -> Option<Requirement> {
    let map = field.map()?;
    if map.is_empty() {
        return field.refuse("the map asks for nothing", "write `allow: signed-in` or `allow: public`");
    }
    let public = map.optional("public");
    let anonymous = match &public {
        Some(field) => field.boolean(),
        None => Some(false),
    };
    let role = map.maybe("role", one_name);
    let any_role = map.or("any_role", Vec::new(), Field::names);
    let all_roles = map.or("all_roles", Vec::new(), Field::names);
    let permissions = one_or_all(&map, "permission", "permissions", Field::text);
    let scopes = one_or_all(&map, "scope", "scopes", Field::name);
    let equals = map.or("claim", Vec::new(), |field| read_claims(field, ClaimTest::Equals));
    let contains = map.or("claim_contains", Vec::new(), |field| read_claims(field, ClaimTest::Contains));
    let email_domains = map.or("email_domain", Vec::new(), |field| all(field.items_or_one()?.iter().map(email_domain)));
    let networks = map.or("network", Vec::new(), |field| all(field.items_or_one()?.iter().map(Field::network)));
    let times = map.or("time", Vec::new(), time::read);
    let when = map.maybe("when", |field| when::read(field, paths));
    map.finish(HINTS);
    let mut needs = Needs {
        anonymous: anonymous?,
        any_role: any_role?,
        all_roles: all_roles?,
        permissions: permissions?,
        scopes: scopes?,
        claims: equals?.into_iter().chain(contains?).collect(),
        email_domains: email_domains?,
        networks: networks?,
        times: times?,
        when: when?,
    };
    needs.all_roles.extend(role?);
    check_public(&needs, public.as_ref(), &map)?;
    Some(needs.into())
}

/// `public: true` lets unknown people in, so it can stand beside nothing that asks who somebody is.
fn check_public(needs: &Needs, public: Option<&Field<'_>>, map: &Map<'_>) -> Option<()> {
    let Some(public) = public else { return Some(()) };
    let asks_who = map.entries().any(|(entry, _)| !matches!(entry.key.as_str(), "public" | "network" | "time"));
    match (needs.anonymous, asks_who, needs.networks.is_empty() && needs.times.is_empty()) {
        (true, true, _) => public.refuse(
            "`public: true` lets in people that nobody knows, so nothing can be asked of them",
            "take it away, or everything but `network` and `time`",
        ),
        (true, false, true) => public.refuse("`public: true` alone", "write `allow: public`"),
        (false, false, true) => public.refuse("the map asks for nothing", "write `allow: signed-in`"),
        _ => Some(()),
    }
}

fn one_name(field: &Field<'_>) -> Option<Box<str>> {
    if matches!(field.value(), Value::List(_)) {
        return field.refuse("`role` is one role", "write `any_role` or `all_roles` for several");
    }
    field.text().map(Into::into)
}

/// `permission: a`, `permissions: [a, b]`: all of them are needed.
fn one_or_all<'d>(
    map: &Map<'d>,
    one: &'static str,
    many: &'static str,
    read: impl Fn(&Field<'d>) -> Option<&'d str>,
) -> Option<Vec<Box<str>>> {
    let single = map.maybe(one, |field| match field.value() {
        Value::List(_) => field.refuse(format!("`{one}` is one"), format!("write `{many}`: all of them are needed")),
        _ => read(field),
    });
    let several = map.or(many, Vec::new(), |field| field.each(&read));
    let several = several?;
    Some(single?.into_iter().chain(several).map(Into::into).collect())
}

fn read_claims(field: &Field<'_>, test: impl Fn(ClaimPath, Vec<Json>) -> ClaimTest) -> Option<Vec<ClaimTest>> {
    let map = field.map()?;
    if map.is_empty() {
        return field.refuse("the map names no claim", "write `{ path: value }`");
    }
    let read = |(entry, field): (&crate::document::Entry, Field<'_>)| {
        let values = field.scalars();
        match ClaimPath::parse(&entry.key) {
            Ok(path) => Some(test(path, values?)),
            Err(fault) => {
                let help = "a name, dots between names, a JSON Pointer or JSONPath";
                field.reading.refuse(&entry.key_span, &field.key, format!("`{}` is no claim path: {fault}", entry.key), help)
            }
        }
    };
    all(map.entries().map(read))
}

/// Lower case, without `@`; a subdomain is another domain.
pub(super) fn email_domain(field: &Field<'_>) -> Option<Box<str>> {
    const HELP: &str = "the part behind the `@`, whole: `acme.dev`; subdomains are listed one by one";
    let text = field.name()?;
    match Host::parse(text.as_bytes()) {
        Ok(host) if host.port().is_none() && !text.ends_with('.') && !text.starts_with('[') => Some(host.name().into()),
        _ => field.refuse(format!("`{}` is no domain", field.shown()), HELP),
    }
}
