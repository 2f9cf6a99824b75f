//! One question, and what is answered: before a system is loaded it shows that it lets the right request pass, and no other.

use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, COOKIE, HOST as HOST_FIELD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Certificate, ClientBuilder, tls};

use super::process::last_words;
use crate::stand::{Fault, HOST, Stand};
use crate::system::{Load, Running, Tokens, Transport, Unavailable};

/// How long a system may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Asks once, over a connection of its own.
///
/// # Errors
/// When there is no answer.
pub fn ask(stand: &Stand, load: &Load) -> Result<Answer, Fault> {
    let client = client(stand, load.transport)?.resolve(HOST, load.address).build()?;
    let scheme = if load.transport == Transport::Plain { "http" } else { "https" };
    let url = format!("{scheme}://{HOST}:{}{}", load.address.port(), load.path);
    let request = client.get(url).headers(fields(load)?);
    wait(async {
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok(Answer { status, headers, body: answer.bytes().await?.to_vec() })
    })
}

fn client(stand: &Stand, transport: Transport) -> Result<ClientBuilder, Fault> {
    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(Duration::from_secs(10));
    let certificate = Certificate::from_pem(&std::fs::read(stand.folder.join("tls.crt"))?)?;
    Ok(match transport {
        Transport::Plain => client.http1_only(),
        Transport::Tls => client.http1_only().tls_certs_only([certificate]).tls_version_min(tls::Version::TLS_1_3),
        Transport::TlsHttp2 => client.http2_prior_knowledge().tls_certs_only([certificate]).tls_version_min(tls::Version::TLS_1_3),
    })
}

fn fields(load: &Load) -> Result<HeaderMap, Fault> {
    let mut fields = HeaderMap::new();
    for (name, value) in &load.headers {
        let name = HeaderName::from_bytes(name.as_bytes())?;
        // HTTP/2 says it in `:authority`, which is the URL's.
        if load.transport != Transport::TlsHttp2 || name != HOST_FIELD {
            fields.append(name, HeaderValue::from_str(value)?);
        }
    }
    if let Tokens::InTurn(tokens) | Tokens::EachOnce(tokens) = &load.tokens {
        let last = tokens.last().ok_or("there are no tokens")?;
        fields.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {last}"))?);
    }
    Ok(fields)
}

/// On a thread and a runtime of its own: whoever asks may be inside another one.
fn wait<T: Send>(work: impl Future<Output = Result<T, Fault>> + Send) -> Result<T, Fault> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work));
        thread.join().map_err(|_| "asking has panicked")?
    })
}

impl Running {
    /// Waits until the right request is answered with 200 (or 202: a yes to a question), and sees that its twin is refused.
    ///
    /// # Errors
    /// [`Unavailable::Wrong`] says which of the two went wrong, and what the program said.
    pub fn checked(mut self, stand: &Stand) -> Result<Self, Unavailable> {
        self.answering(stand, |status| matches!(status, StatusCode::OK | StatusCode::ACCEPTED))?;
        if let Some((load, statuses)) = &self.refused {
            let status = ask(stand, load)?.status;
            if !statuses.contains(&status.as_u16()) {
                return Err(self.wrong(&format!("what must be refused is answered with {status}")));
            }
        }
        Ok(self)
    }

    /// Waits until it answers in this way.
    ///
    /// # Errors
    /// [`Unavailable::Wrong`] with the last answer, when it has ended or has had time enough.
    pub fn answering(&mut self, stand: &Stand, wanted: impl Fn(StatusCode) -> bool) -> Result<(), Unavailable> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let problem = match ask(stand, &self.load) {
                Ok(answer) if wanted(answer.status) => return Ok(()),
                Ok(answer) => format!("what must pass is answered with {}", answer.status),
                Err(problem) => format!("no answer: {}", whole(&*problem)),
            };
            if self.processes.iter_mut().any(|process| process.try_wait().is_ok_and(|status| status.is_some())) {
                return Err(self.wrong("it has ended"));
            }
            if Instant::now() > deadline {
                return Err(self.wrong(&problem));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wrong(&self, why: &str) -> Unavailable {
        Unavailable::Wrong(format!("{why}; {}", last_words(&self.log)))
    }
}

/// A problem and its causes.
fn whole(problem: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(problem), |problem| problem.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl Load {
    /// What a browser would send; nothing yet says who it is.
    pub fn usual(address: std::net::SocketAddr, transport: Transport, path: &str) -> Self {
        let headers = [
            ("Host", HOST),
            ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
            ("Accept", "*/*"),
            ("Accept-Language", "en-GB,en;q=0.9"),
            ("Accept-Encoding", "gzip, deflate, br"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { address, transport, path: path.to_owned(), headers, tokens: Tokens::Same }
    }

    /// The same with one field more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.with(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// A session cookie between two others.
    #[must_use]
    pub fn session(self, cookie: &str) -> Self {
        self.with(COOKIE.as_str(), &format!("theme=dark; {cookie}; lang=en"))
    }
}
