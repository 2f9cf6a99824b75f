//! What the documents say is what is there.

const README: &str = include_str!("../../README.md");
const MINIMAL: &str = include_str!("../../config/examples/minimal.yaml");
const OPERATING: &str = include_str!("../../docs/operating.md");

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[test]
fn the_configuration_in_the_readme_is_the_example_that_is_tested() {
    let begin = README.find("```yaml\n").unwrap() + "```yaml\n".len();
    let shown = &README[begin..begin + README[begin..].find("```").unwrap()];
    assert_eq!(without_comments(shown), without_comments(MINIMAL));
    assert!(shown.lines().filter(|line| !line.trim().is_empty()).count() <= 20, "twenty lines were promised");
}

#[test]
fn every_reason_in_the_operators_table_exists() {
    use doorward_policy::access::DenyReason;
    let reasons: Vec<&str> = DenyReason::ALL.iter().map(|reason| reason.label()).collect();
    for reason in [
        "cannot_verify",
        "no_rule",
        "role",
        "permission",
        "scope",
        "claim",
        "email_domain",
        "bad_request",
        "ambiguous_path",
        "unknown_host",
    ] {
        assert!(reasons.contains(&reason), "{reason}");
        assert!(OPERATING.contains(&format!("`{reason}`")), "{reason}");
    }
}

#[test]
fn every_metric_in_the_operators_page_is_exposed() {
    let source = include_str!("../../proxy/src/metrics.rs");
    let mut rest = OPERATING;
    let mut seen = 0;
    while let Some(at) = rest.find("doorward_") {
        let name: String = rest[at + "doorward_".len()..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        rest = &rest[at + 9..];
        let family = name.strip_suffix("_bucket").unwrap_or(&name);
        if family == "proxy" {
            continue;
        }
        assert!(source.contains(&format!("\"{family}\"")), "{name}");
        seen += 1;
    }
    assert!(seen >= 6);
}
