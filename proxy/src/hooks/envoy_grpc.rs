//! Envoy's `ext_authz` over gRPC (`envoy.service.auth.v3`): question and answer are messages, and each part of a request
//! has its own place in them.
//!
//! What Envoy writes into a question is in its `check_request_utils.cc`, what it makes of an answer in
//! `ext_authz_grpc_impl.cc` and `ext_authz.cc`: `status.code` alone says yes or no, whatever else is there; fields are set
//! first and removed afterwards; a refusal is relayed with any status. An error of the call itself is a refusal too, unless
//! the operator has said `failure_mode_allow`: so what we can refuse, we refuse in a message.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use doorward_config::settings::Limits;
use doorward_policy::access::DenyReason;
use doorward_policy::cookies::cookies;
use doorward_policy::identity::Identity;
use doorward_policy::session::is_own_cookie;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::core::v3::address::Address;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};
use envoy_types::pb::google::rpc;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use tonic::Code;

use super::envoy_http::kept;
use super::original::{self, Original, Scheme};
use super::verdict::{self, Allowed, Answer, Verdict, X_REQUEST_ID};
use crate::entropy::RequestId;
use crate::gate::Way;
use crate::reply::Reply;
use crate::runtime::Runtime;

/// The key of `context_extensions` that names a route of ours.
const NAMED: &str = "route";

/// The answer, and what is to be said of it.
#[derive(Debug)]
pub struct Checked {
    pub verdict: Verdict,
    pub response: CheckResponse,
    /// What the browser is answered; 200 where the request is passed on.
    pub status: u16,
    /// Bytes of its body.
    pub sent: usize,
}

/// Answers a question.
pub async fn check(runtime: &Runtime, question: &CheckRequest, request_id: &RequestId, started: Instant) -> Checked {
    let context = question.attributes.as_ref();
    let http = context.and_then(|context| context.request.as_ref()).and_then(|request| request.http.as_ref());
    let (headers, asked) = match context.zip(http) {
        Some((context, http)) => {
            let (headers, read) = fields(http, &runtime.settings.server.limits);
            (headers, read.and_then(|()| Ok((original(context, http)?, named(runtime, context)?))))
        }
        None => (HeaderMap::new(), Err(DenyReason::HookSource)),
    };
    let (original, route) = match asked {
        Ok((original, route)) => (Ok(original), route),
        Err(reason) => (Err(reason), None),
    };
    let way = Way::Hook { route, filter: None, again: false };
    let (verdict, answer) = verdict::judge(runtime, original, &headers, way, request_id, started).await;
    match answer {
        Answer::Allow(allowed) => match allow(runtime, &headers, allowed, &verdict) {
            Some(response) => Checked { verdict, response, status: 200, sent: 0 },
            None => refused(runtime, &headers, request_id),
        },
        Answer::Refuse(reply) => refuse(verdict, reply, request_id),
    }
}

/// Nobody can say what Envoy is to set.
fn refused(runtime: &Runtime, headers: &HeaderMap, request_id: &str) -> Checked {
    match verdict::refused(runtime, None, headers, DenyReason::BadRequest, request_id) {
        (verdict, Answer::Refuse(reply)) => refuse(verdict, reply, request_id),
        (verdict, Answer::Allow(_)) => refuse(verdict, Reply::new(400), request_id),
    }
}

/// The request that Envoy asks about. Fields of the client's are no source of anything here.
///
/// # Errors
/// [`DenyReason::HookSource`] for what is missing or said in two ways; those of a target.
fn original(context: &AttributeContext, http: &HttpRequest) -> Result<Original, DenyReason> {
    // CONNECT has no path; Envoy keeps `query` and `fragment` empty, and a second place for either is one too many.
    if http.method.is_empty() || http.path.is_empty() || !http.query.is_empty() || !http.fragment.is_empty() {
        return Err(DenyReason::HookSource);
    }
    let scheme = match http.scheme.as_str() {
        "" | "https" => Scheme::HTTPS,
        "http" => Scheme { tls: false, websocket: false },
        _ => return Err(DenyReason::HookSource),
    };
    let target = original::target(http.method.as_bytes(), http.host.as_bytes(), http.path.as_bytes())?;
    Ok(Original { target, client: client(context), scheme })
}

/// Who is connected to Envoy; unspecified where that is no address, so that no rule for a network is met.
fn client(context: &AttributeContext) -> IpAddr {
    let address = context.source.as_ref().and_then(|source| source.address.as_ref()?.address.as_ref());
    let parsed = match address {
        Some(Address::SocketAddress(socket)) => socket.address.parse::<IpAddr>().ok(),
        Some(Address::Pipe(_) | Address::EnvoyInternalAddress(_)) | None => None,
    };
    parsed.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.to_canonical())
}

/// The route that the operator has named in Envoy's configuration. A name that we do not have is a mistake there, and
/// nobody gets in by it.
fn named(runtime: &Runtime, context: &AttributeContext) -> Result<Option<usize>, DenyReason> {
    match context.context_extensions.get(NAMED).map(String::as_str) {
        None | Some("") => Ok(None),
        Some(name) => runtime.settings.policy.route_named(name).map(Some).ok_or(DenyReason::HookSource),
    }
}

/// The client's fields; as many as could be read before the first that cannot be.
///
/// Envoy fills `headers` or, with `encode_raw_headers`, `header_map`: never both.
fn fields(http: &HttpRequest, limits: &Limits) -> (HeaderMap, Result<(), DenyReason>) {
    let mut headers = HeaderMap::new();
    let read = match &http.header_map {
        Some(_) if !http.headers.is_empty() => Err(DenyReason::HookSource),
        Some(map) => map.headers.iter().try_for_each(|field| {
            let value = match (field.raw_value.as_slice(), field.value.as_bytes()) {
                (value, b"") | (b"", value) => value,
                _ => return Err(DenyReason::HookSource),
            };
            read(&mut headers, http, &field.key, value, limits)
        }),
        None => http.headers.iter().try_for_each(|(name, value)| match name.as_str() {
            "cookie" if joins_ours(value.as_bytes()) => Err(DenyReason::HookSource),
            _ => read(&mut headers, http, name, value.as_bytes(), limits),
        }),
    };
    (headers, read)
}

fn read(headers: &mut HeaderMap, http: &HttpRequest, name: &str, value: &[u8], limits: &Limits) -> Result<(), DenyReason> {
    if name.starts_with(':') {
        return confirms(http, name, value);
    }
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| DenyReason::HookSource)?;
    if name == header::HOST {
        // PG-07: one authority.
        return if value.eq_ignore_ascii_case(http.host.as_bytes()) { Ok(()) } else { Err(DenyReason::HookSource) };
    }
    // Envoy sets what we answer as text; these two it must set, or the client's own would stay.
    if (name == header::COOKIE || name == header::AUTHORIZATION) && std::str::from_utf8(value).is_err() {
        return Err(DenyReason::BadRequest);
    }
    let (first, second) = if name == header::AUTHORIZATION { apart(value) } else { (value, None) };
    for value in [Some(first), second].into_iter().flatten() {
        let value = HeaderValue::from_bytes(value).map_err(|_| DenyReason::HookSource)?;
        // A map has its own limit, beyond which it panics.
        if headers.len() >= limits.header_fields {
            return Err(DenyReason::HeaderTooLarge);
        }
        headers.append(&name, value);
    }
    Ok(())
}

/// A pseudo-header field (RFC 9113 §8.3.1) must say what the attribute made from it says.
fn confirms(http: &HttpRequest, name: &str, value: &[u8]) -> Result<(), DenyReason> {
    let said = match name {
        ":method" => &http.method,
        ":path" => &http.path,
        ":authority" => &http.host,
        ":scheme" => &http.scheme,
        _ => return Err(DenyReason::HookSource),
    };
    if said.as_bytes() == value { Ok(()) } else { Err(DenyReason::HookSource) }
}

/// Whether a cookie of ours stands beside a comma, which it never holds. In `headers` Envoy joins fields of one name with
/// commas, `Cookie` too (the crumbs of HTTP/2 are joined as they should be): ours may have been in a field of its own, or be
/// part of another cookie.
fn joins_ours(field: &[u8]) -> bool {
    cookies([field]).filter(|cookie| cookie.pair.contains(&b',')).any(|cookie| {
        let mut parts = cookie.pair.split(|b| *b == b',').flat_map(|part| cookies([part]));
        parts.any(|part| is_own_cookie(part.name) || is_own_cookie(part.pair))
    })
}

/// `Authorization` fields that Envoy has joined (it does in either list, where one of its filters asks for the field as a
/// whole), apart again: more than one is more than anybody may send (RFC 9110 §11.4). Behind a comma, the name of a
/// parameter has `=` after it and that of a scheme has not.
fn apart(field: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in field.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted && begins_credentials(&field[at + 1..]) => {
                return (field[..at].trim_ascii_end(), Some(field[at + 1..].trim_ascii_start()));
            }
            _ => {}
        }
    }
    (field, None)
}

fn begins_credentials(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start();
    let end = rest.iter().position(|b| matches!(b, b' ' | b'\t' | b'=' | b',' | b'"')).unwrap_or(rest.len());
    end > 0 && rest[end..].trim_ascii_start().first() != Some(&b'=')
}

/// `None`: something that Envoy has to set is no text.
fn allow(runtime: &Runtime, headers: &HeaderMap, allowed: Allowed, verdict: &Verdict) -> Option<CheckResponse> {
    // HOOK-06: Envoy keeps a field that it is told to set to nothing, so what has no value is removed instead.
    let policy = &runtime.settings.policy;
    let removed = runtime.hooks.removal.names(policy.owned_names(), kept(policy, verdict.route), headers, &allowed);
    let headers_to_remove = removed.map(str::to_owned).collect();
    // Envoy has a request id of its own, and the app gets that; the route is among the metadata.
    let set = allowed.fields.iter().filter(|(name, value)| *name != X_REQUEST_ID && *name != verdict::ROUTE && !value.is_empty());
    let set = set.map(|(name, value)| field(name, value, HeaderAppendAction::OverwriteIfExistsOrAdd));
    let renewal = allowed.renewal.as_deref().and_then(|cookie| HeaderValue::from_str(cookie).ok());
    let renewal = renewal.and_then(|cookie| field(&header::SET_COOKIE, &cookie, HeaderAppendAction::AppendIfExistsOrAdd));
    let ok = OkHttpResponse {
        headers: set.collect::<Option<_>>()?,
        headers_to_remove,
        response_headers_to_add: renewal.into_iter().collect(),
        ..OkHttpResponse::default()
    };
    Some(CheckResponse {
        status: Some(status(Code::Ok)),
        http_response: Some(HttpResponse::OkResponse(ok)),
        dynamic_metadata: Some(metadata_of_allowed(runtime, verdict)),
    })
}

fn refuse(verdict: Verdict, mut reply: Reply, request_id: &str) -> Checked {
    verdict::uncached(&mut reply, "refuse");
    let reply = reply.text_field(X_REQUEST_ID, request_id);
    // Never 0, whatever the status: a preflight that we answer ourselves is refused with 204.
    let code = if matches!(reply.status, 302 | 401) { Code::Unauthenticated } else { Code::PermissionDenied };
    // The first of a name takes the place of what Envoy would say, and the others join it.
    let mut said: Vec<&HeaderName> = Vec::with_capacity(reply.fields.len());
    let fields = reply.fields.iter().filter_map(|(name, value)| {
        let again = said.contains(&name);
        said.push(name);
        let action = if again { HeaderAppendAction::AppendIfExistsOrAdd } else { HeaderAppendAction::OverwriteIfExistsOrAdd };
        field(name, value, action)
    });
    let denied = DeniedHttpResponse {
        headers: fields.collect(),
        status: Some(HttpStatus { code: i32::from(reply.status) }),
        body: std::str::from_utf8(&reply.body).unwrap_or_default().to_owned(),
    };
    let sent = denied.body.len();
    let response = CheckResponse {
        status: Some(status(code)),
        http_response: Some(HttpResponse::DeniedResponse(denied)),
        dynamic_metadata: Some(Struct { fields: decision(&verdict) }),
    };
    Checked { verdict, response, status: reply.status, sent }
}

fn status(code: Code) -> rpc::Status {
    rpc::Status { code: code as i32, ..rpc::Status::default() }
}

/// Envoy reads `value` alone, which is text.
fn field(name: &HeaderName, value: &HeaderValue, action: HeaderAppendAction) -> Option<core::HeaderValueOption> {
    let value = std::str::from_utf8(value.as_bytes()).ok()?.to_owned();
    let header = core::HeaderValue { key: name.as_str().to_owned(), value, ..core::HeaderValue::default() };
    Some(core::HeaderValueOption { header: Some(header), append_action: action.into(), ..core::HeaderValueOption::default() })
}

/// For Envoy's log, and for filters behind this one. Nothing in it is secret.
fn metadata_of_allowed(runtime: &Runtime, verdict: &Verdict) -> Struct {
    let mut fields = decision(verdict);
    let route = verdict.route.and_then(|index| runtime.settings.policy.routes().get(index));
    let rule = route.zip(verdict.rule).and_then(|(route, index)| route.rules.get(index));
    let identity = verdict.identity.as_deref();
    let claim = |name: &str| identity.and_then(|identity| identity.claims().get(name)).and_then(serde_json::Value::as_str);
    let said = [
        ("route", route.map(|route| &*route.name)),
        ("rule", rule.map(|rule| &*rule.name)),
        ("sub", claim("sub")),
        // The provider's session (OIDC Front-Channel Logout §3), not ours.
        ("sid", identity.and_then(Identity::provider_session)),
    ];
    fields.extend(said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), text(value?)))));
    if let Some(identity) = identity {
        let roles = ListValue { values: identity.roles().iter().map(text).collect() };
        fields.insert("roles".to_owned(), Value { kind: Some(Kind::ListValue(roles)) });
    }
    Struct { fields }
}

fn decision(verdict: &Verdict) -> HashMap<String, Value> {
    [("decision", verdict.decision), ("reason", verdict.reason)].map(|(name, value)| (name.to_owned(), text(value))).into()
}

fn text(value: &str) -> Value {
    Value { kind: Some(Kind::StringValue(value.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::config::core::v3::{EnvoyInternalAddress, Pipe, SocketAddress};
    use envoy_types::pb::envoy::service::auth::v3::attribute_context::Peer;

    fn limits() -> Limits {
        Limits {
            connections: 10,
            connections_per_client: 10,
            handshake: std::time::Duration::from_secs(1),
            header: std::time::Duration::from_secs(1),
            idle: std::time::Duration::from_secs(1),
            header_bytes: 32 * 1024,
            header_fields: 20,
            body: None,
            sign_ins_per_client: 1,
            bad_credentials_per_client: 1,
            remembered: 100,
        }
    }

    /// As Envoy writes it: the attributes, and the same in pseudo-header fields.
    fn http(fields: &[(&str, &str)]) -> HttpRequest {
        let pseudo = [(":method", "GET"), (":path", "/a?b=c"), (":authority", "app.example"), (":scheme", "https")];
        HttpRequest {
            method: "GET".into(),
            path: "/a?b=c".into(),
            host: "app.example".into(),
            scheme: "https".into(),
            headers: pseudo.iter().chain(fields).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            size: -1,
            protocol: "HTTP/2".into(),
            ..HttpRequest::default()
        }
    }

    fn raw(fields: &[(&str, &[u8])]) -> HttpRequest {
        let field = |(name, value): &(&str, &[u8])| core::HeaderValue {
            key: (*name).to_owned(),
            raw_value: value.to_vec(),
            ..core::HeaderValue::default()
        };
        let header_map = core::HeaderMap { headers: fields.iter().map(field).collect() };
        HttpRequest { headers: HashMap::new(), header_map: Some(header_map), ..http(&[]) }
    }

    fn outcome(http: &HttpRequest) -> Result<Original, DenyReason> {
        fields(http, &limits()).1.and_then(|()| original(&AttributeContext::default(), http))
    }

    #[test]
    fn hook_11_what_is_missing_or_said_twice_is_refused() {
        let good = outcome(&http(&[("accept", "*/*"), ("host", "App.Example")])).unwrap();
        assert_eq!((good.target.host().name(), good.target.path_and_query().as_str()), ("app.example", "/a?b=c"));
        assert_eq!((good.scheme, good.client.is_unspecified()), (Scheme::HTTPS, true));
        type Change = fn(&mut HttpRequest);
        let cases: &[(&str, Change, DenyReason)] = &[
            ("no method", |http| http.method.clear(), DenyReason::HookSource),
            ("no path", |http| http.path.clear(), DenyReason::HookSource),
            ("no host", |http| http.host.clear(), DenyReason::BadRequest),
            ("connect", |http| http.method = "CONNECT".into(), DenyReason::MethodNotServed),
            ("a method of spaces", |http| http.method = "GET /".into(), DenyReason::HookSource),
            ("another scheme", |http| http.scheme = "ftp".into(), DenyReason::HookSource),
            ("a scheme in capitals", |http| http.scheme = "HTTPS".into(), DenyReason::HookSource),
            ("a query of its own", |http| http.query = "b=c".into(), DenyReason::HookSource),
            ("a fragment", |http| http.fragment = "x".into(), DenyReason::HookSource),
            ("asterisk", |http| http.path = "*".into(), DenyReason::BadRequest),
            ("absolute", |http| http.path = "https://app.example/".into(), DenyReason::BadRequest),
            ("dots", |http| http.path = "/a/../b".into(), DenyReason::BadRequest),
            ("an open path in the fields", |http| drop(http.headers.insert(":path".into(), "/public".into())), DenyReason::HookSource),
            ("another method in the fields", |http| drop(http.headers.insert(":method".into(), "PUT".into())), DenyReason::HookSource),
            (
                "another host in the fields",
                |http| drop(http.headers.insert(":authority".into(), "b.example".into())),
                DenyReason::HookSource,
            ),
            ("a host field", |http| drop(http.headers.insert("host".into(), "b.example".into())), DenyReason::HookSource),
            ("two hosts joined", |http| drop(http.headers.insert("host".into(), "app.example,b.example".into())), DenyReason::HookSource),
            ("plain in the fields", |http| drop(http.headers.insert(":scheme".into(), "http".into())), DenyReason::HookSource),
            ("a pseudo field that is none", |http| drop(http.headers.insert(":protocol".into(), "x".into())), DenyReason::HookSource),
            ("no name", |http| drop(http.headers.insert(String::new(), "x".into())), DenyReason::HookSource),
            ("a name with a space", |http| drop(http.headers.insert("x y".into(), "x".into())), DenyReason::HookSource),
            ("a value of two lines", |http| drop(http.headers.insert("x-y".into(), "x\r\ny: z".into())), DenyReason::HookSource),
            ("both lists", |http| http.header_map = Some(core::HeaderMap::default()), DenyReason::HookSource),
        ];
        for (name, change, reason) in cases {
            let mut http = http(&[]);
            http.headers.retain(|field, _| !field.starts_with(':'));
            assert!(outcome(&http).is_ok());
            change(&mut http);
            http.headers.insert("accept".into(), "*/*".into());
            assert_eq!(outcome(&http).unwrap_err(), *reason, "{name}");
        }
        let plain = HttpRequest { scheme: "http".into(), headers: HashMap::new(), ..http(&[]) };
        assert!(!outcome(&plain).unwrap().scheme.tls);
        let unsaid = HttpRequest { scheme: String::new(), headers: HashMap::new(), ..http(&[]) };
        assert!(outcome(&unsaid).unwrap().scheme.tls);
        // What the scheme does not say, a field does not say in its place.
        assert!(outcome(&HttpRequest { scheme: String::new(), ..http(&[]) }).is_err());
    }

    #[test]
    fn hook_11_raw_fields_are_bytes_as_http_has_them() {
        let latin = raw(&[(":path", b"/a?b=c"), ("x-name", b"caf\xe9"), ("cookie", b"a=1"), ("cookie", b"b=2")]);
        let (headers, read) = fields(&latin, &limits());
        assert_eq!(read, Ok(()));
        assert_eq!((headers["x-name"].as_bytes(), headers.get_all("cookie").iter().count()), (&b"caf\xe9"[..], 2));
        for (name, value, reason) in [
            (":path", &b"/a?b=\xe9"[..], DenyReason::HookSource),
            ("cookie", b"a=caf\xe9", DenyReason::BadRequest),
            ("authorization", b"Bearer \xe9", DenyReason::BadRequest),
            ("x-name", b"a\0b", DenyReason::HookSource),
            ("x-name", b"a\nb", DenyReason::HookSource),
            ("x-\u{e9}", b"a", DenyReason::HookSource),
        ] {
            assert_eq!(outcome(&raw(&[(name, value)])).unwrap_err(), reason, "{name}: {value:?}");
        }
        // One place for a value.
        let mut twice = raw(&[("accept", b"*/*")]);
        twice.header_map.as_mut().unwrap().headers[0].value = "*/*".into();
        assert_eq!(outcome(&twice).unwrap_err(), DenyReason::HookSource);
        twice.header_map.as_mut().unwrap().headers[0].raw_value.clear();
        assert_eq!(fields(&twice, &limits()).0["accept"], "*/*");
    }

    #[test]
    fn hook_11_more_fields_than_allowed_are_refused_before_they_fill_anything() {
        let names: Vec<String> = (0..1000).map(|n| format!("x-{n}")).collect();
        let of = |count: usize| raw(&names[..count].iter().map(|name| (name.as_str(), &b"v"[..])).collect::<Vec<_>>());
        assert!(outcome(&of(20)).is_ok());
        assert_eq!(outcome(&of(21)).unwrap_err(), DenyReason::HeaderTooLarge);
        let (headers, read) = fields(&of(1000), &limits());
        assert_eq!((headers.len(), read), (20, Err(DenyReason::HeaderTooLarge)));
    }

    #[test]
    fn cookie_01_a_session_cookie_beside_a_comma_is_nobodys() {
        for hidden in [
            "a=1,__Host-doorward=x",
            "a=1, __Host-doorward=x",
            "__Host-doorward=x,__Host-doorward=y",
            "a=1; b=2,c=3,__Host-doorward=x; d=4",
            "a,__Host-doorward-attempt.x=y",
            ",__Host-doorward=x",
            "a=1,__Host-doorward",
            "__Host-doorward=x,a=1",
        ] {
            assert!(joins_ours(hidden.as_bytes()), "{hidden}");
            assert_eq!(outcome(&http(&[("cookie", hidden)])).unwrap_err(), DenyReason::HookSource, "{hidden}");
            // In a list where fields are never joined, a comma is a comma.
            assert!(outcome(&raw(&[("cookie", hidden.as_bytes())])).is_ok());
        }
        for plain in [
            "a=1; __Host-doorward=x",
            "a=1,2,3; __Host-doorward=x",
            "a={\"b\":1,\"c\":2}",
            "__Host-doorward=x",
            "",
            ",",
            "a=1,x__Host-doorward=x",
        ] {
            assert!(!joins_ours(plain.as_bytes()), "{plain}");
        }
    }

    #[test]
    fn jwt_60_authorization_fields_that_envoy_joined_count_as_two() {
        let parts = |field: &'static str| {
            let (first, second) = apart(field.as_bytes());
            [Some(first), second].into_iter().flatten().map(|part| std::str::from_utf8(part).unwrap()).collect::<Vec<_>>()
        };
        for (field, first, second) in [
            ("Bearer a,Bearer b", "Bearer a", "Bearer b"),
            ("Basic eDp5, Bearer b", "Basic eDp5", "Bearer b"),
            ("Basic eDp5,Basic eDp5", "Basic eDp5", "Basic eDp5"),
            ("Digest a=\"b, c\", d=e,\tBearer x", "Digest a=\"b, c\", d=e", "Bearer x"),
            ("Digest a=\"\\\",\", Negotiate", "Digest a=\"\\\",\"", "Negotiate"),
            ("Bearer a,b", "Bearer a", "b"),
        ] {
            assert_eq!(parts(field), [first, second], "{field}");
        }
        for whole in [
            "Bearer a.b.c==",
            "Digest username=\"a\", realm=\"b, c d\", uri=\"/\", response = \"x\"",
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host;x-date, Signature=c",
            "",
            "Bearer a,",
        ] {
            assert_eq!(parts(whole).len(), 1, "{whole}");
        }
        for joined in [http(&[("authorization", "Basic eDp5,Bearer b")]), raw(&[("authorization", b"Basic eDp5,Bearer b")])] {
            assert_eq!(fields(&joined, &limits()).0.get_all("authorization").iter().count(), 2);
        }
    }

    #[test]
    fn hook_11_the_client_is_who_is_connected_to_envoy() {
        let client = |address| {
            let source = Peer { address: Some(core::Address { address }), ..Peer::default() };
            client(&AttributeContext { source: Some(source), ..AttributeContext::default() })
        };
        let socket = |text: &str| client(Some(Address::SocketAddress(SocketAddress { address: text.into(), ..SocketAddress::default() })));
        assert_eq!(socket("192.0.2.7"), IpAddr::from([192, 0, 2, 7]));
        assert_eq!(socket("::ffff:192.0.2.7"), IpAddr::from([192, 0, 2, 7]));
        assert_eq!(socket("2001:db8::7").to_string(), "2001:db8::7");
        for none in ["", "localhost", "192.0.2.7:80", "10.0.0.0/8"] {
            assert!(socket(none).is_unspecified(), "{none}");
        }
        assert!(client(Some(Address::Pipe(Pipe { path: "/10.0.0.1".into(), ..Pipe::default() }))).is_unspecified());
        assert!(client(Some(Address::EnvoyInternalAddress(EnvoyInternalAddress::default()))).is_unspecified());
        assert!(client(None).is_unspecified());
    }
}
