//! Every mistake has a file and the message that an operator reads about it. `UPDATE_GOLDEN=1` writes the messages anew.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use doorward_config::{Environment, Report, Severity, load_text};

/// No variable of the machine that runs the tests.
struct Fixed;

impl Environment for Fixed {
    fn var(&self, name: &str) -> Option<String> {
        (name == "EMPTY").then(String::new)
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn read(path: &Path) -> Result<Report, Report> {
    load_text(path, fs::read_to_string(path).unwrap(), &Fixed).map(|loaded| loaded.warnings)
}

/// What the message beside the file says, and what it says now, where the two differ.
fn compare(path: &Path, report: &Report) -> Option<String> {
    let golden = PathBuf::from(format!("{}.txt", path.display()));
    let now = report.render(false);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &now).unwrap();
        return None;
    }
    let then = fs::read_to_string(&golden).unwrap_or_default();
    (then != now).then(|| format!("{}\n--- expected\n{then}\n--- found\n{now}", golden.display()))
}

/// Runs all files of a folder through `judge` and compares what is said about them.
fn check(folder: &str, judge: impl Fn(&Path) -> Report) {
    let (messages, sources): (Vec<PathBuf>, Vec<PathBuf>) =
        files(folder).into_iter().partition(|path| path.extension().is_some_and(|e| e == "txt"));
    let differences: Vec<String> = sources.iter().filter_map(|path| compare(path, &judge(path))).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    let known: BTreeSet<String> = sources.iter().map(|path| format!("{}.txt", path.display())).collect();
    let orphans: Vec<&PathBuf> = messages.iter().filter(|path| !known.contains(&path.display().to_string())).collect();
    assert!(orphans.is_empty(), "messages without a file: {orphans:?}");
}

#[test]
fn cfg_01_to_04_each_mistake_is_told_where_it_stands() {
    check("tests/bad", |path| {
        let Err(report) = read(path) else { panic!("{} loads", path.display()) };
        report
    });
}

#[test]
fn warnings_are_told_and_the_file_loads() {
    check("tests/warnings", |path| match read(path) {
        Ok(report) => {
            assert!(report.warning_count() > 0, "{} has no warning", path.display());
            report
        }
        Err(report) => panic!("{}", report.render(false)),
    });
}

#[test]
fn every_problem_says_what_to_do_and_where_it_is() {
    for path in files("tests/bad").into_iter().chain(files("tests/warnings")).filter(|path| path.extension().is_none_or(|e| e != "txt")) {
        let (Ok(report) | Err(report)) = read(&path);
        for problem in report.problems() {
            let at = format!("{}: {}", path.display(), problem.message);
            // A list of what is known is help enough; a parser knows no better.
            let told = problem.message.contains(" is not one of ") || problem.message.starts_with("not ") || problem.key.is_empty();
            assert!(problem.help.is_some() || problem.label.is_some() || told, "{at} has no help");
            assert!(problem.place.is_some(), "{at} has no place");
            assert!(!problem.message.contains("hunter2") && !report.render(true).contains("hunter2"), "{at} shows a secret");
        }
    }
}

#[test]
fn cfg_01_five_mistakes_are_five_located_messages() {
    let report = read(Path::new("tests/bad/five_mistakes.yaml")).unwrap_err();
    let keys: Vec<&str> = report.problems().iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["version", "server.admin", "providers.auth0.algorithms[0]", "session.lifetime", "routes[0].rules[0].allow.role_s"]);
    let lines: Vec<usize> = report.problems().iter().map(|problem| problem.place.as_ref().unwrap().line).collect();
    assert_eq!(lines, [1, 4, 13, 14, 19]);
    assert_eq!(report.error_count(), 5);
    assert!(report.problems().iter().all(|problem| problem.severity == Severity::Error));
}
