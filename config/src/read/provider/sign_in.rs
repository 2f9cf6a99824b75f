//! How people come to this provider and go from it: what the page that lets them choose says, and what a link may set.

use std::collections::HashMap;

use super::super::field::{Field, all};
use super::super::map::Map;
use super::super::requirement::email_domain;
use super::super::session::SERVER_SIDE;
use super::super::word;
use crate::document::{Span, Value};
use crate::problem::Finding;
use crate::settings::{LoginParameter, ResponseMode, StoreKind};

/// In characters: a button still has room for it.
const LABEL_LIMIT: usize = 80;

pub(super) struct SignIn {
    pub(super) label: String,
    pub(super) hidden: bool,
    pub(super) email_domains: Vec<String>,
    pub(super) response_mode: ResponseMode,
    pub(super) third_party_login: bool,
    pub(super) login_parameters: Vec<LoginParameter>,
    pub(super) revoke_on_logout: bool,
}

impl SignIn {
    /// `domains`: those of all providers so far, and where they stand.
    pub(super) fn read(map: &Map<'_>, name: &str, store: Option<StoreKind>, domains: &mut HashMap<String, Span>) -> Option<Self> {
        let label = map.or("label", name.to_owned(), read_label);
        let hidden = map.or("hidden", false, Field::boolean);
        let email_domains = map.or("email_domains", Vec::new(), |field| read_domains(field, domains));
        let modes = [("query", ResponseMode::Query), ("form_post", ResponseMode::FormPost)];
        let response_mode = map.or("response_mode", ResponseMode::Query, |field| field.one_of(&modes));
        let third_party_login = map.or("third_party_login", false, Field::boolean);
        let usual = vec![LoginParameter::LoginHint, LoginParameter::UiLocales];
        let login_parameters = map.or("login_parameters", usual, |field| read_parameters(field, map));
        let revoke_on_logout = map.or("revoke_on_logout", false, |field| read_revoke(field, store));
        Some(Self {
            label: label?,
            hidden: hidden?,
            email_domains: email_domains?,
            response_mode: response_mode?,
            third_party_login: third_party_login?,
            login_parameters: login_parameters?,
            revoke_on_logout: revoke_on_logout?,
        })
    }
}

/// What people read.
pub(super) fn read_label(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    match text.chars().count() <= LABEL_LIMIT {
        true => Some(text.to_owned()),
        false => field.refuse(format!("the label is longer than {LABEL_LIMIT} characters"), "people read it at a glance; write less"),
    }
}

/// An address goes to one provider, whoever asks.
fn read_domains(field: &Field<'_>, seen: &mut HashMap<String, Span>) -> Option<Vec<String>> {
    all(field.items_or_one()?.iter().map(|item| {
        let domain = email_domain(item)?;
        if let Some(first) = seen.get(&*domain) {
            let finding = Finding::error(format!("`{domain}` is in a list already")).at(item.span()).key(&item.key);
            item.reading.report(finding.related(first, "first here").help("the addresses of one domain go to one provider"));
            return None;
        }
        seen.insert(domain.to_string(), item.span().clone());
        Some(domain.into_string())
    }))
}

fn read_parameters(field: &Field<'_>, map: &Map<'_>) -> Option<Vec<LoginParameter>> {
    let mut parameters = Vec::new();
    let read: Option<Vec<()>> = all(field.any_items()?.iter().map(|item| {
        let parameter = read_parameter(item, map)?;
        if parameters.contains(&parameter) {
            return item.refuse(format!("`{}` is in the list already", parameter.name()), "leave it out");
        }
        parameters.push(parameter);
        Some(())
    }));
    read.map(|_| parameters)
}

fn read_parameter(item: &Field<'_>, map: &Map<'_>) -> Option<LoginParameter> {
    let text = item.any_text()?;
    if text == "prompt" {
        return item.refuse("`prompt` may always be set", "to `login` or `select_account`, and to nothing else; leave it out");
    }
    let Some(parameter) = LoginParameter::ALL.iter().find(|parameter| parameter.name() == text) else {
        let known: Vec<&str> = LoginParameter::ALL.iter().map(|parameter| parameter.name()).collect();
        return item.unknown(&format!("`{}` is not one of {}", item.shown(), word::list(&known)), &known);
    };
    match is_settled(map, text) {
        true => item.refuse(
            format!("`{text}` is settled for this provider, and no link changes it"),
            format!("leave `{text}` out here, or at the provider"),
        ),
        false => Some(*parameter),
    }
}

/// What the operator has said is not left open for a link.
fn is_settled(map: &Map<'_>, parameter: &str) -> bool {
    let authorize = map.optional("authorize");
    let among = |field: &Field<'_>| matches!(field.value(), Value::Map(entries) if entries.iter().any(|entry| entry.key == parameter));
    match parameter {
        "organization" => map.optional("organization").is_some(),
        "connection" => map.optional("connection").is_some(),
        _ => authorize.as_ref().is_some_and(among),
    }
}

/// RFC 7009.
fn read_revoke(field: &Field<'_>, store: Option<StoreKind>) -> Option<bool> {
    let revoke = field.boolean()?;
    match revoke && store == Some(StoreKind::Cookie) {
        true => field.refuse("`store: cookie` keeps no refresh token that could be revoked", SERVER_SIDE),
        false => Some(revoke),
    }
}
