//! Reasons inside, manners outside: the one table from why to what the client sees.
//!
//! A person sees one calm sentence and a request id; a script sees a stable code. Nobody sees why a token failed.

mod denial;
mod faces;

use doorward_policy::access::explain::Verdict;
use doorward_policy::access::{Challenge, CredentialFault, DenyReason};
use doorward_policy::cors::Fields;
use doorward_policy::identity::Proof;
use doorward_policy::token::TokenFault;
use http::header::{self, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Value, json};

use crate::manner::Manner;
use crate::pages::{ErrorPage, FragmentPage, Language, Page, Pages};
use crate::reply::Reply;
pub use denial::deny_somebody;
pub use faces::Face;

/// The face of each reason. Reasons that a client must not tell apart share one.
pub fn face(reason: DenyReason) -> Face {
    match reason {
        DenyReason::BadRequest | DenyReason::AmbiguousPath => Face::BAD_REQUEST,
        DenyReason::MethodNotServed => Face::METHOD_NOT_SERVED,
        DenyReason::UriTooLong => Face::URI_TOO_LONG,
        DenyReason::HeaderTooLarge => Face::HEADER_TOO_LARGE,
        DenyReason::BodyTooLarge => Face::BODY_TOO_LARGE,
        DenyReason::UnknownHost => Face::UNKNOWN_HOST,
        DenyReason::NoRoute => Face::NO_ROUTE,
        DenyReason::NoRule | DenyReason::Nobody => Face::CLOSED,
        DenyReason::Network => Face::NETWORK,
        DenyReason::Time => Face::TIME,
        DenyReason::NoRoles => Face::NO_ROLES,
        DenyReason::Role
        | DenyReason::Permission
        | DenyReason::Scope
        | DenyReason::Claim
        | DenyReason::EmailDomain
        | DenyReason::Expression
        | DenyReason::Filter => Face::FORBIDDEN,
        DenyReason::IdentityTooLarge => Face::IDENTITY_TOO_LARGE,
        DenyReason::CannotVerify => Face::CANNOT_VERIFY,
        DenyReason::StoreUnreachable => Face::STORE_DOWN,
        DenyReason::CrossOrigin => Face::CROSS_ORIGIN,
        DenyReason::TooMany => Face::TOO_MANY,
        DenyReason::HookSource => Face::HOOK_SOURCE,
        DenyReason::HookInsecure => Face::HOOK_INSECURE,
        DenyReason::ForgedHeader => Face::FORGED_HEADER,
        DenyReason::Preflight => Face::PREFLIGHT,
    }
}

/// Who is being answered, and where.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    pub manner: Manner,
    pub request_id: &'a str,
    /// Where signing in begins: set when it would help.
    pub login_url: Option<&'a str>,
    pub prefix: &'a str,
    /// Of pages; scripts are answered in English.
    pub language: Language,
}

/// A refusal.
pub fn deny(pages: &Pages, asker: Asker<'_>, reason: DenyReason) -> Reply {
    with_hints(show(pages, asker, face(reason), &[]), asker.manner, reason)
}

/// The fields that say what may help.
fn with_hints(reply: Reply, manner: Manner, reason: DenyReason) -> Reply {
    match reason {
        // RFC 6750 §3.1: what is missing is a right, and the scheme is named.
        DenyReason::Scope | DenyReason::Permission | DenyReason::Role | DenyReason::Claim if manner == Manner::Script => {
            reply.field(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"insufficient_scope\""))
        }
        DenyReason::CannotVerify | DenyReason::StoreUnreachable => reply.field(header::RETRY_AFTER, HeaderValue::from_static("10")),
        DenyReason::TooMany => reply.field(header::RETRY_AFTER, HeaderValue::from_static("60")),
        // RFC 9110 §15.5.6: a 405 names what is allowed.
        DenyReason::MethodNotServed => reply.field(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")),
        _ => reply,
    }
}

/// The status that a browser gets, and the one that a script gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Statuses {
    pub browser: u16,
    pub script: u16,
}

/// What is answered where no app is asked; `None`: one is. Only who goes somewhere (`navigates`) is sent to sign in;
/// `keeps_fragment` is the route's.
pub fn statuses(verdict: Verdict, navigates: bool, keeps_fragment: bool) -> Option<Statuses> {
    match verdict {
        Verdict::Allow { .. } | Verdict::Own => None,
        Verdict::Deny(reason) => Some(Statuses { browser: face(reason).status, script: face(reason).status }),
        Verdict::Challenge(challenge) => {
            let script = challenge_face(challenge).status;
            let browser = match challenge {
                _ if !navigates => script,
                Challenge::SignIn(_) if keeps_fragment => Page::Fragment(&FragmentPage { login_url: "" }).status(),
                Challenge::SignIn(_) | Challenge::StepUp(Proof::Session) => 302,
                Challenge::Bearer(_) | Challenge::StepUp(Proof::Bearer) => script,
            };
            Some(Statuses { browser, script })
        }
    }
}

/// The face of what would change the decision.
fn challenge_face(challenge: Challenge) -> Face {
    match challenge {
        Challenge::SignIn(_) => Face::LOGIN_REQUIRED,
        Challenge::StepUp(_) => Face::STEP_UP,
        Challenge::Bearer(None) => Face::TOKEN_REQUIRED,
        Challenge::Bearer(Some(CredentialFault::MalformedBearer)) => Face::TOKEN_UNREADABLE,
        Challenge::Bearer(Some(_)) => Face::INVALID_TOKEN,
    }
}

/// A 401 for whoever cannot be sent to sign in (RFC 9110 §15.5.2: it names a scheme).
pub fn unauthorized(pages: &Pages, asker: Asker<'_>, challenge: Challenge) -> Reply {
    let shown = show(pages, asker, challenge_face(challenge), &[]);
    match challenge {
        // RFC 6750 §3.1: no error code when no token was presented.
        Challenge::SignIn(_) | Challenge::Bearer(None) => shown.field(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        // What is missing is the rule's to say: whoever knows it adds the field (RFC 9470 §3).
        Challenge::StepUp(_) => shown,
        Challenge::Bearer(Some(CredentialFault::MalformedBearer)) => {
            shown.field(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_request\""))
        }
        Challenge::Bearer(Some(fault)) => {
            // The one fault a client can do something about by itself.
            let expired = fault == CredentialFault::Token(TokenFault::Expired);
            let value = if expired {
                "Bearer error=\"invalid_token\", error_description=\"the token has expired\""
            } else {
                "Bearer error=\"invalid_token\""
            };
            shown.field(header::WWW_AUTHENTICATE, HeaderValue::from_static(value))
        }
    }
}

/// A face in the right form: a page, JSON, or a gRPC status.
pub fn show(pages: &Pages, asker: Asker<'_>, face: Face, details: &[(&str, &str)]) -> Reply {
    if asker.manner == Manner::Grpc {
        return grpc(face);
    }
    if asker.manner.shows_pages() {
        let page = ErrorPage { face, request_id: asker.request_id, login_url: asker.login_url, prefix: asker.prefix, details };
        return pages.error(&page, asker.language);
    }
    Reply::json(face.status, &body(pages, asker, face))
}

/// What a script is told.
fn body(pages: &Pages, asker: Asker<'_>, face: Face) -> Value {
    let mut body = json!({ "error": face.code, "message": pages.message(face), "request_id": asker.request_id });
    if let Some(url) = asker.login_url {
        body["login_url"] = json!(url);
    }
    body
}

/// gRPC over HTTP/2: a 200 without content, and the status in `grpc-` fields.
fn grpc(face: Face) -> Reply {
    let status = match face.status {
        401 => "16",
        403 => "7",
        404 | 421 => "12",
        502..=504 => "14",
        _ => "13",
    };
    Reply::new(200)
        .field(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
        .field(HeaderName::from_static("grpc-status"), HeaderValue::from_static(status))
        .field(HeaderName::from_static("grpc-message"), HeaderValue::from_static(face.code))
}

/// The answer to a preflight (Fetch §3.2.4).
pub fn preflight(fields: Fields) -> Reply {
    Reply::new(204).cross_origin(fields)
}

/// The face of an app that does not answer.
pub fn gateway(status: u16) -> Face {
    match status {
        408 => Face::REQUEST_TIMEOUT,
        504 => Face::UPSTREAM_TIMEOUT,
        503 => Face::UPSTREAM_UNAVAILABLE,
        _ => Face::UPSTREAM_UNREACHABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_face_and_a_label_of_its_own() {
        let labels: std::collections::HashSet<_> = DenyReason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), DenyReason::ALL.len());
        for reason in DenyReason::ALL {
            let face = face(*reason);
            assert!((400..600).contains(&face.status) && Face::ALL.contains(&face), "{reason:?}");
        }
    }
}
