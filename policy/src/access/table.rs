//! Finding a route: by host (exact before wildcard), then by the longest path, in steps of the path's own length.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::{DenyReason, Route, RouteClash};
use crate::request::{CleanPath, HostPattern, decode_segment};

#[derive(Debug, Default)]
pub(super) struct RouteTable {
    exact: HashMap<Box<str>, Node, FixedState>,
    /// Keyed by the domain below which the names stand.
    below: HashMap<Box<str>, Node, FixedState>,
}

/// A segment trie: as many steps as the path has segments, however many routes there are.
#[derive(Debug, Default)]
struct Node {
    route: Option<usize>,
    children: HashMap<Box<str>, Node, FixedState>,
}

impl RouteTable {
    pub(super) fn new(routes: &[Route]) -> Result<Self, RouteClash> {
        let mut table = Self::default();
        for (index, route) in routes.iter().enumerate() {
            for host in &route.hosts {
                let mut node = match host {
                    HostPattern::Exact(name) => table.exact.entry(name.clone()).or_default(),
                    HostPattern::Below(domain) => table.below.entry(domain.clone()).or_default(),
                };
                for segment in route.path.segments() {
                    node = node.children.entry(segment.clone()).or_default();
                }
                if let Some(first) = node.route.replace(index) {
                    return Err(RouteClash {
                        first: routes[first].name.clone(),
                        second: route.name.clone(),
                        host: host.to_string(),
                        path: route.path.to_string(),
                    });
                }
            }
        }
        Ok(table)
    }

    pub(super) fn knows_host(&self, name: &str) -> bool {
        self.host(name).is_some()
    }

    pub(super) fn find(&self, host: &str, path: &CleanPath) -> Result<usize, DenyReason> {
        let mut node = self.host(host).ok_or(DenyReason::UnknownHost)?;
        let mut found = node.route;
        for segment in path.segments() {
            let Some(next) = node.children.get(&*decode_segment(segment)) else { break };
            node = next;
            found = node.route.or(found);
        }
        found.ok_or(DenyReason::NoRoute)
    }

    fn host(&self, name: &str) -> Option<&Node> {
        if let Some(node) = self.exact.get(name) {
            return Some(node);
        }
        // The nearest domain first: `a.b.example` is looked for below `b.example`, then below `example`.
        let mut rest = name;
        while let Some((_, domain)) = rest.split_once('.') {
            if let Some(node) = self.below.get(domain) {
                return Some(node);
            }
            rest = domain;
        }
        None
    }
}
