//! A browser made of an HTTP library: it keeps cookies, follows redirects one by one, and fills in the sign-in form.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use doorward_tests::idp::PASSWORD;
use doorward_tests::scene;
use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Certificate, Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode, redirect};
use url::Url;

use crate::world::World;

/// A client for plain http on loopback.
pub fn plain() -> Client {
    scene::install();
    Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(PATIENCE).build().expect("a client")
}

/// A client that finds these hosts on loopback and trusts this certificate authority alone.
pub fn tls(hosts: &[&str], authority_pem: &str) -> Client {
    builder(hosts, authority_pem).timeout(PATIENCE).build().expect("a client")
}

/// The same without HTTP/2, for connections that stay open as WebSockets.
pub fn tls_http1(hosts: &[&str], authority_pem: &str) -> Client {
    builder(hosts, authority_pem).http1_only().build().expect("a client")
}

fn builder(hosts: &[&str], authority_pem: &str) -> ClientBuilder {
    scene::install();
    let authority = Certificate::from_pem(authority_pem.as_bytes()).expect("a certificate in PEM");
    let builder = Client::builder().no_proxy().redirect(redirect::Policy::none()).tls_certs_only([authority]);
    // The port is the address's own.
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    hosts.iter().fold(builder, |builder, host| builder.resolve(host, loopback))
}

pub async fn send(request: RequestBuilder) -> Response {
    request.send().await.unwrap_or_else(|problem| panic!("no answer: {problem:?}"))
}

const PATIENCE: Duration = Duration::from_secs(20);

/// One answer, read to its end.
#[derive(Debug)]
pub struct Page {
    pub url: Url,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Page {
    /// The header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Where the redirect leads.
    pub fn location(&self) -> Url {
        let location = self.header(LOCATION.as_str());
        self.url.join(location).unwrap_or_else(|problem| panic!("Location `{location}`: {problem}; {self:?}"))
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|problem| panic!("{problem}: {self:?}"))
    }

    pub fn is_html(&self) -> bool {
        self.header("content-type").starts_with("text/html")
    }

    /// Whether this answer sets a cookie whose name begins so.
    pub fn sets_cookie(&self, prefix: &str) -> bool {
        self.headers.get_all(SET_COOKIE).iter().any(|value| value.as_bytes().starts_with(prefix.as_bytes()))
    }
}

/// A browser with its own cookies.
#[derive(Debug, Clone)]
pub struct Browser {
    client: Client,
    /// By host; a cookie does not care about ports (RFC 6265 §8.5).
    cookies: BTreeMap<String, BTreeMap<String, String>>,
    /// Every `Set-Cookie` that came, with the host it came from.
    pub set_cookies: Vec<(String, String)>,
    /// How often it filled in the provider's form.
    pub forms: usize,
    /// Every place it was.
    pub visited: Vec<Url>,
}

impl Browser {
    pub fn new(world: &World) -> Self {
        Self::with(&world.client)
    }

    pub fn with(client: &Client) -> Self {
        Self { client: client.clone(), cookies: BTreeMap::new(), set_cookies: Vec::new(), forms: 0, visited: Vec::new() }
    }

    /// One request as a navigation, no redirect followed.
    pub async fn navigate(&mut self, url: &str) -> Page {
        let headers = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", "text/html,*/*;q=0.8")];
        self.request(Method::GET, url, &headers, &[]).await
    }

    /// One request as a script's `fetch` from the same origin.
    pub async fn fetch(&mut self, url: &str) -> Page {
        let headers = [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("sec-fetch-site", "same-origin"), ("accept", "*/*")];
        self.request(Method::GET, url, &headers, &[]).await
    }

    /// Submits a form to `url` from a page of `origin`, as the browser marks it (`same-origin`, `cross-site` …).
    pub async fn submit(&mut self, url: &str, origin: &str, site: &str, form: &[(&str, &str)]) -> Page {
        let headers = [
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("sec-fetch-site", site),
            ("origin", origin),
            ("accept", "text/html,*/*;q=0.8"),
        ];
        self.request(Method::POST, url, &headers, form).await
    }

    /// Navigates and follows, signing in as `nickname` where the provider asks, to the first answer that is no redirect.
    pub async fn open_as(&mut self, nickname: &str, url: &str) -> Page {
        let page = self.navigate(url).await;
        self.follow(nickname, page).await
    }

    /// Goes on from here in the same way.
    pub async fn follow(&mut self, nickname: &str, page: Page) -> Page {
        self.follow_until(nickname, page, |_| false).await
    }

    /// Goes on from here in the same way, but not to the place that `stop` names: its page is the redirect there.
    pub async fn follow_until(&mut self, nickname: &str, mut page: Page, stop: impl Fn(&Url) -> bool) -> Page {
        for _ in 0..20 {
            page = if page.status.is_redirection() {
                let next = page.location();
                if stop(&next) {
                    return page;
                }
                self.navigate(next.as_str()).await
            } else if page.url.path() == "/u/login" && page.status == StatusCode::OK {
                self.forms += 1;
                let form = [("username", &*format!("{nickname}@acme.dev")), ("password", PASSWORD), ("action", "default")];
                let origin = page.url.origin().ascii_serialization();
                self.submit(page.url.as_str(), &origin, "same-origin", &form).await
            } else {
                return page;
            };
        }
        panic!("going round in circles: {:#?}", self.visited);
    }

    /// Names and values of the cookies it would send to this host.
    pub fn cookies(&self, host: &str) -> BTreeMap<String, String> {
        self.cookies.get(host).cloned().unwrap_or_default()
    }

    pub fn set_cookie(&mut self, host: &str, name: &str, value: &str) {
        self.cookies.entry(host.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
    }

    async fn request(&mut self, method: Method, url: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> Page {
        let url = Url::parse(url).unwrap_or_else(|problem| panic!("`{url}`: {problem}"));
        let host = url.host_str().unwrap_or_default().to_owned();
        self.visited.push(url.clone());
        let mut request = self.client.request(method.clone(), url.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let jar: Vec<String> = self.cookies(&host).iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !jar.is_empty() {
            request = request.header("cookie", jar.join("; "));
        }
        if method == Method::POST {
            request = request.form(form);
        }
        let response = send(request).await;
        self.read(url, &host, response).await
    }

    async fn read(&mut self, url: Url, host: &str, response: Response) -> Page {
        let status = response.status();
        let headers = response.headers().clone();
        for line in headers.get_all(SET_COOKIE) {
            self.keep(host, &String::from_utf8_lossy(line.as_bytes()));
        }
        let body = response.text().await.unwrap_or_else(|problem| panic!("{url}: half an answer: {problem:?}"));
        Page { url, status, headers, body }
    }

    fn keep(&mut self, host: &str, line: &str) {
        self.set_cookies.push((host.to_owned(), line.to_owned()));
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).unwrap_or_default();
        let gone = value.is_empty() || parts.map(str::to_ascii_lowercase).any(|part| part == "max-age=0" || part.contains("01 jan 1970"));
        let jar = self.cookies.entry(host.to_owned()).or_default();
        if gone {
            jar.remove(name);
        } else {
            jar.insert(name.to_owned(), value.to_owned());
        }
    }
}
