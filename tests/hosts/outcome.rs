//! What became of a request, seen from both sides, and how two of these compare.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use doorward_policy::headers::OwnedNames;
use doorward_policy::login::State;
use doorward_policy::request::CleanPath;
use doorward_tests::client::{Answer, Raw, parameter, tls};
use doorward_tests::recorder::Recorded;
use doorward_tests::scene::Scene;
use doorward_tests::variety::sealing_keys;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::cases::Case;
use crate::stage::{Kind, Stage};

/// No test waits longer for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request's end.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// `None`: the connection ended instead.
    pub answer: Option<Answer>,
    /// What the app got of it.
    pub reached: Vec<Recorded>,
    /// The app got bytes that were no request.
    pub scraps: bool,
}

/// What an answer that is not the app's is to whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// To the sign-in, and back to there afterwards.
    SignIn {
        host: String,
        back_to: String,
    },
    /// With the sign-in that a script is told of.
    Unauthorized {
        login_url: Option<String>,
    },
    Forbidden,
    /// By Doorward itself: a page of its own, a preflight.
    Answered,
    /// The request is not good, or nothing is there.
    Other,
}

/// How what a host proxy did differs from what proxy mode did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// It let something through that proxy mode refuses.
    Wider(String),
    /// Both let it through, and the app was told something else.
    Told(String),
    /// Both let it through, and the app was told less of what is not about who is asking.
    Lost(String),
    /// Both refuse, in other ways; or only the host proxy does.
    Stricter(String),
    /// Both let it through, and the app was told the port that the client wrote.
    Port(String),
    /// It says yes by itself, without the app.
    Answered(String),
    /// Its answer says what is not for the browser.
    Said(String),
}

/// Sends a request there and waits for what comes of it. Nothing else may be under way at the same time.
pub async fn of(scene: &Scene, address: SocketAddr, bytes: &[u8]) -> Outcome {
    scene.app.forget();
    let mut raw = Raw::connect(address, &scene.ca, "app.localhost").await;
    raw.send(bytes).await;
    let answer = if bytes.starts_with(b"HEAD ") { raw.head_answer().await } else { raw.answer().await };
    drop(raw);
    let reached = scene.app.seen();
    Outcome { scraps: reached.is_empty() && scene.app.bytes() > 0, answer, reached }
}

impl Outcome {
    fn passed(&self) -> bool {
        !self.reached.is_empty() || self.scraps
    }

    fn status(&self) -> u16 {
        self.answer.as_ref().map_or(0, |answer| answer.status)
    }

    fn class(&self, provider: &str) -> Class {
        let Some(answer) = &self.answer else { return Class::Other };
        let login = |url: &str| {
            let parsed = url::Url::parse(url).expect("an absolute address");
            let host = parsed[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
            assert_eq!(parsed.path(), "/_doorward/login", "{url}");
            Class::SignIn { host, back_to: parameter(url, "return_to") }
        };
        match (answer.status, answer.field("location")) {
            (302, Some(url)) if url.starts_with(provider) => {
                let redirect = parameter(url, "redirect_uri");
                let redirect = url::Url::parse(&redirect).expect("an absolute address");
                let host = redirect[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
                let name = redirect.host_str().expect("a host");
                let state = State::open(&parameter(url, "state"), &sealing_keys(), name, "tenant").expect("a state of ours");
                Class::SignIn { host, back_to: state.return_to.into() }
            }
            (302, Some(url)) => login(url),
            (401, _) => {
                let body: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
                let url = body.as_ref().and_then(|body| body["login_url"].as_str()).map(str::to_owned);
                Class::Unauthorized { login_url: url }
            }
            (403, _) => Class::Forbidden,
            (200..300, _) => Class::Answered,
            _ => Class::Other,
        }
    }
}

/// Compares what the host proxy did with what proxy mode did.
pub fn compare(stage: &Stage, case: &Case, proxy: &Outcome, host: &Outcome) -> Vec<Difference> {
    let scene = &stage.scene;
    let runtime = scene.edge().runtime();
    let owned = runtime.settings.policy.owned_names();
    let mut differences = Vec::new();
    if let Some(answer) = &host.answer {
        let told = answer.fields.iter().find(|(name, _)| {
            owned.owns(&name.to_ascii_lowercase())
                && !name.eq_ignore_ascii_case("x-request-id")
                && !name.eq_ignore_ascii_case("x-doorward-decision")
        });
        if let Some((name, value)) = told {
            differences.push(Difference::Said(format!("{name}: {value}")));
        }
    }
    let provider = scene.tenant.issuer();
    match (proxy.passed(), host.passed()) {
        (false, true) => {
            let what = host.reached.first().map_or("scraps".to_owned(), |request| request.head.clone());
            differences.push(Difference::Wider(format!("{} before, now: {what}", proxy.status())));
        }
        (true, false) => differences.push(Difference::Stricter(format!("passed before, now {}", host.status()))),
        (true, true) => differences.extend(told_otherwise(stage, case, proxy, host)),
        (false, false) => {
            let (before, now) = (proxy.class(provider), host.class(provider));
            if now == Class::Answered && before != now {
                differences.push(Difference::Answered(format!("{before:?} before")));
            } else if before != now {
                let text = format!("{before:?} ({}) before, now {now:?} ({})", proxy.status(), host.status());
                differences.push(Difference::Stricter(text));
            }
        }
    }
    differences
}

fn told_otherwise(stage: &Stage, case: &Case, proxy: &Outcome, host: &Outcome) -> Option<Difference> {
    if host.scraps || proxy.scraps || host.reached.len() != proxy.reached.len() {
        return Some(Difference::Wider(format!("{} requests before, now {}", proxy.reached.len(), host.reached.len())));
    }
    let pairs = proxy.reached.iter().zip(&host.reached);
    pairs.into_iter().find_map(|(before, now)| one_told_otherwise(stage, case, before, now))
}

fn one_told_otherwise(stage: &Stage, case: &Case, before: &Recorded, now: &Recorded) -> Option<Difference> {
    let (line_before, line_now) = (line(before), line(now));
    if line_before != line_now {
        return Some(Difference::Told(format!("{line_before:?} before, now {line_now:?}")));
    }
    if before.body != now.body {
        return Some(Difference::Told(format!("body of {} bytes before, now {}", before.body.len(), now.body.len())));
    }
    let ids = now.all("x-request-id");
    if ids.len() != 1 || ids[0].is_empty() || case.contains(ids[0]) {
        return Some(Difference::Told(format!("X-Request-Id: {ids:?}")));
    }
    let runtime = stage.scene.edge().runtime();
    let owned = runtime.settings.policy.owned_names();
    let (fields_before, mut fields_now) = (told(owned, before), told(owned, now));
    fields_now.retain(|(name, value)| !is_own(stage, name, value));
    if fields_before == fields_now {
        return None;
    }
    let missing: Vec<_> = fields_before.iter().filter(|field| !fields_now.contains(field)).collect();
    let added: Vec<_> = fields_now.iter().filter(|field| !fields_before.contains(field)).collect();
    let text = format!("without {missing:?}, with {added:?}");
    // Only oddly spelled names may be missing, which a route keeps; nothing may be there that was not.
    let lost = added.is_empty() && missing.iter().all(|(name, _)| name.contains('_'));
    let port = |fields: &[&(String, String)]| {
        let bare = |value: &str| value.split(':').next().map(|name| name.trim_end_matches('.').to_owned());
        fields
            .iter()
            .map(|(name, value)| matches!(name.as_str(), "host" | "x-forwarded-host").then(|| (name.clone(), bare(value))))
            .collect::<Vec<_>>()
    };
    let only_port = missing.len() == added.len() && port(&missing) == port(&added) && port(&added).iter().all(Option::is_some);
    Some(if lost {
        Difference::Lost(text)
    } else if only_port {
        Difference::Port(text)
    } else {
        Difference::Told(text)
    })
}

/// What Traefik says of itself: fields that no client can set.
fn is_own(stage: &Stage, name: &str, value: &str) -> bool {
    stage.kind == Kind::Traefik
        && match name {
            // Of the name that the client wrote, or the usual one.
            "x-forwarded-port" => value.parse::<u16>().is_ok(),
            "x-forwarded-server" => value != "mallory",
            _ => false,
        }
}

/// Method, target, and the version where it is none of the two that there are.
fn line(request: &Recorded) -> (String, String, Option<String>) {
    let mut parts = request.line().split(' ').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    (next(), clean(&next()), Some(next()).filter(|version| !matches!(version.as_str(), "HTTP/1.0" | "HTTP/1.1")))
}

/// One normal form for all spellings of one path; the query stays as it is.
fn clean(target: &str) -> String {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let path = CleanPath::parse(path.as_bytes()).map_or_else(|fault| format!("{path} ({fault})"), |path| path.as_str().to_owned());
    query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"))
}

/// Every field that tells the app who is asking and through whom, in whatever spelling. Empty is absent.
fn told(owned: &OwnedNames, request: &Recorded) -> Vec<(String, String)> {
    let credential = ["cookie", "authorization", "proxy-authorization", "host"];
    let ours = |name: &str| {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        !plain || owned.owns(name) || owned.owns_folded(name) || credential.contains(&name)
    };
    let fields = request.head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let fields = fields.map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        // RFC 3986 §3.2.2: host names have no capitals.
        let value = if matches!(name.as_str(), "host" | "x-forwarded-host") { value.to_ascii_lowercase() } else { value.to_owned() };
        (name, value.trim().to_owned())
    });
    let mut told: Vec<_> = fields.filter(|(name, value)| ours(name) && !value.is_empty() && name != "x-request-id").collect();
    told.sort_unstable();
    told
}

/// The same request over HTTP/2, where that can say it: without names of the connection, and with bytes that a library sends.
pub async fn over_http2(scene: &Scene, address: SocketAddr, bytes: &[u8]) -> Option<Outcome> {
    let (request, body) = http2_request(bytes)?;
    scene.app.forget();
    let socket = TcpStream::connect(address).await.expect("the host listens");
    socket.set_nodelay(true).expect("a socket");
    let name = ServerName::try_from("app.localhost").expect("a name");
    let stream = tls(&scene.ca, &[b"h2"]).connect(name, socket).await.expect("a handshake");
    let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let answer = tokio::time::timeout(PATIENCE, exchange(client, request, body)).await.expect("an answer in time").ok();
    connection.abort();
    let reached = scene.app.seen();
    Some(Outcome { scraps: reached.is_empty() && scene.app.bytes() > 0, answer, reached })
}

async fn exchange(client: h2::client::SendRequest<Bytes>, request: http::Request<()>, body: Bytes) -> Result<Answer, h2::Error> {
    let mut client = client.ready().await?;
    let (answer, mut sending) = client.send_request(request, body.is_empty())?;
    if !body.is_empty() {
        sending.send_data(body, true)?;
    }
    let (head, mut content) = answer.await?.into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = content.data().await {
        body.extend_from_slice(&chunk?);
    }
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let fields = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    Ok(Answer { status: head.status.as_u16(), fields, body })
}

/// RFC 9113 §8.2, §8.3: what HTTP/1.1 says otherwise is nothing for HTTP/2.
fn http2_request(bytes: &[u8]) -> Option<(http::Request<()>, Bytes)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let (line, fields) = head.split_once("\r\n")?;
    let mut parts = line.split(' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    if version != "HTTP/1.1" || !target.starts_with('/') || target.contains('#') || method == "CONNECT" {
        return None;
    }
    let mut request = http::Request::builder().method(method).version(http::Version::HTTP_2);
    let mut authority = None;
    for field in fields.split("\r\n") {
        let (name, value) = field.split_once(": ")?;
        match name.to_ascii_lowercase().as_str() {
            "host" if authority.is_none() => authority = Some(value),
            "host" | "connection" | "upgrade" | "transfer-encoding" | "te" | "keep-alive" | "proxy-connection" | "expect"
            | "http2-settings" => {
                return None;
            }
            // RFC 9113 §8.1.1: a wrong length makes a stream that ends sooner or later.
            "content-length" if value.parse() != Ok(bytes.len() - end - 4) => return None,
            name => request = request.header(name, value),
        }
    }
    let target: http::uri::PathAndQuery = target.parse().ok()?;
    let uri = http::Uri::builder().scheme("https").authority(authority?).path_and_query(target).build().ok()?;
    Some((request.uri(uri).body(()).ok()?, Bytes::copy_from_slice(&bytes[end + 4..])))
}
