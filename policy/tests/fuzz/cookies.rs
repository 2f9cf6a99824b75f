//! Cookie fields of any bytes.

use doorward_policy::cookies::{Found, cookies, find, set_cookie_name, without_ours};
use proptest::prelude::*;

const NAME: &str = "__Host-doorward";

fn field() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(b"__Host-doorward".to_vec()),
        Just(b"__Host-doorward=v".to_vec()),
        Just(b"__Host-doorward-attempt.1=x".to_vec()),
        prop::sample::select(&b";= \t\"\\,$a\0\xff\r\n"[..]).prop_map(|byte| vec![byte]),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(part, 0..10).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn fuzz_what_is_ours_is_found_once_and_never_passed_on(fields in prop::collection::vec(field(), 0..4)) {
        let slices = || fields.iter().map(Vec::as_slice);
        let same = cookies(slices()).filter(|cookie| cookie.name == NAME.as_bytes()).count();
        match find(slices(), NAME) {
            Found::Absent => prop_assert_eq!(same, 0),
            Found::One(_) => prop_assert_eq!(same, 1),
            Found::Ambiguous => prop_assert!(same > 1),
        }
        let ours = |name: &[u8]| name.starts_with(NAME.as_bytes());
        let kept = without_ours(slices(), ours).unwrap_or_default();
        prop_assert_eq!(cookies([kept.as_slice()]).filter(|cookie| ours(cookie.name)).count(), 0);
        let others = |cookie: &doorward_policy::cookies::Cookie<'_>| !ours(cookie.name);
        let before: Vec<Vec<u8>> = cookies(slices()).filter(others).map(|cookie| cookie.pair.to_vec()).collect();
        let after: Vec<Vec<u8>> = cookies([kept.as_slice()]).map(|cookie| cookie.pair.to_vec()).collect();
        prop_assert_eq!(before, after);
        for field in slices() {
            set_cookie_name(field);
        }
    }
}
