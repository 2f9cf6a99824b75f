//! Real Redis servers on loopback, each with a folder and a port of its own: alone, behind a sentinel, or as a cluster.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use doorward_config::settings::{Redis, RedisTopology};
use doorward_policy::secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::ports::free_port;

/// The address of all of them.
pub const HOST: &str = "127.0.0.1";
/// How long a server may take to answer after its start.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is unusual about a server.
#[derive(Debug, Clone, Default)]
pub struct RedisPlan {
    /// Of the default user.
    pub password: Option<&'static str>,
    pub tls: bool,
    /// Further options, as on its command line.
    pub options: Vec<String>,
    /// `redis-server --sentinel`.
    pub is_sentinel: bool,
}

impl RedisPlan {
    pub fn with(options: &[&str]) -> Self {
        Self { options: options.iter().map(|option| (*option).to_owned()).collect(), ..Self::default() }
    }
}

/// A server. Every change is on its disk before it answers. Dropping it kills it.
#[derive(Debug)]
pub struct RedisServer {
    plan: RedisPlan,
    port: u16,
    folder: TempDir,
    ca: Option<Vec<u8>>,
    child: Option<Child>,
}

impl RedisServer {
    pub fn start() -> Self {
        Self::planned(RedisPlan::default())
    }

    pub fn planned(plan: RedisPlan) -> Self {
        let mut server = Self::stopped(plan);
        server.start_again();
        server
    }

    /// Ready to be started, with a port that is free until then.
    pub fn stopped(plan: RedisPlan) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ca = plan.tls.then(|| write_certificates(folder.path()));
        Self { port: ports(), plan, folder, ca, child: None }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate that signed this server's, in PEM.
    pub fn ca(&self) -> Option<&[u8]> {
        self.ca.as_deref()
    }

    /// How Doorward reaches it.
    pub fn settings(&self, prefix: &str) -> Redis {
        Redis {
            topology: RedisTopology::Single { host: HOST.to_owned(), port: self.port },
            tls: self.plan.tls,
            ca: self.ca.clone(),
            username: None,
            password: self.plan.password.map(|password| Secret::new(password.to_owned())),
            database: 0,
            prefix: prefix.to_owned(),
        }
    }

    /// As `kill -9` does: nothing is written that was not.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("redis-server is killed");
            child.wait().expect("redis-server has ended");
        }
    }

    /// It stops in the middle of whatever it does: connections stay, and nobody answers.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("redis-server runs").id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().expect("`kill` runs: install procps");
        assert!(sent.success(), "kill {signal}");
    }

    /// On the same port, with what is in its folder. Waits until it answers.
    pub fn start_again(&mut self) {
        self.launch();
        let begin = Instant::now();
        loop {
            let answer = self.try_cli(&["PING"]);
            if answer.stdout.starts_with(b"PONG") {
                return;
            }
            let child = self.child.as_mut().expect("it was launched");
            if let Ok(Some(status)) = child.try_wait() {
                panic!("redis-server ended with {status}\n{}", self.said());
            }
            assert!(begin.elapsed() < PATIENCE, "redis-server does not answer: {answer:?}\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let folder = self.folder.path();
        let mut command = Command::new("redis-server");
        if self.plan.is_sentinel {
            // A sentinel keeps its state in its configuration file.
            let file = folder.join("sentinel.conf");
            if !file.exists() {
                std::fs::write(&file, self.plan.options.join("\n")).expect("the sentinel's configuration is written");
            }
            command.arg(file).arg("--sentinel");
        } else {
            command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]).args(&self.plan.options);
        }
        let port = self.port.to_string();
        if self.plan.tls {
            command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]);
            command.args(["--tls-cert-file", "server.crt", "--tls-key-file", "server.key", "--tls-ca-cert-file", "ca.crt"]);
        } else {
            command.args(["--port", &port]);
        }
        if let Some(password) = self.plan.password {
            command.args(["--requirepass", password]);
            if !self.plan.is_sentinel {
                command.args(["--masterauth", password]);
            }
        }
        command.args(["--bind", HOST, "--daemonize", "no", "--dir"]).arg(folder).args(["--logfile", "redis.log"]);
        let child = command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child = Some(child.unwrap_or_else(|problem| {
            panic!("`redis-server` cannot be started ({problem}): run `apt-get install redis-server`, or `./x test`")
        }));
    }

    /// Asks it something, and expects an answer that is no error.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = self.try_cli(arguments);
        assert!(output.status.success(), "redis-cli {arguments:?}: {output:?}\n{}", self.said());
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn try_cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("redis-cli");
        command.args(["-e", "-h", HOST, "-p", &self.port.to_string()]);
        if self.plan.tls {
            command.arg("--tls").arg("--cacert").arg(self.folder.path().join("ca.crt"));
        }
        if let Some(password) = self.plan.password {
            command.args(["--no-auth-warning", "-a", password]);
        }
        let output = command.args(arguments).stdin(Stdio::null()).output();
        output.unwrap_or_else(|problem| panic!("`redis-cli` cannot be run ({problem}): run `apt-get install redis-tools`, or `./x test`"))
    }

    /// Every byte it has written to its folder.
    pub fn dump(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        gather(&self.folder.path().join("appendonlydir"), &mut bytes);
        bytes
    }

    /// The end of its log.
    fn said(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("redis.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A master, a replica, and a sentinel that takes the master's silence for its death after half a second.
#[derive(Debug)]
pub struct Sentinels {
    pub master: RedisServer,
    pub replica: RedisServer,
    pub sentinel: RedisServer,
}

impl Sentinels {
    pub const MASTER: &str = "mymaster";

    /// With `password`, the servers ask for it; the sentinel itself only if `guarded`.
    pub fn start(password: Option<&'static str>, guarded: bool) -> Self {
        let master = RedisServer::planned(RedisPlan { password, ..RedisPlan::default() });
        let of_master = ["--replicaof".to_owned(), format!("{HOST} {}", master.port)];
        let replica = RedisServer::planned(RedisPlan { password, options: of_master.to_vec(), ..RedisPlan::default() });
        let name = Self::MASTER;
        let mut options = vec![
            format!("sentinel monitor {name} {HOST} {} 1", master.port),
            format!("sentinel down-after-milliseconds {name} 500"),
            format!("sentinel failover-timeout {name} 2000"),
        ];
        options.extend(password.map(|password| format!("sentinel auth-pass {name} {password}")));
        let begin = Instant::now();
        while !replica.cli(&["INFO", "replication"]).contains("master_link_status:up") {
            assert!(begin.elapsed() < PATIENCE, "the replica does not find its master\n{}", replica.said());
            std::thread::sleep(Duration::from_millis(50));
        }
        let sentinel = RedisServer::planned(RedisPlan { is_sentinel: true, options, password: password.filter(|_| guarded), tls: false });
        while !sentinel.cli(&["SENTINEL", "REPLICAS", name]).contains(&replica.port.to_string()) {
            assert!(begin.elapsed() < PATIENCE, "the sentinel does not find the replica\n{}", sentinel.said());
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { master, replica, sentinel }
    }

    /// How Doorward reaches the master; the first sentinel of the list is not there.
    pub fn settings(&self, prefix: &str) -> Redis {
        let sentinels = [free_port(), self.sentinel.port].map(|port| (HOST.to_owned(), port)).to_vec();
        Redis { topology: RedisTopology::Sentinel { sentinels, master: Self::MASTER.to_owned() }, ..self.master.settings(prefix) }
    }
}

/// Three masters without replicas, each with a third of the keys.
#[derive(Debug)]
pub struct Cluster {
    pub nodes: Vec<RedisServer>,
}

impl Cluster {
    const OPTIONS: [&str; 6] = ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no", "--cluster-node-timeout", "1000"];

    pub fn start() -> Self {
        let nodes: Vec<RedisServer> = (0..3).map(|_| RedisServer::planned(RedisPlan::with(&Self::OPTIONS))).collect();
        let addresses: Vec<String> = nodes.iter().map(|node| format!("{HOST}:{}", node.port)).collect();
        let mut create = vec!["--cluster", "create"];
        create.extend(addresses.iter().map(String::as_str));
        create.extend(["--cluster-yes", "--cluster-replicas", "0"]);
        nodes[0].cli(&create);
        let begin = Instant::now();
        while !nodes.iter().all(|node| node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")) {
            assert!(begin.elapsed() < PATIENCE, "the cluster does not come about\n{}", nodes[0].said());
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { nodes }
    }

    /// Which of the servers has this key.
    pub fn owner(&self, key: &str) -> usize {
        self.nodes.iter().position(|node| node.try_cli(&["EXISTS", key]).status.success()).expect("one of them has it")
    }

    /// One more server, which has all that this one has.
    pub fn replica_of(&self, node: usize) -> RedisServer {
        let (master, replica) = (&self.nodes[node], RedisServer::planned(RedisPlan::with(&Self::OPTIONS)));
        let id = master.cli(&["CLUSTER", "MYID"]);
        replica.cli(&["CLUSTER", "MEET", HOST, &master.port.to_string()]);
        let begin = Instant::now();
        let wait = || {
            assert!(begin.elapsed() < PATIENCE, "the replica does not find its master\n{}", replica.said());
            std::thread::sleep(Duration::from_millis(50));
        };
        while !replica.try_cli(&["CLUSTER", "REPLICATE", &id]).status.success() {
            wait();
        }
        while !replica.cli(&["INFO", "replication"]).contains("master_link_status:up") {
            wait();
        }
        replica
    }

    /// How Doorward reaches it: it is told of one server, and finds the others.
    pub fn settings(&self, prefix: &str) -> Redis {
        let known = vec![(HOST.to_owned(), self.nodes[0].port)];
        Redis { topology: RedisTopology::Cluster(known), ..self.nodes[0].settings(prefix) }
    }
}

/// A free port whose cluster bus port, 10000 higher, is free too.
fn ports() -> u16 {
    loop {
        let port = free_port();
        if TcpListener::bind((HOST, port + 10_000)).is_ok() {
            return port;
        }
    }
}

/// A CA and a certificate of [`HOST`]; the CA in PEM.
fn write_certificates(folder: &Path) -> Vec<u8> {
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Its own name: OpenSSL takes a certificate whose issuer is called like itself for self-signed.
    ca.distinguished_name.push(DnType::CommonName, "CA of these tests");
    let ca_certificate = ca.self_signed(&ca_key).expect("a certificate");
    let key = KeyPair::generate().expect("a key");
    let signed = CertificateParams::new(vec![HOST.to_owned()]).expect("parameters").signed_by(&key, &Issuer::new(ca, ca_key));
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).expect("a file is written");
    write("ca.crt", ca_certificate.pem());
    write("server.crt", signed.expect("a certificate").pem());
    write("server.key", key.serialize_pem());
    ca_certificate.pem().into_bytes()
}

fn gather(folder: &Path, bytes: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path: PathBuf = entry.path();
        if path.is_dir() {
            gather(&path, bytes);
        } else {
            bytes.extend(std::fs::read(&path).expect("a file"));
        }
    }
}
