//! What one sign-in is for: where it leads, and what it asks of the provider.

use doorward_policy::access::StepUp;
use doorward_policy::login::{Asked, Places, ReturnTo, WishFault, Wishes};
use doorward_policy::request::Target;
use doorward_policy::session::Purpose;
use http::Method;

use crate::entropy;
use crate::gate::Ask;
use crate::runtime::Runtime;

/// The parameter of `login` in which we tell ourselves what a rule demanded. Nobody else can make one.
const STEP_UP: &str = "step_up";
/// And the one in which another of our hosts asks us to sign somebody in for it.
pub(super) const HANDOFF: &str = "handoff";

/// One sign-in, before it has a provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Errand {
    pub return_to: ReturnTo,
    /// How many attempts went wrong before.
    pub retries: u8,
    pub asked: Asked,
}

impl Errand {
    /// A sign-in that leads back to `return_to`, with what the rule there demands.
    pub fn to(runtime: &Runtime, host: &str, return_to: ReturnTo) -> Self {
        let step_up = demanded_at(runtime, host, &return_to);
        Self { return_to, retries: 0, asked: Asked { wishes: Wishes::default(), step_up } }
    }

    /// As a link to `login` says. A target that is not ours is the root; a demand comes from the rule of the target, or sealed.
    ///
    /// # Errors
    /// [`WishFault`]: a parameter came twice, or holds what none may.
    pub(super) fn read(runtime: &Runtime, ask: &Ask<'_>, pairs: &[(String, String)]) -> Result<Self, WishFault> {
        let host = ask.target.host().name();
        let return_to = match once(pairs, HANDOFF)? {
            Some(sealed) => Some(ReturnTo::to_handoff(sealed, runtime).map_err(|_| WishFault::Value)?),
            None => once(pairs, "return_to")?.and_then(|text| ReturnTo::parse(text, runtime).ok()),
        };
        // Where no app is, one may still see who one is.
        let root =
            || ReturnTo::parse(&format!("{}/whoami", runtime.prefix()), runtime).ok().filter(|_| !runtime.settings.policy.knows_host(host));
        let return_to = return_to.or_else(root).unwrap_or_else(ReturnTo::root);
        let sealed = once(pairs, STEP_UP)?.and_then(|sealed| {
            let plain = runtime.keys().open(Purpose::State, STEP_UP, host, sealed.as_bytes())?;
            serde_json::from_slice::<StepUp>(&plain).ok()
        });
        let mut errand = Self::to(runtime, host, return_to);
        errand.asked.wishes = Wishes::read(pairs)?;
        errand.asked.step_up = match (sealed, errand.asked.step_up) {
            (Some(sealed), Some(rule)) => Some(sealed.and(rule)),
            (sealed, rule) => sealed.or(rule),
        };
        Ok(errand)
    }

    /// The parameters of a `login` on `host` that begins the same sign-in.
    pub fn carry(&self, runtime: &Runtime, host: &str) -> Vec<(String, String)> {
        let mut pairs = vec![("return_to".to_owned(), self.return_to.as_str().to_owned())];
        pairs.extend(self.asked.wishes.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        // Without random bytes the rule of the target still says what it demands.
        let step_up = self.asked.step_up.as_ref().and_then(|step_up| sealed(runtime, host, step_up));
        pairs.extend(step_up.map(|sealed| (STEP_UP.to_owned(), sealed)));
        pairs
    }
}

/// The value of a parameter that comes at most once (PARAM-01).
pub(super) fn once<'p>(pairs: &'p [(String, String)], name: &str) -> Result<Option<&'p str>, WishFault> {
    let mut values = pairs.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
    let first = values.next();
    if values.next().is_some() { Err(WishFault::Duplicate) } else { Ok(first) }
}

fn sealed(runtime: &Runtime, host: &str, step_up: &StepUp) -> Option<String> {
    let plain = serde_json::to_vec(step_up).ok()?;
    Some(runtime.keys().seal(Purpose::State, STEP_UP, host, entropy::random().ok()?, plain))
}

/// Where `return_to` leads, as a request to go there; `None` for our own endpoints.
pub(super) fn destination(runtime: &Runtime, host: &str, return_to: &ReturnTo) -> Option<Target> {
    let text = return_to.as_str();
    let (authority, path) = match text.strip_prefix("https://") {
        None => (host, text),
        Some(rest) => rest.split_at(rest.find('/')?),
    };
    let path = path.split('#').next()?;
    let target = Target::parse(&Method::GET, authority.as_bytes(), path.as_bytes()).ok()?;
    (!runtime.is_own(target.path().as_str())).then_some(target)
}

fn demanded_at(runtime: &Runtime, host: &str, return_to: &ReturnTo) -> Option<StepUp> {
    let target = destination(runtime, host, return_to)?;
    runtime.settings.policy.rule_for(&target).ok()?.rule.step_up.clone()
}
