//! Doorward beside its peers: what each costs for the same request, on one machine, in one run.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod bench;
pub mod figures;
pub mod load;
pub mod meter;
pub mod peers;
pub mod report;
pub mod rounds;
pub mod stand;
pub mod statistics;
pub mod system;
