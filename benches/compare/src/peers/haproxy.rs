//! HAProxy that verifies bearer tokens itself, as its documentation shows (`jwt_verify`, since 2.5).

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::PublicKeyComponents;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use doorward_demo::tenant::AUDIENCE;
use serde_json::Value;

use super::nginx::folder;
use super::process::{others, program, spawn};
use super::requests::bearer;
use super::{Running, Unavailable, ports};
use crate::stand::{Fault, HOST, Stand};
use crate::system::{Load, Transport};

/// What Doorward does: checks signature, algorithm, issuer, audience, time and a scope for each request, takes away what a client
/// says about itself, and tells the app who it is and how it came.
pub fn jwt(stand: &Stand, threads: usize) -> Result<Running, Unavailable> {
    run(stand, threads, TELLING)
}

/// The checks alone: the app is told nothing, and believes what the client says.
pub fn jwt_unsaid(stand: &Stand, threads: usize) -> Result<Running, Unavailable> {
    run(stand, threads, "")
}

const TELLING: &str = "
    http-request del-header x-auth- -m beg
    http-request del-header x-forwarded- -m beg
    http-request set-header x-auth-user %[var(txn.token),jwt_payload_query('$.sub')]
    http-request set-header x-auth-roles %[var(txn.scope)]
    http-request set-header x-forwarded-for %[src]
    http-request set-header x-forwarded-host %[req.hdr(host)]
    http-request set-header x-forwarded-proto https
    http-request set-header x-request-id %[uuid()]";

/// Nothing is remembered: it cannot. The scope stands for the role: before 2.8 `json_query` reads neither a whole list nor a name
/// with dots in it.
fn run(stand: &Stand, threads: usize, headers: &str) -> Result<Running, Unavailable> {
    let haproxy = others("haproxy")?;
    let address = ports::free();
    let at = folder(stand, "haproxy", address.port())?;
    let key = at.join("tenant.pem");
    std::fs::write(&key, public_key(stand)?)?;
    let text = format!(
        r#"global
    nbthread {threads}
    maxconn 8192
    ssl-default-bind-options ssl-min-ver TLSv1.3

defaults
    mode http
    option dontlognull
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-request 30s
    timeout http-keep-alive 600s
    http-reuse always

frontend edge
    bind {address} ssl crt {files}/tls.pem alpn http/1.1
    acl bearer req.hdr(authorization) -m found
    http-request deny deny_status 401 unless bearer
    http-request set-var(txn.token) http_auth_bearer
    http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
    http-request set-var(txn.iss) var(txn.token),jwt_payload_query('$.iss')
    http-request set-var(txn.aud) var(txn.token),jwt_payload_query('$.aud[0]')
    http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request set-var(txn.scope) var(txn.token),jwt_payload_query('$.scope')
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS256 }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify(txn.alg,"{key}") -m int 1 }}
    http-request deny deny_status 401 unless {{ var(txn.iss) -m str {issuer} }}
    http-request deny deny_status 401 unless {{ var(txn.aud) -m str {AUDIENCE} }}
    http-request deny deny_status 401 unless {{ var(txn.exp),sub(txn.now) -m int gt 0 }}
    http-request deny deny_status 403 unless {{ var(txn.scope) -m sub read:items }}
{headers}
    use_backend app if {{ hdr(host) -m str {HOST} }}

backend app
    server app {app}
"#,
        files = stand.folder.display(),
        key = key.display(),
        issuer = stand.tenant.issuer(),
        app = stand.app,
    );
    std::fs::write(at.join("haproxy.cfg"), text)?;
    let log = at.join("log");
    let mut command = program(haproxy);
    command.arg("-db").arg("-f").arg(at.join("haproxy.cfg"));
    let (load, refused) = bearer(stand, address, Transport::Tls);
    Running { processes: vec![spawn(command, &log)?], log, load, refused: Some((refused, vec![401])) }.checked(stand)
}

/// The key that the tenant signs with, as SubjectPublicKeyInfo in PEM.
pub fn public_key(stand: &Stand) -> Result<String, Fault> {
    let load = Load::usual(stand.tenant.address(), Transport::Plain, "/.well-known/jwks.json");
    let keys: Value = serde_json::from_slice(&super::ask::ask(stand, &load)?.body)?;
    let key = &keys["keys"][0];
    let number = |name: &str| -> Result<Vec<u8>, Fault> { Ok(URL_SAFE_NO_PAD.decode(key[name].as_str().ok_or("a key has n and e")?)?) };
    let key = PublicKeyComponents { n: number("n")?, e: number("e")? };
    let der: PublicKeyX509Der<'_> = key.as_der().map_err(|_| "the tenant's key is none")?;
    let text = STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
}
