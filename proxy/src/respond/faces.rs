//! What each kind of refusal looks like from outside. The words stand in `pages/words`, one file a language, under the
//! name of the constant in lower case.

/// What one kind of refusal looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Face {
    pub status: u16,
    /// For scripts: stable, lower case. Faces that a script need not tell apart share one.
    pub code: &'static str,
    /// The constant's own name: the words are found by it.
    pub name: &'static str,
}

macro_rules! faces {
    ($($name:ident = $status:literal $code:literal;)+) => {
        impl Face {
            $(pub const $name: Self = Self { status: $status, code: $code, name: stringify!($name) };)+

            /// Every face, for the words and their tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

faces! {
    // What is asked.
    BAD_REQUEST = 400 "bad_request";
    METHOD_NOT_SERVED = 405 "method_not_allowed";
    URI_TOO_LONG = 414 "uri_too_long";
    HEADER_TOO_LARGE = 431 "header_too_large";
    BODY_TOO_LARGE = 413 "body_too_large";
    UNKNOWN_HOST = 421 "unknown_host";
    NO_ROUTE = 404 "not_found";
    HOOK_SOURCE = 400 "bad_request";
    HOOK_INSECURE = 403 "insecure";
    FORGED_HEADER = 403 "forged_header";
    PREFLIGHT = 403 "preflight";
    CROSS_ORIGIN = 403 "cross_origin";
    // Who asks.
    CLOSED = 403 "forbidden";
    NETWORK = 403 "forbidden_network";
    TIME = 403 "forbidden_time";
    NO_ROLES = 403 "no_roles";
    FORBIDDEN = 403 "forbidden";
    IDENTITY_TOO_LARGE = 403 "identity_too_large";
    CANNOT_VERIFY = 503 "cannot_verify";
    TOO_MANY = 429 "too_many";
    LOGIN_REQUIRED = 401 "login_required";
    STEP_UP = 401 "insufficient_user_authentication";
    TOKEN_REQUIRED = 401 "token_required";
    INVALID_TOKEN = 401 "invalid_token";
    TOKEN_UNREADABLE = 400 "invalid_request";
    // The app.
    REQUEST_TIMEOUT = 408 "request_timeout";
    UPSTREAM_TIMEOUT = 504 "upstream_timeout";
    UPSTREAM_UNAVAILABLE = 503 "upstream_unavailable";
    UPSTREAM_UNREACHABLE = 502 "upstream_unreachable";
    // Our own endpoints.
    NO_ENDPOINT = 404 "not_found";
    WRONG_METHOD = 405 "method_not_allowed";
    SIGN_IN = 401 "login_required";
    // A sign-in that cannot begin.
    BAD_LOGIN = 400 "bad_request";
    NO_PROVIDER = 404 "no_provider";
    NOT_HERE = 401 "login_required";
    CANNOT_BEGIN = 500 "internal";
    PROVIDER_DOWN = 503 "provider_unavailable";
    THIRD_PARTY_LOGIN = 403 "third_party_login";
    // A sign-in that cannot end.
    BAD_CALLBACK = 400 "bad_callback";
    ATTEMPT_LOST = 400 "attempt_lost";
    ATTEMPT_EXPIRED = 400 "attempt_expired";
    ATTEMPT_REUSED = 400 "attempt_reused";
    ACCESS_DENIED = 403 "access_denied";
    PROVIDER_ERROR = 502 "provider_error";
    INTERACTION_REQUIRED = 400 "interaction_required";
    TOO_MANY_ATTEMPTS = 429 "too_many_attempts";
    STEP_UP_NOT_MET = 403 "step_up_not_met";
    CODE_REFUSED = 400 "code_refused";
    TOO_MANY_SIGN_INS = 429 "too_many";
    STORE_DOWN = 503 "store_unavailable";
    SESSION_TOO_LARGE = 500 "session_too_large";
    SIGN_IN_FAILED = 502 "sign_in_failed";
    // A kept form.
    FORM_GONE = 410 "form_gone";
}
