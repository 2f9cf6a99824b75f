//! Files that change by themselves, as editors, Kubernetes and people change them; and SIGHUP to the program.

use std::path::Path;
use std::time::{Duration, Instant};

use doorward_tests::process::Process;
use doorward_tests::scene::{APP, Plan, Scene};
use tokio::process::Command;

use super::until;
use crate::command_line::binary;

async fn followed(plan: Plan) -> Scene {
    let scene = Scene::with(plan).await;
    scene.edge().reloader().follow_files();
    scene
}

async fn closed(scene: &Scene) -> bool {
    scene.ask(APP, "GET", "/closed/x", &[]).await.status == 403
}

#[tokio::test]
async fn adv_aut_06_a_changed_file_counts_soon_however_it_was_written() {
    let scene = followed(Plan::default()).await;
    let path = scene.configuration();
    let good = std::fs::read_to_string(&path).unwrap();
    let open = good.replace("allow: nobody", "allow: public");
    type Write<'w> = &'w dyn Fn(&str);
    let ways: [(&str, Write<'_>); 3] = [
        ("in its place", &|text| std::fs::write(&path, text).unwrap()),
        ("by renaming", &|text| {
            let new = path.with_extension("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(&new, &path).unwrap();
        }),
        ("removed and made again", &|text| {
            std::fs::remove_file(&path).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            std::fs::write(&path, text).unwrap();
        }),
    ];
    for (name, write) in ways {
        for (text, closes) in [(&open, false), (&good, true)] {
            write(text);
            let begun = Instant::now();
            until(name, async || closed(&scene).await == closes).await;
            assert!(begun.elapsed() < Duration::from_secs(5), "{name}: {:?}", begun.elapsed());
        }
    }
}

#[tokio::test]
async fn adm_02_a_file_that_is_half_written_is_no_outage_and_tried_again_with_its_next_change() {
    let scene = followed(Plan::default()).await;
    let path = scene.configuration();
    let open = std::fs::read_to_string(&path).unwrap().replace("allow: nobody", "allow: public");
    std::fs::write(&path, &open[..open.len() - 20]).unwrap();
    until("it is noticed", async || scene.metric("doorward_config_last_reload_success").await == 0.0).await;
    assert!(closed(&scene).await);
    std::fs::write(&path, &open).unwrap();
    until("the rest of it counts", async || !closed(&scene).await).await;
    assert_eq!(scene.metric("doorward_config_last_reload_success").await, 1.0);
    // A secret that the new one names, and that comes later.
    std::fs::write(
        &path,
        open.replace("{ file: secret }", "{ file: late }")
            .replace("allow: public }\n      - { path: \"/lan", "allow: nobody }\n      - { path: \"/lan"),
    )
    .unwrap();
    until("it is missed", async || scene.metric("doorward_config_last_reload_success").await == 0.0).await;
    assert!(!closed(&scene).await);
    std::fs::write(scene.folder.path().join("late"), "a secret that came late").unwrap();
    until("it is there", async || closed(&scene).await).await;
}

#[tokio::test]
async fn a_swapped_link_of_kubernetes_is_a_change() {
    let scene = Scene::start().await;
    let mounted = scene.folder.path().join("mounted");
    let write = |version: &str, text: &str| {
        let directory = mounted.join(version);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("doorward.yaml"), text).unwrap();
        std::os::unix::fs::symlink(version, mounted.join("..new")).unwrap();
        std::fs::rename(mounted.join("..new"), mounted.join("..data")).unwrap();
    };
    let folder = scene.folder.path().display().to_string();
    let good = std::fs::read_to_string(scene.configuration()).unwrap();
    let good = ["secret", "session.key"]
        .iter()
        .fold(good, |text, file| text.replace(&format!("file: {file} "), &format!("file: {folder}/{file} ")));
    let good = good
        .replace("file: session.key}", &format!("file: {folder}/session.key}}"))
        .replace("cert: tls.crt, key: tls.key", &format!("cert: {folder}/tls.crt, key: {folder}/tls.key"));
    write("..2026_1", &good);
    std::os::unix::fs::symlink(Path::new("..data").join("doorward.yaml"), mounted.join("doorward.yaml")).unwrap();
    let path = mounted.join("doorward.yaml");
    let loaded = doorward_config::load(&path).unwrap_or_else(|report| panic!("{report}"));
    scene.edge().reloader().read_from(&path, loaded.files);
    scene.edge().reloader().follow_files();
    for (version, allow, closes) in [("..2026_2", "public", false), ("..2026_3", "nobody", true)] {
        write(version, &good.replace("allow: nobody", &format!("allow: {allow}")));
        until(version, async || closed(&scene).await == closes).await;
    }
}

#[tokio::test]
async fn sighup_reads_the_configuration_again_and_the_program_goes_on() {
    let scene = Scene::start().await;
    let path = scene.folder.path().join("program.yaml");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = std::fs::read_to_string(scene.configuration()).unwrap().replace("admin: 127.0.0.1:0", &format!("admin: 127.0.0.1:{port}"));
    std::fs::write(&path, &text).unwrap();
    let mut command = Command::new(binary());
    command.args(["serve", "--config", path.to_str().unwrap()]);
    let mut process = Process::start("doorward", command, None).await;
    let metric = async || {
        let text = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await.ok()?.text().await.ok()?;
        text.lines().find_map(|line| line.strip_prefix("doorward_config_last_reload_success ")).map(str::to_owned)
    };
    until("it serves", async || metric().await.as_deref() == Some("1")).await;
    // The file follows itself; a signal asks again whatever it holds.
    std::fs::write(&path, text.replace("cores: 2", "cores: 3")).unwrap();
    until("it was refused", async || metric().await.as_deref() == Some("0")).await;
    process.hang_up().await;
    until("the signal asked", async || process.stderr().contains("was not reloaded") && process.stderr().contains("by=\"signal\"")).await;
    assert!(process.stderr().contains("`server.cores` cannot change while Doorward runs"), "{}", process.stderr());
    std::fs::write(&path, text).unwrap();
    process.hang_up().await;
    until("it was asked again", async || metric().await.as_deref() == Some("1")).await;
    process.must_be_running();
}
