//! The wall clock, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

use doorward_policy::time::Timestamp;

/// Now. A clock before 1970 reads as 1970: every token is then from the future, and nobody gets in.
pub fn now() -> Timestamp {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Timestamp(i64::try_from(seconds).unwrap_or(i64::MAX))
}
