//! The certified provider as a process; it needs Node and the packages of this folder.

use std::collections::HashMap;
use std::path::PathBuf;
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

/// What is unusual about a tenant.
#[derive(Debug, Clone)]
pub struct IdpPlan {
    /// 0: any that is free.
    pub port: u16,
    /// The port that it names in its addresses, when a test's own proxy stands in front.
    pub named_port: Option<u16>,
    /// Whole URLs that sign-ins may lead back to, and those that sign-outs may.
    pub redirect_uris: Vec<String>,
    pub logout_uris: Vec<String>,
    /// Who is told when somebody signs out (Back-Channel Logout 1.0 §2.2).
    pub backchannel: Option<String>,
    /// PEM of the authority that signed the certificate there.
    pub authority: Option<PathBuf>,
    /// Seconds that an access token counts.
    pub token_lifetime: u64,
    /// So many people called u0, u1 … instead of the usual ones.
    pub crowd: usize,
}

impl IdpPlan {
    fn settings(&self) -> Value {
        let mut web = json!({
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uris": self.redirect_uris,
            "post_logout_redirect_uris": self.logout_uris,
        });
        if let Some(url) = &self.backchannel {
            web["backchannel_logout_uri"] = json!(url);
            web["backchannel_logout_session_required"] = json!(true);
        }
        let machine = json!({ "client_id": MACHINE_ID, "client_secret": MACHINE_SECRET, "grant_types": ["client_credentials"] });
        let mut settings = json!({ "port": self.port, "logout_urls": self.logout_uris, "clients": [web, machine] });
        let api = |scope: &str| json!({ "scope": scope, "token_lifetime": self.token_lifetime, "signing_alg": "RS256" });
        settings["apis"] = json!({ AUDIENCE: api("read:items write:items device:read device:admin"), OTHER_AUDIENCE: api("other:read") });
        if let Some(port) = self.named_port {
            settings["named_port"] = json!(port);
        }
        if self.crowd > 0 {
            let person = |number| {
                let nickname = format!("u{number}");
                let rest = json!({ "roles": [], "permissions": [], "orgs": [], "email_verified": true });
                let mut person = json!({ "password": PASSWORD, "email": format!("{nickname}@acme.dev"), "name": nickname });
                person.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
                (format!("auth0|{nickname}"), person)
            };
            settings["users"] = (0..self.crowd).map(person).collect::<serde_json::Map<_, _>>().into();
        }
        settings
    }
}

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
        Self::planned(&IdpPlan {
            port,
            named_port: None,
            redirect_uris: at(callback),
            logout_uris: at("/"),
            backchannel: None,
            authority: None,
            token_lifetime: 86_400,
            crowd: 0,
        })
        .await
    }

    pub async fn planned(plan: &IdpPlan) -> Self {
        let settings = plan.settings();
        let mut command = Command::new(tools::node());
        command.arg(tools::package().join("idp/idp.mjs")).arg("-");
        if let Some(authority) = &plan.authority {
            command.env("NODE_EXTRA_CA_CERTS", authority);
        }
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

    /// Status of every answer at this path, in order.
    pub async fn statuses(&self, path: &str) -> Vec<u64> {
        let log = self.control("log", json!({})).await;
        let entries = log["entries"].as_array().expect("`entries` is a list");
        entries.iter().filter(|entry| entry["path"] == path).filter_map(|entry| entry["status"].as_u64()).collect()
    }

    /// Changes how the tenant behaves; `control.mjs` says what there is.
    pub async fn switch(&self, switches: Value) {
        self.control("config", switches).await;
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
