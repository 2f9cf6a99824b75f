//! Which proxy asks: the closed list of dialects, their endpoints, and the way from a question to its answer.

use std::time::Instant;

use doorward_policy::access::DenyReason;
use http::header::HeaderName;
use http::{HeaderMap, Method};
use ipnet::IpNet;

use super::verdict::{self, Verdict};
use super::{caddy, envoy_http, haproxy, nginx, original, traefik};
use crate::entropy::RequestId;
use crate::gate::Way;
use crate::manner::Manner;
use crate::pages::Language;
use crate::reply::Reply;
use crate::respond::Asker;
use crate::runtime::Runtime;

/// A question as it came.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    pub runtime: &'q Runtime,
    /// Of the question itself, not of the request it is about.
    pub method: &'q Method,
    pub authority: Result<&'q [u8], DenyReason>,
    /// The client's fields, and what the asking proxy adds.
    pub headers: &'q HeaderMap,
    pub request_id: &'q RequestId,
    /// When it had come.
    pub started: Instant,
}

impl<'q> Question<'q> {
    /// Proxies whose word about the client is taken.
    pub fn trusted(&self) -> &'q [IpNet] {
        &self.runtime.settings.server.trusted_proxies
    }

    /// HDR-01: a name that servers behind the host take for one of ours. Hosts remove plain spellings; who leaves this one in
    /// would pass it on.
    pub fn check_spelling(&self) -> Result<(), DenyReason> {
        let owned = self.runtime.settings.policy.owned_names();
        let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let forged = |name: &HeaderName| !plain(name.as_str()) && owned.owns_folded(name.as_str());
        if self.headers.keys().any(forged) { Err(DenyReason::ForgedHeader) } else { Ok(()) }
    }

    /// For answers that are made from nothing but the question.
    pub fn asker(&self) -> Asker<'q> {
        Asker {
            manner: Manner::told(&Method::GET, self.headers, false),
            language: Language::of(self.headers),
            request_id: self.request_id,
            login_url: None,
            prefix: &self.runtime.settings.server.prefix,
        }
    }
}

/// A way of asking. `label` is what log and metrics call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Found out from the fields that are there; two kinds of them are refused.
    Detected,
    Traefik,
    Caddy,
    Haproxy,
    Nginx,
    NginxRefusal,
    EnvoyHttp,
    EnvoyGrpc,
    GatewayApi,
    OAuth2Proxy,
}

impl Dialect {
    /// How many there are.
    pub const COUNT: usize = Self::OAuth2Proxy as usize + 1;

    /// The dialect of `rest`, the raw path below `check`, and the original path for those that carry it there.
    pub fn at(rest: &[u8]) -> Option<(Self, &[u8])> {
        let behind = |name: &str| rest.strip_prefix(name.as_bytes()).filter(|path| path.starts_with(b"/"));
        let none: &[u8] = b"";
        match rest {
            b"" => Some((Self::Detected, none)),
            b"/traefik" => Some((Self::Traefik, none)),
            b"/caddy" => Some((Self::Caddy, none)),
            b"/haproxy" => Some((Self::Haproxy, none)),
            b"/nginx" => Some((Self::Nginx, none)),
            b"/nginx/refusal" => Some((Self::NginxRefusal, none)),
            _ => {
                let envoy = behind("/envoy").map(|path| (Self::EnvoyHttp, path));
                envoy.or_else(|| behind("/gateway-api").map(|path| (Self::GatewayApi, path)))
            }
        }
    }

    /// Where it keeps the original request.
    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Traefik | Self::Caddy | Self::Haproxy => original::X_FORWARDED,
            Self::Nginx | Self::NginxRefusal => original::X_ORIGINAL,
            Self::Detected | Self::EnvoyHttp | Self::EnvoyGrpc | Self::GatewayApi | Self::OAuth2Proxy => &[],
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::NginxRefusal => "nginx_refusal",
            Self::EnvoyHttp => "envoy_http",
            Self::EnvoyGrpc => "envoy_grpc",
            Self::GatewayApi => "gateway_api",
            Self::OAuth2Proxy => "oauth2_proxy",
        }
    }
}

/// No route named, nothing demanded.
const PLAIN: Way<'_> = Way::Hook { route: None, filter: None, again: false };

/// Answers a question that came over HTTP. `path` is the original request's, where the dialect carries it in its own.
pub async fn ask(dialect: Dialect, question: &Question<'_>, path: &[u8]) -> (Verdict, Reply) {
    let dialect = match dialect {
        Dialect::Detected => match detect(question) {
            Some(dialect) => dialect,
            None => {
                let refused = verdict::refused(question.runtime, None, question.headers, DenyReason::HookSource, question.request_id);
                return (refused.0, nginx::answer(question, refused.1));
            }
        },
        dialect => dialect,
    };
    let original = match dialect {
        Dialect::Traefik => traefik::original(question),
        Dialect::Caddy => caddy::original(question),
        Dialect::Haproxy => haproxy::original(question),
        Dialect::Nginx | Dialect::NginxRefusal => nginx::original(question),
        Dialect::EnvoyHttp | Dialect::GatewayApi => envoy_http::original(question, path),
        // They have doors of their own; what is detected is one of the others.
        Dialect::EnvoyGrpc | Dialect::OAuth2Proxy | Dialect::Detected => Err(DenyReason::HookSource),
    };
    let way = if dialect == Dialect::NginxRefusal { Way::Hook { route: None, filter: None, again: true } } else { PLAIN };
    let (mut verdict, answer) =
        verdict::judge(question.runtime, original, question.headers, way, question.request_id, question.started).await;
    if verdict.reason == DenyReason::HookSource.label() {
        verdict.field = dialect.fields().iter().find(|name| !original::is_told(question.headers, name)).copied();
    }
    let route = verdict.route;
    let reply = match dialect {
        Dialect::Traefik => traefik::answer(question, answer),
        Dialect::Caddy => caddy::answer(question, answer),
        Dialect::Haproxy => haproxy::answer(question, answer),
        Dialect::Nginx => nginx::answer(question, answer),
        Dialect::NginxRefusal => nginx::refusal(question, answer),
        Dialect::EnvoyHttp | Dialect::GatewayApi => envoy_http::answer(question, answer, route),
        Dialect::EnvoyGrpc | Dialect::OAuth2Proxy | Dialect::Detected => verdict::no(question.runtime, question.asker(), Reply::new(403)),
    };
    (verdict, reply)
}

/// Only when the fields of one kind are there: whatever a client adds can but refuse it.
fn detect(question: &Question<'_>) -> Option<Dialect> {
    let any = |names: &[&str]| names.iter().any(|name| question.headers.contains_key(*name));
    let forwarded = any(&["x-forwarded-uri", "x-forwarded-method"]);
    let original = any(&["x-original-url", "x-original-method", "x-original-uri", "x-rewrite-url", "x-envoy-original-path"]);
    match (forwarded, original) {
        (true, false) => Some(Dialect::Traefik),
        (false, true) => Some(Dialect::Nginx),
        (true, true) | (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hook_01_endpoints_have_one_spelling() {
        for (rest, dialect) in [
            ("", Some(Dialect::Detected)),
            ("/traefik", Some(Dialect::Traefik)),
            ("/nginx", Some(Dialect::Nginx)),
            ("/nginx/refusal", Some(Dialect::NginxRefusal)),
            ("/traefik/", None),
            ("/Traefik", None),
            ("/", None),
            ("//traefik", None),
            ("/nginx/../traefik", None),
            ("/oauth2_proxy", None),
            ("/envoy", None),
            ("/envoyx/a", None),
        ] {
            assert_eq!(Dialect::at(rest.as_bytes()).map(|(dialect, _)| dialect), dialect, "{rest}");
        }
        assert_eq!(Dialect::at(b"/envoy/a//b%2f"), Some((Dialect::EnvoyHttp, &b"/a//b%2f"[..])));
        assert_eq!(Dialect::at(b"/gateway-api/"), Some((Dialect::GatewayApi, &b"/"[..])));
    }
}
