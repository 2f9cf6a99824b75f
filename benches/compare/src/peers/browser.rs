//! A sign-in as a browser does it, up to the cookie that stands for the session.

use std::collections::BTreeMap;

use http::header::{COOKIE, LOCATION, SET_COOKIE};

use super::ask::{Answer, ask};
use crate::stand::{Fault, HOST, Stand};
use crate::system::Load;

/// Asks for a page, signs in as Ada at the tenant, and comes back. Answers with the cookies that are there in the end,
/// as they stand in `Cookie`.
///
/// # Errors
/// When a step is not the expected redirect.
pub fn sign_in(stand: &Stand, page: &Load) -> Result<String, Fault> {
    let mut cookies = BTreeMap::new();
    let mut load = page.clone();
    let mut signed_in = false;
    // To the tenant, back, and perhaps around once more.
    for _ in 0..5 {
        let answer = ask(stand, &load)?;
        keep(&mut cookies, &answer);
        let Some(location) = answer.headers.get(LOCATION) else {
            let signed_in = signed_in && answer.status.is_success();
            return if signed_in { Ok(in_a_row(&cookies)) } else { Err(format!("no redirect, but {}", answer.status).into()) };
        };
        let mut location = location.to_str()?.to_owned();
        if location.starts_with(stand.tenant.issuer()) {
            location = stand.tenant.sign_in(&location, "ada")?;
            signed_in = true;
        }
        load = Load::usual(page.address, page.transport, path(&location, page)?);
        load.headers.retain(|(name, _)| name != "Host");
        load.headers.insert(0, ("Host".into(), format!("{HOST}:{}", page.address.port())));
        load = load.with(COOKIE.as_str(), &in_a_row(&cookies));
    }
    Err("the sign-in goes round and round".into())
}

/// What of an address is asked at the page's own place.
fn path<'l>(location: &'l str, page: &Load) -> Result<&'l str, Fault> {
    let own = format!("https://{HOST}:{}", page.address.port());
    let path = location.strip_prefix(&own).unwrap_or(location);
    if path.starts_with('/') { Ok(path) } else { Err(format!("it leads away from {own}").into()) }
}

/// An empty one is one that is taken back.
fn keep(cookies: &mut BTreeMap<String, String>, answer: &Answer) {
    for field in answer.headers.get_all(SET_COOKIE) {
        let Some((name, value)) = field.to_str().ok().and_then(|field| field.split(';').next()).and_then(|pair| pair.split_once('='))
        else {
            continue;
        };
        if value.is_empty() {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

fn in_a_row(cookies: &BTreeMap<String, String>) -> String {
    cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}
