//! Secrets that stand in the published examples, and are none.

use doorward_config::settings::Settings;

const OF_YOUR_OWN: &str = "make one of your own with `doorward keygen`";

/// The key of a secret that anybody can read, and what to say about it: nothing runs with one.
pub fn published_secret(settings: &Settings) -> Option<(&'static str, &'static str)> {
    let (server, hooks) = (&settings.server, settings.server.hooks.as_ref());
    if settings.session.example_key {
        return Some(("session.keys", "holds the key of the published examples, so anybody could forge a session"));
    }
    if hooks.is_some_and(|hooks| hooks.example_secret) {
        return Some(("server.hooks.secret", "is the one of the published examples"));
    }
    server.example_admin_token.then_some(("server.admin_token", "is the one of the published examples"))
}

/// What to do about it.
pub(crate) fn help() -> &'static str {
    OF_YOUR_OWN
}
