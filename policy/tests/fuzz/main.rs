//! What operators and strangers may write, in random: nothing panics, everything ends, and a simple model agrees.
//!
//! A few hundred cases in every test run; `./x fuzz MINUTES` runs as many as there is time for.

#![allow(clippy::unwrap_used)]

mod claim_path;
mod cookies;
mod expression;
mod header_template;
mod pattern;
mod values;
