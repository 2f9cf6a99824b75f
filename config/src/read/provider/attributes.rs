//! `attributes`, `claims_namespaces`, `amr`: what a provider says of somebody, under the names that the rest of the file uses.

use doorward_policy::claim_path::ClaimPath;
use doorward_policy::identity::{AmrRule, Attribute, AttributeMapping, AttributeSource, AttributeType, ClaimSource, RESERVED};
use serde_json::Value as Json;

use super::super::field::{Field, all};
use super::super::map::Map;
use super::sign_in::read_label;
use crate::document::Value;

/// Most attributes of one provider, namespaces of one, and values of `amr`.
const LIMIT: usize = 64;
const NAME_LIMIT: usize = 64;

/// What the provider is asked for besides: attributes from elsewhere would never be there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) userinfo: bool,
    pub(super) audience: bool,
}

/// `asked`: `None` where that has a mistake of its own.
pub(super) fn read(map: &Map<'_>, asked: Option<Asked>) -> Option<AttributeMapping> {
    let namespaces = map.or("claims_namespaces", Vec::new(), read_namespaces);
    let amr = map.maybe("amr", read_amr);
    let attributes = map.or("attributes", Vec::new(), |field| read_attributes(field, asked));
    Some(AttributeMapping { namespaces: namespaces?, amr: amr?, attributes: attributes? })
}

fn read_attributes(field: &Field<'_>, asked: Option<Asked>) -> Option<Vec<Attribute>> {
    let map = field.map()?;
    if map.entries().count() > LIMIT {
        return field.refuse(format!("more than {LIMIT} attributes"), "name those that rules, roles and headers look at");
    }
    all(map.entries().map(|(entry, field)| {
        let named = check_name(&entry.key).map_err(|(message, help)| {
            field.reading.refuse::<()>(&entry.key_span, &field.key, message, help);
        });
        let attribute = read_attribute(&field, &entry.key, asked);
        attribute.filter(|_| named.is_ok())
    }))
}

fn check_name(name: &str) -> Result<(), (String, &'static str)> {
    if RESERVED.contains(&name) {
        return Err((format!("`{name}` is what a token proves, and no attribute takes its place"), "choose another name"));
    }
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    match plain && name.len() <= NAME_LIMIT && name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        true => Ok(()),
        false => {
            Err((format!("`{name}` is no name for an attribute"), "letters, digits, `_` and `-`, at most 64, a letter at the beginning"))
        }
    }
}

fn read_attribute(field: &Field<'_>, name: &str, asked: Option<Asked>) -> Option<Attribute> {
    let map = field.map()?;
    let label = map.maybe("label", read_label);
    let weak = map.or("weak", false, Field::boolean);
    let kind = map.or("type", AttributeType::Any, |field| field.one_of(&AttributeType::ALL.map(|kind| (kind.name(), kind))));
    let source = map.maybe("source", |field| read_source(field, asked));
    let claim = map.maybe("claim", Field::claim_path);
    let value = map.maybe("value", read_value);
    map.finish(&[
        ("path", "write `claim: …`"),
        ("from", "write `claim: …`, and `source: …` where only one of the tokens counts"),
        ("name", "the key is the name; what people read is its `label`"),
        ("display_name", "write `label: …`"),
        ("static", "write `value: …`"),
        ("data_type", "write `type: …`"),
    ]);
    let from = read_from(&map, name, source?, claim?, value?)?;
    Some(Attribute { name: name.into(), label: label?.map(Into::into), from, kind: kind?, weak: weak? })
}

fn read_from(
    map: &Map<'_>,
    name: &str,
    source: Option<ClaimSource>,
    claim: Option<ClaimPath>,
    value: Option<Json>,
) -> Option<AttributeSource> {
    match (claim, value) {
        (Some(path), None) => Some(AttributeSource::Claim { source, path }),
        (None, Some(value)) => {
            for key in ["source", "type", "weak"] {
                if let Some(field) = map.optional(key) {
                    return field.refuse(format!("a `value` is what it is, and has no `{key}`"), format!("take `{key}` away"));
                }
            }
            Some(AttributeSource::Constant(value))
        }
        (None, None) => map.missing("claim", format!("say where it stands: `claim: {name}`; or `value: …` for the same for everybody")),
        (Some(_), Some(_)) => map.optional("value")?.refuse("both `claim` and `value`", "keep one of them"),
    }
}

fn read_source(field: &Field<'_>, asked: Option<Asked>) -> Option<ClaimSource> {
    let source = field.one_of(&ClaimSource::ALL.map(|source| (source.name(), source)))?;
    match source {
        ClaimSource::Userinfo if !asked?.userinfo => {
            field.refuse("userinfo is not asked for, so nothing is ever read from it", "add `userinfo: true` to the provider")
        }
        ClaimSource::AccessToken if !asked?.audience => field.refuse(
            "without an `audience` access tokens cannot be verified, so nothing is ever read from them",
            "add `audience: …` to the provider, the identifier of your API; or write `source: id_token`",
        ),
        ClaimSource::IdToken | ClaimSource::Userinfo | ClaimSource::AccessToken => Some(source),
    }
}

/// One scalar, or a list of them.
fn read_value(field: &Field<'_>) -> Option<Json> {
    match field.value() {
        Value::List(_) => field.scalars().map(Json::Array),
        _ => field.scalar(),
    }
}

fn read_namespaces(field: &Field<'_>) -> Option<Vec<Box<str>>> {
    let items = field.any_items()?;
    if items.len() > LIMIT {
        return field.refuse(format!("more than {LIMIT} namespaces"), "one that ends in `/` stands for all names below it");
    }
    let mut seen: Vec<(&str, &str)> = Vec::new();
    all(items.iter().map(|item| {
        let text = read_namespace(item)?;
        let (_, last) = text.rsplit_once('/')?;
        match seen.iter().find(|(other, name)| *other == text || (!last.is_empty() && *name == last)) {
            Some((other, _)) if *other == text => item.refuse(format!("`{text}` is in the list already"), "leave it out"),
            Some((other, _)) => {
                item.refuse(format!("`{text}` and `{other}` would both be read as `{last}`"), "keep one of them, or make `attributes`")
            }
            None => {
                seen.push((text, last));
                Some(text.into())
            }
        }
    }))
}

/// A claim's whole name, or what the names of several begin with.
fn read_namespace<'d>(item: &Field<'d>) -> Option<&'d str> {
    const HELP: &str =
        "a claim's whole name, `https://acme.dev/roles`; or what several begin with, with a `/` at its end: `https://acme.dev/`";
    let text = item.name()?;
    let Some((space, last)) = text.rsplit_once('/').filter(|(space, _)| !space.is_empty()) else {
        return item.refuse(format!("`{}` is no namespace", item.shown()), HELP);
    };
    if RESERVED.contains(&last) {
        let message = format!("`{last}` is what a token proves, and no other claim takes its place");
        return item.refuse(message, "leave it out, and read it as an attribute of another name");
    }
    if last.is_empty() && space.ends_with('/') {
        return item.refuse(format!("`{}` is no namespace", item.shown()), HELP);
    }
    Some(text)
}

/// RFC 8176.
fn read_amr(field: &Field<'_>) -> Option<AmrRule> {
    let map = field.map()?;
    let values = map.required("values").and_then(|field| {
        let items = field.items()?;
        if items.len() > LIMIT {
            return field.refuse(format!("more than {LIMIT} values"), "name the methods that were used, such as `pwd` and `otp`");
        }
        all(items.iter().map(|item| item.name().map(Into::into)))
    });
    let always = map.or("when", false, |field| field.one_of(&[("absent", false), ("always", true)]));
    map.finish(&[("mode", "write `when: absent` or `when: always`"), ("value", "write `values: [ … ]`")]);
    Some(AmrRule { values: values?, always: always? })
}
