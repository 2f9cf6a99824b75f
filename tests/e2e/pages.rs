//! Every page as its template makes it, in Chromium and in front of axe.

use std::net::Ipv4Addr;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use doorward_proxy::pages::{Language, Pages, samples};
use doorward_tests::chromium;
use serde_json::{Value, json};

/// Every page in every language, by name.
type Made = std::collections::BTreeMap<(String, String), (http::HeaderMap, bytes::Bytes)>;

fn made() -> Made {
    let pages = Pages::new(&[], None).expect("our own pages");
    let mut made = Made::new();
    for language in Language::ALL {
        samples::each(&str::to_owned, &mut |name, page| {
            let reply = pages.show(page, *language);
            made.insert((language.code().to_owned(), name.to_owned()), (reply.fields.into_iter().collect(), reply.body));
        });
    }
    made
}

/// The page with its own fields. Its status does not matter here, and Chromium would complain of an error.
async fn page(State(made): State<std::sync::Arc<Made>>, Path(at): Path<(String, String)>) -> Response {
    let (fields, body) = made.get(&at).cloned().unwrap_or_default();
    let mut response = Response::new(body.into());
    *response.headers_mut() = fields;
    response
}

#[tokio::test]
async fn every_page_passes_axe_in_light_and_dark_wide_and_narrow_in_every_language() {
    let made = made();
    let names: Vec<String> = made.keys().filter(|(language, _)| language == "en").map(|(_, name)| name.clone()).collect();
    let languages: Vec<&str> = Language::ALL[1..].iter().map(|language| language.code()).collect();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().route("/{language}/{name}", axum::routing::get(page)).with_state(std::sync::Arc::new(made));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    let settings = json!({ "pages": origin, "names": names, "languages": languages });
    let report = chromium::run("pages_axe.mjs", settings).await.unwrap_or_else(|said| panic!("{said}"));
    server.abort();
    assert_eq!(report["pages"], json!(names.len()), "{report}");
    assert!(names.len() >= 20, "{names:?}");
    assert_eq!(report["problems"], Value::Array(Vec::new()), "{report:#}");
    // The fragment becomes the end of `return_to`; without scripts the link leads on all the same.
    assert_eq!(report["taken"], "/_doorward/login?provider=auth0%23%2Fdevices%2F7%3Ftab%3Da%26b");
    assert_eq!(report["link"], "/_doorward/login?provider=auth0");
}
