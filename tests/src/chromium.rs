//! Chromium, driven by the scripts in `browser/`. Each script prints one line of JSON: what it found, or what failed.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::Process;
use crate::tools;

/// Where the screenshots go: `DOORWARD_SCREENSHOTS`, or a folder that goes with the test.
struct Screenshots {
    folder: PathBuf,
    _temporary: Option<TempDir>,
}

impl Screenshots {
    fn new() -> Self {
        if let Some(folder) = std::env::var_os("DOORWARD_SCREENSHOTS") {
            let folder = PathBuf::from(folder);
            std::fs::create_dir_all(&folder).unwrap_or_else(|problem| panic!("failed to make `{}`: {problem}", folder.display()));
            return Self { folder, _temporary: None };
        }
        let temporary = tempfile::tempdir().expect("a temporary folder");
        Self { folder: temporary.path().to_owned(), _temporary: Some(temporary) }
    }
}

/// Runs a script to its end; answers what it reports.
///
/// # Errors
/// What it said, when it failed or reported nothing.
pub async fn run(script: &str, mut settings: Value) -> Result<Value, String> {
    let screenshots = Screenshots::new();
    settings["chromium"] = json!(tools::chromium());
    settings["screenshots"] = json!(screenshots.folder);
    let mut command = Command::new(tools::node());
    command.arg(tools::package().join("browser").join(script)).env("DOORWARD_BROWSER_TEST", settings.to_string());
    let mut process = Process::start("the browser script", command, None).await;
    let status = process.ended(Duration::from_secs(150)).await;
    let report = process.stdout().lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
    report.filter(|_| status.success()).ok_or_else(|| format!("{script} ended with {status}\n{}", process.said()))
}
