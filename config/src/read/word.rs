//! Words in messages: the one that was meant, and lists of them.

/// The word that `written` is a slip of, if there is one.
pub(super) fn nearest<'w>(written: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let written = written.to_lowercase().replace('-', "_");
    let known: Vec<&str> = known.collect();
    let slip = |word: &&&str| {
        let distance = strsim::osa_distance(&written, &word.replace('-', "_"));
        (distance <= 1.max(word.len() / 3)).then_some(distance)
    };
    let near = known.iter().filter(|word| slip(word).is_some()).min_by_key(|word| slip(word));
    // `client_secret_post` for `post`.
    let part = || known.iter().filter(|word| written.split('_').any(|part| part == **word)).max_by_key(|word| word.len());
    near.or_else(part).copied()
}

/// `` `a`, `b` or `c` ``
pub(super) fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [most @ .., last] => {
            let most: Vec<String> = most.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", most.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = || ["any_role", "role", "network", "permission"].into_iter();
        assert_eq!(nearest("role_s", known()), Some("role"));
        assert_eq!(nearest("Network", known()), Some("network"));
        assert_eq!(nearest("any-role", known()), Some("any_role"));
        assert_eq!(nearest("premission", known()), Some("permission"));
        assert_eq!(nearest("colour", known()), None);
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(list(&["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(list(&["a"]), "`a`");
    }
}
