//! One bounded HTTP exchange.

use std::time::Duration;

use doorward_config::settings::Provider;
use reqwest::{Client, RequestBuilder, StatusCode, Url, redirect};

/// Largest answer read, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(5);
/// From the first byte sent to the last byte read, however slowly they drip.
const TOTAL: Duration = Duration::from_secs(10);

/// No provider makes us wait longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(super) struct Fetcher {
    client: Client,
    insecure_http: bool,
}

/// Why an exchange with a provider brought nothing. No variant holds anything the provider or a user said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FetchFault {
    #[error("could not connect")]
    Connect,
    #[error("no answer within {} seconds", TOTAL.as_secs())]
    Timeout,
    #[error("the connection broke")]
    Broken,
    #[error("status {0}")]
    Status(u16),
    #[error("it answered with a redirect, and none is followed")]
    Redirect,
    #[error("more than {BODY_LIMIT} bytes")]
    TooLarge,
    #[error("the address is not https")]
    NotHttps,
    #[error("not the content type expected")]
    ContentType,
}

impl FetchFault {
    /// What metrics call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Status(_) => "status",
            Self::Redirect => "redirect",
            Self::TooLarge => "too_large",
            Self::NotHttps => "not_https",
            Self::ContentType => "content_type",
        }
    }
}

/// Status and body of an answer that is no redirect.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) json: bool,
    /// `Retry-After` in seconds, bounded; as a date nobody needs it.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

impl Fetcher {
    pub(super) fn new(provider: &Provider) -> Result<Self, String> {
        let mut builder = Client::builder()
            .user_agent(concat!("doorward/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            // The environment's proxy settings are not configuration (SSRF-01).
            .no_proxy()
            .referer(false)
            .https_only(!provider.insecure_http)
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .pool_idle_timeout(Duration::from_secs(30));
        if let Some(ca) = &provider.ca {
            let certificates = reqwest::Certificate::from_pem_bundle(ca).map_err(|error| format!("the CA cannot be read: {error}"))?;
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|error| format!("the client cannot be built: {error}"))?;
        Ok(Self { client, insecure_http: provider.insecure_http })
    }

    pub(super) fn get(&self, url: &Url) -> RequestBuilder {
        self.client.get(url.clone()).header("accept", "application/json")
    }

    pub(super) fn post(&self, url: &Url) -> RequestBuilder {
        self.client.post(url.clone()).header("accept", "application/json")
    }

    /// Sends and reads the whole answer.
    pub(super) async fn send(&self, url: &Url, request: RequestBuilder) -> Result<Answer, FetchFault> {
        if url.scheme() != "https" && !(self.insecure_http && url.scheme() == "http") {
            return Err(FetchFault::NotHttps);
        }
        let mut response = request.send().await.map_err(fault)?;
        let status = response.status();
        if status.is_redirection() {
            return Err(FetchFault::Redirect);
        }
        let json = response.headers().get("content-type").and_then(|value| value.to_str().ok()).is_some_and(is_json);
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = retry_after.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(fault)? {
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(FetchFault::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, json, retry_after, body })
    }
}

/// `application/json`, or a subtype of it (`application/jwk-set+json`).
fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn fault(error: reqwest::Error) -> FetchFault {
    if error.is_timeout() {
        FetchFault::Timeout
    } else if error.is_connect() {
        FetchFault::Connect
    } else {
        FetchFault::Broken
    }
}
