//! Pages: one look, every value escaped, no script.

use std::sync::OnceLock;

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

/// Renders a template of this crate. Their names end in `.html`, which turns escaping on.
pub(crate) fn page(status: StatusCode, template: &str, values: impl Serialize) -> Response {
    match render(template, values) {
        Ok(html) => (status, HEADERS, Html(html)).into_response(),
        Err(problem) => (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to render `{template}`: {problem:#}")).into_response(),
    }
}

pub(crate) fn render(template: &str, values: impl Serialize) -> Result<String, minijinja::Error> {
    templates().get_template(template)?.render(Serde(values))
}

fn templates() -> &'static Environment<'static> {
    static TEMPLATES: OnceLock<Environment<'static>> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, source) in SOURCES {
            if let Err(problem) = environment.add_template(name, source) {
                panic!("template `{name}`: {problem:#}");
            }
        }
        environment
    })
}

// No `form-action`: browsers apply it to the redirects that answer a form, and these lead to other hosts.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

const SOURCES: [(&str, &str); 13] = [
    ("style.css", include_str!("../templates/style.css")),
    ("tenant.html", include_str!("../templates/tenant.html")),
    ("login.html", include_str!("../templates/login.html")),
    ("message.html", include_str!("../templates/message.html")),
    ("confirm_logout.html", include_str!("../templates/confirm_logout.html")),
    ("app.html", include_str!("../templates/app.html")),
    ("cms_home.html", include_str!("../templates/cms_home.html")),
    ("cms_articles.html", include_str!("../templates/cms_articles.html")),
    ("cms_article.html", include_str!("../templates/cms_article.html")),
    ("cms_edit.html", include_str!("../templates/cms_edit.html")),
    ("cms_admin.html", include_str!("../templates/cms_admin.html")),
    ("iot.html", include_str!("../templates/iot.html")),
    ("doorward.yaml", include_str!("../templates/doorward.yaml")),
];
