//! What Doorward has for itself: folders, the host where people sign in, the token of its admin calls.

use std::path::PathBuf;

use doorward_policy::request::Host;
use doorward_policy::secret::Secret;

use super::super::field::Field;
use crate::files::ReadFile;

/// The token that anybody can read in the examples.
const EXAMPLE_TOKEN: &str = include_str!("../../../examples/secrets/admin");

/// Whether it is there, and ours to write in, is known where it is used: `check` may run elsewhere, as somebody else.
pub(super) fn read_folder(field: &Field<'_>) -> Option<PathBuf> {
    Some(field.reading.resolve(field.text()?))
}

/// Pages are read at the start, and a folder that is not there is a slip of its name.
pub(super) fn read_pages(field: &Field<'_>) -> Option<PathBuf> {
    let path = read_folder(field)?;
    match path.is_dir() {
        true => {
            field.reading.note(ReadFile::folder(&path));
            Some(path)
        }
        false => field.refuse(
            format!("there is no folder `{}`", path.display()),
            "make it, or name another; relative names begin at the folder of this file",
        ),
    }
}

/// The host alone: the port is everybody's, and the path our own prefix.
pub(super) fn read_public_url(field: &Field<'_>, public_port: Option<u16>) -> Option<String> {
    const HELP: &str = "`https://` and a host, nothing behind it: `https://auth.acme.dev`; our own paths begin with `prefix`";
    let text = field.name()?;
    let Some(rest) = text.strip_prefix("https://") else {
        return field.refuse(format!("`{}` is not https", field.shown()), HELP);
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '\\']) {
        return field.refuse(format!("`{}` is more than a host", field.shown()), HELP);
    }
    let Ok(host) = Host::parse(authority.as_bytes()) else {
        return field.refuse(format!("`{}` names no host", field.shown()), HELP);
    };
    match (host.port(), public_port?) {
        (Some(port), public) if port != public => {
            let help = format!("browsers come to port {public} (`public_port`, or that of the first listener); leave the port out");
            field.refuse(format!("port {port} is not where browsers come to"), help)
        }
        _ => Some(host.name().to_owned()),
    }
}

/// `admin`: there is a listener for the calls that ask for it.
pub(super) fn read_admin_token(field: &Field<'_>, admin: bool) -> Option<Secret<String>> {
    let token = field.header_secret("make one with `doorward keygen`, and give it to whoever may end other people's sessions");
    if !admin {
        return field.refuse(
            "nothing asks for this token",
            "add `admin: …` to `server`, the address of the admin listener; or take the token away",
        );
    }
    token
}

pub(super) fn is_example(token: &Secret<String>) -> bool {
    token.matches(EXAMPLE_TOKEN.trim().as_bytes())
}
