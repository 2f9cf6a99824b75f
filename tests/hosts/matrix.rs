//! The same bytes through proxy mode and through a host proxy: what must not differ, and what may.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cases::{self, Case};
use crate::exceptions::{self, Exception};
use crate::outcome::{self, Difference};
use crate::stage::{Kind, Stage};

/// How a host proxy treats a case that it does not treat as proxy mode does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// It read the bytes as the plain request that the case names, and all is as proxy mode does with that one.
    Repaired,
    /// It refuses, or refuses otherwise.
    Stricter,
    /// The app is told less.
    Lost,
    /// The app is told the port that the client wrote.
    Port,
    /// It says yes to something by itself, and no app hears of it.
    Answered,
    /// None of these: nobody may do that.
    Wrong,
}

/// How the host proxy is spoken to; proxy mode always hears HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    Http1,
    /// Cases that it cannot say are left out.
    Http2,
}

/// What was found, by protocol and the name of the case.
pub type Findings = BTreeMap<(Protocol, String), (Finding, String)>;

/// Runs the cases through both, once through proxy mode and over each protocol through the host proxy.
pub async fn run(stage: &Stage, cases: &[Case], protocols: &[Protocol]) -> Findings {
    let (scene, edge) = (&stage.scene, stage.scene.address());
    let mut found = Findings::new();
    for case in cases {
        let proxy = outcome::of(scene, edge, &case.bytes).await;
        for protocol in protocols {
            let host = match protocol {
                Protocol::Http1 => Some(outcome::of(scene, stage.address(), &case.bytes).await),
                Protocol::Http2 => outcome::over_http2(scene, stage.address(), &case.bytes).await,
            };
            let Some(host) = host else { continue };
            let differences = outcome::compare(stage, case, &proxy, &host);
            if differences.is_empty() {
                continue;
            }
            let text = format!("{differences:?}");
            let mut finding = match &differences[..] {
                [Difference::Stricter(_)] => Finding::Stricter,
                [Difference::Lost(_)] => Finding::Lost,
                [Difference::Port(_)] => Finding::Port,
                [Difference::Answered(_)] => Finding::Answered,
                _ => Finding::Wrong,
            };
            for plain in &case.repaired {
                let plain = outcome::of(scene, edge, plain).await;
                if outcome::compare(stage, case, &plain, &host).is_empty() {
                    finding = Finding::Repaired;
                }
            }
            found.insert((*protocol, case.name.clone()), (finding, text));
        }
    }
    found
}

/// Every case, and every exception as it is written down: no more, and no less.
async fn try_all(kind: Kind) {
    let stage = Stage::start(kind).await;
    let cases = cases::all(&stage.scene, stage.port);
    assert!(cases.len() > 600, "{}", cases.len());
    let protocols = [Protocol::Http1, Protocol::Http2];
    let found = run(&stage, &cases, &protocols).await;
    let mut faults = Vec::new();
    for (case, protocol) in cases.iter().flat_map(|case| protocols.map(|protocol| (case, protocol))) {
        let expected = exceptions::of(kind, protocol, &case.name);
        match (found.get(&(protocol, case.name.clone())), expected) {
            (None, None) => {}
            (Some((finding, _)), Some(exception)) if *finding == exception.finding() => {}
            // Not everything can be said over HTTP/2.
            (None, Some(_)) if protocol == Protocol::Http2 => {}
            (None, Some(Exception { why, .. })) => faults.push(format!("{}: no longer an exception ({why})", case.name)),
            (Some((finding, text)), expected) => {
                let expected = expected.map(Exception::finding);
                faults.push(format!("{}, {protocol:?}: {finding:?}, expected {expected:?}: {text}", case.name));
            }
        }
    }
    for exception in exceptions::all(kind) {
        let applies = cases.iter().any(|case| exception.is_for(&case.name));
        assert!(applies, "no case is called `{}`", exception.case);
    }
    // The reader of its pipes may be a moment behind.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let said = stage.process.stderr();
    assert!(faults.is_empty(), "{} of {} cases:\n{}\n{said}", faults.len(), cases.len(), faults.join("\n"));
}

#[tokio::test]
async fn hook_04_nginx_lets_through_what_proxy_mode_does_and_tells_the_app_the_same() {
    try_all(Kind::Nginx).await;
}

#[tokio::test]
async fn hook_04_haproxy_lets_through_what_proxy_mode_does_and_tells_the_app_the_same() {
    try_all(Kind::Haproxy).await;
}

#[tokio::test]
async fn hook_04_caddy_lets_through_what_proxy_mode_does_and_tells_the_app_the_same() {
    try_all(Kind::Caddy).await;
}

#[tokio::test]
async fn hook_04_traefik_lets_through_what_proxy_mode_does_and_tells_the_app_the_same() {
    try_all(Kind::Traefik).await;
}

#[tokio::test]
async fn hook_04_envoy_lets_through_what_proxy_mode_does_and_tells_the_app_the_same() {
    try_all(Kind::Envoy).await;
}

#[tokio::test]
async fn hook_04_envoy_asking_over_grpc_lets_through_what_proxy_mode_does_and_tells_the_app_the_same() {
    try_all(Kind::EnvoyGrpc).await;
}
