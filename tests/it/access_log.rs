//! Which requests have a line in the access log, by what the configuration says.

use std::sync::Arc;

use doorward_tests::asker::{Asker, HOOKS, Kind, Request};
use doorward_tests::recorder::{Recorder, ok};
use doorward_tests::scene::{APP, Plan, Scene};

/// Requests that pass, are refused, and are not answered by the app; one that is none; and two questions of another proxy. The paths
/// tell the rounds apart.
async fn one_of_each(scene: &Scene, round: &str) {
    let ask = async |path: &str| scene.ask(APP, "GET", path, &[]).await.status;
    assert_eq!(ask(&format!("/public/{round}")).await, 200);
    assert_eq!(ask(&format!("/closed/{round}")).await, 403);
    assert_eq!(ask(&format!("/public/{round}/break")).await, 502);
    let mut raw = scene.raw(APP).await;
    raw.send(format!("GET /{round} HTTP/1.1\r\nhost: {APP}\r\nhost: {APP}\r\n\r\n").as_bytes()).await;
    assert_eq!(raw.answer().await.unwrap().status, 400);
    let asker = Asker::of(scene);
    let hook = async |path: &str| asker.ask(Kind::Traefik, &Request::get(APP, path)).await.status;
    assert_eq!(hook(&format!("/public/{round}/hook")).await, 200);
    assert_eq!(hook(&format!("/closed/{round}/hook")).await, 403);
}

/// The paths of that round which have a line, and how many lines there are of what was no request.
async fn lines(scene: &Scene, round: &str) -> (Vec<String>, usize) {
    let log = scene.log().await;
    let paths = log.iter().filter_map(|line| line["path"].as_str()).filter(|path| path.contains(&format!("/{round}")));
    (paths.map(|path| path.replace(round, "")).collect(), log.iter().filter(|line| line["decision"] == "refuse").count())
}

#[tokio::test]
async fn each_setting_has_the_lines_that_it_says_and_the_next_one_takes_its_place() {
    let app = Recorder::answering(Arc::new(|request| (!request.target().contains("break")).then(|| ok("canary")))).await;
    let scene = Scene::in_front_of(Plan { server: HOOKS.into(), ..Plan::default() }, app).await;
    let all = ["/public/", "/closed/", "/public//break", "/public//hook", "/closed//hook"];
    let refused = ["/closed/", "/public//break", "/closed//hook"];
    one_of_each(&scene, "unsaid").await;
    let (paths, no_requests) = lines(&scene, "unsaid").await;
    assert_eq!((paths, no_requests), (all.map(str::to_owned).to_vec(), 1));
    let write = |value: &str| format!("  drain: 5s\n  access_log: {value}\n");
    scene.reconfigure(|text| text.replace("  drain: 5s\n", &write("refused"))).await;
    for (setting, expected, next) in [("refused", &refused[..], "off"), ("off", &[][..], "all"), ("all", &all[..], "off")] {
        let before = lines(&scene, setting).await.1;
        one_of_each(&scene, setting).await;
        let (paths, no_requests) = lines(&scene, setting).await;
        assert_eq!(paths, expected, "{setting}");
        assert_eq!(no_requests - before, usize::from(setting != "off"), "{setting}");
        scene.reconfigure(|text| text.replace(&write(setting), &write(next))).await;
    }
    // Metrics count all the same.
    let counted = scene.metric("doorward_requests_total{code=\"4xx\",route=\"app\"}").await;
    assert!(counted >= 4.0, "{counted}");
    assert_eq!(scene.metric("doorward_access_log_lines_lost").await, 0.0);
}
