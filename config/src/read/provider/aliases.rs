//! `callback_aliases`: paths that answer as a provider's callback besides ours.

use std::collections::HashMap;

use super::super::field::Field;
use super::super::hooks::{OAUTH2_CALLBACK, OAUTH2_PREFIX};
use super::{Own, is_under, read_local_path};
use crate::document::Span;
use crate::problem::Finding;

/// `seen`: those of all providers so far, and where they stand.
pub(super) fn read(field: &Field<'_>, own: Own<'_>, seen: &mut HashMap<String, Span>) -> Option<Vec<String>> {
    let mut aliases = Vec::new();
    let mut complete = true;
    for item in field.any_items()? {
        match read_one(&item, own) {
            Some(alias) if seen.contains_key(&alias) => {
                let finding = Finding::error(format!("`{alias}` is an alias already")).at(item.span()).key(&item.key);
                item.reading.report(finding.related(&seen[&alias], "first here").help("one path belongs to one provider"));
                complete = false;
            }
            Some(alias) => {
                seen.insert(alias.clone(), item.span().clone());
                aliases.push(alias);
            }
            None => complete = false,
        }
    }
    complete.then_some(aliases)
}

fn read_one(item: &Field<'_>, own: Own<'_>) -> Option<String> {
    let path = read_local_path(item)?;
    if path == "/" {
        return item.refuse("`/` as a callback would hide the app's front page", "use the path that is registered with the provider");
    }
    if is_under(&path, own.prefix) {
        return item.refuse(format!("`{path}` is under `{}`, where callbacks are anyway", own.prefix), "leave it out");
    }
    if own.oauth2_proxy && is_under(&path, OAUTH2_PREFIX) && path != OAUTH2_CALLBACK {
        let message = format!("everything under `{OAUTH2_PREFIX}` is Doorward's own, in the place of oauth2-proxy");
        return item.refuse(message, format!("the one callback there is `{OAUTH2_CALLBACK}`"));
    }
    Some(path)
}
