//! The way of a request that passes: what it allocates, and what it looks at however often the same request came before.
//!
//! A program of its own, because counting allocations takes an allocator that counts.

#![allow(clippy::unwrap_used)]

mod allocations;
mod remembered;
mod stand;
