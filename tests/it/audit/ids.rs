//! One id on the page, in the answer, in the access log and in the audit log, whoever shows it.

use doorward_tests::asker::{Asker, Kind, Request};
use doorward_tests::client::{Answer, Browser};
use doorward_tests::scene::{APP, Plan, Scene};

use super::{id, lines};

const HOOKS: &str = "  limits: { connections_per_client: 1000 }\n  audit_log: { file: audit.jsonl }\n  hooks: { listen: [\"127.0.0.1:0\"], trusted_peers: [127.0.0.1/32] }\n";

async fn rig() -> (Scene, Browser) {
    let scene = Scene::with(Plan { server: HOOKS.into(), ..Plan::default() }).await;
    let browser = scene.signed_in(APP, "vera").await;
    (scene, browser)
}

/// One line in each log has the id of this answer, and says the same.
async fn assert_logged(scene: &Scene, name: &str, answer: &Answer) {
    let of = |lines: Vec<serde_json::Value>| {
        let mut own = lines.into_iter().filter(|line| line["request_id"] == id(answer));
        let line = own.next().unwrap_or_else(|| panic!("{name}: no line"));
        assert_eq!(own.next(), None, "{name}");
        line
    };
    let (access, audit) = (of(scene.log().await), of(lines(scene).await));
    assert_eq!(audit["event"], "denial", "{name}");
    for field in ["client", "method", "host", "path", "route", "rule", "decision", "reason"] {
        assert_eq!(access[field], audit[field], "{name}: {field}");
    }
}

#[tokio::test]
async fn log_05_a_page_a_script_and_grpc_are_told_the_id_that_is_in_both_logs() {
    let (scene, mut browser) = rig().await;
    let page = browser.go("/admin/x").await;
    assert_eq!(page.status, 403);
    assert!(page.text().contains(&format!("<code>{}</code>", id(&page))), "{}", page.text());
    assert_logged(&scene, "page", &page).await;
    let script = browser.fetch("/admin/x").await;
    assert_eq!((script.status, script.json()["request_id"].as_str()), (403, Some(id(&script))));
    assert_logged(&scene, "script", &script).await;
    // gRPC has no place for a text of its own: its callers see fields.
    let grpc = browser.request("POST", "/admin/x", &[("content-type", "application/grpc")], b"").await;
    assert_eq!((grpc.status, grpc.field("grpc-status")), (200, Some("7")));
    assert_logged(&scene, "gRPC", &grpc).await;
    let unknown = scene.browser(APP).go("/closed/x").await;
    assert!(unknown.text().contains(id(&unknown)));
    assert_logged(&scene, "nobody", &unknown).await;
}

#[tokio::test]
async fn log_05_whoever_asks_for_another_proxy_passes_on_the_id_that_is_in_both_logs() {
    let (scene, browser) = rig().await;
    let asker = Asker::of(&scene);
    let cookie = browser.cookie();
    let visit = Request::visit(APP, "/admin/x").with("cookie", &cookie);
    for kind in Kind::ALL {
        let answer = asker.ask(kind, &visit).await;
        assert_eq!(answer.status, 403, "{kind:?}");
        // nginx shows a page that it asks for in a second question.
        let shown = match kind {
            Kind::Nginx => {
                assert_logged(&scene, "nginx's first question", &answer).await;
                asker.send(visit.question(kind).replacen("/check/nginx ", "/check/nginx/refusal ", 1)).await
            }
            _ => answer,
        };
        assert!(shown.text().contains(&format!("<code>{}</code>", id(&shown))), "{kind:?}: {}", shown.text());
        assert_logged(&scene, &format!("{kind:?}"), &shown).await;
    }
    let lines = lines(&scene).await;
    assert_eq!(lines.iter().filter(|line| line["hook"] == true).count(), Kind::ALL.len() + 1);
    assert_eq!(lines.iter().filter(|line| line["again"] == true).count(), 1, "the second question is told from the first");
}
