//! How many lines of one kind there may be: whoever is refused again and again must not fill a disk, nor crowd out what others
//! do. Counted in fixed memory, a minute at a time.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pingora_limits::rate::Rate;

use super::event::Kind;
use crate::client_key::ClientKey;

const MINUTE: Duration = Duration::from_secs(60);

/// Lines of one kind in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub per_client: isize,
    pub in_all: isize,
}

/// Lines of the last minute, and those that were too many.
pub struct Budget {
    of_clients: Rate,
    in_all: Rate,
    suppressed: [AtomicU64; Kind::ALL.len()],
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").finish_non_exhaustive()
    }
}

impl Budget {
    pub fn new() -> Self {
        Self { of_clients: Rate::new(MINUTE), in_all: Rate::new(MINUTE), suppressed: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Counts a line. `false`: one too many, which is counted besides.
    pub fn take(&self, kind: Kind, client: Option<IpAddr>) -> bool {
        let Some(allowance) = kind.allowance() else { return true };
        let client = ClientKey::of(client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        // Those of one client that are too many are not the others' loss.
        let taken =
            self.of_clients.observe(&(kind, client), 1) <= allowance.per_client && self.in_all.observe(&kind, 1) <= allowance.in_all;
        if !taken {
            self.suppressed[kind as usize].fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// How many were too many since it was last asked, by event.
    pub fn suppressed(&self) -> Vec<(&'static str, u64)> {
        let mut counts: Vec<(&'static str, u64)> = Vec::new();
        for kind in Kind::ALL {
            let count = self.suppressed[*kind as usize].swap(0, Ordering::Relaxed);
            match counts.iter_mut().find(|(label, _)| *label == kind.label()) {
                _ if count == 0 => {}
                Some((_, sum)) => *sum += count,
                None => counts.push((kind.label(), count)),
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_02_bad_tokens_fill_no_disk_and_crowd_nobody_out() {
        let (budget, kind) = (Budget::new(), Kind::CredentialRefused);
        let Allowance { per_client, in_all } = kind.allowance().unwrap();
        let client = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        let taken = |client, times: isize| (0..times).filter(|_| budget.take(kind, client)).count() as isize;
        assert_eq!(taken(client(1), per_client * 10), per_client);
        assert_eq!(taken(client(2), 3), 3, "another client has its own");
        assert!(budget.take(Kind::Denial, client(1)), "and another kind");
        assert_eq!(budget.suppressed(), [("credential_refused", per_client as u64 * 9)]);
        assert!(budget.suppressed().is_empty(), "told once");
        // From everywhere at once.
        let all: isize =
            (0..in_all * 2).map(|at| isize::from(budget.take(kind, Some(IpAddr::from([10, 1, (at >> 8) as u8, at as u8]))))).sum();
        assert_eq!(all, in_all - per_client - 3);
        assert!((0..in_all * 2).all(|_| budget.take(Kind::SignIn, client(1))), "what is not to be had for nothing has no bound");
    }
}
