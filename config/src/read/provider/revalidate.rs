//! `revalidate`: bearer tokens that are asked about again.

use super::super::field::Field;
use super::super::quantity::{hours, seconds};
use super::requests::{Beside, INTROSPECTION, USERINFO, read_one};
use crate::settings::{ClientAuth, ProviderKind, RequestTemplate, Revalidate, RevalidateBy};

/// Auth0 answers five calls of `/userinfo` a minute for each user, and ten at once.
const AUTH0: std::time::Duration = seconds(60);

pub(super) fn read(field: &Field<'_>, beside: Beside<'_>, client_auth: Option<&ClientAuth>, audience: Option<bool>) -> Option<Revalidate> {
    let map = field.map()?;
    let auth0 = beside.place.kind == Some(ProviderKind::Auth0);
    let by = map.required("by").and_then(|field| read_by(&field, auth0, client_auth));
    let every = map.or("every", seconds(60), |field| {
        let every = field.duration_in(seconds(1)..=hours(24))?;
        match auth0 && every < AUTH0 {
            true => field.refuse("Auth0 answers `/userinfo` five times a minute for each user", "write `60s` or more"),
            false => Some(every),
        }
    });
    let shape = if by == Some(RevalidateBy::Userinfo) { &USERINFO } else { &INTROSPECTION };
    let request = map.maybe("request", |field| by.and_then(|_| read_one(field, shape, beside)));
    map.finish(&[("method", "write `by: …`"), ("interval", "write `every: …`")]);
    if audience == Some(false) {
        return field.refuse("this provider issues no bearer tokens for us", "add `audience: …`, or leave `revalidate` out");
    }
    Some(Revalidate { by: by?, every: every?, request: request?.unwrap_or_else(RequestTemplate::default) })
}

fn read_by(field: &Field<'_>, auth0: bool, client_auth: Option<&ClientAuth>) -> Option<RevalidateBy> {
    let by = field.one_of(&[("introspection", RevalidateBy::Introspection), ("userinfo", RevalidateBy::Userinfo)])?;
    if by == RevalidateBy::Introspection && auth0 {
        return field
            .refuse("Auth0 has no introspection endpoint", "write `by: userinfo`: it vouches for people's tokens, not for machines'");
    }
    // RFC 7662 §2.1: whoever asks proves who they are, or anybody could try tokens there.
    if by == RevalidateBy::Introspection && matches!(client_auth, Some(ClientAuth::None)) {
        return field.refuse(
            "a client that proves nothing may not ask about tokens",
            "set `client_auth` and its secret or key, or write `by: userinfo`",
        );
    }
    Some(by)
}
