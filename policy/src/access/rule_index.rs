//! Which rule of a route decides, found without looking at those that cannot.
//!
//! A trie over the segments of all patterns. What is looked at for one path is at most two nodes for each one before, and
//! never more than the patterns have segments, whatever the path says; what stands behind a rule that is found already is
//! not looked at. The answer is that of asking rule after rule (a property test holds it to that).

use std::collections::HashMap;

use foldhash::fast::FixedState;
use http::Method;

use super::pattern::Segment;
use super::{Enforce, PathPattern, Rule};
use crate::request::{CleanPath, decode_segment};

/// The rules of one route.
#[derive(Debug)]
pub(super) struct RuleIndex {
    root: Node,
    shadows: Box<[usize]>,
}

#[derive(Debug)]
struct Node {
    /// The first rule at or below this node.
    first: usize,
    children: HashMap<Box<str>, Node, FixedState>,
    /// `*` and `{name}`.
    any: Option<Box<Node>>,
    /// Rules for this very path.
    here: ByMethod,
    /// Rules for this path and all below.
    below: ByMethod,
}

/// The first rule for each method.
#[derive(Debug)]
struct ByMethod {
    every: usize,
    /// As many as methods are named, so few.
    named: Vec<(Method, usize)>,
}

/// No rule: behind all others.
const NONE: usize = usize::MAX;

impl RuleIndex {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut root = Node::new();
        let numbered = || rules.iter().enumerate();
        for (number, rule) in numbered().filter(|(_, rule)| rule.enforce == Enforce::Deny) {
            if rule.paths.is_empty() {
                root.first = root.first.min(number);
                root.below.add(&rule.methods, number);
            }
            rule.paths.iter().for_each(|pattern| root.insert(pattern, &rule.methods, number));
        }
        Self { root, shadows: numbered().filter(|(_, rule)| rule.enforce == Enforce::Log).map(|(number, _)| number).collect() }
    }

    /// The first rule that covers it, shadows aside.
    pub(super) fn find(&self, method: &Method, path: &CleanPath) -> Option<usize> {
        let mut best = NONE;
        // Only the last segment of a clean path may be empty; it says nothing to a pattern.
        self.root.search(path.segments().filter(|segment| !segment.is_empty()), method, &mut best);
        (best != NONE).then_some(best)
    }

    /// The shadow rules, in the order of the file.
    pub(super) fn shadows(&self) -> impl Iterator<Item = usize> {
        self.shadows.iter().copied()
    }
}

impl Node {
    fn new() -> Self {
        Self { first: NONE, children: HashMap::default(), any: None, here: ByMethod::new(), below: ByMethod::new() }
    }

    fn insert(&mut self, pattern: &PathPattern, methods: &[Method], rule: usize) {
        let mut node = self;
        node.first = node.first.min(rule);
        for segment in pattern.segments() {
            node = match segment {
                Segment::Literal(text) => node.children.entry(text.clone()).or_insert_with(Node::new),
                Segment::Any | Segment::Parameter(_) => node.any.get_or_insert_with(|| Box::new(Node::new())),
            };
            node.first = node.first.min(rule);
        }
        if pattern.and_below() { &mut node.below } else { &mut node.here }.add(methods, rule);
    }

    /// Goes no deeper than the longest pattern, which is bounded.
    fn search<'s>(&self, mut rest: impl Iterator<Item = &'s str> + Clone, method: &Method, best: &mut usize) {
        if self.first >= *best {
            return;
        }
        *best = self.below.first(method).min(*best);
        let Some(segment) = rest.next() else {
            *best = self.here.first(method).min(*best);
            return;
        };
        if let Some(child) = self.children.get(&*decode_segment(segment)) {
            child.search(rest.clone(), method, best);
        }
        if let Some(any) = &self.any {
            any.search(rest, method, best);
        }
    }
}

impl ByMethod {
    fn new() -> Self {
        Self { every: NONE, named: Vec::new() }
    }

    /// Rules come in the order of the file: the first for a method stays.
    fn add(&mut self, methods: &[Method], rule: usize) {
        if methods.is_empty() {
            self.every = self.every.min(rule);
        }
        for method in methods {
            self.name(method, rule);
            // RFC 9110 §9.3.2: HEAD is GET without the content.
            if *method == Method::GET {
                self.name(&Method::HEAD, rule);
            }
        }
    }

    fn name(&mut self, method: &Method, rule: usize) {
        if !self.named.iter().any(|(own, _)| own == method) {
            self.named.push((method.clone(), rule));
        }
    }

    fn first(&self, method: &Method) -> usize {
        let named = self.named.iter().find(|(own, _)| own == method).map_or(NONE, |(_, rule)| *rule);
        named.min(self.every)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::access::Requirement;

    fn rule(paths: &[&str], methods: &[&str], enforce: Enforce) -> Rule {
        Rule {
            name: "r".into(),
            paths: paths.iter().map(|text| PathPattern::parse(text).unwrap()).collect(),
            methods: methods.iter().map(|name| Method::from_bytes(name.as_bytes()).unwrap()).collect(),
            allow: Requirement::SignedIn,
            step_up: None,
            enforce,
        }
    }

    /// What the index must agree with.
    fn scan(rules: &[Rule], method: &Method, path: &CleanPath) -> Option<usize> {
        rules.iter().position(|rule| rule.enforce == Enforce::Deny && rule.covers(method, path))
    }

    #[test]
    fn the_first_rule_wins_however_exact_a_later_one_is() {
        let rules = [
            rule(&["/a/x"], &["POST"], Enforce::Deny),
            rule(&["/*/x"], &["GET"], Enforce::Deny),
            rule(&["/a/**"], &[], Enforce::Deny),
            rule(&["/a/x"], &["GET"], Enforce::Deny),
            rule(&[], &["DELETE"], Enforce::Deny),
        ];
        let index = RuleIndex::new(&rules);
        for (method, path, expected) in [
            (Method::POST, "/a/x", Some(0)),
            (Method::GET, "/a/x", Some(1)),
            (Method::HEAD, "/a/x", Some(1)),
            (Method::PUT, "/a/x", Some(2)),
            (Method::GET, "/a", Some(2)),
            (Method::GET, "/b/y", None),
            (Method::DELETE, "/b/y", Some(4)),
        ] {
            let path = CleanPath::parse(path.as_bytes()).unwrap();
            assert_eq!(index.find(&method, &path), expected, "{method} {}", path.as_str());
            assert_eq!(scan(&rules, &method, &path), expected);
        }
    }

    /// Patterns that ask for both branches of every node: the search ends, and soon.
    #[test]
    fn a_path_that_fits_everywhere_costs_no_more_than_the_patterns_are_long() {
        let patterns: Vec<String> =
            (0..1024u32).map(|bits| (0..10).map(|at| if bits >> at & 1 == 0 { "/a" } else { "/*" }).collect::<String>() + "/end").collect();
        let rules: Vec<Rule> = patterns.iter().map(|text| rule(&[text], &[], Enforce::Deny)).collect();
        let index = RuleIndex::new(&rules);
        for path in ["/a".repeat(10) + "/other", "/a".repeat(4096), "/%41".repeat(2000), "/a".repeat(10) + "/end"] {
            let path = CleanPath::parse(path.as_bytes()).unwrap();
            assert_eq!(index.find(&Method::GET, &path), scan(&rules, &Method::GET, &path));
        }
        let deep = "/a".repeat(crate::access::pattern::SEGMENT_LIMIT);
        let rules = [rule(&[&deep], &[], Enforce::Deny)];
        assert_eq!(RuleIndex::new(&rules).find(&Method::GET, &CleanPath::parse(deep.as_bytes()).unwrap()), Some(0));
    }

    fn pattern() -> impl Strategy<Value = String> {
        let segment = || prop::sample::select(vec!["a", "b", "%61", "*", "{n}", "c d"]);
        (prop::collection::vec(segment(), 0..4), any::<bool>()).prop_filter_map("a name twice", |(segments, below)| {
            let tail = if below { "/**" } else { "" };
            let text = format!("/{}{tail}", segments.join("/")).replace("//", "/");
            PathPattern::parse(&text).is_ok().then_some(text)
        })
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        let methods = prop::collection::vec(prop::sample::select(vec!["GET", "HEAD", "POST", "PURGE"]), 0..3);
        (prop::collection::vec(pattern(), 0..3), methods, prop::bool::weighted(0.2)).prop_map(|(paths, methods, shadow)| {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            rule(&paths, &methods, if shadow { Enforce::Log } else { Enforce::Deny })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn the_index_says_what_asking_rule_after_rule_says(
            rules in prop::collection::vec(any_rule(), 0..12),
            segments in prop::collection::vec(prop::sample::select(vec!["a", "b", "%61", "c%20d", "x", ";", "a;v"]), 0..5),
            slash in any::<bool>(),
            method in prop::sample::select(vec!["GET", "HEAD", "POST", "PURGE", "PUT"]),
        ) {
            let text = format!("/{}{}", segments.join("/"), if slash && !segments.is_empty() { "/" } else { "" });
            let path = CleanPath::parse(text.as_bytes()).unwrap();
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let index = RuleIndex::new(&rules);
            for reading in [Some(path.clone()), path.without_parameters()].into_iter().flatten() {
                prop_assert_eq!(index.find(&method, &reading), scan(&rules, &method, &reading), "{}", reading.as_str());
            }
            let shadows: Vec<usize> = index.shadows().collect();
            prop_assert!(shadows.iter().all(|at| rules[*at].enforce == Enforce::Log) && shadows.is_sorted());
        }
    }
}
