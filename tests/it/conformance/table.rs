//! `docs/conformance.md` against the tests that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const PAGE: &str = include_str!("../../../docs/conformance.md");
/// How many modules each plan has.
const PLANS: [(&str, usize); 9] = [
    ("basic", 14),
    ("config", 6),
    ("form_post", 15),
    ("back_channel", 8),
    ("front_channel", 1),
    ("rp_initiated", 3),
    ("session", 1),
    ("refresh", 3),
    ("third_party", 1),
];

/// A line of either table.
struct Row<'p> {
    /// Empty below the 52.
    number: &'p str,
    plan: &'p str,
    module: &'p str,
    verdict: &'p str,
    test: &'p str,
}

fn rows(page: &str) -> Vec<Row<'_>> {
    let lines = page.lines().filter(|line| line.starts_with('|') && line.contains("| `conf_"));
    let row = |line| {
        let cells: Vec<&str> = str::trim_matches(line, '|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [number, plan, module, _does, verdict, test] = cells[..] else { panic!("not six cells: {line}") };
        Row { number, plan, module, verdict, test }
    };
    lines.map(row).collect()
}

/// The name of every test of this program, without its modules.
fn tests(list: &[&str]) -> BTreeSet<String> {
    let output = Command::new(std::env::current_exe().unwrap()).args(["--list", "--format", "terse"]).args(list).output().unwrap();
    let names = String::from_utf8(output.stdout).unwrap();
    names.lines().filter_map(|line| line.strip_suffix(": test")).map(|path| path.rsplit("::").next().unwrap().to_owned()).collect()
}

/// `oidc_16` and the like: a number of another catalogue.
fn is_id(text: &str) -> bool {
    text.split_once('_').is_some_and(|(family, number)| {
        family.bytes().all(|byte| byte.is_ascii_lowercase()) && number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// What is wrong with the page, when these tests run and those are left out.
fn faults(page: &str, run: &BTreeSet<String>, left_out: &BTreeSet<String>) -> Vec<String> {
    let rows = rows(page);
    let mut faults = Vec::new();
    let (counted, beyond): (Vec<_>, Vec<_>) = rows.iter().partition(|row| !row.number.is_empty());
    let expected: Vec<String> = (1..=52).map(|number| format!("CONF-{number:02}")).collect();
    if !counted.iter().map(|row| row.number).eq(expected) {
        faults.push("the numbers are not CONF-01 to CONF-52 in order".to_owned());
    }
    let mut plans: BTreeMap<&str, usize> = BTreeMap::new();
    counted.iter().for_each(|row| *plans.entry(row.plan).or_default() += 1);
    if plans != PLANS.into() {
        faults.push(format!("the plans have these modules: {plans:?}"));
    }
    faults.extend(beyond.iter().filter(|row| row.plan != "beyond").map(|row| format!("`{}` has no number", row.module)));
    for row in &rows {
        let name = format!("conf_{}_{}", row.plan, row.module.replace('-', "_"));
        let is_its_name = row.test.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.strip_prefix('_').is_some_and(is_id));
        if !is_its_name {
            faults.push(format!("`{}` should be `{name}`", row.test));
        }
        if !run.contains(row.test) || left_out.contains(row.test) {
            faults.push(format!("no test runs as `{}`", row.test));
        }
        if !["accept", "refuse", "not offered"].iter().any(|verdict| row.verdict.starts_with(verdict)) {
            faults.push(format!("`{}`: no verdict in `{}`", row.module, row.verdict));
        }
    }
    let told: BTreeSet<&str> = rows.iter().map(|row| row.test).collect();
    if told.len() != rows.len() {
        faults.push("a test stands for two modules".to_owned());
    }
    let untold = run.iter().filter(|name| name.starts_with("conf_") && !told.contains(name.as_str()));
    faults.extend(untold.map(|name| format!("`{name}` is not on the page")));
    faults
}

#[test]
fn the_52_are_all_there_each_once_and_each_has_its_test() {
    let (run, left_out) = (tests(&[]), tests(&["--ignored"]));
    assert_eq!(faults(PAGE, &run, &left_out), [""; 0]);
    // And each way to go wrong shows.
    let line = |number: &str| PAGE.lines().find(|line| line.contains(number)).unwrap();
    for (name, page) in [
        ("a number is missing", PAGE.replace(line("CONF-17"), "")),
        ("a number comes twice", PAGE.replace("CONF-18", "CONF-17")),
        ("a line comes twice", PAGE.replace(line("CONF-17"), &format!("{0}\n{0}", line("CONF-17")))),
        ("two numbers are exchanged", PAGE.replace("CONF-17", "x").replace("CONF-18", "CONF-17").replace("| x ", "| CONF-18 ")),
        ("there is one more", PAGE.replace("|  | beyond |", "| CONF-53 | beyond |")),
        (
            "the test is another's",
            PAGE.replace("| `conf_basic_oidcc_client_test_invalid_iss` |", "| `conf_basic_oidcc_client_test_invalid_aud` |"),
        ),
        ("no test has that name", PAGE.replace("-invalid-iss", "-invalid-isss").replace("_invalid_iss", "_invalid_isss")),
        ("no verdict", PAGE.replace("not offered", "perhaps")),
    ] {
        assert_ne!(faults(&page, &run, &left_out), [""; 0], "{name}");
    }
    let first = rows(PAGE)[0].test.to_owned();
    assert_ne!(faults(PAGE, &run, &[first].into()), [""; 0], "a test that is left out");
}
