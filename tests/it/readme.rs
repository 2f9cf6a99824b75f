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
        "store_unreachable",
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

fn page(host: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/hosts/{host}.md"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{host}: {error}"))
}

#[test]
fn every_host_has_a_page_that_prints_its_configuration_and_names_traps() {
    use clap::ValueEnum as _;
    let index = page("README");
    for host in doorward_proxy::snippet::Host::value_variants() {
        let name = host.to_possible_value().unwrap().get_name().to_owned();
        let page = page(&name);
        assert!(page.contains(&format!("doorward snippet {name} >")) && page.contains("\n## Traps\n"), "{name}");
        assert!(index.contains(&format!("[{name}.md]({name}.md) | `doorward snippet {name}`")), "{name}");
    }
    let reasons: Vec<&str> = doorward_policy::access::DenyReason::ALL.iter().map(|reason| reason.label()).collect();
    for reason in ["hook_source", "hook_insecure", "forged_header", "unknown_host", "preflight_not_relayed"] {
        assert!(reasons.contains(&reason) && index.contains(&format!("`{reason}`")), "{reason}");
    }
}

#[test]
fn the_configuration_on_the_page_about_oauth2_proxy_loads() {
    let page = page("oauth2-proxy");
    let begin = page.find("```yaml\nserver:\n").unwrap() + "```yaml\n".len();
    let shown = &page[begin..begin + page[begin..].find("```").unwrap()];
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples");
    let example = std::fs::read_to_string(examples.join("hooks.yaml")).unwrap();
    let (before, rest) = example.split_once("server:\n").unwrap();
    let (_, after) = rest.split_once("\nproviders:").unwrap();
    let text = format!("{before}{shown}\nproviders:{after}");
    let loaded = doorward_config::load_text(&examples.join("doorward.yaml"), text, &doorward_config::ProcessEnvironment)
        .unwrap_or_else(|report| panic!("{}", report.render(false)));
    let hooks = loaded.settings.server.hooks.unwrap();
    assert_eq!(hooks.oauth2_proxy, Some(doorward_config::settings::OriginalRequest::XOriginal));
    assert_eq!(loaded.settings.providers[0].callback_aliases, ["/oauth2/callback"]);
}
