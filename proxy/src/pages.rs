//! The pages that people see: plain HTML, no script, light and dark, narrow and wide.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

use crate::reply::Reply;
use crate::respond::Face;

const STYLE: &str = include_str!("pages/style.css");

/// Compiled templates and the policy that lets them use exactly one style sheet.
pub struct Pages {
    templates: Environment<'static>,
    policy: HeaderValue,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pages")
    }
}

/// What an error page says.
#[derive(Debug)]
pub struct ErrorPage<'p> {
    pub face: Face,
    pub request_id: &'p str,
    pub login_url: Option<&'p str>,
    pub prefix: &'p str,
    pub details: &'p [(&'p str, &'p str)],
}

/// What the page about oneself says.
#[derive(Debug, Serialize)]
pub struct WhoamiPage {
    pub name: Option<String>,
    pub user: Option<String>,
    pub email: Option<String>,
    pub provider: String,
    pub roles: Vec<String>,
    pub permissions: Vec<String>,
    pub ends_in: String,
    pub prefix: String,
}

impl Pages {
    /// Compiles the templates. `insecure_issuers` are providers on plain http (loopback), where sign-out may lead too.
    ///
    /// # Errors
    /// A text when one does not compile, which a test rules out.
    pub fn new(insecure_issuers: &[&str]) -> Result<Self, String> {
        let mut templates = Environment::new();
        // Every value is escaped, whatever the template is called.
        templates.set_auto_escape_callback(|_| AutoEscape::Html);
        templates.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        templates.add_global("style", minijinja::Value::from_safe_string(STYLE.to_owned()));
        for (name, source) in [
            ("base", include_str!("pages/base.html")),
            ("error", include_str!("pages/error.html")),
            ("sign_out", include_str!("pages/sign_out.html")),
            ("signed_out", include_str!("pages/signed_out.html")),
            ("whoami", include_str!("pages/whoami.html")),
        ] {
            templates.add_template(name, source).map_err(|error| format!("{name}: {error}"))?;
        }
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
        // The sign-out form ends at the provider, and browsers hold `form-action` against every redirect on the way.
        let issuers: String = insecure_issuers.iter().map(|issuer| format!(" {issuer}")).collect();
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self' https:{issuers}; frame-ancestors 'none'; base-uri 'none'"
        );
        let policy = HeaderValue::from_str(&policy).map_err(|error| error.to_string())?;
        Ok(Self { templates, policy })
    }

    pub fn error(&self, page: &ErrorPage<'_>) -> Reply {
        let values = context! {
            title => page.face.title,
            text => page.face.text,
            status => page.face.status,
            details => minijinja::Value::from(Serde(page.details)),
            request_id => page.request_id,
            login_url => page.login_url,
            whoami_url => (page.face.status == 403).then(|| format!("{}/whoami", page.prefix)),
        };
        self.render(page.face.status, "error", values)
    }

    /// Asks before signing out: the request did not come from our own pages.
    pub fn confirm_sign_out(&self, action: &str) -> Reply {
        self.render(200, "sign_out", context! { title => "Sign out?", action => action }).with_form()
    }

    pub fn signed_out(&self, at_provider: bool) -> Reply {
        self.render(200, "signed_out", context! { title => "You are signed out", at_provider => at_provider })
    }

    pub fn whoami(&self, page: &WhoamiPage) -> Reply {
        self.render(200, "whoami", context! { title => "Who you are here", who => minijinja::Value::from(Serde(page)) }).with_form()
    }

    fn render(&self, status: u16, template: &str, values: minijinja::Value) -> Reply {
        match self.templates.get_template(template).and_then(|template| template.render(values)) {
            Ok(html) => Reply::html(status, html, &self.policy),
            Err(error) => {
                tracing::error!("page `{template}` could not be made: {error}");
                Reply::new(status)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn err_01_what_is_shown_is_escaped() {
        let pages = Pages::new(&[]).unwrap();
        let face = Face { status: 403, code: "x", title: "T", text: "t" };
        let attack = "</p><script>alert(1)</script>\"'>{{ 7*7 }}";
        let reply =
            pages.error(&ErrorPage { face, request_id: attack, login_url: Some(attack), prefix: attack, details: &[(attack, attack)] });
        let html = String::from_utf8(reply.body.to_vec()).unwrap();
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;script&gt;") && html.contains("{{ 7*7 }}") && !html.contains("49"), "{html}");
        let policy = reply.fields.iter().find(|(name, _)| name == "content-security-policy").unwrap();
        assert!(policy.1.to_str().unwrap().starts_with("default-src 'none'"));
    }
}
