//! The panel "What Doorward told this app", and `/echo`, which is the same for programs.

use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};

use super::visitor::Visitor;
use crate::page::page;

/// What the frame around each page of an app needs to know of that app.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) name: &'static str,
    pub(super) links: &'static [(&'static str, &'static str)],
    /// Where a visitor who is not signed in goes: any page that is not public.
    pub(super) sign_in: &'static str,
}

/// A page of an app with the panel at its foot. `values` are the page's own.
pub(super) fn framed(frame: Frame, template: &str, headers: &HeaderMap, values: Value) -> Response {
    let mut all = json!({
        "app": { "name": frame.name, "links": frame.links, "sign_in": frame.sign_in },
        "visitor": Visitor::of(headers),
        "headers": rows(headers),
    });
    if let (Some(all), Value::Object(values)) = (all.as_object_mut(), values) {
        all.extend(values);
    }
    page(StatusCode::OK, template, all)
}

/// `ANY /echo`: the request as JSON.
pub(super) async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Json<Value> {
    Json(json!({
        "method": method.as_str(),
        "target": uri.path_and_query().map_or("/", |target| target.as_str()),
        "headers": headers_of(&headers),
        "body_bytes": body.len(),
    }))
}

/// All headers in order of arrival; bytes that are no UTF-8 are shown as replacement characters.
pub(super) fn headers_of(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}

/// The identity first, then the rest by name.
fn rows(headers: &HeaderMap) -> Vec<Value> {
    let mut rows = headers_of(headers);
    rows.sort_by_key(|(name, _)| (!is_identity(name), name.clone()));
    let row =
        |(name, value): (String, String)| json!({ "name": title_case(&name), "value": shortened(&value), "identity": is_identity(&name) });
    rows.into_iter().map(row).collect()
}

fn is_identity(name: &str) -> bool {
    name.starts_with("x-auth-") || name == "authorization"
}

/// `x-auth-user` as people write it.
fn title_case(name: &str) -> String {
    let capitalised = name.split('-').map(|word| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    });
    capitalised.collect::<Vec<_>>().join("-")
}

/// A token would fill the page.
fn shortened(value: &str) -> String {
    let length = value.chars().count();
    if length <= SHOWN {
        return value.to_owned();
    }
    let start: String = value.chars().take(SHOWN).collect();
    format!("{start}… ({length} characters)")
}

const SHOWN: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_headers_come_first_then_the_rest_by_name() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", "cms.localhost"), ("accept", "*/*"), ("x-auth-user", "auth0|ada")] {
            headers.insert(name, value.parse().expect("a value"));
        }
        let names: Vec<_> = rows(&headers).iter().map(|row| row["name"].as_str().unwrap_or_default().to_owned()).collect();
        assert_eq!(names, ["X-Auth-User", "Accept", "Host"]);
    }
}
