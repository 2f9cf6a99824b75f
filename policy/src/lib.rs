//! What Doorward decides.
//!
//! One request reads, in these modules, as: **target → rule → credential → identity → decision → header edits**.
//!
//! - [`request`]: what is asked, normalised exactly once ([`request::Target`]).
//! - [`wire`]: whether the bytes of a request head may be looked at at all.
//! - [`access`]: which rule applies and what it demands; the default is refusal.
//! - [`credential`]: what the client presented, and which of it the route accepts.
//! - [`token`]: a bearer or ID token, from bytes nobody checked to a [`token::VerifiedToken`].
//! - [`session`]: sealed cookies; [`login`]: from the first redirect to a session.
//! - [`identity`]: who it is, with which roles; [`claim_path`] finds the claims.
//! - [`headers`]: what the app is told, and which names are ours alone; [`cookies`]: which cookies are.
//! - [`cors`]: what a script of another origin may learn.
//!
//! Nothing here opens a socket, reads a clock, draws a random number or touches a file: `clippy.toml` beside this
//! crate's manifest enforces it. Any failure while deciding is a denial.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod access;
pub mod claim_path;
pub mod cookies;
pub mod cors;
pub mod credential;
pub mod expression;
pub mod headers;
pub mod identity;
pub mod login;
pub mod request;
pub mod secret;
pub mod session;
pub mod time;
pub mod token;
pub mod wire;
