//! The demo's `doorward.yaml`, in the product's own format.

use serde_json::json;

use super::data::Files;
use super::{Options, Problem, origin};
use crate::apps::App;
use crate::page;
use crate::tenant::{AUDIENCE, CLIENT_ID};

/// The template's name ends in `.yaml`, so every value is written as a quoted JSON string, which is YAML too.
pub(super) fn render(options: &Options, files: &Files, cms: &App, iot: &App) -> Result<String, Problem> {
    let values = json!({
        "listen": format!("127.0.0.1:{}", options.port),
        "admin": format!("127.0.0.1:{}", options.admin_port),
        "certificate": files.certificate,
        "certificate_key": files.certificate_key,
        "tenant": format!("127.0.0.1:{}", options.tenant_port),
        "client_id": CLIENT_ID,
        "client_secret": files.client_secret,
        "audience": AUDIENCE,
        "session_key": files.session_key,
        "cms": cms.url(),
        "iot": iot.url(),
        "cors_origin": origin("cms", options.port),
    });
    page::render("doorward.yaml", values).map_err(|problem| Problem(format!("failed to write the configuration: {problem:#}")))
}
