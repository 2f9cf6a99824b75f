//! Reasons inside, manners outside: the one table from why to what the client sees.
//!
//! A person sees one calm sentence and a request id; a script sees a stable code. Nobody sees why a token failed.

use doorward_policy::access::{Challenge, CredentialFault, DenyReason};
use doorward_policy::cors::Fields;
use doorward_policy::token::TokenFault;
use http::header::{self, HeaderName, HeaderValue};
use serde_json::json;

use crate::manner::Manner;
use crate::pages::{ErrorPage, Pages};
use crate::reply::Reply;

/// What one kind of refusal looks like.
#[derive(Debug, Clone, Copy)]
pub struct Face {
    pub status: u16,
    /// For scripts: stable, lower case.
    pub code: &'static str,
    pub title: &'static str,
    pub text: &'static str,
}

/// Status, code and words for each reason. Reasons that a client must not tell apart share a face.
pub fn face(reason: DenyReason) -> Face {
    let face = |status, code, title, text| Face { status, code, title, text };
    match reason {
        DenyReason::BadRequest | DenyReason::AmbiguousPath => face(
            400,
            "bad_request",
            "That request cannot be read",
            "The address or the request could be understood in more than one way, so it was not passed on.",
        ),
        DenyReason::MethodNotServed => {
            face(405, "method_not_allowed", "That method is not served here", "The request used a method that is not passed on to any app.")
        }
        DenyReason::UriTooLong => {
            face(414, "uri_too_long", "That address is too long", "The address is longer than anything an app here would use.")
        }
        DenyReason::HeaderTooLarge => face(
            431,
            "header_too_large",
            "That request is too large",
            "The request carries more header fields than are accepted. Clearing this site's cookies often helps.",
        ),
        DenyReason::BodyTooLarge => face(413, "body_too_large", "That is too much at once", "The request is larger than this app accepts."),
        DenyReason::UnknownHost => {
            face(421, "unknown_host", "Nothing answers to that name", "The name in the address is not one of those served here.")
        }
        DenyReason::NoRoute => face(404, "not_found", "There is nothing here", "No app answers at this address."),
        DenyReason::NoRule | DenyReason::Nobody => face(403, "forbidden", "This is closed", "Nobody may open this address."),
        DenyReason::Network => {
            face(403, "forbidden_network", "Not from where you are", "This address can only be opened from certain networks.")
        }
        DenyReason::Role
        | DenyReason::Permission
        | DenyReason::Scope
        | DenyReason::Claim
        | DenyReason::EmailDomain
        | DenyReason::Filter => {
            face(403, "forbidden", "You may not open this", "Your account does not have the right to open this address.")
        }
        DenyReason::IdentityTooLarge => face(
            403,
            "identity_too_large",
            "Your account has too many rights to pass on",
            "What is known about your account does not fit into a request. An administrator has to shorten it.",
        ),
        DenyReason::CannotVerify => face(
            503,
            "cannot_verify",
            "Sign-in is not available just now",
            "The identity provider cannot be reached, so nobody can be recognised. Please try again in a moment.",
        ),
        DenyReason::CrossOrigin => {
            face(403, "cross_origin", "Not from another site", "A connection of this kind must come from this site's own pages.")
        }
        DenyReason::TooMany => face(
            429,
            "too_many",
            "Too many attempts at once",
            "Many sign-ins or bad credentials came from where you are in a short time. Please try again in a minute.",
        ),
        DenyReason::HookSource => face(
            400,
            "bad_request",
            "That request cannot be read",
            "The proxy in front of this site did not say in one way what it was asked, so the request was not passed on.",
        ),
        DenyReason::HookInsecure => {
            face(403, "insecure", "Only over https", "This address is served over https only; the request came without.")
        }
        DenyReason::ForgedHeader => face(
            403,
            "forged_header",
            "That request cannot be passed on",
            "The request carries a header that only the proxy in front of this site may set.",
        ),
        DenyReason::Preflight => face(
            403,
            "preflight",
            "Preflights are not answered here",
            "The proxy in front of this site cannot relay the answer to a cross-origin preflight.",
        ),
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
}

/// A refusal.
pub fn deny(pages: &Pages, asker: Asker<'_>, reason: DenyReason) -> Reply {
    let reply = show(pages, asker, face(reason), &[]);
    match reason {
        // RFC 6750 §3.1: what is missing is a right, and the scheme is named.
        DenyReason::Scope | DenyReason::Permission | DenyReason::Role | DenyReason::Claim if asker.manner == Manner::Script => {
            reply.field(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"insufficient_scope\""))
        }
        DenyReason::CannotVerify => reply.field(header::RETRY_AFTER, HeaderValue::from_static("10")),
        DenyReason::TooMany => reply.field(header::RETRY_AFTER, HeaderValue::from_static("60")),
        // RFC 9110 §15.5.6: a 405 names what is allowed.
        DenyReason::MethodNotServed => reply.field(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")),
        _ => reply,
    }
}

/// A 401 for whoever cannot be sent to sign in (RFC 9110 §15.5.2: it names a scheme).
pub fn unauthorized(pages: &Pages, asker: Asker<'_>, challenge: Challenge) -> Reply {
    let signed_out = Face {
        status: 401,
        code: "login_required",
        title: "You are not signed in",
        text: "Signing in again brings you back here. If you were sending a form, its content was not passed on.",
    };
    let token = Face {
        status: 401,
        code: "invalid_token",
        title: "That token is not accepted",
        text: "The access token is missing, expired or meant for something else.",
    };
    let malformed = Face {
        status: 400,
        code: "invalid_request",
        title: "That token cannot be read",
        text: "The Authorization field does not hold exactly one bearer token.",
    };
    match challenge {
        Challenge::SignIn(_) => show(pages, asker, signed_out, &[]).field(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        // RFC 6750 §3.1: no error code when no token was presented.
        Challenge::Bearer(None) => {
            let face = Face {
                code: "token_required",
                title: "A token is needed",
                text: "This address is for programs that present an access token.",
                ..token
            };
            show(pages, asker, face, &[]).field(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        }
        Challenge::Bearer(Some(CredentialFault::MalformedBearer)) => {
            show(pages, asker, malformed, &[]).field(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_request\""))
        }
        Challenge::Bearer(Some(fault)) => {
            // The one fault a client can do something about by itself.
            let expired = fault == CredentialFault::Token(TokenFault::Expired);
            let value = if expired {
                "Bearer error=\"invalid_token\", error_description=\"the token has expired\""
            } else {
                "Bearer error=\"invalid_token\""
            };
            show(pages, asker, token, &[]).field(header::WWW_AUTHENTICATE, HeaderValue::from_static(value))
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
        return pages.error(&page);
    }
    let mut body = json!({ "error": face.code, "message": face.text, "request_id": asker.request_id });
    if let Some(url) = asker.login_url {
        body["login_url"] = json!(url);
    }
    Reply::json(face.status, &body)
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

/// Words for an app that does not answer.
pub fn gateway(status: u16) -> Face {
    match status {
        408 => Face { status, code: "request_timeout", title: "That took too long", text: "The request came too slowly and was given up." },
        504 => Face {
            status,
            code: "upstream_timeout",
            title: "The app takes too long",
            text: "The app behind this address did not answer in time. Please try again in a moment.",
        },
        503 => Face {
            status,
            code: "upstream_unavailable",
            title: "The app is not available",
            text: "No server of the app behind this address is well just now. Please try again in a moment.",
        },
        _ => Face {
            status: 502,
            code: "upstream_unreachable",
            title: "The app cannot be reached",
            text: "The app behind this address did not give a proper answer. Please try again in a moment.",
        },
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
            assert!((400..600).contains(&face.status) && !face.title.is_empty() && face.text.ends_with('.'), "{reason:?}");
        }
    }
}
