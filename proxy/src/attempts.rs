//! How often one client may try (RATE-01). Counted in fixed memory, a minute at a time: what a client sends cannot make it
//! grow, and two clients that share a counter only meet their limit sooner.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use doorward_config::settings::Limits;
use pingora_limits::rate::Rate;

use crate::client_key::ClientKey;

/// Attempts of the last minute, by client.
pub struct Attempts {
    sign_ins: Counter,
    codes: Counter,
    bad_credentials: Counter,
    bad_sign_outs: Counter,
}

/// For how many clients those count of whom nobody tells an address.
const STRANGERS: isize = 20;

struct Counter {
    rate: Arc<Rate>,
    limit: isize,
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempts").finish_non_exhaustive()
    }
}

impl Attempts {
    pub fn new(limits: &Limits) -> Self {
        let counter = |limit: u32| Counter {
            rate: Arc::new(Rate::new(Duration::from_secs(60))),
            limit: isize::try_from(limit).unwrap_or(isize::MAX),
        };
        Self {
            sign_ins: counter(limits.sign_ins_per_client),
            codes: counter(limits.sign_ins_per_client),
            bad_credentials: counter(limits.bad_credentials_per_client),
            bad_sign_outs: counter(limits.bad_credentials_per_client),
        }
    }

    /// The same counts under other limits.
    pub fn under(&self, limits: &Limits) -> Self {
        let (sign_ins, bad) = (limits.sign_ins_per_client, limits.bad_credentials_per_client);
        Self {
            sign_ins: self.sign_ins.under(sign_ins),
            codes: self.codes.under(sign_ins),
            bad_credentials: self.bad_credentials.under(bad),
            bad_sign_outs: self.bad_sign_outs.under(bad),
        }
    }

    /// Counts a sign-in that begins. `false`: one too many.
    pub fn sign_in(&self, client: IpAddr) -> bool {
        self.sign_ins.count(client)
    }

    /// Counts a code that came back. `false`: one too many.
    pub fn code(&self, client: IpAddr) -> bool {
        self.codes.count(client)
    }

    /// Counts a credential that was no good.
    pub fn bad_credential(&self, client: IpAddr) {
        self.bad_credentials.count(client);
    }

    /// Counts a sign-out at a provider's word that was not its word. A count of its own: whoever brings bad tokens must not
    /// keep good sign-outs from being heard, nor the reverse.
    pub fn bad_sign_out(&self, client: IpAddr) {
        self.bad_sign_outs.count(client);
    }

    /// Whether this client has brought more of them than it may.
    pub fn many_bad_sign_outs(&self, client: IpAddr) -> bool {
        self.bad_sign_outs.is_over(client)
    }

    /// Whether this client has brought more bad credentials than it may.
    pub fn many_bad_credentials(&self, client: IpAddr) -> bool {
        self.bad_credentials.is_over(client)
    }
}

impl Counter {
    fn under(&self, limit: u32) -> Self {
        Self { rate: self.rate.clone(), limit: isize::try_from(limit).unwrap_or(isize::MAX) }
    }

    fn count(&self, client: IpAddr) -> bool {
        self.rate.observe(&ClientKey::of(client), 1) <= self.limit_of(client)
    }

    fn is_over(&self, client: IpAddr) -> bool {
        self.rate.observe(&ClientKey::of(client), 0) > self.limit_of(client)
    }

    /// Where nobody tells who the client is, all of them share one counter.
    fn limit_of(&self, client: IpAddr) -> isize {
        if client.is_unspecified() { self.limit.saturating_mul(STRANGERS) } else { self.limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_01_each_client_has_a_count_of_its_own() {
        let counter = Counter { rate: Arc::new(Rate::new(Duration::from_secs(60))), limit: 3 };
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert!((0..3).all(|_| counter.count(one)));
        assert!(!counter.is_over(one));
        assert!(!counter.count(one));
        assert!(counter.is_over(one));
        assert!(counter.count(other) && !counter.is_over(other));
        let nobody = "0.0.0.0".parse().unwrap();
        assert!((0..3 * STRANGERS).all(|_| counter.count(nobody)) && !counter.is_over(nobody));
        assert!(!counter.count(nobody) && counter.is_over(nobody));
    }
}
