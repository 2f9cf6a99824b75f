//! The edge in this process, tried from outside. One module for each subject.

#![allow(clippy::unwrap_used)]

mod api;
mod command_line;
mod cors;
mod forwarding;
mod frames;
mod framing;
mod headers;
mod keys;
mod lasting;
mod oidc;
mod outside;
mod paths;
mod readme;
mod sessions;
mod sign_in;
mod tokens;
