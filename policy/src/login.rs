//! From the first redirect to a session: what is remembered where, and what the callback must bring.
//!
//! The browser holds the secrets of an attempt in a sealed cookie of its own; the `state` parameter carries, sealed,
//! where to go back to. Neither is any good without the other.

mod attempt;
mod authorization;
mod callback;
mod handoff;
mod kept_form;
mod logout_state;
mod logout_token;
mod return_to;
mod rounds;
mod wishes;

pub use attempt::{ATTEMPT_COOKIE, ATTEMPT_LIFETIME, ATTEMPT_LIMIT, Attempt, AttemptEntropy, AttemptFault, State};
pub use authorization::{AuthorizationRequest, RESERVED_PARAMETERS};
pub use callback::{Callback, CallbackFault, parse_parameters};
pub use handoff::{HANDOFF_LIFETIME, Handed, HandoffAttempt, HandoffCode, HandoffEntropy, HandoffRequest, Newness};
pub use kept_form::{FORM_LIFETIME, FORM_LIMIT, KeptForm};
pub use logout_state::LogoutState;
pub use logout_token::{LogoutExpectation, LogoutTarget, LogoutToken};
pub use return_to::{Places, ReturnTo, ReturnToFault};
pub use rounds::{ROUNDS_COOKIE, ROUNDS_LIFETIME, Rounds};
pub use wishes::{Asked, IDP_HINT, WISHES, WishFault, Wishes};

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
