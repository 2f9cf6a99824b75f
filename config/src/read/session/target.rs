//! `session.logout_targets`: where a sign-out may lead besides our own hosts.

use url::Url;

use super::super::field::{Field, all};

/// Compared whole, so each is written as a browser would write it.
pub(super) fn read_all(field: &Field<'_>) -> Option<Vec<String>> {
    let mut targets: Vec<String> = Vec::new();
    let read: Option<Vec<()>> = all(field.any_items()?.iter().map(|item| {
        let target = read(item)?;
        if targets.contains(&target) {
            return item.refuse(format!("`{target}` is in the list already"), "leave it out");
        }
        targets.push(target);
        Some(())
    }));
    read.map(|_| targets)
}

/// RFC 9700 §2.1, §4.11: an address to send browsers to is known exactly, or it is an open redirect.
fn read(field: &Field<'_>) -> Option<String> {
    const HELP: &str = "a whole address that a sign-out may lead to: `https://www.acme.dev/bye`; only this very address is taken";
    let text = field.name()?;
    if text.contains('*') {
        return field.refuse(format!("`{}` has a `*` in it, and addresses are compared whole", field.shown()), HELP);
    }
    let Ok(url) = Url::parse(text) else {
        return field.refuse(format!("`{}` is no address", field.shown()), HELP);
    };
    if url.scheme() != "https" || url.host_str().is_none() {
        return field.refuse(format!("`{}` is not https", field.shown()), HELP);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return field.refuse("the address has a user in it", HELP);
    }
    if url.fragment().is_some() {
        return field.refuse(format!("`{}` has a `#` in it, which no server sees", field.shown()), HELP);
    }
    Some(url.into())
}
