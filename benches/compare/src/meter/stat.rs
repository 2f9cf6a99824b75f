//! A line of `/proc/PID/stat` (proc_pid_stat(5)), and one of `/proc/stat` (proc_stat(5)).

use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct Stat {
    pub pid: u32,
    pub parent: u32,
    /// Of all its threads, those that ended included.
    pub own: Duration,
    /// Of children that ended and were waited for.
    pub children: Duration,
}

/// Of 1/100 second: what the kernel calls `USER_HZ`, the same on every architecture that Rust's Linux targets have.
const TICK: Duration = Duration::from_millis(10);

impl Stat {
    /// The second field is the program's name in parentheses, and may contain anything, parentheses and spaces included.
    pub fn parse(line: &str) -> Option<Self> {
        let (pid, rest) = line.split_once(" (")?;
        let (_, rest) = rest.rsplit_once(") ")?;
        // From the third field on.
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let ticks = |at: usize| fields.get(at - 3)?.parse::<u32>().ok();
        Some(Self {
            pid: pid.parse().ok()?,
            parent: fields.get(1)?.parse().ok()?,
            own: TICK * (ticks(14)? + ticks(15)?),
            children: TICK * (ticks(16)? + ticks(17)?),
        })
    }
}

/// One core, and how long it has not been idle: user, nice, system, interrupts and what was stolen from it.
pub fn busy(line: &str) -> Option<(usize, Duration)> {
    // The line of all cores together has no number.
    let (core, fields) = line.strip_prefix("cpu")?.split_once(' ')?;
    let core = core.parse().ok()?;
    let ticks: Vec<u32> = fields.split_ascii_whitespace().map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else { return None };
    Some((core, TICK * (user + nice + system + irq + softirq + steal)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest_of_the_line() {
        let rest = "S 4242 1 1 0 -1 4194560 2 3 0 0 150 50 7 3 20 0 2 0 100 1000 200 18446744073709551615";
        let read = Stat { pid: 77, parent: 4242, own: Duration::from_secs(2), children: Duration::from_millis(100) };
        assert_eq!(Stat::parse(&format!("77 (nginx) {rest}")), Some(read.clone()));
        assert_eq!(Stat::parse(&format!("77 (a) R 1 (b c) {rest}")), Some(read));
    }

    #[test]
    fn a_core_is_busy_when_it_is_not_idle() {
        assert_eq!(busy("cpu1 100 20 30 4000 500 6 7 8 0 0"), Some((1, Duration::from_millis(1710))));
        assert_eq!(busy("cpu  100 20 30 4000 500 6 7 8 0 0"), None);
        assert_eq!(busy("intr 100 20 30 4000 500 6 7 8 0 0"), None);
        assert_eq!(busy("cpu1 100 20 30 4000 500 6 7"), None);
    }

    #[test]
    fn half_a_line_is_none() {
        assert_eq!(Stat::parse("77 (nginx) S 4242 1 1 0 -1 4194560 2 3 0 0 150 50 7"), None);
        assert_eq!(Stat::parse("77 nginx S"), None);
        assert_eq!(Stat::parse(""), None);
    }
}
