//! The bars that are not a row of the table: each is one number, what it may be, and whether it is.

mod access_log;
mod admit;
mod edge;
mod fixed_rate;
mod idle;
mod inside;
pub mod many_tokens;
mod new_token;
mod routes;
mod start;
mod two_cores;

use crate::bench::Bench;
use crate::rounds::Row;
use crate::stand::Fault;

/// One number that stands for a promise.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What `latest.json` calls it.
    pub name: &'static str,
    pub value: f64,
    /// `×` for ratios.
    pub unit: &'static str,
    /// `None` where it is only told.
    pub bar: Option<Bar>,
    /// How it came about, for the table; may be empty.
    pub note: String,
}

/// What a number may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

impl Bar {
    /// What it compares with.
    pub fn height(self) -> f64 {
        let (Self::AtMost(height) | Self::AtLeast(height)) = self;
        height
    }
}

impl Figure {
    /// How many times another number it is, with a bar.
    fn ratio(name: &'static str, value: f64, bar: Bar, note: String) -> Self {
        Self { name, value, unit: "×", bar: Some(bar), note }
    }

    /// One that has a bar, and could not be measured.
    fn missing(name: &'static str, fault: &(dyn std::error::Error + Send + Sync)) -> Self {
        let why = fault.to_string();
        let note = format!("not measured: {}", why.split_whitespace().take(30).collect::<Vec<_>>().join(" "));
        Self { name, value: f64::NAN, unit: "", bar: Some(Bar::AtMost(f64::NAN)), note }
    }

    /// Whether its bar holds; `None` without one. What is not a number holds nothing.
    pub fn holds(&self) -> Option<bool> {
        self.bar.map(|bar| match bar {
            Bar::AtMost(most) => self.value <= most,
            Bar::AtLeast(least) => self.value >= least,
        })
    }
}

/// Some figures that are measured together.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// For `--only`.
    pub id: &'static str,
    /// What it promises, with bars: so that a figure that cannot be measured is missed.
    pub promised: &'static [&'static str],
    pub measure: fn(&Bench<'_>, &[Row]) -> Result<Vec<Figure>, Fault>,
}

pub const GROUPS: [Group; 9] = [
    Group { id: "new-token", promised: &["new_token_to_verification"], measure: new_token::figures },
    Group { id: "admit", promised: &["admit_bearer", "admit_session"], measure: admit::figures },
    Group { id: "routes", promised: &["routes_proxied", "routes_admitted"], measure: routes::figures },
    Group { id: "many-tokens", promised: &["many_tokens_memory", "many_tokens_time", "many_tokens_hit"], measure: many_tokens::figures },
    Group { id: "idle", promised: &["resident_idle", "resident_per_connection"], measure: idle::figures },
    Group { id: "start", promised: &["start_to_first_answer"], measure: start::figures },
    Group { id: "access-log", promised: &[], measure: access_log::figures },
    Group { id: "fixed-rate", promised: &["p99_to_bare_proxy"], measure: fixed_rate::figures },
    Group { id: "two-cores", promised: &["two_cores_cpu", "two_cores_throughput"], measure: two_cores::figures },
];

impl Group {
    /// Its figures; what it promises and cannot be measured is there, and does not hold.
    pub fn figures(&self, bench: &Bench<'_>, rows: &[Row]) -> Vec<Figure> {
        eprintln!("figures: {}", self.id);
        let figures = (self.measure)(bench, rows).unwrap_or_else(|fault| {
            eprintln!("  not measured: {fault}");
            let missing = |name: &&'static str| Figure::missing(name, &*fault);
            self.promised.iter().map(missing).collect()
        });
        for figure in &figures {
            eprintln!("  {} {:.3} {}", figure.name, figure.value, figure.unit);
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, bar: Option<Bar>) -> Figure {
        Figure { name: "x", value, unit: "×", bar, note: String::new() }
    }

    #[test]
    fn a_bar_holds_up_to_its_own_value() {
        assert_eq!(figure(1.1, Some(Bar::AtMost(1.1))).holds(), Some(true));
        assert_eq!(figure(1.11, Some(Bar::AtMost(1.1))).holds(), Some(false));
        assert_eq!(figure(0.9, Some(Bar::AtLeast(0.9))).holds(), Some(true));
        assert_eq!(figure(0.89, Some(Bar::AtLeast(0.9))).holds(), Some(false));
    }

    #[test]
    fn no_bar_holds_for_what_is_not_a_number() {
        assert_eq!(figure(f64::NAN, Some(Bar::AtMost(1.0))).holds(), Some(false));
        assert_eq!(figure(f64::NAN, Some(Bar::AtLeast(1.0))).holds(), Some(false));
        assert_eq!(figure(f64::NAN, None).holds(), None);
    }
}
