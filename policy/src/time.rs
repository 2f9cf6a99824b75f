//! Wall-clock time, handed in by the caller.

use std::time::Duration;

/// Seconds since 1970-01-01T00:00:00Z, as in a `NumericDate` (RFC 7519 §2). 64 bits: no 2038.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// A time as RFC 3339 §5.6 writes it, to the second.
    pub fn parse(text: &str) -> Option<Self> {
        rfc3339(text).map(|time| Self(time.as_second()))
    }

    /// Saturates instead of wrapping: a token with `exp: 1e18` does not become an expired one, nor the reverse.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_secs()).unwrap_or(i64::MAX)))
    }

    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_secs()).unwrap_or(i64::MAX)))
    }

    /// How long from `earlier` to `self`; zero when it is the other way round.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// RFC 3339 §5.6 `date-time`, and nothing else that looks like a time.
pub(crate) fn rfc3339(text: &str) -> Option<jiff::Timestamp> {
    let is_shaped = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text
                .iter()
                .zip(shape)
                .all(|(byte, like)| if *like == b'0' { byte.is_ascii_digit() } else { byte.eq_ignore_ascii_case(like) })
    };
    let (date_time, rest) = text.as_bytes().split_at_checked(19)?;
    let offset = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            &fraction[digits..]
        }
        None => rest,
    };
    let is_offset = [&b"Z"[..], b"+00:00", b"-00:00"].iter().any(|shape| is_shaped(offset, shape));
    (is_shaped(date_time, b"0000-00-00T00:00:00") && is_offset).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_to_the_second() {
        assert_eq!(Timestamp::parse("1970-01-01T00:00:10Z"), Some(Timestamp(10)));
        assert_eq!(Timestamp::parse("1970-01-01T01:00:10.9+01:00"), Some(Timestamp(10)));
        assert_eq!(Timestamp::parse("1970-01-01"), None);
    }
}
