//! The edge: everything with a socket, a clock, a file or a task. It decides nothing.
//!
//! A request passes `listen` (bytes judged before anything reads them), `edge` (pingora's phases, one short call
//! each) and `gate` (the one question to `doorward-policy`). Whatever the answer, `respond` gives it its form, and
//! `forward` writes what the app is told.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod access_log;
pub mod admin;
pub mod attempts;
pub mod attributes;
pub mod audit;
pub mod bearer;
pub mod body;
pub mod claims;
pub mod cli;
pub mod client_key;
pub mod clock;
pub mod edge;
pub mod entropy;
pub mod explain;
pub mod forward;
pub mod gate;
pub mod hooks;
pub mod idp;
pub mod incoming;
pub mod keyring;
pub mod keys;
pub mod listen;
pub mod log_text;
pub mod login;
pub mod manner;
pub mod metrics;
pub mod pages;
pub mod reload;
pub mod reply;
pub mod respond;
pub mod revocations;
pub mod runtime;
pub mod serve;
pub mod sessions;
mod shares;
pub mod snippet;
pub mod state;
pub mod store;
pub mod streams;
pub mod tls;
pub mod upstream;
mod whole_lines;
