//! `doorward snippet`: a whole configuration for another proxy, made from the loaded settings.
//!
//! `facts` gathers from settings what a host proxy has to be told, `proxy/snippets/` holds a template for each host, and
//! `syntax` writes every value in that host's own quoting, or says why it cannot be written (ADV-NGX-03).

mod apps;
mod certificates;
mod facts;
mod names;
mod places;
mod question;
mod syntax;

use std::net::IpAddr;

use clap::ValueEnum;
use doorward_config::settings::Settings;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};

use facts::Facts;
use syntax::Syntax;

/// The action that HAProxy runs.
pub const LUA: &str = include_str!("../snippets/doorward.lua");

/// The proxies that a configuration can be printed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Host {
    Traefik,
    Nginx,
    Caddy,
    Haproxy,
    Envoy,
    GatewayApi,
    IngressNginx,
}

/// What the command line adds to the settings.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The configuration's file name, for the comment at the top.
    pub source: String,
    /// Where the host reaches the hook listener, `host:port`; `None`: where the settings say it listens.
    pub doorward: Option<String>,
    /// The address on which the host listens; `None`: all of this machine.
    pub listen: Option<IpAddr>,
}

/// Why there is nothing to print.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnippetFault {
    #[error("nobody can ask: `server.hooks` is not set\n  help: `hooks: {{ listen: \"127.0.0.1:9180\", trusted_peers: [127.0.0.1/32] }}`")]
    NoHooks,
    #[error(
        "`server.hooks.listen` is not set, and browsers sign in there\n  help: add it beside `grpc`, for example `listen: \"127.0.0.1:9180\"`"
    )]
    NoListener,
    #[error("`{0}` is no host and port\n  help: for example `doorward:9180`")]
    Address(String),
    #[error("{0}\n  help: no configuration for this proxy can say so; it must be spelled otherwise")]
    Unwritable(String),
    #[error(
        "route `{0}` has `rewrite`, and ingress-nginx would then match every path of its hosts in capitals too, and lead one route's caller to another route's app\n  help: let the app serve the path that clients ask for, or print for another proxy"
    )]
    RewriteByRegex(String),
    #[error(
        "HAProxy's Lua cannot show a client certificate, which `server.hooks.client_ca` wants\n  help: take `server.hooks.secret` instead"
    )]
    NoClientCertificate,
}

impl Host {
    /// Every host, for tests.
    pub const ALL: &'static [Self] =
        &[Self::Traefik, Self::Nginx, Self::Caddy, Self::Haproxy, Self::Envoy, Self::GatewayApi, Self::IngressNginx];

    fn template(self) -> &'static str {
        match self {
            Self::Traefik => include_str!("../snippets/traefik.yaml"),
            Self::Nginx => include_str!("../snippets/nginx.conf"),
            Self::Caddy => include_str!("../snippets/Caddyfile"),
            Self::Haproxy => include_str!("../snippets/haproxy.cfg"),
            Self::Envoy => include_str!("../snippets/envoy.yaml"),
            Self::GatewayApi => include_str!("../snippets/gateway-api.yaml"),
            Self::IngressNginx => include_str!("../snippets/ingress-nginx.yaml"),
        }
    }

    /// What a template includes, by name.
    fn parts(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Nginx => {
                &[("ask", include_str!("../snippets/nginx/ask.conf")), ("original", include_str!("../snippets/nginx/original.conf"))]
            }
            Self::Caddy => &[("transport", include_str!("../snippets/caddy/transport"))],
            Self::Traefik => &[("hosts", include_str!("../snippets/traefik/hosts"))],
            Self::Envoy => &[
                ("unasked", include_str!("../snippets/envoy/unasked")),
                ("secret", include_str!("../snippets/envoy/secret")),
                ("tls", include_str!("../snippets/envoy/tls")),
            ],
            Self::Haproxy | Self::GatewayApi | Self::IngressNginx => &[],
        }
    }

    fn syntax(self) -> Syntax {
        match self {
            Self::Nginx => Syntax::Nginx,
            Self::Caddy => Syntax::Caddy,
            Self::Haproxy => Syntax::Haproxy,
            Self::Traefik | Self::Envoy | Self::GatewayApi | Self::IngressNginx => Syntax::Yaml,
        }
    }
}

/// The configuration of `host` for these settings.
///
/// # Errors
/// [`SnippetFault`] when nobody may ask, or a value cannot be written in the host's syntax.
pub fn print(host: Host, settings: &Settings, options: &Options) -> Result<String, SnippetFault> {
    let facts = Facts::new(host, settings, options)?;
    let unwritable = |error: minijinja::Error| match (error.kind(), error.detail()) {
        (ErrorKind::BadEscape, Some(text)) => SnippetFault::Unwritable(text.to_owned()),
        _ => SnippetFault::Unwritable(error.to_string()),
    };
    let mut templates = environment(host.syntax());
    for (name, source) in host.parts() {
        templates.add_template(name, source).map_err(unwritable)?;
    }
    templates.render_str(host.template(), minijinja::Value::from(Serde(&facts))).map_err(unwritable)
}

fn environment(syntax: Syntax) -> Environment<'static> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates
        .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build().unwrap_or_default());
    // Every value is written by `syntax`, whatever the template is called.
    templates.set_auto_escape_callback(|_| AutoEscape::Custom("host".into()));
    templates.set_formatter(move |out, _, value| syntax::write(syntax, out, value));
    // A part of a longer word: it needs no quoting, or there is no output.
    templates.add_filter("word", |text: &str| syntax::word(text));
    templates.add_filter("host", |text: &str| syntax::host(text));
    // A regular expression between single quotes.
    templates.add_filter("pattern", |text: &str| syntax::pattern(text));
    templates.add_filter("comment", |text: &str| minijinja::Value::from_safe_string(syntax::comment(text)));
    templates.add_function("mark", |placeholder: bool, what: &str| {
        minijinja::Value::from_safe_string(if placeholder { format!(" # placeholder: {what}") } else { String::new() })
    });
    templates
}

#[cfg(test)]
mod tests;
