//! The sample apps: what they show by headers alone.

use doorward_demo::{App, AppKind};

use crate::client::{Answer, send};

const EDDIE: [(&str, &str); 3] = [("X-Auth-User", "auth0|eddie"), ("X-Auth-Roles", "editor"), ("X-Auth-Name", "Eddie <b>Editor")];
const VERA: [(&str, &str); 2] = [("X-Auth-User", "auth0|vera"), ("X-Auth-Roles", "viewer")];
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

async fn get(app: &App, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(app.address(), &format!("GET {path}"), headers, "").await
}

#[tokio::test]
async fn the_cms_lets_editors_write_and_viewers_read() {
    let cms = App::start(AppKind::Cms).await.expect("an app");
    assert!(get(&cms, "/articles", &EDDIE).await.body.contains("New article"));
    assert!(!get(&cms, "/articles", &VERA).await.body.contains("New article"));

    let article = "title=Tea+%3C&text=It+is+%3Cscript%3E+ready";
    let refused = send(cms.address(), "POST /articles", &[VERA[0], VERA[1], FORM], article).await;
    assert_eq!(refused.status, 403);
    let published = send(cms.address(), "POST /articles", &[EDDIE[0], EDDIE[1], EDDIE[2], FORM], article).await;
    let page = get(&cms, published.location(), &VERA).await.body;
    assert!(page.contains("Tea &lt;") && page.contains("by Eddie &lt;b&gt;Editor"), "{page}");
    assert!(!page.contains("<script"));
}

#[tokio::test]
async fn the_people_page_is_for_admins() {
    let cms = App::start(AppKind::Cms).await.expect("an app");
    assert_eq!(get(&cms, "/admin/", &EDDIE).await.status, 403);
    let admin = [("X-Auth-User", "auth0|ada"), ("X-Auth-Roles", "admin,editor")];
    let page = get(&cms, "/admin/", &admin).await;
    assert!(page.body.contains("Eddie"), "he was here before");
}

#[tokio::test]
async fn the_panel_shows_every_header_and_the_log_keeps_them() {
    let cms = App::start(AppKind::Cms).await.expect("an app");
    let page = get(&cms, "/", &[("X-Auth-User", "auth0|ada"), ("X-Odd", "<i>")]).await.body;
    let (user, odd) = (page.find("X-Auth-User"), page.find("X-Odd"));
    assert!(user < odd && user.is_some(), "the identity comes first");
    assert!(page.contains("&lt;i&gt;"));
    let received = cms.last_received("/").expect("a request");
    assert_eq!((received.method.as_str(), received.header("x-odd")), ("GET", Some("<i>")));
    let echo = send(cms.address(), "PUT /echo?a=1", &[("X-Odd", "1")], "12345").await.json();
    assert_eq!((&echo["target"], &echo["body_bytes"]), (&"/echo?a=1".into(), &5.into()));
}

#[tokio::test]
async fn devices_are_restarted_by_those_who_may() {
    let iot = App::start(AppKind::Iot).await.expect("an app");
    let may = [("X-Auth-User", "auth0|ada"), ("X-Auth-Permissions", "device:read,device:admin")];
    assert!(get(&iot, "/", &may).await.body.contains("/devices/pump-1/restart"));
    assert!(!get(&iot, "/", &VERA).await.body.contains("/devices/pump-1/restart"));
    let restart = async |headers: &[(&str, &str)]| send(iot.address(), "POST /devices/pump-1/restart", headers, "").await.status;
    assert_eq!(restart(&VERA).await, 403);
    assert_eq!(restart(&may).await, 303);
    assert_eq!(get(&iot, "/api/devices/pump-1", &[]).await.json()["restarts"], 1);
    assert_eq!(get(&iot, "/api/devices/nope", &[]).await.status, 404);
}

#[tokio::test]
async fn stopping_does_not_wait_for_open_event_streams() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let iot = App::start(AppKind::Iot).await.expect("an app");
    let mut stream = tokio::net::TcpStream::connect(iot.address()).await.expect("a connection");
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("a request");
    let mut first = [0; 400];
    let read = stream.read(&mut first).await.expect("an answer");
    assert!(String::from_utf8_lossy(&first[..read]).contains("text/event-stream"));
    let stopped = tokio::time::timeout(std::time::Duration::from_millis(1500), iot.stop()).await;
    assert!(stopped.is_ok());
}
