//! Patterns of `matches`: CEL looks for them anywhere in the text.

use std::ops::Range;

use super::super::super::field::Field;
use crate::problem::WarningCode;

/// `email.matches("@acme.dev")` is true of `x@acme.dev.example` too.
pub(super) fn warn_about_loose(field: &Field<'_>, text: &str) {
    for literal in literals(text).filter(|literal| !is_anchored(&text[literal.clone()])) {
        let shown = &text[literal.clone()];
        field.warn_at(
            &field.part(Some(literal)),
            WarningCode::LooseRegex,
            format!("`{shown}` is looked for anywhere in the text"),
            "begin it with `^` and end it with `$` (round brackets around alternatives), or write `startsWith` or `endsWith`",
        );
    }
}

/// The last text in the brackets of each `matches(…)`: what stands between its quotes.
fn literals(text: &str) -> impl Iterator<Item = Range<usize>> {
    const CALL: &str = "matches(";
    text.match_indices(CALL).filter_map(|(at, _)| {
        let begin = at + CALL.len();
        let (mut depth, mut quote, mut last) = (1, None::<(char, usize)>, None);
        let mut letters = text[begin..].char_indices();
        while let Some((offset, letter)) = letters.next() {
            match (quote, letter) {
                (Some(_), '\\') => {
                    letters.next();
                }
                (Some((mark, from)), _) if mark == letter => {
                    last = Some(from..begin + offset);
                    quote = None;
                }
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some((letter, begin + offset + 1)),
                (None, '(') => depth += 1,
                (None, ')') => depth -= 1,
                (None, _) => {}
            }
            if depth == 0 {
                break;
            }
        }
        last
    })
}

/// `^…$`, and no alternative that is without one of the two.
fn is_anchored(pattern: &str) -> bool {
    let flags = pattern.strip_prefix("(?i)").unwrap_or(pattern);
    let Some(inner) = flags.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')).filter(|inner| !inner.ends_with('\\')) else {
        return false;
    };
    let (mut depth, mut class) = (0_u32, false);
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                letters.next();
            }
            '[' => class = true,
            ']' => class = false,
            '(' if !class => depth += 1,
            ')' if !class => depth = depth.saturating_sub(1),
            '|' if !class && depth == 0 => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_is_the_last_text_in_the_brackets() {
        let found = |text: &str| literals(text).map(|range| text[range].to_owned()).collect::<Vec<_>>();
        assert_eq!(found(r#"email.matches("a(b") && claims.x.matches('c"')"#), ["a(b", "c\""]);
        assert_eq!(found(r#"matches(claims["x"], "d") || user == "e""#), ["d"]);
        assert_eq!(found(r#"email.matches("a\"b$")"#), [r#"a\"b$"#]);
        assert!(found("email.endsWith(\"x\")").is_empty());
    }

    #[test]
    fn an_alternative_can_be_loose_where_the_whole_looks_anchored() {
        for pattern in ["^a$", "^(a|b)$", "(?i)^a$", "^[|]$", r"^a\|b$", r"^a\\|b$x$"] {
            assert_eq!(is_anchored(pattern), !pattern.contains(r"\\|"), "{pattern}");
        }
        for pattern in ["a", "^a", "a$", "^a|b$", r"^a\$", "", "^"] {
            assert!(!is_anchored(pattern), "{pattern}");
        }
    }
}
