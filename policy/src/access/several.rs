//! One token, several providers that might have issued it.

use super::CredentialFault;
use crate::token::TokenFault;

impl CredentialFault {
    /// What to say of a token that none of several providers vouches for. Each fault comes with whether the token names that
    /// provider as its issuer; nobody has checked that, and here it no longer matters: the token is refused whatever it says.
    ///
    /// `None` when nobody was asked.
    pub fn most_telling(faults: &[(bool, Self)]) -> Option<Self> {
        let named = faults.iter().any(|(named, _)| *named);
        let of = || faults.iter().filter(|(own, _)| *own == named).map(|(_, fault)| *fault);
        // "Cannot verify now" is no verdict: it must not turn into one because somebody else could.
        let open = |fault: &Self| matches!(fault, Self::CannotVerify | Self::TooMany);
        // Of two providers with one issuer, the token is not for the one whose audience it misses.
        let vague = |fault: &Self| matches!(fault, Self::Token(TokenFault::Audience | TokenFault::Issuer));
        of().find(open).or_else(|| of().find(|fault| !vague(fault))).or_else(|| of().next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fault_of_the_provider_that_the_token_names_is_told() {
        use CredentialFault::{CannotVerify, Token, TooMany};
        let (audience, expired, key) = (Token(TokenFault::Audience), Token(TokenFault::Expired), Token(TokenFault::UnknownKey));
        for (name, faults, told) in [
            ("nobody", vec![], None),
            ("one", vec![(false, key)], Some(key)),
            ("named", vec![(false, key), (true, expired)], Some(expired)),
            ("named first", vec![(true, audience), (false, key)], Some(audience)),
            ("two of one issuer", vec![(true, audience), (true, expired)], Some(expired)),
            ("a stranger's keys are out of reach", vec![(false, CannotVerify), (true, expired)], Some(expired)),
            ("its keys are out of reach", vec![(false, key), (true, CannotVerify)], Some(CannotVerify)),
            ("of two of one issuer", vec![(true, expired), (true, CannotVerify)], Some(CannotVerify)),
            ("of nobody's, one cannot say", vec![(false, key), (false, CannotVerify)], Some(CannotVerify)),
            ("too many", vec![(true, TooMany), (true, key)], Some(TooMany)),
        ] {
            assert_eq!(CredentialFault::most_telling(&faults), told, "{name}");
        }
    }
}
