//! The bars that compare two rows of the table.

use crate::figures::{Bar, Figure};

/// Whom nobody who checks nothing can beat: what a Doorward is divided by.
pub fn baseline(id: &str) -> &'static str {
    match id {
        "doorward-hook" | "doorward-hook-session" | "pingora-bare-answer" => "pingora-bare-answer",
        "doorward-tls-h2" | "pingora-bare-h2" => "pingora-bare-h2",
        _ => "pingora-bare-proxy",
    }
}

/// Name, what is divided by what, and how much it may be.
const RATIOS: [(&str, &str, &str, Option<f64>); 9] = [
    ("bearer_to_bare_proxy", "doorward-bearer-cached", "pingora-bare-proxy", Some(1.10)),
    ("session_to_bare_proxy", "doorward-session", "pingora-bare-proxy", Some(1.10)),
    ("h2_to_bare_h2", "doorward-tls-h2", "pingora-bare-h2", None),
    ("bearer_to_haproxy", "doorward-bearer-cached", "haproxy-jwt", Some(0.50)),
    ("bearer_to_haproxy_unsaid", "doorward-bearer-cached", "haproxy-jwt-unsaid", None),
    ("bearer_to_mod_auth_openidc", "doorward-bearer-cached", "mod-auth-openidc-bearer", Some(0.25)),
    ("session_to_mod_auth_openidc", "doorward-session", "mod-auth-openidc-session", None),
    ("hook_to_bare_answer", "doorward-hook", "pingora-bare-answer", Some(1.20)),
    ("session_hook_to_bare_answer", "doorward-hook-session", "pingora-bare-answer", Some(1.20)),
];

/// Those whose two systems were asked for. What could not be measured then does not hold.
pub fn ratios(asked_for: &[&str], cpu_us: impl Fn(&str) -> Option<f64>) -> Vec<Figure> {
    let chosen = RATIOS.iter().filter(|(_, ours, theirs, _)| asked_for.contains(ours) && asked_for.contains(theirs));
    let figure = |(name, ours, theirs, most): &(&'static str, &str, &str, Option<f64>)| {
        let (value, missing) = match (cpu_us(ours), cpu_us(theirs)) {
            (Some(ours), Some(theirs)) => (ours / theirs, ""),
            (None, _) | (_, None) => (f64::NAN, ": not measured"),
        };
        let bar = most.map(Bar::AtMost);
        Figure { name, value, unit: "×", bar, note: format!("{ours} / {theirs}{missing}") }
    };
    chosen.map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 3] = ["doorward-bearer-cached", "pingora-bare-proxy", "haproxy-jwt"];

    fn cpu_us(id: &str) -> Option<f64> {
        match id {
            "doorward-bearer-cached" => Some(22.0),
            "pingora-bare-proxy" => Some(20.0),
            _ => None,
        }
    }

    #[test]
    fn ours_is_divided_by_theirs() {
        let ratios = ratios(&ALL, cpu_us);
        assert_eq!(ratios[0].name, "bearer_to_bare_proxy");
        assert_eq!((ratios[0].value, ratios[0].holds()), (1.1, Some(true)));
    }

    #[test]
    fn what_was_asked_for_and_not_measured_does_not_hold() {
        let ratios = ratios(&ALL, cpu_us);
        assert_eq!((ratios[1].name, ratios[1].holds()), ("bearer_to_haproxy", Some(false)));
        assert_eq!(ratios.len(), 2);
    }

    #[test]
    fn what_was_not_asked_for_is_not_missing() {
        assert_eq!(ratios(&ALL[..2], cpu_us).len(), 1);
        assert_eq!(ratios(&ALL[..1], cpu_us).len(), 0);
    }
}
