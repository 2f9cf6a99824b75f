//! Caddy that asks itself about each request, with its `forward_auth`.

use super::app::YES;
use super::nginx::folder;
use super::process::{others, program, spawn};
use super::requests::{PAGE, bearer};
use super::{Running, Unavailable, ports};
use crate::stand::{HOST, Stand};
use crate::system::{Load, Transport};

/// Its own second site says yes to whoever shows anything at all. The first is for any host: wrk names the address in the handshake.
pub fn forward_auth(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    let caddy = others("caddy")?;
    let (address, yes) = (ports::free(), ports::free());
    let at = folder(stand, "caddy", address.port())?;
    let text = format!(
        "{{
    admin off
    auto_https off
    persist_config off
    default_sni {HOST}
    log {{
        level ERROR
    }}
    servers {{
        protocols h1
        timeouts {{
            idle 10m
        }}
    }}
}}
https://:{port} {{
    bind 127.0.0.1
    tls {files}/tls.crt {files}/tls.key {{
        protocols tls1.3
    }}
    forward_auth {yes} {{
        uri {YES}
        copy_headers X-Auth-User
    }}
    reverse_proxy {app} {{
        transport http {{
            keepalive_idle_conns_per_host 256
        }}
    }}
}}
http://:{yes_port} {{
    bind 127.0.0.1
    @nothing not header Authorization *
    respond @nothing 401
    respond 202
}}
",
        port = address.port(),
        yes_port = yes.port(),
        files = stand.folder.display(),
        app = stand.app,
    );
    std::fs::write(at.join("Caddyfile"), text)?;
    let log = at.join("log");
    let mut command = program(caddy);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(at.join("Caddyfile")).current_dir(&at);
    command.env("HOME", &at).env("XDG_DATA_HOME", &at).env("XDG_CONFIG_HOME", &at).env("GOMAXPROCS", cores.to_string());
    let (load, _) = bearer(stand, address, Transport::Tls);
    let refused = Load::usual(address, Transport::Tls, PAGE);
    Running { processes: vec![spawn(command, &log)?], log, load, refused: Some((refused, vec![401])) }.checked(stand)
}
