//! Going on by itself after a callback that has nothing to continue: because the person is signed in by now, or by beginning
//! anew, once.

use doorward_policy::login::{Asked, AttemptFault, ReturnTo, State, Wishes};
use http::Method;

use super::super::begin::begin;
use super::super::errand::{Errand, destination};
use super::super::{rounds, session};
use crate::gate::Ask;
use crate::manner::{Manner, is_navigation_with_form};
use crate::pages::LoopCause;
use crate::reply::Reply;
use crate::runtime::Runtime;

/// What follows instead of an error page; `None` where that is it.
pub(super) async fn go_on(runtime: &Runtime, ask: &Ask<'_>, provider: usize, state: &State, fault: AttemptFault) -> Option<Reply> {
    let is_form = *ask.target.method() == Method::POST && is_navigation_with_form(ask.headers);
    if ask.manner != Manner::Navigation && !is_form {
        return None;
    }
    let return_to = ReturnTo::parse(&state.return_to, runtime).ok()?;
    let over = matches!(fault, AttemptFault::Lost | AttemptFault::Expired | AttemptFault::Reused);
    if over && is_signed_in_for(runtime, ask, state, &return_to).await {
        // Another tab was faster.
        return Some(Reply::redirect(303, return_to.as_str()).without_attempt(&state.attempt));
    }
    if state.may_restart(fault, ask.now) {
        let asked = Asked { wishes: Wishes::for_organization(state.organization.as_deref()), step_up: state.step_up.clone() };
        let errand = Errand { return_to, retries: 1, asked };
        return Some(begin(runtime, ask, provider, &errand).await.without_attempt(&state.attempt));
    }
    // Twice in a row the browser did not bring what it was given a moment ago.
    let lost_again = fault == AttemptFault::Lost && state.retries > 0;
    lost_again.then(|| rounds::page(runtime, ask, &[LoopCause::CookieNotReturned], &return_to))
}

/// Whether this browser holds a session that is good where `return_to` leads, on this host, and for what was demanded: else it
/// would only be sent here again.
async fn is_signed_in_for(runtime: &Runtime, ask: &Ask<'_>, state: &State, return_to: &ReturnTo) -> bool {
    let host = ask.target.host().name();
    let Some(live) = session::live(runtime, ask).await else { return false };
    if state.step_up.as_ref().is_some_and(|step_up| !step_up.met_by(&live.session.claims, ask.now)) {
        return false;
    }
    let Some(target) = destination(runtime, host, return_to).filter(|target| target.host().name() == host) else { return false };
    let route = runtime.settings.policy.route_for(&target);
    route.is_ok_and(|(_, route)| runtime.belongs(&live.session, &route.providers).is_ok())
}
