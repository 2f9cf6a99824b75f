//! What a run found: as JSON, as a table, and as a picture.

pub mod bars;
mod machine;
mod plot;
mod table;

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::bench::Bench;
use crate::figures::{Bar, Figure};
use crate::rounds::Row;
use crate::stand::Fault;
use crate::statistics::Spread;

/// What `latest.json` holds.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Its processor, cores and kernel: never its name.
    pub machine: String,
    pub date: String,
    pub rounds: usize,
    pub seconds: u64,
    /// Whether whoever asked had cores of their own.
    pub apart: bool,
    pub systems: Vec<System>,
    #[serde(serialize_with = "by_name")]
    pub figures: Vec<Figure>,
    /// What could not be run.
    pub left_out: Vec<LeftOut>,
    /// What went wrong; empty, or the run is a failure.
    pub faults: Vec<LeftOut>,
}

/// Medians over all rounds, and where the cost lay.
#[derive(Debug, Clone, Serialize)]
pub struct System {
    pub id: &'static str,
    pub cpu_us_per_request: f64,
    pub cpu_us_spread: [f64; 2],
    pub requests_per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

/// What is not in the table, or should not be believed, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeftOut {
    pub id: &'static str,
    pub why: String,
}

impl Report {
    pub fn new(rows: &[Row], figures: Vec<Figure>, bench: &Bench<'_>) -> Self {
        Self::of(rows, figures, (bench.rounds, bench.seconds, bench.cores.apart))
    }

    fn of(rows: &[Row], figures: Vec<Figure>, (rounds, seconds, apart): (usize, u64, bool)) -> Self {
        let why = |row: &Row, why: &String| LeftOut { id: row.id, why: why.clone() };
        Self {
            machine: machine::described(),
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            rounds,
            seconds,
            apart,
            systems: rows.iter().filter_map(System::of).collect(),
            figures,
            left_out: rows.iter().flat_map(|row| row.absent.iter().map(move |text| why(row, text))).collect(),
            faults: rows.iter().flat_map(|row| row.faults.iter().map(move |text| why(row, text))).collect(),
        }
    }

    /// The median CPU time for each request, where it was measured.
    pub fn cpu_us(&self, id: &str) -> Option<f64> {
        self.systems.iter().find(|system| system.id == id).map(|system| system.cpu_us_per_request)
    }

    /// Whether everything was as it must be.
    pub fn holds(&self) -> bool {
        self.faults.is_empty() && self.figures.iter().all(|figure| figure.holds() != Some(false))
    }

    /// The table.
    pub fn text(&self) -> String {
        table::text(self)
    }

    /// Writes `latest.json`, `.txt`, `.svg` and `.png`.
    ///
    /// # Errors
    /// The system's, or what the plotting program has to say.
    pub fn write(&self, folder: &Path) -> Result<(), Fault> {
        fs::create_dir_all(folder)?;
        let json = folder.join("latest.json");
        fs::write(&json, serde_json::to_string_pretty(self)? + "\n")?;
        fs::write(folder.join("latest.txt"), self.text())?;
        plot::draw(&json, folder)
    }
}

impl System {
    fn of(row: &Row) -> Option<Self> {
        let cpu = row.spread(|sample| sample.cpu_us)?;
        let median = |spread: Option<Spread>| spread.map_or(f64::NAN, |spread| spread.median);
        Some(Self {
            id: row.id,
            cpu_us_per_request: rounded(cpu.median),
            cpu_us_spread: [rounded(cpu.min), rounded(cpu.max)],
            requests_per_second: median(row.spread(|sample| sample.requests_per_second)).round(),
            p50_us: median(row.spread(|sample| sample.p50_us)).round(),
            p99_us: median(row.spread(|sample| sample.p99_us)).round(),
        })
    }
}

/// To three decimals: more is noise.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn by_name<S: Serializer>(figures: &[Figure], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Said<'f> {
        value: f64,
        unit: &'f str,
        #[serde(skip_serializing_if = "Option::is_none")]
        at_most: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        at_least: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        holds: Option<bool>,
        #[serde(skip_serializing_if = "str::is_empty")]
        note: &'f str,
    }
    serializer.collect_map(figures.iter().map(|figure| {
        // Without a number where it was not measured.
        let (at_most, at_least) = match figure.bar.filter(|bar| !bar.height().is_nan()) {
            Some(Bar::AtMost(most)) => (Some(most), None),
            Some(Bar::AtLeast(least)) => (None, Some(least)),
            None => (None, None),
        };
        let Figure { name, value, unit, note, .. } = figure;
        (name, Said { value: rounded(*value), unit, at_most, at_least, holds: figure.holds(), note })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Measured;
    use serde_json::json;

    pub(super) fn row(id: &'static str, cpu_us: &[f64]) -> Row {
        let sample = |cpu_us: &f64| Measured { cpu_us: *cpu_us, requests_per_second: 1e6 / cpu_us, p50_us: 500.0, p99_us: 900.0 };
        Row { id, samples: cpu_us.iter().map(sample).collect(), ..Row::default() }
    }

    fn figure(value: f64, bar: Option<Bar>) -> Figure {
        Figure { name: "a_figure", value, unit: "×", bar, note: String::new() }
    }

    #[test]
    fn latest_json_has_the_shape_that_it_promises() {
        let rows = [row("pingora-bare-proxy", &[20.0, 25.0, 21.0]), Row { id: "traefik", absent: Some("no".into()), ..Row::default() }];
        let report =
            Report::of(&rows, vec![figure(1.04, Some(Bar::AtMost(1.1))), Figure { name: "told", ..figure(3.0, None) }], (3, 2, true));
        let json = serde_json::to_value(&report).unwrap();
        assert!(json["machine"].as_str().is_some_and(|machine| !machine.is_empty()));
        assert!(json["date"].as_str().is_some_and(|date| date.ends_with('Z')));
        let bare = json!({
            "id": "pingora-bare-proxy", "cpu_us_per_request": 21.0, "cpu_us_spread": [20.0, 25.0],
            "requests_per_second": 47619.0, "p50_us": 500.0, "p99_us": 900.0,
        });
        assert_eq!(json["systems"], json!([bare]));
        let told = json!({"value": 3.0, "unit": "×"});
        assert_eq!(json["figures"], json!({"a_figure": {"value": 1.04, "unit": "×", "at_most": 1.1, "holds": true}, "told": told}));
        assert_eq!(json["left_out"], json!([{"id": "traefik", "why": "no"}]));
        assert!(report.holds());
    }

    #[test]
    fn a_bar_that_does_not_hold_or_a_fault_fails_the_run() {
        let rows = [row("pingora-bare-proxy", &[20.0])];
        assert!(!Report::of(&rows, vec![figure(1.2, Some(Bar::AtMost(1.1)))], (1, 1, true)).holds());
        assert!(!Report::of(&rows, vec![figure(f64::NAN, Some(Bar::AtMost(1.1)))], (1, 1, true)).holds());
        let faulty = [Row { faults: vec!["no".into()], ..row("pingora-bare-proxy", &[20.0]) }];
        assert!(!Report::of(&faulty, Vec::new(), (1, 1, true)).holds());
        assert!(Report::of(&rows, Vec::new(), (1, 1, true)).holds());
    }
}
