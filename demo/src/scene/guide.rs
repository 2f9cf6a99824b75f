//! What the person at the terminal reads.

use std::path::Path;

use super::{Options, data::DataDir, origin};

/// What the printed tokens ask for; the stand-in grants what each persona has.
pub(super) const SCOPE: &str = "device:read device:admin";

pub(super) fn text(options: &Options, data: &DataDir) -> String {
    let port = options.port;
    let (cms, iot, api) = (origin("cms", port), origin("iot", port), origin("api", port));
    let ca = quoted(&data.shown("tls/ca.crt"));
    let token = |persona: &str| quoted(&data.shown(&format!("tokens/{persona}")));
    let (ada, vera) = (token("ada"), token("vera"));
    let curl = format!("curl -i --cacert {ca} --resolve api.localhost:{port}:127.0.0.1");
    let (config, log) = (data.shown("doorward.yaml"), data.shown("doorward.log"));
    let (config, log) = (config.display(), log.display());
    format!(
        r#"
Doorward is up, with a stand-in tenant and two apps behind it. For trying out, never for production.

Open
  {cms}/    a CMS; its front page is public
  {iot}/    an IoT dashboard

Sign in with a click, or by e-mail address with the password "demo"
  Ada    ada@acme.dev     role admin    may do everything
  Eddie  eddie@acme.dev   role editor   writes articles, reads devices
  Vera   vera@acme.dev    role viewer   reads

Try
  1. Open {cms}/articles, sign in as Vera, then open {cms}/admin/: refused.
  2. Open {iot}/: you are signed in there without another click.
  3. Look at the panel at the foot of each page: all that the app was told, and how it knows you.
  4. Sign out, sign in as Ada: /admin/ opens, and devices can be restarted.

Without a browser: the API takes bearer tokens only, and each rule wants a scope
  # 401: no token
  {curl} {api}/api/devices
  # 200: Vera has device:read
  {curl} -H "Authorization: Bearer $(cat {vera})" {api}/api/devices
  # 403: she has no device:admin
  {curl} -H "Authorization: Bearer $(cat {vera})" -X POST {api}/api/devices/pump-1/restart
  # 200: Ada has
  {curl} -H "Authorization: Bearer $(cat {ada})" -X POST {api}/api/devices/pump-1/restart

The browser will warn about the certificate: click through it once for each host, or trust the demo's CA. It is
limited to names below "localhost", and its key was thrown away.
  Chrome on Linux  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n doorward-demo -i {ca}
  macOS            security add-trusted-cert -k ~/Library/Keychains/login.keychain-db {ca}
  Firefox          Settings, Certificates, Authorities, Import {ca}

Configuration {config}   log {log}   health http://127.0.0.1:{admin}/readyz
Ctrl-C stops everything.
"#,
        admin = options.admin_port,
    )
}

/// For a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+,:@%".contains(letter);
    match !text.is_empty() && text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_when_a_shell_would_split_them() {
        assert_eq!(quoted(Path::new("demo-data/tls/ca.crt")), "demo-data/tls/ca.crt");
        assert_eq!(quoted(Path::new("my demo's/ca.crt")), r"'my demo'\''s/ca.crt'");
    }
}
