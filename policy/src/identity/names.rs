//! What was read of somebody, in one piece of memory: dozens of small ones would cost more to let go than to make, and a token is
//! let go whenever a new one takes its place.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use serde::{Serialize, Serializer};

/// Texts, one behind the other.
#[derive(Debug, Clone)]
pub(super) struct Texts {
    all: Box<str>,
    /// Where each of them ends, in bytes.
    ends: Box<[usize]>,
}

impl Texts {
    /// What was gathered at this place; an empty text is none.
    pub(super) fn get(&self, at: usize) -> Option<&str> {
        Some(piece(&self.all, &self.ends, at)).filter(|text| !text.is_empty())
    }

    /// What was gathered at these places.
    pub(super) fn names(&self, at: Range<usize>) -> Names<'_> {
        Names { all: &self.all[..], begin: begin_of(&self.ends, at.start), ends: &self.ends[at] }
    }
}

fn begin_of(ends: &[usize], at: usize) -> usize {
    at.checked_sub(1).map_or(0, |before| ends[before])
}

fn piece<'t>(all: &'t str, ends: &[usize], at: usize) -> &'t str {
    &all[begin_of(ends, at)..ends[at]]
}

/// So many names are compared with each other sooner than a set of them is made.
const FEW: usize = 16;

/// [`Texts`] while they are read.
pub(super) struct Gathering {
    all: String,
    ends: Vec<usize>,
}

impl Gathering {
    /// `bytes` and `texts`: what there probably will be.
    pub(super) fn new(bytes: usize, texts: usize) -> Self {
        Self { all: String::with_capacity(bytes), ends: Vec::with_capacity(texts) }
    }

    /// Adds one, or the lack of one.
    pub(super) fn text(&mut self, text: Option<&str>) {
        self.all.push_str(text.unwrap_or_default());
        self.ends.push(self.all.len());
    }

    /// Adds what `each` says: each name once, in the order of first appearance; an empty name is no name (an empty role must never
    /// match an empty rule).
    pub(super) fn names(&mut self, each: impl FnOnce(&mut dyn FnMut(&str))) -> Range<usize> {
        let first = self.ends.len();
        each(&mut |name| {
            let known = first..self.ends.len();
            let is_new = known.len() >= FEW || !known.into_iter().any(|at| piece(&self.all, &self.ends, at) == name);
            if is_new && !name.is_empty() {
                self.text(Some(name));
            }
        });
        if self.ends.len() - first >= FEW {
            self.each_once(first);
        }
        first..self.ends.len()
    }

    /// Tokens may have thousands: each is looked up, not compared with all before it.
    fn each_once(&mut self, first: usize) {
        let begin = begin_of(&self.ends, first);
        let (names, ends) = (self.all.split_off(begin), self.ends.split_off(first));
        let mut seen = HashSet::with_capacity(ends.len());
        let mut at = 0;
        for end in ends {
            let name = &names[at..end - begin];
            at = end - begin;
            if seen.insert(name) {
                self.text(Some(name));
            }
        }
    }

    pub(super) fn done(self) -> Texts {
        Texts { all: self.all.into(), ends: self.ends.into() }
    }
}

/// Names of somebody's, each once, none of them empty.
#[derive(Clone, Copy)]
pub struct Names<'i> {
    all: &'i str,
    begin: usize,
    ends: &'i [usize],
}

impl<'i> Names<'i> {
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|own| own == name)
    }

    /// The same for who asks about many: each is looked up, not compared with all.
    pub(super) fn finder(self) -> impl FnMut(&str) -> bool + use<'i> {
        let mut set: Option<HashSet<&'i str>> = None;
        move |name| {
            if self.ends.len() < FEW { self.contains(name) } else { set.get_or_insert_with(|| self.iter().collect()).contains(name) }
        }
    }

    /// In the order in which the claims say them.
    pub fn iter(&self) -> impl Iterator<Item = &'i str> + use<'i> {
        let (all, mut begin) = (self.all, self.begin);
        self.ends.iter().map(move |end| {
            let name = &all[begin..*end];
            begin = *end;
            name
        })
    }

    /// The same, for who keeps them longer.
    pub fn to_strings(&self) -> Vec<String> {
        self.iter().map(str::to_owned).collect()
    }
}

impl PartialEq for Names<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(texts: &[Option<&str>], lists: &[&[&str]]) -> (Texts, Vec<Range<usize>>) {
        let mut gathering = Gathering::new(0, 0);
        texts.iter().for_each(|text| gathering.text(*text));
        let places = lists.iter().map(|list| gathering.names(|each| list.iter().for_each(|name| each(name)))).collect();
        (gathering.done(), places)
    }

    #[test]
    fn texts_and_lists_are_told_apart() {
        let (texts, places) = gathered(&[Some("ada"), None, Some("Ada")], &[&["a", "b", "a"], &[], &["", "b", "é"]]);
        assert_eq!((texts.get(0), texts.get(1), texts.get(2)), (Some("ada"), None, Some("Ada")));
        let lists: Vec<_> = places.iter().map(|at| texts.names(at.clone()).to_strings()).collect();
        assert_eq!(lists, [vec!["a", "b"], vec![], vec!["b", "é"]]);
        let names = texts.names(places[2].clone());
        assert!(names.contains("é") && !names.contains("a") && !names.contains("") && !names.contains("bé"));
        assert!(texts.names(places[1].clone()).is_empty() && !names.is_empty());
        assert_eq!(format!("{names:?}"), r#"["b", "é"]"#);
        assert_eq!(serde_json::to_string(&names).unwrap(), r#"["b","é"]"#);
    }

    #[test]
    fn lists_are_equal_that_say_the_same_wherever_they_are() {
        let (texts, places) = gathered(&[Some("x")], &[&["a", "bc"], &["ab", "c"], &["a", "bc"], &["a"]]);
        let list = |at: usize| texts.names(places[at].clone());
        assert_eq!(list(0), list(2));
        assert!(list(0) != list(1) && list(0) != list(3));
    }

    #[test]
    fn names_are_kept_once_in_the_order_of_their_first_appearance() {
        for count in [0, 1, FEW - 1, FEW, FEW + 1, 3 * FEW, 1000] {
            for distinct in [1, 11, FEW - 1, FEW, FEW + 1, 2000] {
                let names: Vec<String> =
                    (0..count).map(|at| if at % 5 == 3 { String::new() } else { format!("n{}", at * 7 % distinct) }).collect();
                let mut expected: Vec<&str> = Vec::new();
                names.iter().map(String::as_str).filter(|name| !name.is_empty()).for_each(|name| {
                    if !expected.contains(&name) {
                        expected.push(name);
                    }
                });
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let (texts, places) = gathered(&[Some("ada")], &[&names, &["n1", "z"]]);
                assert_eq!(texts.names(places[0].clone()).iter().collect::<Vec<_>>(), expected, "{count} of {distinct}");
                assert_eq!(texts.names(places[1].clone()).to_strings(), ["n1", "z"], "{count} of {distinct}");
                assert_eq!(texts.get(0), Some("ada"));
            }
        }
    }

    #[test]
    fn a_name_is_found_among_few_and_among_many() {
        for count in [0, 1, FEW - 1, FEW, 1000] {
            let names: Vec<String> = (0..count).map(|at| format!("n{at}")).collect();
            let (texts, places) = gathered(&[], &[&names.iter().map(String::as_str).collect::<Vec<_>>()]);
            let mut found = texts.names(places[0].clone()).finder();
            assert!(names.iter().all(|name| found(name)), "{count}");
            assert!(!found("") && !found("n") && !found(&format!("n{count}")), "{count}");
        }
    }
}
