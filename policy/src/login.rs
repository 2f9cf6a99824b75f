//! From the first redirect to a session: what is remembered where, and what the callback must bring.
//!
//! The browser holds the secrets of an attempt in a sealed cookie of its own; the `state` parameter carries, sealed,
//! where to go back to. Neither is any good without the other.

mod attempt;
mod authorization;
mod callback;
mod return_to;

pub use attempt::{ATTEMPT_COOKIE, ATTEMPT_LIFETIME, ATTEMPT_LIMIT, Attempt, AttemptEntropy, AttemptFault, State};
pub use authorization::{AuthorizationRequest, RESERVED_PARAMETERS};
pub use callback::{Callback, CallbackFault, parse_parameters};
pub use return_to::{Places, ReturnTo, ReturnToFault};

#[cfg(test)]
mod tests;
