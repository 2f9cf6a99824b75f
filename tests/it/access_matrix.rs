//! Who may do what, by the example configuration, as a table that a reviewer can read. `UPDATE_GOLDEN=1` writes it anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use doorward_config::settings::Settings;
use doorward_policy::access::explain::{Fate, Verdict};
use doorward_policy::access::{Enforce, Standing};
use doorward_policy::identity::Proof;
use doorward_policy::time::Timestamp;
use doorward_proxy::explain::{Answer, Question, Supposition, answer, answer_supposed};
use serde_json::{Value, json};

/// A Monday, 09:00 UTC.
const MONDAY: Timestamp = Timestamp(1_795_424_400);
/// The day before.
const SUNDAY: Timestamp = Timestamp(MONDAY.0 - 86_400);

const REQUESTS: &[(&str, &str)] = &[
    ("GET", "https://cms.acme.dev/healthz"),
    ("POST", "https://cms.acme.dev/static/app.css"),
    ("GET", "https://cms.acme.dev/admin/users"),
    ("GET", "https://cms.acme.dev/reports/q3"),
    ("POST", "https://cms.acme.dev/reports/q3"),
    ("GET", "https://cms.acme.dev/partners/prices"),
    ("GET", "https://cms.acme.dev/tenant/acme/pages"),
    ("GET", "https://cms.acme.dev/beta/editor"),
    ("GET", "https://cms.acme.dev/old/front"),
    ("GET", "https://cms.acme.dev/news/today"),
    ("GET", "https://cms.acme.dev/payroll/november"),
    ("GET", "https://cms.acme.dev/exports/all"),
    ("GET", "https://cms.acme.dev/"),
    ("DELETE", "https://cms.acme.dev/drafts/7"),
    ("GET", "https://cms.acme.dev/admin;x/users"),
    ("GET", "https://cms.acme.dev/static/../admin/users"),
    ("GET", "https://iot.acme.dev/ws/devices"),
    ("GET", "https://iot.acme.dev/dashboard"),
    ("GET", "https://eu.iot.acme.dev/dashboard"),
    ("GET", "https://api.acme.dev/v1/tenants/org_acme/users"),
    ("GET", "https://api.acme.dev/v1/tenants/org_beta/users"),
    ("GET", "https://api.acme.dev/v1/items"),
    ("HEAD", "https://api.acme.dev/v1/items"),
    ("POST", "https://api.acme.dev/v1/items"),
    ("GET", "https://api.acme.dev/v2/items"),
    ("GET", "https://other.acme.dev/"),
];

/// Somebody, in a column.
struct Column {
    name: &'static str,
    /// What the column's head means.
    who: &'static str,
    claims: Option<Value>,
    proof: Option<Proof>,
    client: &'static str,
    now: Timestamp,
}

fn columns() -> Vec<Column> {
    let mfa = "http://schemas.openid.net/pape/policies/2007/06/multi-factor";
    let session =
        |name, who, claims| Column { name, who, claims: Some(claims), proof: Some(Proof::Session), client: "192.0.2.1", now: MONDAY };
    let bearer = |name, who, claims| Column { proof: Some(Proof::Bearer), ..session(name, who, claims) };
    let admin = json!({ "sub": "auth0|ada", "email": "ada@acme.dev", "email_verified": true, "https://acme.dev/roles": ["admin"] });
    let mut strong = admin.clone();
    strong["acr"] = json!(mfa);
    strong["auth_time"] = json!(MONDAY.0 - 60);
    let editor = json!({ "sub": "auth0|eddie", "org_id": "org_acme", "email": "eddie@partner.example", "email_verified": true, "https://acme.dev/roles": ["editor"] });
    let analyst = json!({ "sub": "auth0|otto", "email": "otto@ops.acme.dev", "https://acme.dev/roles": ["analyst"], "https://acme.dev/flags": ["beta"] });
    let paula = json!({ "sub": "auth0|paula", "https://acme.dev/roles": ["payroll", "exporter"] });
    let somebody = json!({ "sub": "auth0|vera", "email": "vera@acme.dev", "email_verified": false, "https://acme.dev/roles": [] });
    vec![
        Column { name: "nobody", who: "has not signed in", claims: None, proof: None, client: "192.0.2.1", now: MONDAY },
        session("vera", "no roles, an address at acme.dev that nobody verified", somebody),
        session("eddie", "editor of org_acme, eddie@partner.example", editor),
        session("otto", "analyst with the beta flag, from outside", analyst.clone()),
        Column { client: "10.1.2.3", ..session("otto@10", "the same, from 10.1.2.3", analyst) },
        session("paula", "payroll and exporter, on a Monday at 09:00 UTC as all others", paula.clone()),
        Column { now: SUNDAY, ..session("paula@sun", "the same, on a Sunday", paula) },
        session("ada", "admin, signed in long ago with a password", admin),
        session("ada+mfa", "the same, a minute ago with a second factor", strong),
        bearer(
            "reader",
            "token of org_acme: scope read:items, permission device:read",
            json!({ "sub": "app|reader", "org_id": "org_acme", "scope": "read:items", "permissions": ["device:read"] }),
        ),
        bearer("writer", "token: scope write:items", json!({ "sub": "app|writer", "scope": "write:items" })),
    ]
}

fn settings() -> Settings {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples/doorward.yaml");
    doorward_config::load(&path).unwrap_or_else(|report| panic!("{}", report.render(false))).settings
}

fn ask(settings: &Settings, column: &Column, (method, url): (&str, &str)) -> Answer {
    let client: IpAddr = column.client.parse().unwrap();
    let question = Question::parse(method, url, Some(client), column.now).unwrap();
    let Some(claims) = &column.claims else { return answer(settings, &question, &Standing::Anonymous) };
    let claims = claims.as_object().unwrap().clone();
    answer_supposed(settings, &question, &Supposition { claims, provider: None, proof: column.proof })
}

/// What becomes of it, and which shadow rules would have said no.
fn cell(answer: &Answer) -> String {
    let mut cell = match answer.verdict() {
        Verdict::Allow { .. } => "yes".into(),
        Verdict::Own => "Doorward itself".into(),
        Verdict::Deny(reason) => format!("no: {}", reason.label()),
        verdict @ Verdict::Challenge(_) => format!("<{}>", verdict.outcome()),
    };
    let shadows = answer.explanation.rules.iter().filter(|rule| rule.fate == Fate::Shadow);
    for rule in shadows.filter(|rule| rule.verdict.is_some_and(|verdict| matches!(verdict, Verdict::Deny(_)))) {
        cell.push_str(&format!(" ({} no)", rule.name));
    }
    cell
}

fn render(settings: &Settings) -> String {
    let columns = columns();
    let mut rows = vec![
        ["request".to_owned(), "rule".to_owned()]
            .into_iter()
            .chain(columns.iter().map(|column| column.name.to_owned()))
            .collect::<Vec<_>>(),
    ];
    for request in REQUESTS {
        let answers: Vec<Answer> = columns.iter().map(|column| ask(settings, column, *request)).collect();
        let rule = answers[0].explanation.rule.clone().unwrap_or_else(|| "-".into());
        assert!(
            answers.iter().all(|answer| answer.explanation.rule.as_deref().unwrap_or("-") == rule),
            "who asks does not change which rule decides"
        );
        let request = format!("{:6} {}", request.0, request.1.trim_start_matches("https://"));
        rows.push([request, rule].into_iter().chain(answers.iter().map(cell)).collect());
    }
    let widths: Vec<usize> = (0..rows[0].len()).map(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or(0)).collect();
    let mut text =
        String::from("Who may do what, by config/examples/doorward.yaml. UPDATE_GOLDEN=1 cargo test -p doorward-tests access_matrix\n\n");
    for column in &columns {
        writeln!(text, "{:9}  {}", column.name, column.who).unwrap();
    }
    text.push_str("(x no)     rule x is a shadow and would have refused\n");
    text.push('\n');
    for row in rows {
        let line: String = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    text
}

#[test]
fn access_matrix_of_the_example_is_the_one_that_was_reviewed() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/access_matrix.txt");
    let now = render(&settings());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &now).unwrap();
    }
    let then = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(then == now, "{} is another:\n{now}", golden.display());
}

#[test]
fn access_matrix_asks_every_rule_and_hears_a_yes_and_a_no() {
    let settings = settings();
    let mut heard: BTreeSet<(String, bool)> = BTreeSet::new();
    for column in columns() {
        for request in REQUESTS {
            let answer = ask(&settings, &column, *request);
            for rule in answer.explanation.rules.iter().filter(|rule| matches!(rule.fate, Fate::Decides | Fate::Shadow)) {
                heard.insert((rule.name.clone(), rule.verdict.is_some_and(|verdict| verdict.is_yes())));
            }
        }
    }
    for rule in settings.policy.routes().iter().flat_map(|route| &route.rules) {
        use doorward_policy::access::Requirement;
        let expected = match &rule.allow {
            Requirement::Public | Requirement::Optional => vec![true],
            Requirement::Nobody => vec![false],
            Requirement::SignedIn | Requirement::Needs(_) => vec![true, false],
        };
        for verdict in expected {
            let what = if rule.enforce == Enforce::Deny { "decides" } else { "says" };
            assert!(heard.contains(&(rule.name.to_string(), verdict)), "{} never {what} {verdict}: add a request or a column", rule.name);
        }
    }
}
