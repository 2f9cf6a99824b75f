//! The app that a fleet stands in front of: it says who it is told one is, opens WebSockets, and has pages for browsers.

use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_tests::recorder::{Recorded, ok};

/// What the app answers to somebody.
pub fn told(nickname: &str) -> String {
    format!("you are auth0|{nickname}")
}

/// `posts` counts the forms that came.
pub(super) fn answer(request: &Recorded, posts: &AtomicUsize) -> Vec<u8> {
    if request.line().starts_with("POST") {
        posts.fetch_add(1, Ordering::SeqCst);
    }
    if request.one("upgrade").is_some() {
        // And says `hello`.
        return b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\x81\x05hello".to_vec();
    }
    let path = request.target().split('?').next().unwrap_or_default();
    let html = |text: &str| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncontent-type: text/html; charset=utf-8\r\n\r\n", text.len());
        (head + text).into_bytes()
    };
    match path {
        "/form" => html(include_str!("form.html")),
        "/public/prefetch" => html(include_str!("prefetch.html")),
        "/public/posts" => ok(&posts.load(Ordering::SeqCst).to_string()),
        _ if path.starts_with("/page") || path.starts_with("/vault/page") => html(&format!(
            "<!doctype html><title>{path}</title><p id=who>{}</p><form method=post action=/_doorward/logout><button>Sign out</button></form>",
            request.one("x-auth-user").unwrap_or_default()
        )),
        _ => ok(&format!("you are {}", request.one("x-auth-user").unwrap_or_default())),
    }
}
