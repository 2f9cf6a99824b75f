//! What a line says.

use std::net::IpAddr;
use std::time::Duration;

use crate::gate::ShadowLine;
use crate::log_text::Object;

/// Something that has a line.
pub trait Put {
    /// Appends it, without a line end.
    fn put(&self, out: &mut Vec<u8>);
}

/// One request.
#[derive(Debug)]
pub struct Line<'l> {
    /// Milliseconds since 1970.
    pub time: u64,
    pub request_id: &'l str,
    pub client: IpAddr,
    /// How another proxy asked; absent where we are the proxy.
    pub dialect: Option<&'static str>,
    pub method: &'l str,
    pub host: &'l str,
    pub path: &'l str,
    pub protocol: &'static str,
    pub status: u16,
    pub route: Option<&'l str>,
    pub rule: Option<&'l str>,
    pub decision: &'static str,
    pub reason: &'static str,
    pub subject: Option<&'l str>,
    pub upstream: Option<&'l str>,
    pub error: Option<&'l str>,
    pub took: Duration,
    pub sent: u64,
    /// What rules that are not enforced would have said.
    pub shadow: Vec<ShadowLine<'l>>,
}

/// A connection or request that was refused before there was anything to decide about.
#[derive(Debug)]
pub struct RefusedLine<'l> {
    pub time: u64,
    pub request_id: &'l str,
    pub client: IpAddr,
    pub status: Option<u16>,
    pub decision: &'static str,
    pub reason: &'static str,
}

impl Put for Line<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        object.number("time", self.time);
        object.text("request_id", self.request_id);
        object.address("client", self.client);
        if let Some(dialect) = self.dialect {
            object.word("dialect", dialect);
        }
        object.text("method", self.method);
        object.text("host", self.host);
        object.text("path", self.path);
        object.word("protocol", self.protocol);
        object.number("status", self.status.into());
        object.known_text("route", self.route);
        object.known_text("rule", self.rule);
        object.word("decision", self.decision);
        object.word("reason", self.reason);
        object.known_text("subject", self.subject);
        object.known_text("upstream", self.upstream);
        object.known_text("error", self.error);
        object.millis("duration_ms", self.took);
        object.number("sent", self.sent);
        if !self.shadow.is_empty() {
            object.value("shadow", &self.shadow);
        }
        object.end();
    }
}

impl Put for RefusedLine<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        object.number("time", self.time);
        object.text("request_id", self.request_id);
        object.address("client", self.client);
        if let Some(status) = self.status {
            object.number("status", status.into());
        }
        object.word("decision", self.decision);
        object.word("reason", self.reason);
        object.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(line: &impl Put) -> Value {
        let mut bytes = Vec::new();
        line.put(&mut bytes);
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn a_line_says_what_is_known_and_nothing_of_what_is_not() {
        let mut line = Line {
            time: 1_763_000_000_123,
            request_id: "238d3fe3d9ed1c4f00000008",
            client: IpAddr::from([192, 0, 2, 7]),
            dialect: None,
            method: "GET",
            host: "cms.acme.dev",
            path: "/a \"b\"\\",
            protocol: "h2",
            status: 200,
            route: None,
            rule: None,
            decision: "allow",
            reason: "public",
            subject: None,
            upstream: None,
            error: None,
            took: Duration::from_micros(1_020),
            sent: 0,
            shadow: Vec::new(),
        };
        let least = json!({
            "time": 1_763_000_000_123_u64, "request_id": "238d3fe3d9ed1c4f00000008", "client": "192.0.2.7", "method": "GET",
            "host": "cms.acme.dev", "path": "/a \"b\"\\", "protocol": "h2", "status": 200, "decision": "allow", "reason": "public",
            "duration_ms": 1.02, "sent": 0,
        });
        assert_eq!(read(&line), least);
        line.dialect = Some("nginx");
        (line.route, line.rule, line.subject) = (Some("cms"), Some("cms/1"), Some("auth0|\u{e9}"));
        (line.upstream, line.error, line.client) = (Some("10.0.0.5:3000"), Some("read_timeout"), "2001:db8::7".parse().unwrap());
        line.shadow = vec![ShadowLine { rule: "cms/2", decision: "deny", reason: "role" }];
        let mut most = least;
        for (key, value) in [
            ("dialect", json!("nginx")),
            ("route", json!("cms")),
            ("rule", json!("cms/1")),
            ("subject", json!("auth0|\u{e9}")),
            ("upstream", json!("10.0.0.5:3000")),
            ("error", json!("read_timeout")),
            ("client", json!("2001:db8::7")),
            ("shadow", json!([{ "rule": "cms/2", "decision": "deny", "reason": "role" }])),
        ] {
            most[key] = value;
        }
        assert_eq!(read(&line), most);
    }

    #[test]
    fn log_02_a_line_is_one_line_whatever_the_client_sent() {
        let request_id = "a\n\u{1b}]0;x\u{7}\u{7f}\u{9b}\u{2028}\u{202e}\u{1f36a}\"\\";
        let client = IpAddr::from([127, 0, 0, 1]);
        let line = RefusedLine { time: 1, request_id, client, status: Some(400), decision: "refuse", reason: "x" };
        let mut bytes = Vec::new();
        line.put(&mut bytes);
        assert!(bytes.iter().all(|byte| (0x20..=0x7e).contains(byte)), "{bytes:?}");
        let expected =
            json!({ "time": 1, "request_id": request_id, "client": "127.0.0.1", "status": 400, "decision": "refuse", "reason": "x" });
        assert_eq!(read(&line), expected);
        assert_eq!(read(&RefusedLine { status: None, ..line }).get("status"), None);
    }
}
