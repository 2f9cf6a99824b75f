//! The requests that are tried: who, where, how, and with what a client may add to look like somebody else.

mod fields;
mod framing;
mod people;
mod targets;

use doorward_tests::scene::Scene;
use doorward_tests::variety::{self, Holder};

/// One request, byte for byte.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub bytes: Vec<u8>,
    /// What readers that repair these bytes make of them: requests that read in one way.
    pub repaired: Vec<Vec<u8>>,
}

impl Case {
    fn repaired(mut self, request: Request) -> Self {
        self.repaired.push(request.bytes());
        self
    }

    /// Whether the client sent this text.
    pub fn contains(&self, text: &str) -> bool {
        self.bytes.windows(text.len().max(1)).any(|window| window == text.as_bytes())
    }
}

/// A request to be written down.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: Vec<u8>,
    host: Option<String>,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    fn to(host: &str, target: impl AsRef<[u8]>) -> Self {
        Self { method: "GET".into(), target: target.as_ref().to_vec(), host: Some(host.into()), fields: Vec::new(), body: Vec::new() }
    }

    fn by(self, method: &str) -> Self {
        Self { method: method.into(), ..self }
    }

    fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// As a browser that goes somewhere.
    fn visiting(self) -> Self {
        self.with("sec-fetch-mode", "navigate").with("sec-fetch-dest", "document").with("accept", "text/html")
    }

    fn holding(mut self, holder: &Holder) -> Self {
        self.fields.extend(holder.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes())));
        self
    }

    fn body(self, body: &[u8]) -> Self {
        let length = body.len().to_string();
        Self { body: body.to_vec(), ..self }.with("content-length", length)
    }

    /// With the two values of a field in one (RFC 9110 §5.3); `None` where there are no two.
    fn joined(&self, name: &str) -> Option<Self> {
        let mut values = self.fields.iter().filter(|(own, _)| own == name).map(|(_, value)| value);
        let joined = [values.next()?.as_slice(), values.next()?.as_slice()].join(&b","[..]);
        let mut request = self.clone();
        request.fields.retain(|(own, _)| own != name);
        Some(request.with(name, joined))
    }

    fn called(self, name: impl Into<String>) -> Case {
        Case { name: name.into(), bytes: self.bytes(), repaired: Vec::new() }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.method.as_bytes(), b" ", &self.target, b" HTTP/1.1\r\n"].concat();
        if let Some(host) = &self.host {
            bytes.extend([b"host: ", host.as_bytes(), b"\r\n"].concat());
        }
        for (name, value) in &self.fields {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

/// Everybody there is, for one host.
struct People(Vec<Holder>);

impl People {
    fn of(scene: &Scene, host: &str) -> Self {
        Self(variety::holders(scene, host))
    }

    fn named(&self, name: &str) -> &Holder {
        self.0.iter().find(|holder| holder.name == name).unwrap_or_else(|| panic!("nobody is called {name}"))
    }
}

/// All of them; `port` is the one in the address bar. No two have one name.
pub fn all(scene: &Scene, port: u16) -> Vec<Case> {
    let at = |host: &str| format!("{host}:{port}");
    let people = People::of(scene, "app.localhost");
    let mut cases = Vec::new();
    cases.extend(people::who_and_where(scene, port));
    cases.extend(targets::paths(&at("app.localhost"), &people));
    cases.extend(targets::own(&at("app.localhost"), &people));
    cases.extend(targets::methods(scene, port));
    cases.extend(fields::names(&at("app.localhost"), &people));
    cases.extend(fields::nominations(&at("app.localhost"), &people));
    cases.extend(targets::hosts(port, &people));
    cases.extend(fields::oddities(&at("app.localhost"), &people));
    cases.extend(framing::framing(&at("app.localhost"), &people));
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    assert!(twice.is_none(), "two cases have one name: {twice:?}");
    cases
}

/// What only a changed configuration would treat in a way of its own.
pub fn for_mutations(scene: &Scene, port: u16) -> Vec<Case> {
    let host = format!("app.localhost:{port}");
    let people = People::of(scene, "app.localhost");
    vec![
        Request::to(&host, "/old/x").holding(people.named("a viewer")).called("rewritten by a viewer"),
        Request::to(&host, "/private/x.js").called("a script by nobody"),
    ]
}
