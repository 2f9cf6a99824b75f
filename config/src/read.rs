//! From values to settings, section by section. Each reader reports what it cannot read and goes on.
//!
//! A reader gives `None` only after it has reported why, so no settings without a reason never happens.

mod agreement;
mod cors;
mod field;
mod file;
mod headers;
mod hooks;
mod identity;
mod map;
mod moment;
mod network;
mod provider;
mod quantity;
mod reading;
mod requirement;
mod route;
mod rules;
mod secret;
mod secrets;
mod server;
mod session;
mod tests;
mod upstream;
mod word;

pub(crate) use reading::{Reading, is_sound};

use crate::document::{Node, Value};
use crate::settings::Settings;
use map::Map;

/// Reads a whole file. `sound`: nothing is wrong with its text.
pub(crate) fn settings(reading: &Reading<'_>, root: &Node, sound: bool) -> Option<Settings> {
    let root = match &root.value {
        Value::Null => return reading.refuse(&(0..0), "", "the file is empty", "begin with `version: 1`"),
        Value::Map(_) => Map::root(reading, root)?,
        _ => {
            return reading.refuse(&root.span, "", format!("expected a map, found {}", root.kind()), "begin with `version: 1`");
        }
    };
    version(&root);
    schema(&root);
    let section = root.required("server");
    let has = |key| section.as_ref().is_some_and(|field| server::has(field, key));
    let (hooks, state_dir) = (has("hooks"), has("state_dir"));
    let server = section.and_then(|field| server::read(&field));
    let prefix = server.as_ref().map_or(server::PREFIX, |server| &server.prefix);
    let oauth2_proxy = server.as_ref().is_some_and(|server| server.hooks.as_ref().is_some_and(|hooks| hooks.oauth2_proxy.is_some()));
    let (signers, section) = (root.optional("providers"), root.required("session"));
    let store = section.as_ref().and_then(session::store_of);
    let providers = provider::read_all(signers, prefix, oauth2_proxy, store);
    let session = section.and_then(|field| session::read(&field, state_dir));
    let mapping = identity::read(root.optional("identity"));
    let headers = headers::read(root.optional("headers"));
    let body = server.as_ref().map_or(server::BODY, |server| server.limits.body);
    let routes = root.required("routes").and_then(|field| {
        let common = route::Common { providers: &providers, headers: &headers, prefix, oauth2_proxy, hooks, body, store };
        route::read_all(&field, &common)
    });
    let tests = root.or("tests", Vec::new(), tests::read_all);
    root.finish(&[("test", "write `tests: [ … ]`")]);
    let (server, session, mapping) = (server?, session?, mapping?);
    let (mut policy, routes) = route::compile(reading, routes?, mapping)?;
    if oauth2_proxy {
        policy.keep_claims(hooks::OAUTH2_CLAIMS);
    }
    let (providers, tests) = (providers.into_settings()?, tests?);
    // What a rule of tomorrow may look at is in the sessions of today: an attribute was named to be used.
    let attributes: Vec<&str> = providers.iter().flat_map(|provider| provider.attributes.names()).collect();
    policy.keep_claims(&attributes);
    tests::check_all(&tests, &policy, &providers, &server.prefix)?;
    let expected = tests.iter().map(|read| read.test.clone()).collect();
    let settings = Settings { server, providers, session, policy, routes, tests: expected };
    agreement::check(&root, &settings)?;
    if sound && reading.is_sound() {
        agreement::warn(&root, &settings, &tests);
    }
    Some(settings)
}

/// Where an editor finds the schema of this file: YAML and TOML say it in a comment, and JSON has none.
fn schema(root: &Map<'_>) {
    if root.entries().any(|(entry, _)| entry.key == "$schema") {
        root.optional("$schema").and_then(|field| field.text());
    }
}

fn version(root: &Map<'_>) {
    let Some(field) = root.required("version") else { return };
    if let Some(number) = field.integer()
        && number != 1
    {
        field.refuse::<()>(format!("version {number} is not known"), "this is version 1");
    }
}
