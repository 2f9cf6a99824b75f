//! The report as text, for a terminal.

use std::fmt::Write as _;

use super::bars::baseline;
use super::{LeftOut, Report, System};
use crate::figures::{Bar, Figure};
use crate::meter;

/// Those that Doorward is held against, cheapest to say first.
const OURS: [(&str, &str); 4] = [
    ("doorward-public", "public"),
    ("doorward-bearer-cached", "bearer"),
    ("doorward-session", "session"),
    ("doorward-behind-nginx", "behind nginx"),
];

pub fn text(report: &Report) -> String {
    let Report { machine, date, rounds, seconds, .. } = report;
    let mut text = format!("Doorward beside its peers: {machine}; {date}; {rounds} rounds of {seconds} s\n\n");
    systems(&mut text, report);
    against(&mut text, report);
    figures(&mut text, &report.figures);
    reasons(&mut text, "Left out", &report.left_out);
    reasons(&mut text, "WRONG: these make the run worthless", &report.faults);
    let _ = writeln!(text, "\n{}", if report.holds() { "Every bar holds." } else { "Not every bar holds." });
    text
}

fn systems(text: &mut String, report: &Report) {
    let head = ["CPU µs", "lowest", "highest", "requests/s", "p50 µs", "p99 µs", "to bare"];
    let _ = writeln!(text, "{}", line("CPU time of its own processes for each request", head.map(str::to_owned)));
    for system in &report.systems {
        let System { id, cpu_us_per_request, cpu_us_spread: [min, max], requests_per_second, p50_us, p99_us } = system;
        let ratio = report.cpu_us(baseline(id)).map_or(String::new(), |bare| format!("{:.2}", cpu_us_per_request / bare));
        let numbers = [cpu_us_per_request, min, max].map(|us| format!("{us:.2}"));
        let [cpu, min, max] = numbers;
        let _ = writeln!(text, "{}", line(id, [cpu, min, max, whole(*requests_per_second), whole(*p50_us), whole(*p99_us), ratio]));
    }
    let _ = writeln!(
        text,
        "\nMedians. `to bare`: to the bare pingora proxy; HTTP/2 and hook answers to a bare one of their kind. CPU time is\n\
         {source}.\n{apart} by {at_once} connections (HTTP/2: 4 with 8 requests each).",
        source = meter::SOURCE,
        apart = if report.apart {
            "A system answers on a core of its own and is asked from the others"
        } else {
            "The kernel chose the cores; a system has one thread, and is asked"
        },
        at_once = crate::load::AT_ONCE,
    );
}

fn line<const N: usize>(name: &str, columns: [String; N]) -> String {
    let columns: String = columns.iter().map(|column| format!(" {column:>10}")).collect();
    format!("{name:<47}{columns}")
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

/// What each of ours costs of what each of the others costs.
fn against(text: &mut String, report: &Report) {
    let ours: Vec<(&str, f64)> = OURS.iter().filter_map(|(id, short)| Some((*short, report.cpu_us(id)?))).collect();
    let theirs = report.systems.iter().filter(|system| !is_ours(system.id) && !is_another_kind(system.id));
    let theirs: Vec<&System> = theirs.collect();
    if ours.is_empty() || theirs.is_empty() {
        return;
    }
    let row = |name: &str, columns: Vec<String>| {
        let columns: String = columns.iter().map(|column| format!(" {column:>13}")).collect();
        format!("{name:<47}{columns}")
    };
    let _ = writeln!(text, "\n{}", row("CPU time of Doorward as a share of", ours.iter().map(|(short, _)| (*short).to_owned()).collect()));
    for system in theirs {
        let shares = ours.iter().map(|(_, cpu_us)| format!("{:.2}", cpu_us / system.cpu_us_per_request));
        let _ = writeln!(text, "{}", row(system.id, shares.collect()));
    }
}

fn is_ours(id: &str) -> bool {
    id.starts_with("doorward-")
}

/// What answers a hook, or speaks HTTP/2, is not held against what proxies over HTTP/1.1.
fn is_another_kind(id: &str) -> bool {
    baseline(id) != "pingora-bare-proxy" || id.ends_with("-hook")
}

fn figures(text: &mut String, figures: &[Figure]) {
    if figures.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{:<40} {:>12} {:<8} {:>8}  {:<5} how", "Figure", "", "", "bar", "holds");
    for figure in figures {
        let bar = match figure.bar {
            // It was not measured.
            Some(bar) if bar.height().is_nan() => String::new(),
            Some(Bar::AtMost(most)) => format!("≤ {most}"),
            Some(Bar::AtLeast(least)) => format!("≥ {least}"),
            None => String::new(),
        };
        let holds = figure.holds().map_or("", |holds| if holds { "yes" } else { "NO" });
        let Figure { name, value, unit, note, .. } = figure;
        let value = if value.is_nan() {
            "—".to_owned()
        } else if value.abs() >= 1000.0 {
            whole(*value)
        } else {
            format!("{value:.3}")
        };
        let _ = writeln!(text, "{}", format!("{name:<40} {value:>12} {unit:<8} {bar:>8}  {holds:<5} {note}").trim_end());
    }
}

fn reasons(text: &mut String, title: &str, reasons: &[LeftOut]) {
    if !reasons.is_empty() {
        let _ = writeln!(text, "\n{title}:");
    }
    for LeftOut { id, why } in reasons {
        let _ = writeln!(text, "  {id}: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use crate::rounds::Row;

    fn report() -> Report {
        let rows = [
            row("haproxy-jwt", &[50.0]),
            row("pingora-bare-proxy", &[20.0, 18.0, 30.0]),
            row("doorward-bearer-cached", &[21.0]),
            Row { id: "traefik-forward-auth", absent: Some("there is no `traefik`".into()), ..Row::default() },
        ];
        let missing = Figure { name: "f", value: f64::NAN, unit: "×", bar: Some(Bar::AtMost(1.25)), note: "not measured".into() };
        Report::of(&rows, vec![missing], (3, 2, true))
    }

    fn row_of<'t>(text: &'t str, name: &str, nth: usize) -> Vec<&'t str> {
        let line = text.lines().filter(|line| line.trim_start().starts_with(name)).nth(nth).expect("there is such a line");
        line.split_whitespace().collect()
    }

    #[test]
    fn each_system_has_a_line_with_its_cost_and_its_ratio() {
        let text = text(&report());
        assert_eq!(
            row_of(&text, "pingora-bare-proxy", 0),
            ["pingora-bare-proxy", "20.00", "18.00", "30.00", "50000", "500", "900", "1.00"]
        );
        assert_eq!(row_of(&text, "doorward-bearer-cached", 0).last(), Some(&"1.05"));
        assert_eq!(row_of(&text, "haproxy-jwt", 1), ["haproxy-jwt", "0.42"]);
    }

    #[test]
    fn what_is_missing_is_said() {
        let text = text(&report());
        assert_eq!(row_of(&text, "f ", 0), ["f", "—", "×", "≤", "1.25", "NO", "not", "measured"]);
        assert!(text.contains("Left out:\n  traefik-forward-auth: there is no `traefik`\n"));
        assert!(text.ends_with("Not every bar holds.\n"));
    }
}
