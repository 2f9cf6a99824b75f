//! Durations (`30s`, `10m`, `12h`, `7d`, `1h30m`) and sizes (`64KiB`, `10MiB`).

use std::ops::RangeInclusive;
use std::time::Duration;

use super::field::Field;
use crate::document::Value;

const SIZE_HELP: &str = "a size is a whole number and a unit: `512B`, `64KiB`, `10MiB`, `1GiB`, `500KB`";
const DURATION_HELP: &str = "a duration is a whole number and a unit: `500ms`, `30s`, `10m`, `12h`, `7d`";

pub(super) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

pub(super) const fn hours(count: u64) -> Duration {
    minutes(count * 60)
}

pub(super) const fn days(count: u64) -> Duration {
    hours(count * 24)
}

impl Field<'_> {
    /// A duration between two others.
    pub(super) fn duration_in(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        if let Value::Integer(_) | Value::Float(_) = self.value() {
            return self.refuse(format!("`{}` has no unit", self.shown()), DURATION_HELP);
        }
        let Some(duration) = duration(self.any_text()?) else {
            return self.refuse(format!("`{}` is no duration", self.shown()), DURATION_HELP);
        };
        if !range.contains(&duration) {
            let bounds = format!("between `{}` and `{}`", words(*range.start()), words(*range.end()));
            return self.refuse(format!("`{}` is out of range", self.shown()), bounds);
        }
        Some(duration)
    }

    /// A size in bytes between two others.
    pub(super) fn size_in(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let Some(size) = self.size()? else {
            return self.refuse(format!("`{}` is no size", self.shown()), SIZE_HELP);
        };
        if !range.contains(&size) {
            return self.refuse(
                format!("`{}` is out of range", self.shown()),
                format!("between `{}` and `{}`", size_words(*range.start()), size_words(*range.end())),
            );
        }
        Some(size)
    }

    /// A size, or `0` for none at all.
    pub(super) fn size_or_unlimited(&self) -> Option<Option<u64>> {
        match self.size()? {
            Some(0) => Some(None),
            Some(size) => Some(Some(size)),
            None => self.refuse(format!("`{}` is no size", self.shown()), format!("{SIZE_HELP}; `0` is no limit")),
        }
    }

    /// `Some(None)`: it is something, but no size.
    fn size(&self) -> Option<Option<u64>> {
        match self.value() {
            Value::Integer(0) => Some(Some(0)),
            Value::Integer(_) | Value::Float(_) => Some(None),
            _ => Some(size(self.any_text()?)),
        }
    }
}

/// As an operator would write it.
pub(super) fn words(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace("days", "d").replace("day", "d")
}

fn size_words(bytes: u64) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => format!("{bytes}B"),
    }
}

fn duration(text: &str) -> Option<Duration> {
    // Units in full words and months (`M`, one letter from minutes) are left out.
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        rest = &rest[digits..];
        let unit = ["ms", "s", "m", "h", "d"]
            .into_iter()
            .find(|unit| rest.strip_prefix(unit).is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphabetic())));
        rest = &rest[unit.filter(|_| digits > 0)?.len()..];
    }
    humantime::parse_duration(text).ok()
}

fn size(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "" if number == "0" => 1,
        "B" => 1,
        "KB" => 1000,
        "MB" => 1000 * 1000,
        "GB" => 1000 * 1000 * 1000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_that_nobody_confuses() {
        for (text, expected) in [("30s", 30), ("10m", 600), ("12h", 43_200), ("7d", 604_800), ("1h30m", 5400), ("0s", 0)] {
            assert_eq!(duration(text), Some(seconds(expected)), "{text}");
        }
        for bad in ["", "30", "s", "-1s", "1.5h", "10M", "10 m", "1y", "10min", "99999999999999999999d", "18446744073709551615d"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_need_a_unit() {
        for (text, expected) in [("0", 0), ("512B", 512), ("64KiB", 65_536), ("10MiB", 10_485_760), ("1GiB", 1 << 30), ("500KB", 500_000)] {
            assert_eq!(size(text), Some(expected), "{text}");
        }
        for bad in ["", "10", "MiB", "10 MiB", "10mib", "1.5MiB", "-1B", "99999999999999999999GiB", "18446744073709551615GiB"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
