//! When a rule lets anybody in: days and hours by the clock of one place.

use std::fmt;

use jiff::civil::Weekday;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::time::Timestamp;

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];
/// Minutes of a day on the wall.
const DAY: u16 = 24 * 60;

/// Hours of some days of the week, on the wall of one zone: `from` is in it, `to` is not.
///
/// A window that begins later than it ends passes midnight, and belongs to the day it began on. On the two days a year
/// when clocks are moved, the clock on the wall counts: an hour that is skipped opens nothing, one that is repeated is
/// open twice.
#[derive(Debug, Clone)]
pub struct TimeWindow {
    /// Bit 0 is Monday.
    days: u8,
    /// Minutes since midnight; less than [`DAY`].
    from: u16,
    /// At most [`DAY`], and never `from`.
    to: u16,
    zone: TimeZone,
}

/// Why there is no such window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeWindowFault {
    #[error("`{0}` is neither a day (`mon`) nor days (`mon-fri`)")]
    Day(String),
    #[error("`{0}` is no time of a day (`08:00`, two digits each; the end may be `24:00`)")]
    Clock(String),
    #[error("the bundled time zone database knows no `{0}`")]
    Zone(String),
    #[error("it ends when it begins: leave both out to mean the whole day")]
    Empty,
}

impl TimeWindow {
    /// Reads a window. No days: every day; no `from`: midnight; no `to`: the next midnight. `zone` is an IANA name.
    ///
    /// # Errors
    /// [`TimeWindowFault`], with the part that is wrong.
    pub fn parse(days: &[&str], from: Option<&str>, to: Option<&str>, zone: &str) -> Result<Self, TimeWindowFault> {
        let mut set = 0;
        for text in days {
            set |= days_of(text).ok_or_else(|| TimeWindowFault::Day((*text).to_owned()))?;
        }
        let clock = |text: Option<&str>, missing: u16, last: u16| match text {
            None => Ok(missing),
            Some(text) => minutes(text).filter(|at| *at <= last).ok_or_else(|| TimeWindowFault::Clock(text.to_owned())),
        };
        let (from, to) = (clock(from, 0, DAY - 1)?, clock(to, DAY, DAY)?);
        if from == to {
            return Err(TimeWindowFault::Empty);
        }
        // The database that was compiled in: the same answer on every machine, and no file is looked at.
        let zone = TimeZoneDatabase::bundled().get(zone).map_err(|_| TimeWindowFault::Zone(zone.to_owned()))?;
        Ok(Self { days: if days.is_empty() { 0x7f } else { set }, from, to, zone })
    }

    /// Whether it is open at `now`. A time that no calendar has is outside of every window.
    pub fn holds(&self, now: Timestamp) -> bool {
        let Ok(instant) = jiff::Timestamp::from_second(now.0) else { return false };
        let wall = self.zone.to_datetime(instant);
        let (Ok(hour), Ok(minute)) = (u16::try_from(wall.hour()), u16::try_from(wall.minute())) else { return false };
        let at = hour * 60 + minute;
        let is_on = |day: Weekday| self.days & (1 << day.to_monday_zero_offset()) != 0;
        if self.from < self.to {
            return is_on(wall.weekday()) && (self.from..self.to).contains(&at);
        }
        (at >= self.from && is_on(wall.weekday())) || (at < self.to && is_on(wall.weekday().previous()))
    }

    /// When the window that is open at `now` closes by the clock on the wall; where an hour comes twice, the next time it does.
    fn end(&self, now: Timestamp) -> Option<Timestamp> {
        let today = self.zone.to_datetime(jiff::Timestamp::from_second(now.0).ok()?);
        let at = u16::try_from(today.hour()).ok()? * 60 + u16::try_from(today.minute()).ok()?;
        let date = if self.to == DAY || (self.to < self.from && at >= self.from) { today.date().tomorrow().ok()? } else { today.date() };
        let (hour, minute) = (i8::try_from(self.to % DAY / 60).ok()?, i8::try_from(self.to % 60).ok()?);
        let end = self.zone.to_ambiguous_timestamp(date.at(hour, minute, 0, 0));
        let mut ends = [end.compatible(), end.later()].into_iter().flatten().map(|end| Timestamp(end.as_second()));
        ends.find(|end| *end > now)
    }

    /// When none of `windows`, one of which is open at `now`, is open any more; or a moment before that: windows that follow
    /// one another are followed for a week. `None`: there is none to keep to.
    pub(super) fn all_close(windows: &[Self], now: Timestamp) -> Option<Timestamp> {
        if windows.is_empty() {
            return None;
        }
        let mut end = now;
        for _ in 0..7 {
            match windows.iter().filter(|window| window.holds(end)).filter_map(|window| window.end(end)).max() {
                Some(later) => end = later,
                None => break,
            }
        }
        Some(end)
    }

    /// Whether some window is open, or there is none to keep to.
    pub(super) fn any_holds(windows: &[Self], now: Timestamp) -> bool {
        windows.is_empty() || windows.iter().any(|window| window.holds(now))
    }
}

/// As one would write it: `mon-fri 08:00-18:00 Europe/Berlin`.
impl fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != 0x7f {
            let mut day = 0;
            let mut comma = "";
            while day < 7 {
                let run = (day..7).take_while(|at| self.days & (1 << at) != 0).count();
                match run {
                    0 => {}
                    1 => write!(f, "{comma}{}", DAYS[day].0)?,
                    more => write!(f, "{comma}{}-{}", DAYS[day].0, DAYS[day + more - 1].0)?,
                }
                if run > 0 {
                    comma = ",";
                }
                day += run + 1;
            }
            f.write_str(" ")?;
        }
        let clock = |at: u16| format!("{:02}:{:02}", at / 60, at % 60);
        write!(f, "{}-{} {}", clock(self.from), clock(self.to), self.zone.iana_name().unwrap_or("UTC"))
    }
}

/// `mon` or `mon-fri`; `sat-mon` goes on over Sunday.
fn days_of(text: &str) -> Option<u8> {
    let position = |name: &str| DAYS.iter().position(|(own, _)| *own == name);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (position(first)?, position(last)?);
    let length = (last + 7 - first) % 7;
    Some((0..=length).fold(0, |set, step| set | 1 << ((first + step) % 7)))
}

fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |digits: &str| (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse::<u16>().ok())?;
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (minutes < 60 && hours * 60 + minutes <= DAY).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[&str], from: &str, to: &str, zone: &str) -> TimeWindow {
        TimeWindow::parse(days, Some(from).filter(|t| !t.is_empty()), Some(to).filter(|t| !t.is_empty()), zone).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_second())
    }

    #[test]
    fn a_window_is_open_from_its_beginning_and_not_at_its_end() {
        // 2026-11-23 is a Monday; Berlin is an hour ahead of UTC in winter.
        let office = window(&["mon-fri"], "08:00", "18:00", "Europe/Berlin");
        for (time, expected) in [
            ("2026-11-23T06:59:59Z", false),
            ("2026-11-23T07:00:00Z", true),
            ("2026-11-23T16:59:59Z", true),
            ("2026-11-23T17:00:00Z", false),
            ("2026-11-27T12:00:00Z", true),
            ("2026-11-28T12:00:00Z", false),
            ("2026-11-29T12:00:00Z", false),
        ] {
            assert_eq!(office.holds(at(time)), expected, "{time}");
        }
        assert!(window(&[], "", "", "UTC").holds(at("2026-11-29T23:59:59Z")));
        assert!(window(&["sun"], "", "24:00", "UTC").holds(at("2026-11-29T23:59:59Z")));
        assert!(!window(&["sun"], "", "24:00", "UTC").holds(at("2026-11-30T00:00:00Z")));
    }

    #[test]
    fn a_window_that_passes_midnight_belongs_to_the_day_it_began_on() {
        let night = window(&["fri"], "22:00", "06:00", "UTC");
        for (time, expected) in [
            ("2026-11-27T05:00:00Z", false),
            ("2026-11-27T21:59:59Z", false),
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-28T05:59:59Z", true),
            ("2026-11-28T06:00:00Z", false),
            ("2026-11-28T22:30:00Z", false),
        ] {
            assert_eq!(night.holds(at(time)), expected, "{time}");
        }
        // From Sunday into Monday.
        let sunday = window(&["sun"], "22:00", "06:00", "UTC");
        assert!(sunday.holds(at("2026-11-30T05:00:00Z")) && !sunday.holds(at("2026-11-29T05:00:00Z")));
        assert!(window(&["sun"], "22:00", "00:00", "UTC").holds(at("2026-11-29T23:59:00Z")));
    }

    #[test]
    fn where_clocks_are_moved_the_one_on_the_wall_counts() {
        let zone = "Europe/Berlin";
        // 2026-03-29, 02:00 becomes 03:00 at 01:00 UTC.
        let skipped = window(&["sun"], "02:00", "03:00", zone);
        assert!(!skipped.holds(at("2026-03-29T00:59:59Z")) && !skipped.holds(at("2026-03-29T01:00:00Z")));
        let across = window(&["sun"], "01:00", "04:00", zone);
        for (time, expected) in [
            ("2026-03-28T23:59:59Z", false),
            ("2026-03-29T00:00:00Z", true),
            ("2026-03-29T01:59:59Z", true),
            ("2026-03-29T02:00:00Z", false),
        ] {
            assert_eq!(across.holds(at(time)), expected, "{time}");
        }
        // 2026-10-25, 03:00 becomes 02:00 at 01:00 UTC: this hour comes twice.
        let repeated = window(&["sun"], "02:00", "03:00", zone);
        for (time, expected) in [
            ("2026-10-24T23:59:59Z", false),
            ("2026-10-25T00:00:00Z", true),
            ("2026-10-25T00:59:59Z", true),
            ("2026-10-25T01:00:00Z", true),
            ("2026-10-25T01:59:59Z", true),
            ("2026-10-25T02:00:00Z", false),
        ] {
            assert_eq!(repeated.holds(at(time)), expected, "{time}");
        }
    }

    /// What was open at a time, and not a second later: for a stream that began in a window.
    #[test]
    fn a_window_says_when_it_closes() {
        let closes = |windows: &[TimeWindow], now: &str| TimeWindow::all_close(windows, at(now));
        let office = || window(&["mon-fri"], "08:00", "18:00", "Europe/Berlin");
        assert_eq!(closes(&[office()], "2026-11-23T07:00:00Z"), Some(at("2026-11-23T17:00:00Z")));
        assert_eq!(closes(&[office()], "2026-11-23T16:59:59Z"), Some(at("2026-11-23T17:00:00Z")));
        // One that begins where another ends goes on.
        let evening = window(&["mon"], "17:30", "22:00", "Europe/Berlin");
        assert_eq!(closes(&[office(), evening], "2026-11-23T07:00:00Z"), Some(at("2026-11-23T21:00:00Z")));
        let night = window(&["fri"], "22:00", "06:00", "UTC");
        for now in ["2026-11-27T22:00:00Z", "2026-11-28T05:59:59Z"] {
            assert_eq!(closes(std::slice::from_ref(&night), now), Some(at("2026-11-28T06:00:00Z")), "{now}");
        }
        assert_eq!(closes(&[window(&["sun"], "22:00", "00:00", "UTC")], "2026-11-29T23:00:00Z"), Some(at("2026-11-30T00:00:00Z")));
        assert_eq!(closes(&[window(&["mon-fri"], "", "", "UTC")], "2026-11-23T12:00:00Z"), Some(at("2026-11-28T00:00:00Z")));
        // Clocks go back at 01:00 UTC: the hour comes again, and the window closes for a moment in between.
        let early = window(&["sun"], "", "02:30", "Europe/Berlin");
        assert_eq!(closes(std::slice::from_ref(&early), "2026-10-25T00:00:00Z"), Some(at("2026-10-25T00:30:00Z")));
        assert_eq!(closes(&[early], "2026-10-25T01:15:00Z"), Some(at("2026-10-25T01:30:00Z")));
        // Clocks go forward then: 02:30 is skipped.
        let skipped = window(&["sun"], "", "02:30", "Europe/Berlin");
        assert_eq!(closes(&[skipped], "2026-03-29T00:00:00Z"), Some(at("2026-03-29T01:30:00Z")));
        assert_eq!(closes(&[], "2026-11-23T12:00:00Z"), None);
    }

    #[test]
    fn the_day_is_the_day_of_the_zone() {
        // Monday morning in Auckland is Sunday evening in London.
        let monday = window(&["mon"], "", "", "Pacific/Auckland");
        assert!(monday.holds(at("2026-11-22T12:00:00Z")) && !monday.holds(at("2026-11-22T10:59:00Z")));
    }

    #[test]
    fn days_go_round_the_week_and_a_window_reads_as_it_was_written() {
        for (days, from, to, expected) in [
            (&["mon-fri"][..], "08:00", "18:00", "mon-fri 08:00-18:00 UTC"),
            (&["fri-mon"], "", "", "mon,fri-sun 00:00-24:00 UTC"),
            (&["mon", "wed", "sun"], "22:30", "06:00", "mon,wed,sun 22:30-06:00 UTC"),
            (&[], "08:00", "", "08:00-24:00 UTC"),
            (&["tue-mon"], "", "", "00:00-24:00 UTC"),
        ] {
            assert_eq!(window(days, from, to, "UTC").to_string(), expected);
        }
        assert!(window(&[], "", "", "Europe/Berlin").to_string().ends_with("Europe/Berlin"));
    }

    #[test]
    fn what_is_no_window_says_which_part() {
        let parse = |days: &[&str], from, to, zone| TimeWindow::parse(days, from, to, zone).err();
        for day in ["", "monday", "Mon", "mon-", "-fri", "mon-fri-sun", "mon fri"] {
            assert_eq!(parse(&[day], None, None, "UTC"), Some(TimeWindowFault::Day(day.into())));
        }
        for clock in ["", "8:00", "08", "08:0", "24:01", "25:00", "08:60", "+8:00", "08:00:00", " 8:00", "08:\u{663}0"] {
            assert_eq!(parse(&[], None, Some(clock), "UTC"), Some(TimeWindowFault::Clock(clock.into())));
        }
        assert_eq!(parse(&[], Some("24:00"), None, "UTC"), Some(TimeWindowFault::Clock("24:00".into())));
        assert_eq!(parse(&[], Some("08:00"), Some("08:00"), "UTC"), Some(TimeWindowFault::Empty));
        for zone in ["", "Berlin", "Europe/Atlantis", "+01:00", "../../etc/passwd"] {
            assert_eq!(parse(&[], None, None, zone), Some(TimeWindowFault::Zone(zone.into())));
        }
    }

    #[test]
    fn a_time_that_no_calendar_has_is_outside() {
        let always = window(&[], "", "", "UTC");
        assert!(!always.holds(Timestamp(i64::MAX)) && !always.holds(Timestamp(i64::MIN)) && always.holds(Timestamp(0)));
    }
}
