//! From settings to a connection: to one server, to the master that sentinels name, or to a cluster.

use std::time::Duration;

use doorward_config::settings::{Redis, RedisTopology};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder, TlsMode};
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisFuture,
    RedisResult, TlsCertificates, Value,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::trouble::Trouble;
use crate::store::OpenFault;

/// For one server: name look-up, TCP, TLS and log-in together.
const CONNECT: Duration = Duration::from_millis(1500);
/// For one answer. Shorter than callers wait, so that a dead connection is found out.
pub(super) const ANSWER: Duration = Duration::from_millis(1500);
/// For a whole round of sentinels and the master they name.
const ROUND: Duration = Duration::from_secs(5);
/// Calls under way on one connection; more wait, each for its own time.
const AT_ONCE: usize = 1024;

/// A connection that many calls use at once. Cloning is cheap.
#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(&'a mut self, pipeline: &'a Pipeline, offset: usize, count: usize) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// Knows how to reach Redis.
pub(super) struct Connector {
    settings: Redis,
    cluster: Option<ClusterClient>,
}

impl Connector {
    pub(super) fn new(settings: &Redis) -> Result<Self, OpenFault> {
        let fault = |text: &str| OpenFault(format!("session.redis: {text}"));
        if let Some(ca) = &settings.ca {
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(ca).collect();
            if !certificates.is_ok_and(|certificates| !certificates.is_empty()) {
                return Err(fault("`ca` holds no certificate in PEM"));
            }
        }
        let cluster = match &settings.topology {
            RedisTopology::Cluster(nodes) => Some(cluster_client(settings, nodes).map_err(|_| fault("`cluster` cannot be used as it is"))?),
            RedisTopology::Single { .. } | RedisTopology::Sentinel { .. } => None,
        };
        Ok(Self { settings: settings.clone(), cluster })
    }

    /// What the log calls it.
    pub(super) fn place(&self) -> String {
        let list = |nodes: &[(String, u16)]| nodes.iter().map(|(host, port)| format!("{host}:{port}")).collect::<Vec<_>>().join(", ");
        match &self.settings.topology {
            RedisTopology::Single { host, port } => format!("redis at {host}:{port}"),
            RedisTopology::Sentinel { sentinels, master } => format!("redis `{master}` behind the sentinels {}", list(sentinels)),
            RedisTopology::Cluster(nodes) => format!("redis cluster at {}", list(nodes)),
        }
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    /// A connection that has answered a `PING`.
    pub(super) async fn connect(&self) -> Result<Connection, Trouble> {
        let attempt = async {
            match (&self.settings.topology, &self.cluster) {
                (RedisTopology::Single { host, port }, _) => self.server(host, *port).await.map(Connection::Server),
                (RedisTopology::Sentinel { sentinels, master }, _) => self.master(sentinels, master).await.map(Connection::Server),
                (RedisTopology::Cluster(_), Some(client)) => self.of_cluster(client).await,
                (RedisTopology::Cluster(_), None) => Err(Trouble::broken("the cluster's settings cannot be used")),
            }
        };
        tokio::time::timeout(ROUND, attempt).await.unwrap_or_else(|_| Err(Trouble::unreachable("no connection in time")))
    }

    async fn of_cluster(&self, client: &ClusterClient) -> Result<Connection, Trouble> {
        let connection = client.get_async_connection().await.map_err(|error| Trouble::of(&error))?;
        let mut connection = Connection::Cluster(connection);
        // Not `PING`, which asks every server: one of many may be down.
        let key = format!("{}nothing", self.settings.prefix);
        let _: Option<Vec<u8>> = redis::cmd("GET").arg(key).query_async(&mut connection).await.map_err(|error| Trouble::of(&error))?;
        Ok(connection)
    }

    async fn server(&self, host: &str, port: u16) -> Result<MultiplexedConnection, Trouble> {
        let mut login = RedisConnectionInfo::default().set_db(self.settings.database);
        if let Some(username) = &self.settings.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.settings.password {
            login = login.set_password(password.expose());
        }
        let mut connection = self.open(host, port, login).await?;
        let _: String = redis::cmd("PING").query_async(&mut connection).await.map_err(|error| Trouble::of(&error))?;
        if let Some(policy) = forgetful(&mut connection).await {
            tracing::warn!(
                "{} drops keys when its memory is full (`maxmemory-policy {policy}`): people are signed out, and sign-outs forgotten; set \
                 `noeviction`",
                self.place()
            );
        }
        Ok(connection)
    }

    async fn open(&self, host: &str, port: u16, login: RedisConnectionInfo) -> Result<MultiplexedConnection, Trouble> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER))
            .set_pipeline_buffer_size(AT_ONCE)
            .set_concurrency_limit(AT_ONCE);
        let opened = async {
            let info = self.info(host, port)?.set_redis_settings(login.set_skip_set_lib_name());
            let client = match (&self.settings.ca, self.settings.tls) {
                (Some(_), true) => Client::build_with_tls(info, self.certificates())?,
                (None, true) | (_, false) => Client::open(info)?,
            };
            client.get_multiplexed_async_connection_with_config(&config).await
        };
        opened.await.map_err(|error| Trouble::of(&error))
    }

    fn info(&self, host: &str, port: u16) -> RedisResult<ConnectionInfo> {
        let address = if self.settings.tls {
            ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host.to_owned(), port)
        };
        Ok(address.into_connection_info()?.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
    }

    fn certificates(&self) -> TlsCertificates {
        TlsCertificates { client_tls: None, root_cert: self.settings.ca.clone() }
    }

    /// Asks all sentinels at once; the first server that says of itself that it is the master is it. A sentinel that was cut off
    /// may name an old one.
    async fn master(&self, sentinels: &[(String, u16)], master: &str) -> Result<MultiplexedConnection, Trouble> {
        let mut answers: FuturesUnordered<_> = sentinels.iter().map(|(host, port)| self.ask_sentinel(host, *port, master)).collect();
        let mut tried = Vec::new();
        let mut trouble = Trouble::unreachable("no sentinel answers");
        while let Some(answer) = answers.next().await {
            let (host, port) = match answer {
                Ok(address) => address,
                Err(why) => {
                    trouble = why;
                    continue;
                }
            };
            if tried.contains(&(host.clone(), port)) {
                continue;
            }
            match self.server(&host, port).await {
                Ok(connection) if is_master(connection.clone()).await => return Ok(connection),
                Ok(_) => trouble = Trouble::unreachable(format!("the sentinels name {host}:{port}, which is no master")),
                Err(why) => trouble = Trouble { text: format!("the master {host}:{port}: {}", why.text), ..why },
            }
            tried.push((host, port));
        }
        Err(trouble)
    }

    /// Sentinels often ask for no password where the servers do; those that ask get the same.
    async fn ask_sentinel(&self, host: &str, port: u16, master: &str) -> Result<(String, u16), Trouble> {
        let named = |trouble: Trouble| Trouble { text: format!("sentinel {host}:{port}: {}", trouble.text), ..trouble };
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
        let mut connection = self.open(host, port, RedisConnectionInfo::default()).await.map_err(named)?;
        let mut answer: RedisResult<Option<(String, u16)>> = command.query_async(&mut connection).await;
        if let (Some("NOAUTH"), Some(password)) = (answer.as_ref().err().and_then(redis::RedisError::code), self.settings.password.as_ref())
        {
            let mut login = RedisConnectionInfo::default().set_password(password.expose());
            if let Some(username) = &self.settings.username {
                login = login.set_username(username);
            }
            connection = self.open(host, port, login).await.map_err(named)?;
            answer = command.query_async(&mut connection).await;
        }
        let answer = answer.map_err(|error| named(Trouble::of(&error)))?;
        answer.ok_or_else(|| named(Trouble::broken(format!("it knows no master `{master}`"))))
    }
}

/// By which policy it drops keys before their time, if it does. Whoever may not ask is not told.
async fn forgetful(connection: &mut MultiplexedConnection) -> Option<String> {
    let memory: String = redis::cmd("INFO").arg("memory").query_async(connection).await.ok()?;
    let value = |name: &str| memory.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
    let policy = value("maxmemory_policy").filter(|policy| policy != "noeviction")?;
    (value("maxmemory")? != "0").then_some(policy)
}

async fn is_master(mut connection: MultiplexedConnection) -> bool {
    let role: RedisResult<Vec<Value>> = redis::cmd("ROLE").query_async(&mut connection).await;
    // Whoever may not ask believes the sentinel.
    role.map_or(true, |role| matches!(role.first(), Some(Value::BulkString(name)) if name == b"master"))
}

fn cluster_client(settings: &Redis, nodes: &[(String, u16)]) -> RedisResult<ClusterClient> {
    let address = |(host, port): &(String, u16)| {
        if settings.tls {
            ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host.clone(), *port)
        }
    };
    let mut builder = ClusterClientBuilder::new(nodes.iter().map(address))
        .connection_timeout(CONNECT)
        .response_timeout(ANSWER)
        .retries(3)
        .connection_concurrency_limit(AT_ONCE)
        .tcp_settings(TcpSettings::default().set_nodelay(true));
    if let Some(username) = &settings.username {
        builder = builder.username(username);
    }
    if let Some(password) = &settings.password {
        builder = builder.password(password.expose());
    }
    if settings.tls {
        builder = builder.tls(TlsMode::Secure);
        if settings.ca.is_some() {
            builder = builder.certs(TlsCertificates { client_tls: None, root_cert: settings.ca.clone() });
        }
    }
    builder.build()
}
