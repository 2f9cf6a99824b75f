//! What benches and figures share.

pub mod issuer;
