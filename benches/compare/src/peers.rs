//! Everything that is compared: how each is configured, started, seen to do its work, and stopped.

use crate::stand::{Fault, Stand};
use crate::system::{Candidate, Catalogue, Running, Unavailable};

mod apache;
pub mod app;
pub mod ask;
mod bare;
mod browser;
mod caddy;
mod doorward;
mod haproxy;
mod nginx;
mod oauth2_proxy;
pub mod ports;
pub mod process;
mod requests;
mod traefik;

/// All of them. The app has to be there.
///
/// # Errors
/// None: whatever one of them lacks, it says when it is started.
pub fn catalogue(_: &Stand) -> Catalogue {
    Ok(vec![
        candidate("nginx-proxy", nginx::proxy),
        candidate("nginx-auth-request", nginx::auth_request),
        candidate("haproxy-jwt", haproxy::jwt),
        candidate("haproxy-jwt-unsaid", haproxy::jwt_unsaid),
        candidate("mod-auth-openidc-bearer", apache::bearer),
        candidate("mod-auth-openidc-session", apache::session),
        candidate("caddy-forward-auth", caddy::forward_auth),
        candidate("oauth2-proxy-session", oauth2_proxy::session),
        candidate("oauth2-proxy-hook", oauth2_proxy::hook),
        candidate("traefik-forward-auth", traefik::forward_auth),
        candidate("pingora-bare-proxy", bare::proxy),
        candidate("pingora-bare-h2", bare::h2),
        candidate("pingora-bare-answer", bare::answer),
        candidate("doorward-public", doorward::public),
        candidate("doorward-bearer-cached", doorward::bearer_cached),
        candidate("doorward-bearer-2000", doorward::bearer_2000()),
        candidate("doorward-bearer-new", doorward::bearer_new()),
        candidate("doorward-session", doorward::session),
        candidate("doorward-hook", doorward::hook),
        candidate("doorward-hook-session", doorward::hook_session),
        candidate("doorward-behind-nginx", doorward::behind_nginx),
        candidate("doorward-tls-h2", doorward::tls_h2),
    ])
}

fn candidate(id: &'static str, start: impl Fn(&Stand, usize) -> Result<Running, Unavailable> + 'static) -> Candidate {
    Candidate { id, start: Box::new(start) }
}

/// Starts each of them, one after the other, and says what came of it. Whoever is not on this machine is no fault.
///
/// # Errors
/// When the app cannot be started.
pub fn check(stand: &Stand) -> Result<bool, Fault> {
    let _app = app::start(stand)?;
    let mut fine = true;
    for candidate in catalogue(stand)? {
        let word = match (candidate.start)(stand, 1) {
            Ok(running) if running.refused.is_none() => "answers; it refuses nobody".to_owned(),
            Ok(_) => "answers, and refuses".to_owned(),
            Err(Unavailable::Absent(why)) => format!("left out: {why}"),
            Err(Unavailable::Wrong(why)) => {
                fine = false;
                format!("WRONG: {why}")
            }
        };
        println!("{:<26} {word}", candidate.id);
    }
    Ok(fine)
}
