//! `session.domain`: one cookie for a domain and all below it.

use doorward_policy::request::Host;

use super::super::field::Field;

/// RFC 6265 §5.3: browsers take no cookie for a public suffix. For a registered domain whoever has a host below it can
/// read the cookie, so it must be the operator's as a whole.
pub(super) fn read(field: &Field<'_>) -> Option<String> {
    const HELP: &str = "a domain of your own, of which every host below is yours: `acme.dev`";
    let text = field.name()?;
    if let Some(rest) = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')) {
        return field
            .refuse(format!("`{}` is more than a domain", field.shown()), format!("write `{rest}`: hosts below it are meant anyway"));
    }
    let host = match Host::parse(text.as_bytes()) {
        Ok(host) if host.port().is_none() => host,
        _ => return field.refuse(format!("`{}` is no domain", field.shown()), HELP),
    };
    let name = host.name();
    if name.starts_with('[') || name.parse::<std::net::IpAddr>().is_ok() {
        return field.refuse(format!("`{}` is an address: it has no names below it", field.shown()), HELP);
    }
    if !name.contains('.') {
        // Also `localhost`: browsers treat it as they treat `com`.
        return field.refuse(format!("`{}` is a single label, and browsers take no cookie for it", field.shown()), HELP);
    }
    if psl::domain_str(name).is_none() {
        let message = format!("`{}` is a public suffix: strangers have names below it, and browsers take no cookie for it", field.shown());
        return field.refuse(message, HELP);
    }
    Some(name.to_owned())
}
