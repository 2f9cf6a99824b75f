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

fn rows() -> Vec<Row<'static>> {
    let lines = PAGE.lines().filter(|line| line.starts_with('|') && line.contains("`oidcc-client-test"));
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [number, plan, module, _does, verdict, test] = cells[..] else { panic!("six cells: {line}") };
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

#[test]
fn the_52_are_all_there_each_once_and_each_has_its_test() {
    let rows = rows();
    let (counted, beyond): (Vec<_>, Vec<_>) = rows.iter().partition(|row| !row.number.is_empty());
    let numbers: Vec<&str> = counted.iter().map(|row| row.number).collect();
    let expected: Vec<String> = (1..=52).map(|number| format!("CONF-{number:02}")).collect();
    assert_eq!(numbers, expected);
    let mut plans: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in &counted {
        assert!(plans.entry(row.plan).or_default().insert(row.module), "`{}` comes twice in `{}`", row.module, row.plan);
    }
    let counts: BTreeMap<&str, usize> = plans.iter().map(|(plan, modules)| (*plan, modules.len())).collect();
    assert_eq!(counts, PLANS.into());
    assert!(beyond.iter().all(|row| row.plan == "beyond") && !beyond.is_empty());

    let (run, left_out) = (tests(&[]), tests(&["--ignored"]));
    assert!(run.len() > 100, "{run:?}");
    for row in &rows {
        assert!(
            ["accept", "refuse", "not offered"].iter().any(|verdict| row.verdict.starts_with(verdict)),
            "{}: {}",
            row.module,
            row.verdict
        );
        assert!(run.contains(row.test) && !left_out.contains(row.test), "{}: no test is called `{}`", row.module, row.test);
        let name = format!("conf_{}_{}", row.plan, row.module.replace('-', "_"));
        let rest = row.test.strip_prefix(&name).unwrap_or_else(|| panic!("{}: `{}` should be `{name}`", row.module, row.test));
        assert!(rest.is_empty() || rest.strip_prefix('_').is_some_and(is_id), "`{}` is the name of another module", row.test);
    }
    let told: BTreeSet<&str> = rows.iter().map(|row| row.test).collect();
    assert_eq!(told.len(), rows.len(), "a test stands for one module");
    let untold: Vec<&String> = run.iter().filter(|name| name.starts_with("conf_") && !told.contains(name.as_str())).collect();
    assert!(untold.is_empty(), "not on the page: {untold:?}");
}
