//! How to talk to whoever asks: a person's browser, a script, a WebSocket, gRPC.

use http::{HeaderMap, Method};

/// Decides about the form of an answer, never about whether it is yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// A browser goes somewhere: it can be sent to sign in.
    Navigation,
    /// It would show a page, but must not be sent elsewhere: a form was posted, or the answer goes into a frame.
    Page,
    /// Reads status and JSON.
    Script,
    WebSocket,
    Grpc,
}

impl Manner {
    /// Reads `Sec-Fetch-*` (Fetch Metadata), then `Accept`.
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        Said::by(headers).manner(method)
    }

    /// As another proxy tells it. `Upgrade` is gone by then (RFC 9110 §7.6.1), so a handshake is known by what every one
    /// carries (RFC 6455 §4.1), or by the scheme. A gRPC client reads 401 and 403 too; the 200 it likes better would say yes.
    pub fn told(method: &Method, headers: &HeaderMap, websocket: bool) -> Self {
        let said = Said::by(headers);
        if websocket || said.handshake {
            return Self::WebSocket;
        }
        match said.manner(method) {
            Self::Grpc => Self::Script,
            manner => manner,
        }
    }

    /// Whether a page is the right form.
    pub fn shows_pages(self) -> bool {
        matches!(self, Self::Navigation | Self::Page)
    }
}

/// What the fields of a request say about who sent it: every request is asked, so they are gone through once, and not looked
/// up one by one.
#[derive(Debug, Default)]
struct Said<'h> {
    prefetch: bool,
    upgrade: bool,
    /// What every WebSocket handshake carries, also behind another proxy.
    handshake: bool,
    grpc: bool,
    html: bool,
    requested_with: bool,
    mode: Option<&'h [u8]>,
    destination: Option<&'h [u8]>,
}

impl<'h> Said<'h> {
    fn by(headers: &'h HeaderMap) -> Self {
        let mut said = Self::default();
        for (name, value) in headers {
            let value = value.as_bytes();
            match name.as_str() {
                "accept" => said.html |= is_html(value),
                "content-type" => said.grpc |= value.starts_with(b"application/grpc"),
                "upgrade" => said.upgrade = true,
                "sec-websocket-key" | "sec-websocket-version" => said.handshake = true,
                "sec-fetch-mode" => said.mode = said.mode.or(Some(value)),
                "sec-fetch-dest" => said.destination = said.destination.or(Some(value)),
                "x-requested-with" => said.requested_with = true,
                // Fetch §3.8, and what came before it.
                "sec-purpose" | "purpose" | "x-moz" => said.prefetch |= begins_with(value.trim_ascii(), b"prefetch"),
                "x-purpose" => said.prefetch |= begins_with(value.trim_ascii(), b"preview"),
                _ => {}
            }
        }
        said
    }

    fn manner(&self, method: &Method) -> Manner {
        // OIDC-19: nobody waits for the answer, so nobody is to be sent anywhere.
        if self.prefetch {
            return Manner::Script;
        }
        if self.upgrade {
            return Manner::WebSocket;
        }
        if self.grpc {
            return Manner::Grpc;
        }
        let safe = matches!(*method, Method::GET | Method::HEAD);
        match (self.mode, self.destination) {
            // OIDC-19: a frame or an image must not start a sign-in.
            (Some(b"navigate"), None | Some(b"document")) if safe => Manner::Navigation,
            (Some(b"navigate"), _) => Manner::Page,
            (Some(_), _) => Manner::Script,
            (None, _) if !self.html || self.requested_with => Manner::Script,
            (None, _) if safe => Manner::Navigation,
            (None, _) => Manner::Page,
        }
    }
}

/// Whether a browser only looks ahead: nobody has gone there yet (Fetch §3.8, and what came before it).
pub fn is_prefetch(headers: &HeaderMap) -> bool {
    Said::by(headers).prefetch
}

/// Whether a form takes the whole window along, as a provider's answer by `form_post` does.
pub fn is_navigation_with_form(headers: &HeaderMap) -> bool {
    let said = Said::by(headers);
    match (said.mode, said.destination) {
        (Some(b"navigate"), None | Some(b"document")) => true,
        (Some(_), _) => false,
        (None, _) => said.html,
    }
}

/// A structured item may carry parameters: `prefetch;prerender`.
fn begins_with(value: &[u8], word: &[u8]) -> bool {
    let item = value.split(|b| matches!(b, b';' | b',')).next().unwrap_or_default();
    item.trim_ascii().eq_ignore_ascii_case(word)
}

/// `text/html` by name: `*/*` alone is what scripts and curl send.
fn is_html(accept: &[u8]) -> bool {
    let mut kinds = accept.split(|b| *b == b',').filter_map(|part| part.split(|b| *b == b';').next());
    kinds.any(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"text/html")) && accept.iter().all(|b| matches!(b, b'\t' | b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn of(method: Method, fields: &[(&'static str, &'static str)]) -> Manner {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        Manner::of(&method, &headers)
    }

    #[test]
    fn jwt_64_only_a_navigation_is_ever_redirected() {
        let html = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        for (method, fields, manner) in [
            (Method::GET, &[html][..], Manner::Navigation),
            (Method::GET, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], Manner::Navigation),
            (Method::GET, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")], Manner::Page),
            (Method::POST, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], Manner::Page),
            (Method::POST, &[html], Manner::Page),
            (Method::GET, &[("sec-fetch-mode", "cors"), html], Manner::Script),
            (Method::GET, &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image"), html], Manner::Script),
            (Method::GET, &[html, ("x-requested-with", "XMLHttpRequest")], Manner::Script),
            (Method::GET, &[("accept", "*/*")], Manner::Script),
            (Method::GET, &[("accept", "application/json")], Manner::Script),
            (Method::GET, &[html, ("sec-purpose", "prefetch")], Manner::Script),
            (
                Method::GET,
                &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-purpose", "prefetch;prerender")],
                Manner::Script,
            ),
            (Method::GET, &[html, ("purpose", "prefetch")], Manner::Script),
            (Method::GET, &[html, ("x-moz", "prefetch")], Manner::Script),
            (Method::GET, &[html, ("x-purpose", "preview")], Manner::Script),
            (Method::GET, &[html, ("purpose", "prefetched")], Manner::Navigation),
            (Method::GET, &[], Manner::Script),
            (Method::GET, &[("upgrade", "websocket"), html], Manner::WebSocket),
            (Method::POST, &[("content-type", "application/grpc+proto")], Manner::Grpc),
        ] {
            assert_eq!(of(method.clone(), fields), manner, "{method} {fields:?}");
        }
    }

    #[test]
    fn hook_05_a_handshake_is_known_without_upgrade_and_grpc_is_answered_like_a_script() {
        let told = |method: Method, name: &'static str, value: &'static str, websocket: bool| {
            let headers = HeaderMap::from_iter([(header::HeaderName::from_static(name), value.parse().unwrap())]);
            Manner::told(&method, &headers, websocket)
        };
        assert_eq!(told(Method::GET, "sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==", false), Manner::WebSocket);
        assert_eq!(told(Method::GET, "accept", "text/html", true), Manner::WebSocket);
        assert_eq!(told(Method::GET, "accept", "text/html", false), Manner::Navigation);
        assert_eq!(told(Method::POST, "content-type", "application/grpc", false), Manner::Script);
    }
}
