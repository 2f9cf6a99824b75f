//! `doorward routes`: what answers where, who signs people in there, and what each rule lets through.

use std::process::ExitCode;

use doorward_config::settings::{RouteSettings, Settings};
use doorward_policy::access::explain::words;
use doorward_policy::access::{Enforce, Route, Rule};
use doorward_policy::credential::Accept;
use serde_json::{Value, json};

use super::table::{Ink, Table, clean};
use super::{Config, Format, color_of_results, load, tell};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: Config,
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// In the order of the file. 78: the configuration.
pub(super) fn routes(arguments: &Arguments) -> ExitCode {
    let settings = match load(&arguments.config.path()) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let routes = || settings.policy.routes().iter().zip(&settings.routes);
    match arguments.format {
        Format::Json => {
            let routes: Vec<Value> = routes().map(|(route, io)| json_of(&settings, route, io)).collect();
            tell(&json!({ "routes": routes }).to_string());
        }
        Format::Text => {
            let ink = Ink { on: color_of_results() };
            let routes: Vec<String> = routes().map(|(route, io)| text_of(&settings, route, io, ink)).collect();
            tell(&routes.join("\n"));
        }
    }
    ExitCode::SUCCESS
}

fn text_of(settings: &Settings, route: &Route, io: &RouteSettings, ink: Ink) -> String {
    let places: Vec<String> = places(route).collect();
    let providers = providers(settings, route);
    let signs_in =
        if providers.is_empty() { "no provider".to_owned() } else { format!("{} by {}", accept(route.accept), providers.join(" or ")) };
    let upstream = upstream(io).unwrap_or_else(|| "(another proxy forwards)".into());
    let mut out =
        format!("{}  {}  {}  -> {}\n", ink.bold(&clean(&route.name)), clean(&places.join(" ")), clean(&signs_in), clean(&upstream));
    let mut table = Table::new(2);
    for rule in &route.rules {
        let shadow = if rule.enforce == Enforce::Log { " (shadow: counted, not enforced)" } else { "" };
        let (paths, methods) = (paths(rule), methods(rule));
        table.row([
            clean(&rule.name),
            if methods.is_empty() { "any method".into() } else { methods.join(" ") },
            if paths.is_empty() { "every path".into() } else { clean(&paths.join(" ")) },
            format!("{}{shadow}", clean(&words::demands(rule))),
        ]);
    }
    out.push_str(&table.render());
    out
}

fn json_of(settings: &Settings, route: &Route, io: &RouteSettings) -> Value {
    let rules = route.rules.iter().map(|rule| {
        json!({
            "name": rule.name,
            "paths": paths(rule),
            "methods": methods(rule),
            "allow": words::allow(&rule.allow),
            "enforce": match rule.enforce {
                Enforce::Deny => "deny",
                Enforce::Log => "log",
            },
            "step_up": rule.step_up.as_ref().map(|step_up| json!({
                "max_age": step_up.max_age.map(|age| age.as_secs()),
                "acr_values": step_up.acr_values,
            })),
        })
    });
    json!({
        "name": route.name,
        "hosts": route.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "path": route.path.to_string(),
        "providers": providers(settings, route),
        "accept": accept(route.accept),
        "upstream": upstream(io),
        "rules": rules.collect::<Vec<_>>(),
    })
}

fn places(route: &Route) -> impl Iterator<Item = String> {
    route.hosts.iter().map(|host| format!("{host}{}", route.path))
}

fn providers<'s>(settings: &'s Settings, route: &Route) -> Vec<&'s str> {
    route.providers.iter().filter_map(|index| settings.providers.get(*index)).map(|provider| provider.name.as_str()).collect()
}

fn paths(rule: &Rule) -> Vec<String> {
    rule.paths.iter().map(ToString::to_string).collect()
}

fn methods(rule: &Rule) -> Vec<String> {
    rule.methods.iter().map(ToString::to_string).collect()
}

/// As it is written in the configuration.
fn accept(accept: Accept) -> &'static str {
    match accept {
        Accept::Session => "session",
        Accept::Bearer => "bearer",
        Accept::Both => "both",
    }
}

/// `https://10.0.0.5:8443`, or several with commas.
fn upstream(io: &RouteSettings) -> Option<String> {
    let upstream = io.upstream.as_ref()?;
    let scheme = if upstream.tls.is_some() { "https" } else { "http" };
    let bracketed = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let servers: Vec<String> =
        upstream.servers.iter().map(|server| format!("{scheme}://{}:{}", bracketed(&server.host), server.port)).collect();
    Some(servers.join(","))
}
