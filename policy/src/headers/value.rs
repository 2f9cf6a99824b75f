//! How a claim becomes a header value: one line of visible ASCII, and two different claims never the same line.
//!
//! Every byte outside `!`–`~` and the space, the `%` itself, and a space at either end are written as `%XX` of their
//! UTF-8. In a list the elements are joined by `,`, and a `,` inside an element is `%2C`.

use std::fmt::Write;

/// One text.
pub fn encode_text(text: &str, into: &mut String) {
    encode(text, false, into);
}

/// A list; an app splits at `,` and then decodes each part.
pub fn encode_list<'t>(items: impl IntoIterator<Item = &'t str>, into: &mut String) {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            into.push(',');
        }
        encode(item, true, into);
    }
}

fn encode(text: &str, in_list: bool, into: &mut String) {
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let plain = match byte {
            b'%' => false,
            b',' => !in_list,
            // RFC 9110 §5.5: spaces at the ends are not part of a field value.
            b' ' => at != 0 && at != last,
            0x21..=0x7e => true,
            _ => false,
        };
        if plain {
            into.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(items: &[&str]) -> String {
        let mut out = String::new();
        encode_list(items.iter().copied(), &mut out);
        out
    }

    fn text(text: &str) -> String {
        let mut out = String::new();
        encode_text(text, &mut out);
        out
    }

    #[test]
    fn hdr_40_no_claim_breaks_out_of_its_line() {
        for (claim, value) in [
            ("plain user", "plain user"),
            ("a\r\nX-Auth-Roles: admin", "a%0D%0AX-Auth-Roles: admin"),
            ("\0", "%00"),
            ("Zoë", "Zo%C3%AB"),
            ("\u{202e}x", "%E2%80%AEx"),
            (" lead and trail ", "%20lead and trail%20"),
            ("100%", "100%25"),
            ("auth0|abc", "auth0|abc"),
            ("a,b", "a,b"),
            ("\u{7f}", "%7F"),
        ] {
            assert_eq!(text(claim), value, "{claim:?}");
        }
    }

    #[test]
    fn hdr_41_a_separator_inside_an_element_is_escaped() {
        assert_eq!(list(&["user,admin"]), "user%2Cadmin");
        assert_eq!(list(&["user", "admin"]), "user,admin");
        assert_ne!(list(&["a%2Cb"]), list(&["a,b"]));
    }

    proptest! {
        #[test]
        fn hdr_40_values_are_visible_ascii_and_decode_to_the_claim(claim in any::<String>()) {
            let value = text(&claim);
            prop_assert!(value.bytes().all(|b| (0x20..=0x7e).contains(&b)));
            prop_assert_eq!(value.trim(), value.as_str());
            let decoded = percent_encoding::percent_decode_str(&value).decode_utf8().unwrap();
            prop_assert_eq!(decoded, claim);
        }

        #[test]
        fn hdr_41_a_list_splits_back_into_its_elements(items in prop::collection::vec(any::<String>().prop_filter("empty", |s| !s.is_empty()), 1..5)) {
            let value = list(&items.iter().map(String::as_str).collect::<Vec<_>>());
            let back: Vec<String> = value.split(',').map(|part| percent_encoding::percent_decode_str(part).decode_utf8().unwrap().into_owned()).collect();
            prop_assert_eq!(back, items);
        }
    }
}
