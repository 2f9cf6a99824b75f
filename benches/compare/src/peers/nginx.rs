//! nginx: a plain proxy, and one that asks itself.

use std::fs;
use std::path::{Path, PathBuf};

use super::process::{others, program, spawn};
use super::requests::{PAGE, bearer};
use super::{Running, Unavailable, ports};
use crate::stand::{HOST, Stand};
use crate::system::{Load, Transport};

/// What every nginx here begins with: `http` is left open. No limit on the requests of a connection, nothing is logged.
pub fn head(at: &Path, workers: usize) -> String {
    let at = at.display();
    // Workers of root would be nobody, who cannot look into the folder.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;
worker_processes {workers};
pid {at}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 100000000;
    client_body_temp_path {at}/bodies;
    proxy_temp_path {at}/answers;
    fastcgi_temp_path {at}/fastcgi;
    uwsgi_temp_path {at}/uwsgi;
    scgi_temp_path {at}/scgi;
"
    )
}

/// Before the app, deciding nothing.
pub fn proxy(stand: &Stand, workers: usize) -> Result<Running, Unavailable> {
    let address = ports::free();
    let (load, _) = bearer(stand, address, Transport::Tls);
    start(stand, workers, address, load, None, "", "")
}

/// Each request is first asked about at a location of the same nginx that says yes to whoever shows anything at all.
pub fn auth_request(stand: &Stand, workers: usize) -> Result<Running, Unavailable> {
    let address = ports::free();
    let (load, _) = bearer(stand, address, Transport::Tls);
    let refused = Load::usual(address, Transport::Tls, PAGE);
    let place = "        location = /_yes {
            internal;
            if ($http_authorization = \"\") { return 401; }
            return 202;
        }
";
    start(stand, workers, address, load, Some(refused), "auth_request /_yes;", place)
}

fn start(
    stand: &Stand,
    workers: usize,
    address: std::net::SocketAddr,
    load: Load,
    refused: Option<Load>,
    ask: &str,
    place: &str,
) -> Result<Running, Unavailable> {
    let at = folder(stand, "nginx", address.port())?;
    let text = format!(
        "{head}    upstream app {{
        server {app};
        keepalive 256;
        keepalive_timeout 600s;
        keepalive_requests 100000000;
    }}
    server {{
        listen {address} ssl reuseport;
        server_name {HOST};
        ssl_certificate {files}/tls.crt;
        ssl_certificate_key {files}/tls.key;
        ssl_protocols TLSv1.3;
        location / {{
            {ask}
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
        }}
{place}    }}
}}
",
        head = head(&at, workers),
        app = stand.app,
        files = stand.folder.display(),
    );
    let (processes, log) = run(&at, &text)?;
    Running { processes: vec![processes], log, load, refused: refused.map(|load| (load, vec![401])) }.checked(stand)
}

/// Starts an nginx with this text in this folder; answers with where it complains.
pub fn run(at: &Path, text: &str) -> Result<(std::process::Child, PathBuf), Unavailable> {
    fs::write(at.join("nginx.conf"), text)?;
    let log = at.join("log");
    let mut command = program(others("nginx")?);
    command.args(["-e", "stderr", "-c"]).arg(at.join("nginx.conf"));
    Ok((spawn(command, &log)?, log))
}

/// A folder that nobody else has.
pub fn folder(stand: &Stand, name: &str, port: u16) -> Result<PathBuf, Unavailable> {
    let at = stand.folder.join(format!("{name}-{port}"));
    fs::create_dir_all(&at)?;
    Ok(at)
}
