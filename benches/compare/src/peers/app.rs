//! The app behind all of them: one nginx process that answers from memory.

use std::process::Child;

use super::nginx;
use super::requests::PAGE;
use crate::stand::{Fault, Stand};
use crate::system::{Load, Running, Transport};

/// What it answers: a small page of an API.
const ANSWER: &str = r#"{"items":[{"id":1,"name":"pump"},{"id":2,"name":"valve"}],"next":null,"total":2,"page":1,"of":1,"note":"a small answer of a usual kind"}"#;

/// Where it answers 202 to whoever shows a token, and 401 to others: for proxies that cannot do that themselves.
pub const YES: &str = "/_yes";

/// The app at work. Dropping it ends it.
#[derive(Debug)]
pub struct App(Running);

impl App {
    /// Its processes.
    pub fn processes(&self) -> &[Child] {
        &self.0.processes
    }
}

/// Starts it where the stand says, and waits until it answers.
///
/// # Errors
/// When there is no nginx, or it does not start.
pub fn start(stand: &Stand) -> Result<App, Fault> {
    let at = stand.folder.join("app");
    std::fs::create_dir_all(&at)?;
    let text = format!(
        "{}    server {{
        listen {app} backlog=4096;
        location / {{
            default_type application/json;
            return 200 '{ANSWER}';
        }}
        location = {YES} {{
            if ($http_authorization = \"\") {{ return 401; }}
            return 202;
        }}
    }}
}}
",
        nginx::head(&at, 1),
        app = stand.app,
    );
    let (process, log) = nginx::run(&at, &text).map_err(|why| why.to_string())?;
    let load = Load::usual(stand.app, Transport::Plain, PAGE);
    let running = Running { processes: vec![process], log, load, refused: None };
    Ok(App(running.checked(stand).map_err(|why| format!("the app: {why}"))?))
}
