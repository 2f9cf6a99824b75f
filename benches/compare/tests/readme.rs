//! The README's numbers are those of the newest result.

use std::fs;
use std::path::Path;

use serde_json::Value;

fn from_root(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn cost(results: &Value, id: &str) -> f64 {
    let systems = results["systems"].as_array().expect("systems are a list");
    let system = systems.iter().find(|system| system["id"] == id).unwrap_or_else(|| panic!("`{id}` was measured"));
    system["cpu_us_per_request"].as_f64().expect("a number")
}

#[test]
fn the_table_of_the_readme_is_the_newest_result() {
    let results: Value = serde_json::from_str(&from_root("benches/compare/results/latest.json")).expect("JSON");
    let readme = from_root("README.md");
    let rows: Vec<Vec<&str>> =
        readme.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').map(str::trim).collect()).collect();
    assert!(rows.len() >= 8, "the table is there");
    for row in rows {
        let id = row[1].split('`').nth(1).expect("an id in backticks");
        assert_eq!(row[3], format!("{:.1}", cost(&results, id)), "{id}");
        let bare = cost(&results, if id.contains("hook") || id.contains("answer") { "pingora-bare-answer" } else { "pingora-bare-proxy" });
        assert_eq!(row[4], format!("{:.2}", cost(&results, id) / bare), "{id}");
    }
}

#[test]
fn the_result_has_what_its_readers_look_for() {
    let results: Value = serde_json::from_str(&from_root("benches/compare/results/latest.json")).expect("JSON");
    assert!(results["machine"].is_string() && results["date"].is_string() && results["figures"].is_object());
    for system in results["systems"].as_array().expect("a list") {
        for name in ["cpu_us_per_request", "requests_per_second", "p50_us", "p99_us"] {
            assert!(system[name].as_f64().is_some_and(|value| value > 0.0), "{name} of {}", system["id"]);
        }
    }
    for id in ["nginx-proxy", "haproxy-jwt", "mod-auth-openidc-bearer", "pingora-bare-proxy", "doorward-bearer-cached", "doorward-session"]
    {
        cost(&results, id);
    }
}
