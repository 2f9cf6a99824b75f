//! `session`: where sessions are kept, what seals them, and how long they live.

mod domain;
mod keys;
mod redis;
mod target;

use std::sync::Arc;
use std::time::Duration;

use super::field::Field;
use super::map::Map;
use super::quantity::{days, hours, minutes, seconds, words};
use crate::document::Value;
use crate::settings::{Redis, Refresh, Session, StoreKind};

const STORES: &[(&str, StoreKind)] =
    &[("cookie", StoreKind::Cookie), ("memory", StoreKind::Memory), ("file", StoreKind::File), ("redis", StoreKind::Redis)];

/// Where tokens are kept: said wherever one is asked for that no cookie holds.
pub(super) const SERVER_SIDE: &str =
    "choose `session.store: memory`, `file` or `redis`: a cookie holds what is known about a person, and no tokens";

/// The store that is asked for, as far as can be said of a section that may have mistakes in it.
pub(super) fn store_of(field: &Field<'_>) -> Option<StoreKind> {
    let Value::Map(entries) = field.value() else { return None };
    match entries.iter().find(|entry| entry.key == "store").map(|entry| &entry.value.value) {
        None => Some(StoreKind::Cookie),
        Some(Value::Text(text)) => STORES.iter().find(|(word, _)| *word == text.text).map(|(_, store)| *store),
        Some(_) => None,
    }
}

/// `state_dir`: there is a folder for files of ours.
pub(super) fn read(field: &Field<'_>, state_dir: bool) -> Option<Session> {
    let map = field.map()?;
    let store = map.or("store", StoreKind::Cookie, |field| read_store(field, state_dir));
    let keys = map.required("keys").and_then(|field| keys::read(&field));
    let idle = map.or("idle", hours(1), |field| field.duration_in(minutes(1)..=days(30)));
    let lifetime = map.or("lifetime", hours(12), |field| field.duration_in(minutes(1)..=days(30)));
    let redis = read_redis(&map, store_of(field));
    let refresh = map.maybe("refresh", |refresh| read_refresh(refresh, store_of(field)));
    let domain = map.maybe("domain", domain::read);
    let logout_targets = map.or("logout_targets", Vec::new(), target::read_all);
    map.finish(&[
        ("secret", "write `keys: [{ file: … }]`"),
        ("key", "write `keys: [{ file: … }]`"),
        ("cookie_secret", "write `keys: [{ file: … }]`"),
        ("cookie_domain", "write `domain: …`"),
        ("valkey", "write `redis: { url: … }`: both speak the same"),
        ("url", "write `redis: { url: … }`"),
        ("dir", "write `state_dir: …` in `server`"),
    ]);
    let ((key_ring, keys, example_key), idle, lifetime) = (keys?, idle?, lifetime?);
    if idle > lifetime {
        let message = format!("a session would end after {} although it may idle for {}", words(lifetime), words(idle));
        let field = map.optional("idle").or_else(|| map.optional("lifetime"))?;
        return field.refuse(message, "`idle` is at most `lifetime`");
    }
    Some(Session {
        key_ring: Arc::new(key_ring),
        keys,
        example_key,
        idle,
        lifetime,
        store: store?,
        redis: redis?,
        refresh: refresh?,
        domain: domain?,
        logout_targets: logout_targets?,
    })
}

fn read_store(field: &Field<'_>, state_dir: bool) -> Option<StoreKind> {
    let store = field.one_of(STORES)?;
    match store {
        StoreKind::File if !state_dir => field.refuse("there is no folder for these files", "add `state_dir: …` to `server`"),
        StoreKind::Cookie | StoreKind::Memory | StoreKind::File | StoreKind::Redis => Some(store),
    }
}

/// `store`: where sessions are, when that is known.
fn read_redis(map: &Map<'_>, store: Option<StoreKind>) -> Option<Option<Redis>> {
    let redis = map.maybe("redis", redis::read);
    match (map.optional("redis"), store) {
        (None, Some(StoreKind::Redis)) => map.missing("redis", "say where it is: `redis: { url: \"redis://127.0.0.1:6379/0\" }`"),
        (Some(field), Some(StoreKind::Memory | StoreKind::File)) => field.refuse(
            "sessions are not kept in Redis",
            "write `store: redis`, or `store: cookie` (then only sign-outs are shared through it); or take `redis` away",
        ),
        _ => redis,
    }
}

/// RFC 6749 §6. The refresh token is the most valuable thing a browser's session has, and never goes to the browser.
fn read_refresh(field: &Field<'_>, store: Option<StoreKind>) -> Option<Refresh> {
    let map = match field.value() {
        Value::Bool(_) => {
            return field.refuse("expected a map, found true or false", "write `refresh: {}` for the usual times, or take it away");
        }
        _ => field.map()?,
    };
    let ahead = map.or("ahead", minutes(1), |field| field.duration_in(seconds(5)..=hours(1)));
    let grace = map.or("grace", minutes(5), |field| field.duration_in(Duration::ZERO..=days(1)));
    map.finish(&[("before", "write `ahead: …`"), ("every", "tokens are renewed before they end: write `ahead: …`")]);
    if store == Some(StoreKind::Cookie) {
        return field.refuse("`store: cookie` keeps no refresh token", SERVER_SIDE);
    }
    Some(Refresh { ahead: ahead?, grace: grace? })
}
