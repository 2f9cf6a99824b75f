//! A sign-in that begins at the provider's word (OIDC Core §4): only from providers that the configuration names for it.

use doorward_policy::login::{ReturnTo, Wishes};
use http::{HeaderValue, header};

use super::Served;
use super::begin::start;
use super::errand::{Errand, once};
use crate::body::form;
use crate::gate::Ask;
use crate::manner::Manner;
use crate::reply::Reply;
use crate::respond::{self, Face};
use crate::runtime::Runtime;

/// Content of such a form at most, in bytes.
pub(super) const CONTENT_LIMIT: usize = 16 * 1024;
/// The parameters that count.
const ISSUER: &str = "iss";
const HINT: &str = "login_hint";
const TARGET: &str = "target_link_uri";

/// Whether any provider may begin a sign-in: else there is nothing to post here.
pub(super) fn is_offered(runtime: &Runtime) -> bool {
    runtime.settings.providers.iter().any(|provider| provider.third_party_login)
}

/// Whether this is a request of that kind.
pub(super) fn is_one(pairs: &[(String, String)]) -> bool {
    pairs.iter().any(|(name, _)| name == ISSUER)
}

/// `login?iss=…`: what an issuer may say is whose sign-in it is, and where it leads. All else is dropped.
pub(super) async fn serve(runtime: &Runtime, ask: &Ask<'_>, pairs: &[(String, String)]) -> Served {
    match read(runtime, ask, pairs) {
        Ok((errand, provider)) => start(runtime, ask, &errand, Some(provider)).await,
        Err(face) => refused(runtime, ask, face),
    }
}

/// The same by POST. Cookies that keep to their own site do not come along, so the browser is sent to the other way in.
pub(super) fn posted(runtime: &Runtime, ask: &Ask<'_>) -> Served {
    // OIDC-19: a form that a frame or a script posts begins nothing.
    let framed = ask.headers.get("sec-fetch-dest").is_some_and(|dest| dest != "document") || ask.manner == Manner::Script;
    let pairs = form(ask.headers, ask.content).filter(|pairs| is_one(pairs) && ask.target.query().is_none());
    let face = match pairs {
        _ if framed => Face::NOT_HERE,
        None => Face::BAD_LOGIN,
        Some(pairs) => match read(runtime, ask, &pairs) {
            Err(face) => face,
            Ok(_) => {
                let known = pairs.iter().filter(|(name, _)| [ISSUER, HINT, TARGET].contains(&name.as_str()));
                let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(known).finish();
                let location = format!("{}/login?{query}", runtime.settings.server.prefix);
                return Served { reason: "third_party_login", reply: Reply::redirect(303, &location) };
            }
        },
    };
    refused(runtime, ask, face)
}

fn read<'r>(runtime: &'r Runtime, ask: &Ask<'_>, pairs: &[(String, String)]) -> Result<(Errand, &'r str), Face> {
    let one = |name: &str| once(pairs, name).map_err(|_| Face::BAD_LOGIN);
    let (issuer, target) = (one(ISSUER)?.unwrap_or_default(), one(TARGET)?);
    // OIDC Core §4: byte for byte, and never one that was merely asked for.
    let allowed = runtime.settings.providers.iter().find(|provider| provider.third_party_login && provider.issuer == issuer);
    let provider = allowed.ok_or(Face::THIRD_PARTY_LOGIN)?;
    let return_to = match target {
        None => ReturnTo::root(),
        Some(target) => ReturnTo::parse(target, runtime).map_err(|_| Face::THIRD_PARTY_LOGIN)?,
    };
    let wishes = Wishes::read(pairs).map_err(|_| Face::BAD_LOGIN)?.only(HINT);
    let mut errand = Errand::to(runtime, ask.target.host().name(), return_to);
    errand.asked.wishes = wishes;
    Ok((errand, &provider.name))
}

fn refused(runtime: &Runtime, ask: &Ask<'_>, face: Face) -> Served {
    let reply = respond::show(&runtime.pages, runtime.asker(ask, None), face, &[]);
    let reply = if face.status == 401 { reply.field(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")) } else { reply };
    Served { reason: "third_party_refused", reply }
}
