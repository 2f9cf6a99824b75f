//! Moments: `2026-11-22T09:00:00Z`.

use doorward_policy::time::Timestamp;

use super::field::Field;

impl Field<'_> {
    /// A moment (RFC 3339 §5.6), in seconds since 1970.
    pub(super) fn moment(&self) -> Option<i64> {
        match Timestamp::parse(self.any_text()?) {
            Some(Timestamp(seconds)) => Some(seconds),
            None => self.refuse(format!("`{}` is no moment", self.shown()), "date and time as in RFC 3339: `2026-11-22T09:00:00Z`"),
        }
    }
}
