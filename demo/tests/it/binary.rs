//! `doorward-demo` itself, with a shell script in the place of `doorward`.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A demo on free ports, with its files and its `doorward` in a directory of its own.
struct Demo {
    dir: tempfile::TempDir,
    ports: [u16; 3],
}

impl Demo {
    fn new(doorward: &str) -> Demo {
        let dir = tempfile::tempdir().expect("a directory");
        let script = dir.path().join("doorward");
        fs::write(&script, format!("#!/bin/sh\n{doorward}\n")).expect("a script");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).expect("rights");
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let ports = listeners.each_ref().map(|listener| listener.local_addr().expect("an address").port());
        Demo { dir, ports }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn command(&self, more: &[&str]) -> Command {
        let [port, tenant, admin] = self.ports.map(|port| port.to_string());
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward-demo"));
        command.args(["--port", &port, "--tenant-port", &tenant, "--admin-port", &admin]);
        command.arg("--data").arg(self.data()).arg("--doorward").arg(self.dir.path().join("doorward")).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, more: &[&str]) -> Output {
        self.command(more).output().expect("an end")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.data().join(name)).unwrap_or_default()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn check_only_prints_the_configuration_and_keeps_its_secrets() {
    let demo = Demo::new("exit 9");
    let first = demo.run(&["--check-only"]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let config = text(&first.stdout);
    assert_eq!(config, demo.read("doorward.yaml"));
    assert!(config.contains("kind: auth0") && config.contains("Never for production"));
    assert!(config.contains(&format!("domain: \"127.0.0.1:{}\"", demo.ports[1])));

    let kept = ["tls/ca.crt", "tls/server.crt", "tls/server.key", "secrets/session.key", "secrets/client"];
    let before = kept.map(|name| demo.read(name));
    assert!(before.iter().all(|text| !text.is_empty()));
    assert!(demo.run(&["--check-only"]).status.success());
    assert_eq!(kept.map(|name| demo.read(name)), before, "made once");
    for name in kept {
        assert_eq!(mode(&demo.data().join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&demo.data()), 0o700);
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("a file").permissions().mode() & 0o777
}

#[test]
fn a_taken_port_is_named_with_its_flag() {
    let demo = Demo::new("exit 9");
    for (index, flag) in ["--port", "--tenant-port", "--admin-port"].into_iter().enumerate() {
        let port = demo.ports[index];
        let _taken = TcpListener::bind(("127.0.0.1", port)).expect("the port");
        let refused = demo.run(&[]);
        assert_eq!(refused.status.code(), Some(1));
        assert_eq!(text(&refused.stderr), format!("error: port {port} is in use; choose another with {flag}\n"));
    }
}

#[test]
fn a_doorward_that_dies_is_reported_with_its_last_words() {
    let demo = Demo::new("echo 'unknown key `provders`' >&2; exit 78");
    let failed = demo.run(&[]);
    let error = text(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1));
    assert!(error.contains("doorward stopped by itself (exit status: 78)") && error.contains("unknown key `provders`"), "{error}");
    assert!(demo.read("doorward.log").contains("unknown key"));
}

#[test]
fn a_missing_doorward_is_explained() {
    let demo = Demo::new("exit 9");
    fs::remove_file(demo.dir.path().join("doorward")).expect("a file");
    let error = text(&demo.run(&[]).stderr);
    assert!(error.contains("there is no doorward at") && error.contains("--doorward"), "{error}");
}

#[test]
fn a_signal_stops_the_child_gracefully_and_is_a_good_end() {
    let demo = Demo::new("trap 'echo drained >&2; exit 0' TERM; echo started $1 $2 >&2; while :; do sleep 0.1; done");
    for signal in [Signal::TERM, Signal::INT] {
        let mut child = demo.command(&[]).spawn().expect("a demo");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !demo.read("doorward.log").contains("started serve --config") {
            assert!(Instant::now() < deadline, "the child did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        kill_process(Pid::from_child(&child), signal).expect("a signal");
        assert_eq!(child.wait().expect("an end").code(), Some(0));
        assert!(demo.read("doorward.log").contains("drained"));
        fs::remove_file(demo.data().join("doorward.log")).expect("a file");
        // Nothing is left behind on the ports.
        for port in demo.ports {
            TcpListener::bind(("127.0.0.1", port)).expect("a free port");
        }
    }
}
