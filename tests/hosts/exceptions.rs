//! What a host proxy does otherwise than proxy mode, and why that is all right. The tests hold it to this list: nothing
//! else may differ, and what stands here must.

use crate::matrix::{Finding, Protocol};
use crate::stage::Kind::{self, Caddy, Envoy, EnvoyGrpc, Haproxy, Nginx, Traefik};

/// One of the ways.
#[derive(Debug)]
pub struct Exception {
    hosts: &'static [Kind],
    /// The case's name; with `*` at one end the other end of it.
    pub case: &'static str,
    way: Way,
    pub why: &'static str,
    /// Only over HTTP/2.
    http2: bool,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Repaired,
    Stricter,
    Lost,
    Answered,
    Port,
}
use Way::{Answered, Lost, Port, Repaired, Stricter};

impl Exception {
    pub fn is_for(&self, case: &str) -> bool {
        match (self.case.strip_suffix('*'), self.case.strip_prefix('*')) {
            (Some(beginning), _) => case.starts_with(beginning),
            (None, Some(end)) => case.ends_with(end),
            (None, None) => case == self.case,
        }
    }

    pub fn finding(&self) -> Finding {
        match self.way {
            Repaired => Finding::Repaired,
            Stricter => Finding::Stricter,
            Lost => Finding::Lost,
            Answered => Finding::Answered,
            Port => Finding::Port,
        }
    }
}

/// Those of one host proxy.
pub fn all(kind: Kind) -> impl Iterator<Item = &'static Exception> {
    EXCEPTIONS.iter().filter(move |exception| exception.hosts.contains(&kind))
}

/// The one for this case.
pub fn of(kind: Kind, protocol: Protocol, case: &str) -> Option<&'static Exception> {
    all(kind).find(|exception| exception.is_for(case) && (protocol == Protocol::Http2 || !exception.http2))
}

const fn known(hosts: &'static [Kind], case: &'static str, way: Way, why: &'static str) -> Exception {
    Exception { hosts, case, way, why, http2: false }
}

const fn over_http2(hosts: &'static [Kind], case: &'static str, way: Way, why: &'static str) -> Exception {
    Exception { hosts, case, way, why, http2: true }
}

const ALL: &[Kind] = &Kind::ALL;
const ENVOYS: &[Kind] = &[Envoy, EnvoyGrpc];
/// In Go.
const GOES: &[Kind] = &[Caddy, Traefik];

const NOMINATED: &str = "none of them takes a name in `Connection` away from what it sends on; proxy mode refuses to be asked";
const ABSOLUTE: &str = "RFC 9112 §3.2.2: absolute form is read; the question and the app get the path alone";
const EMPTY_PORT: &str = "nginx cuts off what follows the name's colon, and tells nobody of it";
const ESCAPED: &str = "Go escapes what does not belong into a path, before the question and before the app";
const RESOLVED: &str = "Traefik resolves dot segments and empty ones (sanitizePath), before it looks for a router and before the question";
const FAMILY: &str = "nginx removes names, not beginnings of names: what only its family makes ours is refused (HOOK-03)";
const UNDERSCORE: &str = "it drops all names with `_`, or none";
const NO_ANSWER: &str = "a 2xx would be a yes: it cannot relay the answer to a preflight";
const ONE_LABEL: &str = "its star stands for one label, as that of certificates does";
const SPELLED: &str = "it takes browsers to Doorward's own pages in plain spelling only; Doorward refuses what spells them otherwise";
const CAPITALS: &str = "Caddy's paths have no capitals: what looks like Doorward's own is no app's";
const JOINED: &str = "RFC 9110 §5.3: Envoy puts the values of one field into one line, before the question and before the app";
const HTTP_10: &str = "Envoy answers HTTP/1.0 with 426";
const KEY: &str = "RFC 6455 §4.2.1: HAProxy asks for the key first";
const TOO_LONG: &str = "it removes them before it asks, so that nothing is too long";
const PORT: &str = "it passes on the port that the client wrote; the name is one of the routes'";

const EXCEPTIONS: &[Exception] = &[
    // Bytes that are read in one way before anybody decides about them.
    known(&[Nginx, Haproxy, Caddy], "connection: Cookie by *", Repaired, NOMINATED),
    known(&[Traefik, Envoy, EnvoyGrpc], "connection: Cookie by nobody", Repaired, NOMINATED),
    known(&[Traefik, Envoy, EnvoyGrpc], "connection: Cookie by a viewer", Stricter, "the nominated field goes: the viewer is nobody then"),
    known(ALL, "connection: X-Auth-User by *", Repaired, NOMINATED),
    known(ALL, "connection: close, x-auth-user by *", Repaired, NOMINATED),
    known(ALL, "connection: keep-alive,X-AUTH-ROLES by *", Repaired, NOMINATED),
    known(ALL, "connection: Authorization by *", Repaired, NOMINATED),
    known(ALL, "connection: Content-Length by *", Repaired, NOMINATED),
    known(ALL, "connection: \"X-Auth-User\" by *", Repaired, NOMINATED),
    known(&[Nginx, Haproxy, Caddy, Traefik], "connection: Host by *", Repaired, NOMINATED),
    known(&[Nginx, Haproxy, Caddy, Traefik], "connection: X-Forwarded-*", Repaired, NOMINATED),
    known(ENVOYS, "connection: X-Forwarded-Uri, X-Forwarded-Method by *", Repaired, NOMINATED),
    known(&[Nginx, Haproxy, Caddy, Traefik], "connection: fifty names", Repaired, NOMINATED),
    known(
        &[Nginx, Haproxy, Caddy, Envoy, EnvoyGrpc],
        "upgrade to h2c",
        Repaired,
        "RFC 9113 §3.1: `h2c` is no longer for anybody; the app never hears of it",
    ),
    known(ALL, "a value with a bare line feed", Repaired, "RFC 9112 §2.2: a line may end so; what follows is a field like others"),
    known(
        &[Haproxy, Caddy, Traefik, Envoy, EnvoyGrpc],
        "a value continued on a second line",
        Repaired,
        "RFC 9112 §5.2: the line's end is replaced by spaces",
    ),
    known(ENVOYS, "a value with a bare carriage return", Repaired, "Envoy takes it out"),
    known(&[Nginx, Caddy, Traefik], "version HTTP/1.2", Repaired, "RFC 9110 §2.5: a higher minor version is read as the highest known one"),
    known(&[Haproxy], "version HTTP/2.0", Repaired, "HAProxy reads any version with two digits; what it sends is HTTP/1.1"),
    known(&[Nginx, Haproxy, Envoy, EnvoyGrpc], "an expectation nobody meets", Repaired, "RFC 9110 §10.1.1: it may be ignored"),
    known(&[Haproxy, Caddy, Traefik], "one length twice", Repaired, "RFC 9112 §6.3: equal values may be read as one"),
    known(&[Haproxy, Caddy, Traefik], "a length and chunks", Repaired, "RFC 9112 §6.3: the length is removed"),
    known(&[Haproxy], "a list of lengths", Repaired, "RFC 9112 §6.3: equal values may be read as one"),
    known(&[Haproxy], "the same host twice", Repaired, "equal values are read as one"),
    known(&[Haproxy, Traefik], "5000 entries of X-Forwarded-For", Repaired, TOO_LONG),
    over_http2(&[Nginx, Caddy], "5000 entries of X-Forwarded-For", Repaired, TOO_LONG),
    over_http2(&[Haproxy], "host \"app.localhost:\" by *", Repaired, "HAProxy writes `:authority` into `Host` without an empty port"),
    known(&[EnvoyGrpc], "absolute form http://*", Stricter, "Envoy takes the scheme from it: not what is served"),
    known(&[Nginx, Caddy, Traefik], "absolute form ftp://*", Repaired, ABSOLUTE),
    known(&[Nginx, Caddy, Traefik, Envoy, EnvoyGrpc], "absolute form http*", Repaired, ABSOLUTE),
    known(&[Nginx, Caddy, Traefik, Envoy, EnvoyGrpc], "absolute form HTTPS*", Repaired, ABSOLUTE),
    known(&[Nginx], "host \"app.localhost:\" by *", Repaired, EMPTY_PORT),
    known(&[Nginx], "host \"app.localhost:99999\" by *", Repaired, EMPTY_PORT),
    known(&[Nginx], "host \"app.localhost:x\" by *", Repaired, EMPTY_PORT),
    known(GOES, "path /public/a\"b by *", Repaired, ESCAPED),
    known(GOES, "path /public/a<b by *", Repaired, ESCAPED),
    known(GOES, "path /public/a|b by *", Repaired, ESCAPED),
    known(GOES, "path /public/a{b} by *", Repaired, ESCAPED),
    known(GOES, "path /public/a^b by *", Repaired, ESCAPED),
    known(GOES, "path /public/a`b by *", Repaired, ESCAPED),
    known(GOES, "path UTF-8 by *", Repaired, ESCAPED),
    known(&[Traefik], "path /public/../admin by *", Repaired, RESOLVED),
    known(&[Traefik], "path /public/./x by *", Repaired, RESOLVED),
    known(&[Traefik], "path /admin/../public/x by *", Repaired, RESOLVED),
    known(&[Traefik], "path /reports/../reports/x by *", Repaired, RESOLVED),
    known(&[Traefik], "path /.. by *", Repaired, RESOLVED),
    known(&[Traefik], "path /public/.. by *", Repaired, RESOLVED),
    known(&[Traefik], "path /./admin by *", Repaired, RESOLVED),
    known(&[Traefik], "path /public/%2e%2e/admin by *", Repaired, RESOLVED),
    known(&[Traefik], "path /public/%2E%2E/admin by *", Repaired, RESOLVED),
    known(&[Traefik], "path /public/.%2e/admin by *", Repaired, RESOLVED),
    known(&[Traefik], "path /%2e/admin by *", Repaired, RESOLVED),
    known(&[Traefik], "path //admin by *", Repaired, RESOLVED),
    known(&[Traefik], "path /public//../admin by *", Repaired, RESOLVED),
    known(&[Traefik], "path /// by *", Repaired, RESOLVED),
    known(&[Traefik], "path /admin//x by *", Repaired, RESOLVED),
    known(&[Traefik], "path /public/x// by *", Repaired, RESOLVED),
    known(&[Traefik], "path /public;/../admin by *", Repaired, RESOLVED),
    known(&[Traefik], "own /_doorward//session by *", Repaired, RESOLVED),
    known(&[Traefik], "own //_doorward/session by *", Repaired, RESOLVED),
    known(&[Traefik], "own /public/../_doorward/session by *", Repaired, RESOLVED),
    known(ENVOYS, "two tokens at app.localhost/reports/open/x", Repaired, JOINED),
    known(ENVOYS, "two tokens at api.localhost/open/x", Repaired, JOINED),
    known(ENVOYS, "two tokens at pass.localhost/public/x", Repaired, JOINED),
    known(&[EnvoyGrpc], "two tokens at app.localhost/here/x", Repaired, JOINED),
    known(&[Envoy], "authorization twice", Repaired, JOINED),
    known(ENVOYS, "origin twice", Repaired, JOINED),
    known(ENVOYS, "content-type twice", Repaired, JOINED),
    // What is refused besides, or refused first.
    known(&[Nginx], "spelled X-Auth-Colour *", Stricter, FAMILY),
    known(&[Nginx], "spelled X-Authenticated-Colour *", Stricter, FAMILY),
    known(&[Nginx], "spelled X-Doorward-Anything *", Stricter, FAMILY),
    known(&[Nginx], "spelled X-Forwarded-Anything *", Stricter, FAMILY),
    known(&[Nginx], "spelled X-Original-Whatever *", Stricter, FAMILY),
    known(&[Nginx], "spelled X-Remote-Whatever *", Stricter, FAMILY),
    known(&[Nginx], "spelled Remote-Shoe-Size *", Stricter, FAMILY),
    known(&[Envoy], "* at app.localhost/here/x", Stricter, "to Envoy, whoever is on its own machine has its own address"),
    known(&[Haproxy], "a handshake without a key, of another site's", Stricter, KEY),
    known(
        &[Traefik, Envoy, EnvoyGrpc],
        "a handshake without a key, of another site's",
        Stricter,
        "RFC 6455 §4.1: without a version it is no handshake",
    ),
    known(&[Haproxy], "a handshake with a version and no key, of another site's", Stricter, KEY),
    known(&[Haproxy, Envoy, EnvoyGrpc], "own /_doorwar%64/session by *", Stricter, SPELLED),
    known(&[Haproxy, Envoy, EnvoyGrpc], "own /_doorward/%73ession by *", Stricter, SPELLED),
    known(&[Caddy], "own /_DOORWARD/session by *", Stricter, CAPITALS),
    known(&[Caddy], "own /_Doorward/check/nginx by *", Stricter, CAPITALS),
    known(&[Caddy, Traefik, Envoy], "preflight of https://spa.example for GET at api.localhost", Stricter, NO_ANSWER),
    known(&[Caddy, Traefik, Envoy], "preflight of https://spa.example for DELETE at api.localhost", Stricter, NO_ANSWER),
    known(&[Caddy, Traefik, Envoy], "preflight of https://evil.example for GET at api.localhost", Stricter, NO_ANSWER),
    known(&[Caddy, Traefik, Envoy], "preflight of null for TRACE at api.localhost", Stricter, NO_ANSWER),
    known(&[Caddy], "host \"app.localhost.\" by *", Stricter, "to Caddy a name with a final dot is another name"),
    known(GOES, "host \"a.b.wild.localhost\" by *", Stricter, ONE_LABEL),
    known(
        &[Envoy],
        "300 entries of X-Forwarded-For",
        Stricter,
        "the client's entries stay before Envoy's, and nobody has so many proxies (HOOK-02)",
    ),
    known(ENVOYS, "FOO *", Stricter, "Envoy knows the methods of the registry"),
    known(
        &[EnvoyGrpc],
        "two sessions in two fields at *",
        Stricter,
        "RFC 6265 §5.4: there is one field; over gRPC they come joined by a comma",
    ),
    known(&[Envoy], "path 8 KiB by *", Stricter, "the question carries the path behind a prefix of its own, and is too long then"),
    known(ENVOYS, "version HTTP/1.0", Stricter, HTTP_10),
    // What the app does not get, and could do without; and what it gets besides.
    known(&[Nginx, Traefik, Envoy, EnvoyGrpc], "spelled x_device_id *", Lost, UNDERSCORE),
    known(&[Nginx, Traefik, Envoy, EnvoyGrpc], "spelled X_Device_Id *", Lost, UNDERSCORE),
    known(&[Traefik, Envoy, EnvoyGrpc], "host \"app.localhost\" by *", Port, PORT),
    known(&[Traefik, Envoy, EnvoyGrpc], "host \"APP.LOCALHOST\" by *", Port, PORT),
    known(&[Traefik, Envoy, EnvoyGrpc], "host \"app.localhost.\" by *", Port, PORT),
    known(&[Traefik, Envoy, EnvoyGrpc], "host \"app.localhost:443\" by *", Port, PORT),
    known(&[Traefik, Envoy, EnvoyGrpc], "host \"app.localhost:8443\" by *", Port, PORT),
    known(&[Traefik, Envoy, EnvoyGrpc], "host \"a.wild.localhost\" by nobody", Port, PORT),
    known(ENVOYS, "host \"a.b.wild.localhost\" by nobody", Port, PORT),
    // What needs no app.
    known(GOES, "OPTIONS of the server as a whole", Answered, "RFC 9110 §9.3.7: Go's server knows what it serves"),
];
