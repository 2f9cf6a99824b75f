//! Header values: whatever a claim says, one visible line arrives, or nothing.

use doorward_policy::headers::{HeaderMapping, Template};
use doorward_policy::identity::{Identity, IdentityMapping};
use doorward_policy::session::{Origin, Session};
use doorward_policy::time::Timestamp;
use http::HeaderName;
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::values::claims;

pub fn identity(claims: &Map<String, Value>) -> Identity {
    let kept: Vec<Box<str>> = claims.keys().map(|name| name.as_str().into()).collect();
    let origin = Origin { id: "fuzz", provider: "auth0", client_id: "us" };
    Identity::from_session(Session::begin(origin, claims, &kept, Timestamp(1_800_000_000)), &IdentityMapping::default())
}

fn written() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        prop::sample::select(vec![
            "{user}",
            "{email}",
            "{roles}",
            "{permissions}",
            "{scope}",
            "{name}",
            "{claim:groups}",
            "{claim:a}",
            "{claim:x.y}",
            "{org_id}",
            "{amr}",
            "{locale}",
            "{{",
            "}}",
            "{",
            "}",
            "{claim:}",
            "{claim:$}",
            " ",
            "=",
            "%",
            "\u{e9}",
            "\r\n"
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,4}",
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn fuzz_a_template_says_one_visible_line_or_nothing(text in written(), claims in claims()) {
        let Ok(template) = Template::parse(&text) else { return Ok(()) };
        prop_assert_eq!(template.to_string(), text);
        let mapping = HeaderMapping::new(vec![(HeaderName::from_static("x-auth"), template)]);
        let Ok(edits) = mapping.edits(&identity(&claims)) else { return Ok(()) };
        for (_, value) in edits.iter() {
            prop_assert!(value.as_bytes().iter().all(|b| (0x20..=0x7e).contains(b)), "{:?}", value);
            prop_assert!(!value.is_empty() && value.as_bytes().trim_ascii() == value.as_bytes());
        }
    }
}
