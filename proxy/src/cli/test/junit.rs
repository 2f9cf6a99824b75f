//! JUnit XML, as build servers read it: one suite, a case for each test.

use std::fmt::Write;
use std::path::Path;

use super::outcome::Outcome;
use crate::cli::table::Ink;

pub(super) fn write(path: &Path, outcomes: &[Outcome<'_>]) -> String {
    let file = escaped(&path.display().to_string());
    let failed = outcomes.iter().filter(|outcome| !outcome.faults.is_empty()).count();
    let counts = format!("tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\"", outcomes.len());
    let mut out = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  <testsuite name=\"{file}\" {counts}>\n");
    for outcome in outcomes {
        let route = outcome.answer.as_ref().and_then(|answer| answer.explanation.route.as_deref()).unwrap_or("doorward");
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "    <testcase name=\"{}\" classname=\"{}\" file=\"{file}\" line=\"{}\"",
            escaped(&outcome.test.name),
            escaped(route),
            outcome.test.line
        );
        if outcome.faults.is_empty() {
            out.push_str("/>\n");
            continue;
        }
        let (message, why) = (escaped(&outcome.faults.join("; ")), escaped(&outcome.why(Ink { on: false })));
        let _ = writeln!(out, ">\n      <failure message=\"{message}\" type=\"unexpected\">{why}</failure>\n    </testcase>");
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

/// For text and for values in double quotes. XML 1.0 §2.2: some characters cannot be written in any way.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 §3.3.3: as they are they become spaces in a value.
            '\n' | '\r' | '\t' => {
                let _ = write!(out, "&#{};", u32::from(letter));
            }
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_test_breaks_out_of_its_place() {
        assert_eq!(escaped("a\"<b>&'c\n\u{0}\u{1b}\u{fffe}é"), "a&quot;&lt;b&gt;&amp;'c&#10;\u{fffd}\u{fffd}\u{fffd}é");
    }
}
