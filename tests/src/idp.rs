//! The certified provider as a process; it needs Node and the packages of this folder.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::{RequestBuilder, redirect};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::process::Process;
use crate::{scene, tools};

pub const CLIENT_ID: &str = "doorward-e2e";
pub const CLIENT_SECRET: &str = "the-secret-of-the-web-client";
pub const MACHINE_ID: &str = "machine";
pub const MACHINE_SECRET: &str = "the-secret-of-the-machine";
pub const AUDIENCE: &str = "https://api.acme.dev";
pub const OTHER_AUDIENCE: &str = "https://other-api.acme.dev";
/// Everybody's.
pub const PASSWORD: &str = "demo";

const PATIENCE: Duration = Duration::from_secs(20);

/// A running tenant.
#[derive(Debug)]
pub struct Idp {
    process: Process,
    /// With its final slash.
    pub issuer: String,
    pub port: u16,
}

impl Idp {
    /// Starts the tenant for apps at these origins, which are told of a sign-in at `callback`.
    pub async fn start(port: u16, origins: &[String], callback: &str) -> Self {
        let at = |path: &str| origins.iter().map(|origin| format!("{origin}{path}")).collect::<Vec<_>>();
        let settings = json!({
            "port": port,
            "logout_urls": at("/"),
            "clients": [
                {
                    "client_id": CLIENT_ID,
                    "client_secret": CLIENT_SECRET,
                    "redirect_uris": at(callback),
                    "post_logout_redirect_uris": at("/"),
                },
                { "client_id": MACHINE_ID, "client_secret": MACHINE_SECRET, "grant_types": ["client_credentials"] },
            ],
        });
        let mut command = Command::new(tools::node());
        command.arg(tools::package().join("idp/idp.mjs")).arg("-");
        let mut process = Process::start("the provider", command, Some(&format!("{settings}\n"))).await;
        let ready = process.line(Duration::from_secs(30), |line| serde_json::from_str::<Value>(line.strip_prefix("ready ")?).ok()).await;
        let issuer = ready["issuer"].as_str().expect("`ready` names the issuer").to_owned();
        let port = ready["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("`ready` names the port");
        Self { process, issuer, port }
    }

    /// Ends the process; its port refuses connections from then on.
    pub async fn stop(&mut self) {
        self.process.kill().await;
    }

    /// The key that was published as the next one signs from now on.
    pub async fn rotate_keys(&self) {
        self.control("rotate", json!({})).await;
    }

    /// How many requests came to each path.
    pub async fn counts(&self) -> HashMap<String, u64> {
        let log = self.control("log", json!({})).await;
        serde_json::from_value(log["counts"].clone()).expect("`counts` maps paths to numbers")
    }

    /// An access token for a program (RFC 6749 §4.4).
    pub async fn machine_token(&self, audience: &str, scope: &str) -> String {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", MACHINE_ID),
            ("client_secret", MACHINE_SECRET),
            ("audience", audience),
            ("scope", scope),
        ];
        let request = plain().post(format!("{}oauth/token", self.issuer)).form(&form);
        let answer: Value = send(request).await.json().await.expect("the token endpoint answers JSON");
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no access token: {answer}")).to_owned()
    }

    async fn control(&self, name: &str, body: Value) -> Value {
        let request = plain().post(format!("{}__test/{name}", self.issuer)).json(&body);
        send(request).await.json().await.expect("the control answers JSON")
    }
}

/// A client for plain http on loopback.
fn plain() -> reqwest::Client {
    scene::install();
    reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(PATIENCE).build().expect("a client")
}

async fn send(request: RequestBuilder) -> reqwest::Response {
    request.send().await.unwrap_or_else(|problem| panic!("no answer: {problem:?}"))
}
